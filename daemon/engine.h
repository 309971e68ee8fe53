/* The engine thread: computes. It owns the forward pass, the tensor links of its group and of its stage (on
 * a libuv loop of its own) and, while it computes them, the running requests.
 *
 * On a coordinator it is the hub of the star: takes requests from the desk, picks rows
 * (sched/batch), sends them to the members, computes its slice, adds, samples. On a member it
 * follows: waits for a step, computes, sends its logits. A group that loses a link is broken: the
 * requests go back to the desk, and the engine waits for engine_stop.
 *
 * In a pipeline each stage has such a group. The coordinator is the hub of the first one; what the
 * layers made of the rows goes from hub to hub (daemon/ring.h), and the last one says of the logits what a
 * member would. Several steps are under way then: rows of other sessions, or the next part of a prompt. */
#ifndef DAEMON_ENGINE_H
#define DAEMON_ENGINE_H

#include "daemon/desk.h"
#include "daemon/link.h"
#include "daemon/stages.h"
#include "model/forward.h"
#include "model/shard.h"
#include "proto/frame.h"
#include "proto/invite.h"
#include "sched/overlap.h"

struct engine;

struct engine_config {
	uint64_t epoch;
	const struct model_shape *shape; /* copied */
	const struct slice *slices;      /* of its group by rank; copied */
	uint32_t rank, peers;            /* of its group */
	/* A pipeline (stages > 1): which stage this is, and the numbers, among all peers of the plan, of
	 * this one and of the hubs beside it in the ring. A group's peers are numbered one behind the
	 * other, the hub first. */
	uint32_t stage, stages;
	uint32_t number, n_numbers, before, behind;
	struct weight_source *weights; /* owned from now on, also when engine_new fails */
	/* The mapped files that they are read from while it computes; NULL: none. They outlive the engine. */
	const struct gguf *gguf;
	const struct shard *shard;
	struct desk *desk; /* coordinator: where requests come from; outlives the engine */
	uint32_t context, slots, max_rows;
	bool guess; /* coordinator: what follows is guessed ahead, where that pays (sched/guess.h) */
	enum kv_type kv;
	bool kv_copies; /* KV rows leave and come (daemon/engine_kv.h) */
	struct sum_format payload;
	unsigned threads, threads_batch; /* 0: auto (model/thread_choice.h) */
	bool pin;
	const struct kernels *kernels;
	enum collective_way way; /* how sums are added; */
	/* by rank, for those that go by rows; or all 0. A coordinator's go on with those of the other groups. */
	uint32_t row_shares[SLICE_MAX_PEERS];
	uint32_t groups[SLICE_MAX_PEERS]; /* [stages] their peers */
	enum overlap_mode overlap;        /* hub: whether it divides steps (sched/overlap.h) */
	struct link_detached *links;      /* engine_links() of them; taken */
	char (*names)[PEER_NAME]; /* of all peers of the plan by number, for messages; copied */
	/* Main thread: the group is broken (a link was lost, a member misbehaved). who: the peer
	 * whose doing it is, or "". */
	void (*on_broken)(void *arg, const char *who, const char *why);
	void (*on_kv)(void *arg); /* main thread, with kv_copies: engine_kv.h */
	void *arg;
};

/* Rows of one step that can want logits: one of each session, and those of a draft that is checked.
 * Hub and members have to agree. */
uint32_t engine_max_logits(uint32_t slots, uint32_t max_rows);

/* Fills in which of a plan's peers this is, by number: rank to behind. slices stays the caller's: those of
 * its group. */
void engine_place(struct engine_config *c, const struct stages *st, uint32_t number);

/* How many links it takes: star_links() of its group (daemon/star.h), where that has several peers, and,
 * for the hub of a stage, ring_links() (daemon/ring.h) behind them. */
uint32_t engine_links(const struct engine_config *c);

/* What engine_new would allocate: KV cache, activations, messages. Only numbers of c are read: shape,
 * slices, rank, peers, stage, stages, context, slots, max_rows, kv, kv_copies, payload, way, row_shares. */
uint64_t engine_bytes(const struct engine_config *c);

struct engine *engine_new(uv_loop_t *main_loop, struct engine_config *c, struct err *err);
/* Ends the thread; the requests go back to the desk. done runs on the main loop; then it is freed. */
void engine_stop(struct engine *e, const char *why, void (*done)(void *arg), void *arg);

/* Steps of one row, and what they took. */
struct engine_pace {
	uint64_t steps;
	double seconds; /* in all, but for what the hub does before and after the layers */
	double compute; /* of these, without waiting; or, under a quota, what it takes from that */
	double disk;    /* waiting for weights that stream */
	double sums;    /* waiting for what others add */
};

struct engine_stats {
	uint32_t running; /* requests that it computes */
	uint64_t steps, prompt_tokens, new_tokens;
	uint64_t cached_tokens; /* of prompts: whose rows were there already */
	/* Of prompts, with what was said already where answers go on, most of which was computed: what says how fast
	 * that is. */
	uint64_t computed_tokens;
	double computed_seconds;
	uint64_t divided;           /* of the steps: those whose halves took turns */
	uint64_t drafted, accepted; /* tokens guessed ahead; of these, right */
	double new_seconds;         /* of finished requests */
	/* Rows of requests that went on in another plan: that were there (daemon/engine_kv.h), and that were
	 * computed again. */
	uint64_t kept_rows, again_rows;
	double reduce_seconds;               /* waiting for sums */
	uint64_t sent_bytes, received_bytes; /* on tensor links */
	struct engine_pace pace;
	struct weights_stats weights; /* what streams; bytes 0: all is in memory */
};
void engine_stats(struct engine *e, struct engine_stats *st); /* any thread */
/* Any thread: the process may use the time of so many CPUs; 0: of all there are. */
void engine_set_quota(struct engine *e, double cpus);
/* Adds figures; running and weights, which are no sums, are taken as they are. pace is left out: it
 * means something within one plan only. */
void engine_stats_add(struct engine_stats *sum, const struct engine_stats *st);

#endif
