/* The engine thread: computes. It owns the forward pass, the tensor links of its group (on a libuv
 * loop of its own) and the running sessions. The main thread hands it work and hears back through
 * callbacks that run on the main thread's loop.
 *
 * On a coordinator it is the hub of the star: picks rows (sched/batch), sends them to the members,
 * computes its slice, adds, samples. On a member it follows: waits for a step, computes, sends its
 * logits. A group that loses a link is broken: sessions end with an error, and the engine waits for
 * engine_stop. */
#ifndef DAEMON_ENGINE_H
#define DAEMON_ENGINE_H

#include "daemon/link.h"
#include "model/forward.h"
#include "model/session.h"
#include "proto/frame.h"
#include "proto/invite.h"

struct engine;

struct engine_config {
	uint64_t epoch;
	const struct model_shape *shape; /* copied */
	const struct slice *slices;      /* of all peers by rank; copied */
	uint32_t rank, peers;
	struct weight_source *weights;     /* owned from now on, also when engine_new fails */
	const struct tokenizer *tokenizer; /* coordinator; outlives the engine */
	uint32_t context, slots, max_rows, queue;
	enum kv_type kv;
	enum frame_format payload;
	unsigned threads, threads_batch; /* 0: auto (model/thread_choice.h) */
	bool pin;
	const struct kernels *kernels;
	struct link_detached
		*links; /* hub: one per member by rank - 1; member: one, to the hub; taken */
	char (*names)[PEER_NAME]; /* of all peers by rank, for messages; copied */
	/* Main thread: the group is broken (a link was lost, a member misbehaved). */
	void (*on_broken)(void *arg, const char *why);
	void *arg;
};

/* What engine_new would allocate: KV cache, activations, messages. Only numbers of c are read: shape,
 * slices, rank, peers, context, slots, max_rows, kv. */
uint64_t engine_bytes(const struct engine_config *c);

struct engine *engine_new(uv_loop_t *main_loop, struct engine_config *c, struct err *err);
/* Ends the thread; running requests get on_error("..."). done runs on the main loop; then it is
 * freed. */
void engine_stop(struct engine *e, const char *why, void (*done)(void *arg), void *arg);

/* --- requests (coordinator, main thread) --- */

struct request;

struct usage {
	uint32_t prompt_tokens, new_tokens;
	double prompt_seconds, new_seconds, queue_seconds;
	const uint32_t *tokens; /* the new_tokens ids; good during the call */
};

struct request_events { /* main thread */
	void (*on_text)(void *arg, const char *text, size_t len);
	void (*on_end)(void *arg, enum session_end end, const struct usage *u);
	void (*on_error)(
		void *arg, int status, const char *what); /* HTTP status that fits, words */
	/* The ids that were picked since the last call, always ahead of their text: who keeps them has
	 * them before anybody has seen what they say. May be NULL. */
	void (*on_ids)(void *arg, const uint32_t *ids, size_t n);
};

/* Starts a generation. Takes the session, also on failure. NULL: the queue is full (*status 429) or
 * the engine is broken (503). Exactly one of on_end and on_error follows, unless it is cancelled.
 */
struct request *engine_submit(struct engine *e, struct session *s, const struct request_events *ev,
	void *arg, int *status, struct err *err);
void engine_cancel(struct engine *e,
	struct request *r); /* no event after this; r is void after it or after an end */

struct engine_stats {
	uint32_t running, waiting;
	uint64_t steps, prompt_tokens, new_tokens;
	double prompt_seconds, new_seconds;  /* of finished requests */
	double reduce_seconds;               /* waiting for sums */
	uint64_t sent_bytes, received_bytes; /* on tensor links */
	struct weights_stats weights;        /* what streams; bytes 0: all is in memory */
};
void engine_stats(struct engine *e, struct engine_stats *st); /* any thread */

#endif
