/* What the files of serve share. All of it belongs to the main thread, but for what a job on
 * libuv's thread pool holds (serve_hash.c, serve_member.c). */
#ifndef DAEMON_SERVE_INT_H
#define DAEMON_SERVE_INT_H

#include "base/file.h"
#include "daemon/discovery.h"
#include "daemon/drafter.h"
#include "daemon/elect.h"
#include "daemon/energy_gauge.h"
#include "daemon/epochs.h"
#include "daemon/serve.h"
#include "daemon/serve_fellows.h"
#include "daemon/small.h"
#include "daemon/speeds.h"
#include "daemon/stages.h"
#include "model/shard_writer.h"
#include "model/weights_copied.h"
#include "sched/plan.h"
#include "sched/stock_book.h"

/* --- model file (serve_file.c): open once, shared by plan, engine and jobs -------------------- */

struct model_file {
	unsigned refs;
	char path[4096];
	char id[256];
	struct gguf *gguf;
	struct model_shape shape;
	struct tokenizer *tokenizer;
	enum chat_family chat;
	uint8_t model_id[SHARD_HASH];
	struct shard_header
		whole;  /* of a shard of all of it, not hashed: what a plan counts with */
	uint64_t stamp; /* when the file was changed last, ns: hashes of another one do not count */
	uint64_t bytes, opened;
};

struct model_file *model_file_open(const char *path, struct err *err);
struct model_file *model_file_ref(struct model_file *f);
/* gguf_check, with a message that names the file. */
int model_file_check(const struct model_file *f, struct err *err);
void model_file_unref(struct model_file *f);
/* Bytes of the weights that a slice takes. */
uint64_t weights_bytes(struct weight_source *ws, const struct model_shape *s, bool with_embed);

/* --- headers (serve_hash.c) --------------------------------------------------------------------- */

struct member_header {
	struct shard_header h;
	struct buf bytes;  /* h as it travels and stands in the shard */
	struct buf chunks; /* the list of its chunks, as it travels (model/chunk.h) */
	uint8_t hash[SHARD_HASH];
};
void member_header_free(struct member_header *m);

struct plan;
struct stock;
struct open_shard;
struct hash_job; /* on the thread pool */
/* Makes the headers of ranks 1.. of the plan; ends in plan_hashed. NULL: it cannot begin. */
struct hash_job *hash_job_start(struct plan *p, struct err *err);
void hash_job_abandon(struct hash_job *j); /* ends soon, and says nothing any more */
unsigned hash_job_percent(const struct hash_job *j);
void shard_hash(const void *data, size_t len, uint8_t out[SHARD_HASH]);

/* --- this device's own slice (serve_own.c, coordinator) ----------------------------------------- */

struct own_job; /* on the thread pool */
/* Gets rank 0's weights ready; ends in plan_prepared. Of a plan of the stock only the shard is made.
 * NULL: it cannot begin. */
struct own_job *own_job_start(struct plan *p, struct err *err);
void own_job_abandon(struct own_job *j); /* ends soon, and says nothing any more */
unsigned own_job_percent(const struct own_job *j);

/* --- memory (serve_memory.c; any thread) -------------------------------------------------------- */

struct serve;
struct memory_ask {
	char budget[24];             /* as configured */
	enum weights_place place;    /* the same */
	uint64_t beside;             /* bytes that the small model's engine may come to use */
	unsigned staying;            /* pieces of memory that its weights are (model/huge.h) */
	struct engine_config engine; /* what engine_bytes reads */
};
/* What weights of a shard with this header may take, and whether they stream. -1: too little. */
int memory_plan(const struct memory_ask *a, const struct shard_header *h, uint64_t *weights,
	bool *streams, struct err *err);
/* Budget and place as configured; the engine is left to the caller. */
void memory_ask_init(struct memory_ask *a, const struct serve *s);
/* Whether all of a shard's weights, when they fit, are copied out of it. */
bool memory_copies(const struct memory_ask *a, const struct shard_header *h, uint64_t weights);
/* Weights of a shard within the budget; the shard must outlive them. It is checked first (shard_check) where it
 * is mapped: a window checks what it reads. */
struct weight_source *memory_weights(const struct memory_ask *a, struct shard *shard,
	const struct gguf *g, shard_progress *progress, void *arg, struct err *err);

/* --- plan (serve_plan.c, coordinator) ----------------------------------------------------------- */

enum plan_state { PLAN_HASHING, PLAN_PREPARING, PLAN_LINKING, PLAN_SERVING };

struct plan_member {
	struct swarm_peer *peer; /* NULL for rank 0, which is this device */
	struct member_header header;
	uint64_t weights; /* bytes of its slices */
	uint64_t done, total;
	uint32_t sources; /* that it fetches from */
	bool ready;
	struct link *tensor;     /* open, waiting for the others' */
	struct link *copies;     /* open: KV rows come and go over it (serve_kv.h); */
	bool copies_loaded;      /* all that were kept of its slice are in its cache */
	bool linked, direct;     /* it has said whether it is linked with its neighbours; it is */
	struct engine_pace pace; /* as it said last */
};

struct plan_spare { /* a member that could take part and does not */
	struct swarm_peer *peer;
	char why[SWARM_PLAN_WORDS + PEER_NAME + 16];
};

struct plan {
	struct serve *serve;
	struct stock *stock; /* not NULL: it is never linked, only its slices are wanted */
	uint64_t epoch;
	enum plan_state state;
	struct model_file *file;
	uint32_t n, context;
	uint32_t rows; /* of a step, at most */
	struct sum_format payload;
	struct stages stages;    /* their numbers are ranks; one with all layers: no pipeline */
	enum collective_way way; /* as wanted; members are linked with each other if need be */
	bool direct; /* the links for it are there, or none beside the hub's are needed */
	struct slice slices[SLICE_MAX_PEERS];
	uint32_t row_shares[SLICE_MAX_PEERS];        /* by rank, of groups that go by rows */
	struct plan_member members[SLICE_MAX_PEERS]; /* by rank */
	uint32_t n_spares;
	struct plan_spare spares[SLICE_MAX_PEERS];
	struct hash_job *hashing;
	struct own_job *preparing;
	struct weight_source *weights; /* rank 0's, until the engine takes them; NULL: not there */
	struct open_shard *shard;      /* that they lie in; NULL: in memory */
	uint64_t since;                /* loop time of the last change of state */
};

/* Looks at what is there and what should be, and does what comes next. */
void plan_advance(struct serve *s);
void plan_drop(struct serve *s, const char *why);
void plan_set_state(struct plan *p, enum plan_state state);
/* Drops it; another one may follow at once, which is of others: */
void plan_spoil(struct serve *s, const char *why);
void plan_fail(
	struct serve *s, const char *why); /* the same, but it is tried again, after a pause */
void plan_hashed(struct plan *p, int result, struct member_header *headers, const struct err *err);
/* p->weights are there, or NULL with the reason. */
void plan_prepared(struct plan *p, const struct err *err);
struct plan_member *plan_member(struct serve *s, const struct swarm_peer *p); /* NULL: not in it */
int plan_control(struct serve *s, struct swarm_peer *p, const Shoal__Envelope *e, struct err *err);

/* A plan over these members, or those of them that make it fastest, in rank order from 1, before it
 * has an epoch. */
struct plan *plan_make(
	struct serve *s, struct swarm_peer *const *members, uint32_t n, struct err *err);
void plan_free(struct plan *p); /* of plan_make */
/* Slices of all its members, of the sizes and in the stages that the user has fixed (serve_cut.c). */
int plan_cut(struct plan *p, struct err *err);
/* Of a plan that is to serve: fills in row_shares, where going by rows is wanted, or predicted not to be slower, or
 * not known to be (serve_choose.c). */
void plan_divide_rows(struct plan *p);
/* A number for the slices of a plan: who has which. */
uint64_t plan_set(const struct plan *p);

/* --- who takes part (serve_roster.c, coordinator) ----------------------------------------------- */

/* What the roster says now: what comes next, and of which members a plan would be. */
void plan_candidates(struct serve *s, struct roster_choice *choice);
/* Those members, in rank order from 1. Returns their number. */
uint32_t plan_chosen(struct serve *s, const struct roster_choice *c, struct swarm_peer **out);
/* Tells the roster that the plan is of its members, and why of no others. */
void plan_takes_part(struct plan *p);
void plan_names_spares(struct plan *p); /* the latter alone: it has others now */
/* Whether a member that means to go would not be missed. */
bool plan_may_go(struct serve *s, const struct swarm_peer *p);
void plan_settled(struct plan *p); /* forgets failures, when it has served for long enough */
/* In words: who is away. Empty: nobody. */
void plan_missing(struct serve *s, char *out, size_t size);
/* Another model: members are awaited anew. */
void plan_look_anew(struct serve *s);
void plan_peer_up(struct serve *s, struct swarm_peer *p);
void plan_peer_down(struct serve *s, struct swarm_peer *p, const char *why);
/* plan_spoil, by this member's doing: it is held back for a while. */
void plan_blame(struct serve *s, struct swarm_peer *p, const char *why);
/* The same for the member of that name; if the plan has none, nobody is held back. */
void plan_blame_name(struct serve *s, const char *who, const char *why);
/* A member says that its part failed; who: by whose doing, "": its own. */
void plan_told(struct serve *s, struct swarm_peer *teller, const char *who, const char *why);

/* --- who of those that could (serve_choose.c, coordinator) -------------------------------------- */

/* Rows of a plan's steps, at most: as configured, or as many as pay where every device has memory for them. */
uint32_t rows_of_step(
	struct serve *s, const struct model_file *f, struct swarm_peer *const *members, uint32_t n);
/* Fills members, slices and spares of p from those of `members` with which it is predicted to be
 * fastest. *chosen: false: all shall take part, and nothing is filled (the user wants that, or
 * speeds are not known yet). */
int choose_members(struct serve *s, struct plan *p, struct swarm_peer *const *members, uint32_t n,
	bool *chosen, struct err *err);
/* Whether what a member does is measured, or nobody asks, as the user says who takes part. */
bool choose_knows(struct serve *s, const struct swarm_peer *p);
/* The plan that serves is the one that these members give: who is left out of it, and why, is said anew. */
void choose_leaves_out(struct serve *s, struct swarm_peer *const *members, uint32_t n);
/* What a plan's members are expected to do. */
struct expected {
	double share;     /* of the model's weights */
	double compute_s; /* seconds of computing in a step of one row */
	double speed;     /* bytes of weights a second that this counts with, */
	double measured;  /* and that were measured */
};
/* By rank; false: speeds are not known, or the plan does not fit them. */
bool choose_expected(struct serve *s, const struct plan *p, struct expected *out);
void choices_news(struct serve *s); /* something was measured */
/* The same of devices of the plan that serves, seen to be uneven for so long that other slices of the same devices are
 * worth it where they save only such a part; 0: what serves is slower than what was before, and anything is that saves.
 * Whether another plan is now wanted. */
bool choices_shift(struct serve *s, double saving);
void choices_forget(struct serve *s);

/* --- slices for other plans (serve_stock.c, coordinator) ---------------------------------------- */

/* While a plan serves, the slices that other plans would need are brought to the members' disks:
 * those of the plan that is wanted next, over these members, and of each plan without one of those
 * that serve now. When a device is lost, nobody has to fetch anything then. */
void stock_tick(struct serve *s, struct swarm_peer *const *wanted, uint32_t n);
void stock_drop(struct serve *s);
bool stock_busy(const struct serve *s); /* it hashes, makes, sends */
/* Whether what a plan over these members needs is on their disks, as far as is known; also where spare
 * slices are not wanted, or find no room. Never of a plan that has failed (sched/stock_book.h). *set: plan_set of that
 * plan, when there is one. */
bool stock_has(struct serve *s, struct swarm_peer *const *members, uint32_t n, uint64_t *set);
void stock_served(struct serve *s, const struct plan *p);     /* it was made: all is there */
void stock_spoilt(struct serve *s, const struct plan *p);     /* it could not be made */
void stock_came(struct serve *s, const struct swarm_peer *p); /* who may have lost what it had */
void stock_told(struct serve *s, const struct swarm_peer *p); /* what memory it may use now */
void stock_control(struct serve *s, struct swarm_peer *p, const Shoal__Stocked *m);
/* The header that a member asks for, or NULL. */
const struct member_header *stock_header(
	struct serve *s, const struct swarm_peer *p, const uint8_t hash[SHARD_HASH]);
/* What the jobs of its plan end in. The own shard is there when err is "". */
void stock_hashed(struct stock *k);
void stock_prepared(struct stock *k, const struct err *err);
void stock_failed(struct stock *k, const char *why);
/* "pi-attic gets its slice"; empty: nothing. */
void stock_words(const struct serve *s, char *out, size_t size);

/* --- links to members (serve_links.c, coordinator) ---------------------------------------------- */

struct member_link { /* a tensor link, from its first byte on */
	struct serve *serve;
	struct swarm_peer *peer;
	struct link *link;
	struct member_link *next;
};

int member_link_admit(struct serve *s, struct swarm_peer *p, struct link *l,
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err);
void member_links_close(struct serve *s, const char *why);
/* All members' tensor links are open: hands them to an engine. */
void plan_start_engine(struct plan *p);
/* Whether this device has a tensor link with that rank. */
bool plan_has_link(const struct plan *p, uint32_t rank);
/* Whether the members of the plan are to be linked with each other. */
bool plan_has_neighbours(const struct plan *p);
/* Stages could not be linked with each other: for a while plans are made without. */
bool pipelines_are_barred(const struct serve *s);
/* Starts the engines once every link is there, or will not be. */
void plan_check_links(struct plan *p);
void plan_linked(struct plan *p, struct plan_member *m, const Shoal__Linked *l);
/* Fills in who a member's neighbours are. The messages lie in room, which is freed after packing;
 * -1: out of memory. */
int plan_neighbours(const struct plan *p, uint32_t rank, Shoal__Prepare *out, void **room);

/* --- following (serve_member.c, serve_fetch.c, serve_source.c, member) ------------------------------------------ */

struct open_shard { /* shared by the plan that is followed and the engine */
	unsigned refs;
	struct shard *shard;
	uint8_t hash[SHARD_HASH]; /* of its header */
};
/* Takes the shard. One that is mapped is also kept open for a quick return; one that streams is not:
 * it may be found damaged, and made again. NULL: out of memory, nothing is taken. */
struct open_shard *open_shard_new(
	struct serve *s, struct shard *shard, bool streams, const uint8_t hash[SHARD_HASH]);
void open_shard_unref(struct open_shard *o);

enum follow_state {
	FOLLOW_OPENING,  /* looking whether the shard is on disk, on the thread pool */
	FOLLOW_FETCHING, /* over the bulk link */
	FOLLOW_SEALING,  /* syncing, on the thread pool */
	FOLLOW_READY,
	FOLLOW_LINKING,
	FOLLOW_COMPUTING
};

struct shard_job;
struct copier;     /* serve_kv_member.c */
struct neighbours; /* serve_neighbours.c */

/* A plan that is followed, or, with `spare`, a shard that is only brought to disk because a plan may
 * want it soon (when a device is lost, or another one joins). */
struct follow {
	struct serve *serve;
	bool spare;
	enum follow_state state;
	uint64_t epoch; /* 0: spare */
	uint8_t model_id[SHARD_HASH], header_hash[SHARD_HASH];
	char model_name[256];
	uint32_t rank, peers, context, slots, max_rows;
	enum kv_type kv;
	struct sum_format payload;
	uint64_t header_bytes;
	char path[4096 + 64]; /* of the shard */
	struct open_shard *shard;
	struct weight_source *weights; /* in the shard, until the engine takes them */
	struct link *tensor;           /* to the coordinator, until it is open */
	struct link_detached hub;      /* when it is: waiting for the start */
	bool hub_open;
	struct stages stages;
	enum collective_way way;
	uint32_t row_shares[SLICE_MAX_PEERS]; /* of its group, or all 0 */
	struct neighbours *neighbours;        /* NULL: this plan has none */
	bool kv_copies;
	struct copier *copier; /* NULL: no KV rows are copied (serve_kv.h) */
	bool started;          /* the coordinator has said so; over which links: */
	bool direct;
	struct shard_job *job; /* on the thread pool */

	/* fetching */
	struct sources *sources;     /* serve_source.h; NULL: it does not fetch */
	struct shard_header *header; /* NULL: not there yet */
	struct chunk_list *chunks;   /* NULL: not there yet */
	struct shard_writer *writer; /* NULL: not there yet, or with the job */
	/* bytes: that came over links, of these from fellow members, that were on this disk, in all */
	uint64_t fetched, from_fellows, kept, total;
	uint32_t n_sources; /* that gave something */
	uint64_t reported;  /* loop time of the last progress */

	/* computing (serve_pace.c) */
	uint64_t paced_at, paced_steps; /* what was told last, and when */
};

int follow_control(
	struct serve *s, struct swarm_peer *p, const Shoal__Envelope *e, struct err *err);
void follow_drop(struct serve *s, const char *why); /* what is spare, too */
void follow_tick(struct serve *s);
void follow_trouble(struct follow *f, const char *what); /* tells the coordinator and drops f */
void follow_ready(struct follow *f);

/* Links with other members (serve_neighbours.c). New ones from what a plan says; NULL and no error:
 * it has none. */
int neighbours_new(struct follow *f, const Shoal__Prepare *p, struct err *err);
void neighbours_free(struct follow *f);
int neighbours_admit(struct serve *s, const uint8_t key[32], struct link *l,
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err);
/* Dials those of lower rank; soon after, the coordinator hears whether all are linked. */
void neighbours_begin(struct follow *f);
void neighbours_tick(struct follow *f);
/* Hands over the open link with a rank; -1: it is missing. */
int neighbours_take(struct follow *f, uint32_t rank, struct link_detached *out, struct err *err);
void neighbours_names(const struct follow *f, char names[][PEER_NAME]);
/* The vocabulary rows that the others hold; -1: the model has not so many. */
int neighbours_rows(const struct follow *f, const struct model_shape *shape, struct slice *slices,
	struct err *err);

/* Makes the engine of the links that are open (serve_start.c); on_broken: arg is the serve. */
int follow_start_engine(struct follow *f, const char *coordinator,
	void (*on_broken)(void *arg, const char *who, const char *why), struct err *err);

void fetch_start(struct follow *f); /* ends in follow_ready or follow_trouble */
void fetch_stop(struct follow *f);

void fetch_tick(struct follow *f);

/* What a shard needs that takes long, on the thread pool (serve_shard.c). */
enum shard_task {
	SHARD_OPEN,   /* is it on disk, whole and undamaged? ends in follow_opened */
	SHARD_RESUME, /* which chunks are there already, or in other shards? ends in fetch_resumed */
	SHARD_SEAL    /* to disk, and opened; ends in follow_opened */
};
int shard_job_start(struct follow *f, enum shard_task task);
void shard_job_abandon(struct follow *f);
/* Takes both; NULL, NULL: there is no usable shard, or there is not enough memory (`whole`: the
 * shard is fine). Of a spare one only `whole` counts. */
void follow_opened(struct follow *f, enum shard_task task, struct shard *shard,
	struct weight_source *weights, bool whole, const struct err *err);
void fetch_resumed(struct follow *f, struct shard_writer *w, const struct err *err);

/* --- small models of members (serve_ask.c) ------------------------------------------------------- */

struct asks *asks_new(void); /* NULL without memory */
void asks_free(struct asks *a);
void asks_offer(struct serve *s); /* the small model has come or gone */
void asks_peer_down(struct serve *s, const struct swarm_peer *p, const char *why);
/* ask, told, forget; from the one who may send it. */
int asks_control(struct serve *s, struct swarm_peer *p, const Shoal__Envelope *e, struct err *err);

/* --- the whole ---------------------------------------------------------------------------------- */

/* Whether what a plan of these members needs is on their disks: true for as long as `until`. */
struct stock_answer {
	struct swarm_peer *members[SLICE_MAX_PEERS];
	uint32_t n;
	uint64_t set;
	uint64_t until; /* loop time */
	bool there;
};

struct serve {
	uv_loop_t *loop;
	const struct config *config;
	struct state *state;
	struct swarm *swarm;
	struct speeds *speeds;
	struct discovery *discovery; /* NULL: off */
	struct elect *elect;
	struct kernels kernels;
	struct energy_gauge gauge;
	uv_timer_t tick;
	struct stock_answer had; /* to the last question of stock_has */
	uint64_t quota_at;       /* loop time at which the CPU quota is looked at next */
	bool closing;            /* what runs may finish; */
	bool ending_now;         /* nothing may any more */
	bool closed;
	struct small *small; /* NULL: none is configured */
	struct drafter drafter;
	bool small_closed;
	struct asks *asks; /* between small models, serve_ask.c */
	uint64_t close_by; /* loop time when running streams are cut off */
	void (*close_done)(void *arg);
	void *close_arg;

	struct desk *desk;          /* of a coordinator's requests */
	struct engine *engine;      /* NULL: none, or being stopped */
	unsigned ending;            /* engines that are being stopped */
	struct engine_hold *hold;   /* the engine's */
	struct engine_stats past;   /* figures of engines that are gone */
	struct served_model served; /* id NULL: nothing is */

	/* coordinator */
	struct model_file *file;     /* to be served; NULL: none */
	bool file_stale;             /* it cannot be computed with any more, and is opened anew */
	uint64_t file_look_at;       /* loop time at which it is looked at next */
	struct file_stamp file_seen; /* of a stale one: what lay there at the last look */
	struct plan *plan;
	struct epochs epochs;
	struct member_link *links;
	char trouble[512]; /* why the last try did not work; "": it did */
	uint64_t retry_at, pause;
	uint64_t gathering;  /* loop time when members began to be awaited for this model */
	uint64_t busy_since; /* loop time; 0: no requests are there */
	uint64_t stopped_at; /* loop time when the last engine went; 0: one is there, or none was */
	uint64_t barred_until; /* loop time until which no pipeline is made */

	struct open_shard *shard; /* the last one that was computed with, for a quick return */

	struct copies *copies;       /* of KV rows (serve_kv.h); NULL: there are none */
	struct choices *choices;     /* that were made lately */
	struct balance *balance;     /* serve_balance.h; NULL: nothing has served yet */
	struct stock *stock;         /* slices for other plans, being brought to disks */
	struct uploads *uploads;     /* serve_upload.h; a member's, too */
	struct skeletons *skeletons; /* serve_skeleton.h; the same */
	struct gather *gather;       /* gather.h; NULL: nothing is gathered */
	bool gather_looked;
	struct stock_book book; /* what is known of plans' slices */

	/* member */
	struct follow *follow, *spare;
	struct fellows fellows;
	uint64_t fetched, from_fellows; /* bytes, for all plans so far */
	uint64_t epoch_seen;            /* the highest of any plan that it was part of */
	uint64_t let_go_by; /* loop time until which it waits to be let go; 0: it does not */

	struct departure *departures; /* serve_leave.h */
};

/* Looks what comes next. */
void serve_advance(struct serve *s);
/* Whether s->file may be computed with. Of one that was changed, or cannot be read, the plan and all requests end;
 * it is opened anew when it has stayed the same for a while, as its writer may not be done. */
bool serve_file_is_good(struct serve *s);
/* Serves f, a reference, from now on; why: what runs ends. */
void serve_take_file(struct serve *s, struct model_file *f, const char *why);
/* serve_swarm.c */
extern const struct swarm_events serve_swarm_events;
struct elect *serve_elect_new(struct serve *s, struct err *err);
/* serve_load of one who was elected: who does not come at once is the one that is gone. */
int serve_load_elected(struct serve *s, const char *path, struct err *err);
/* Requests that are there go on with no other engine: they end with an error. */
void serve_end_requests(struct serve *s, const char *why);
struct speeds *serve_speeds_new(struct serve *s, struct err *err); /* serve_peers.c */
/* serve_energy.c: this device as its gauge tells it; and that for its coordinator, of a member. */
void serve_own_energy(struct serve *s, struct energy_told *out);
void serve_tell_energy(struct serve *s);
/* Makes the engine; takes c's weights, links and a reference to what they need. */
int serve_start_engine(struct serve *s, struct engine_config *c, struct model_file *file,
	struct open_shard *shard, struct err *err);
void serve_stop_engine(struct serve *s, const char *why);
/* Of all engines so far. */
void serve_figures(struct serve *s, struct engine_stats *sum);
/* Looks what comes next in so many ms, when that is sooner than it would. */
void serve_look_again(struct serve *s, uint64_t ms);
uint32_t serve_threads(const struct serve *s);
enum kv_type serve_kv(const struct config *c);
/* How sums of such a model travel, in a plan of so many stages. */
struct sum_format serve_payload(
	const struct config *c, const struct shard_header *model, uint32_t stages);
enum collective_way serve_way(const struct config *c);
const char *way_name(enum collective_way way);
/* State in words, and whether that is "serving". */
bool serve_words(struct serve *s, char *out, size_t size);
/* Cuts a text to what a control message may hold, at a character's end. */
void control_text(const char *text, char out[257]);

#endif
