/* What the files of the engine share. Two threads meet here; each field says whose it is. */
#ifndef DAEMON_ENGINE_INT_H
#define DAEMON_ENGINE_INT_H

#include "daemon/desk_int.h"
#include "daemon/engine.h"
#include "daemon/ring.h"
#include "daemon/star.h"
#include "sched/batch.h"
#include "sched/guess.h"
#include "sched/prefix_cache.h"
#include "sched/step_time.h"
#include "sched/token_mode.h"

struct wanted_row { /* of a step: its logits are wanted */
	uint32_t slot, pos;
	bool whole; /* all of them are there */
	bool taken;
};

struct engine {
	struct engine_config c; /* its pointers point at the engine's own copies */
	struct model_shape shape;
	struct slice slices[SLICE_MAX_PEERS];
	uv_thread_t thread;

	/* main thread */
	uv_async_t heard; /* on the main loop */
	bool stop_wanted;
	void (*done)(void *arg);
	void *done_arg;

	/* both */
	atomic_bool stopping, broken;
	atomic_uint quota; /* thousandths of a CPU; 0: none */
	uv_async_t wake;   /* on the engine's loop */

	uv_mutex_t lock; /* held for a few instructions at a time; guards: */
	struct engine_stats stats;
	bool broken_news, thread_done, asleep; /* asleep: wake is closed */
	char who[PEER_NAME], why[512];         /* why it stops or is broken, and by whom */

	/* engine thread */
	uv_loop_t loop;
	struct pool *pool;
	struct forward *forward;
	struct star *star;      /* NULL: no group */
	struct ring *ring;      /* NULL: no pipeline, or not the hub of a stage */
	bool woken;             /* since the loop was turned last */
	struct request **slots; /* running requests; NULL: a free slot */
	struct prefix_cache *
		prefixes; /* coordinator without copies of KV rows, which have their own slots; else NULL */
	bool *free_slots; /* [slots] */
	uv_timer_t room;  /* a slot is held by a led request that rests, and wanted */
	uint32_t turn;
	float *x;                  /* [max_rows][embd] */
	float *logits;             /* coordinator, hub of the last stage: [max_logits][vocab] */
	struct best *best;         /* the same: [max_logits] */
	const float *own;          /* of the last step: this slice's logits */
	struct wanted_row *wanted; /* coordinator: [max_logits] of the last step */
	uint32_t *undecided; /* [max_logits] numbers of those whose best tokens do not decide */
	uint32_t *tokens;
	struct step_row *rows;
	struct batch_session *sessions; /* [slots], as sched/batch sees them */
	struct batch_part *parts;
	uint32_t *slot_of; /* of sessions[i] */
	struct buf piece;  /* text of one token */
	struct engine_pace pace;
	struct overlap overlap;     /* of its group, if it is the hub */
	uint64_t divided;           /* steps */
	struct step_time step_time; /* the coordinator's */
	struct guess_pace guesses;  /* likewise, */
	struct token_pace drafts;   /* and of what a smaller model drafts */
	uv_timer_t patience;        /* with a draft that is waited for */
	uint64_t drafted, accepted; /* tokens guessed, and right */
	struct pipe *pipe;          /* coordinator of a pipeline (engine_pipe.c) */
	struct engine_kv *kv;       /* NULL: no KV rows are copied */
};

static inline bool
engine_is_coordinator(const struct engine_config *c)
{
	return c->rank == 0 && c->stage == 0;
}

static inline bool
engine_is_last(const struct engine_config *c)
{
	return c->stages < 2 || c->stage + 1 == c->stages;
}

/* Hub of a stage: linked with those beside it. */
static inline bool
engine_in_ring(const struct engine_config *c)
{
	return c->rank == 0 && c->stages > 1;
}

/* Nobody else computes: all logits are here. */
static inline bool
engine_is_alone(const struct engine *e)
{
	return e->star == NULL && e->ring == NULL;
}

/* Who has all logits of a step, or the best of them. */
static inline bool
engine_gathers(const struct engine_config *c)
{
	return engine_is_coordinator(c) || (c->rank == 0 && engine_is_last(c));
}

/* The thread's work: returns when the engine shall stop. */
void hub_run(struct engine *e);    /* the coordinator's */
void stage_run(struct engine *e);  /* another stage's hub */
void member_run(struct engine *e); /* everybody else's */

/* --- links (engine_links.c) --- */

/* The star and the ring, of the links that c has; takes them, in every case. */
int engine_link(struct engine *e, struct engine_config *c, struct err *err);
uint64_t engine_link_bytes(const struct engine_config *c); /* for messages */
/* Whether all groups add what is rounded in the same way in steps of a and of b rows. Coordinator. */
bool engine_sums_alike(const struct engine_config *c, uint32_t a, uint32_t b);
/* Whether the group or the ring is broken; who: a peer's name, or "". */
bool engine_is_cut(const struct engine *e, const char **who, const char **why);
/* This peer cannot go on: whoever waits for it is told. */
void engine_give_up(struct engine *e, const char *why);
/* It is cut: tells those who do not know yet and closes its links. */
void engine_unlink(struct engine *e);
/* Whoever waits for a frame stops waiting. */
void engine_interrupt(struct engine *e);
void engine_close_links(struct engine *e);
void engine_free_links(struct engine *e);

/* --- several steps under way (engine_pipe.c) --- */

struct pipe *pipe_new(const struct engine_config *c);
void pipe_free(struct pipe *p);
uint64_t pipe_bytes(const struct engine_config *c);
/* Takes an answer, begins a step, or both. False: there is nothing to do now. */
bool pipe_step(struct engine *e);
/* The best tokens of the slot's row did not decide: it is computed again, for all logits. */
bool pipe_is_undecided(const struct engine *e, uint32_t slot);

/* --- the coordinator's step (engine_hub.c) --- */

/* Fills e->rows and e->tokens for the parts; `logits`: how many rows want them. Returns the number of
 * rows. */
uint32_t hub_lay_out_rows(struct engine *e, uint32_t n_parts, uint32_t *logits);
/* While the requests of a step are picked. */
struct hub_pick {
	uint32_t rows;  /* one of each request that may be in it, and guesses so far */
	uint32_t spare; /* rows that can want logits beside one of each request */
	bool waits;     /* one waits for its draft */
};
/* Before the first one of at most so many. */
struct hub_pick hub_pick(const struct engine *e, uint32_t requests);
/* What of a slot's request is to be computed next; false: nothing. */
bool hub_work_of(struct engine *e, uint32_t slot, struct hub_pick *p, struct batch_session *s);
/* Rows of the next step, at most; e->sessions[n]: who has work. */
uint32_t hub_room(const struct engine *e, uint32_t n);
/* Gives the slot's request what was computed for a row at `pos`; number: of the row among those with logits.
 * False: the best tokens do not decide. Afterwards a session may be gone, and one that is led may be led
 * on. Nothing, where the row's token was guessed wrong, or the request is gone. */
bool hub_take_row(struct engine *e, uint32_t slot, uint32_t pos, uint32_t number, bool whole);
/* Embeds n rows and has the group compute its layers: e->x, and this slice's logits in e->own. */
int hub_compute(struct engine *e, uint32_t n, struct err *err);
/* A step failed although no link is lost. */
void hub_step_failed(struct engine *e, const struct err *err);

/* --- tokens that are guessed ahead (engine_guess.c) --- */

/* Guesses what follows a session that waits for one token, in a step of so many rows without. flags: of its row; most:
 * rows that are left. r->n_guess: as many as are worth it, in r->guess. False: a draft is waited for, and the step
 * is better put off; in a pipeline, the session left out of it. */
bool guess_ahead(struct engine *e, struct request *r, uint32_t flags, uint32_t rows, uint32_t most);
/* The request's part of the step ends in front of this position: there may be no room for all guesses. */
void guess_sent(struct engine *e, struct request *r, uint32_t end);
/* Whether a row at this position says nothing, as its token is not what was picked. */
bool guess_is_void(const struct request *r, uint32_t pos);
/* The row's logits are what the next token is picked from. */
void guess_used(struct engine *e, struct request *r, uint32_t pos);
/* All that was computed of the session has been taken: what was wrong counts as not computed. */
void guess_settle(struct engine *e, struct request *r);
/* A step of generation took so long. */
void guess_timed(struct engine *e, uint32_t rows, double seconds);

/* Fails when a part of the weights' files could not be read, ever since they were opened: its bytes are zeros from
 * then on, and what is computed with them is not to be used. */
int engine_check_read(const struct engine *e, struct err *err);

/* A member, or the hub of a stage, is cut: unlinks, and tells the main thread. */
void member_is_cut(struct engine *e, const char *who, const char *why);

/* Hub: of a step of n rows, those of the first of two sub-batches; 0: it is better not divided. */
uint32_t engine_divide(const struct engine *e, uint32_t n);
/* Engine thread: computes the slice's part of a step of n rows, e->rows and e->x, divided behind row `first`;
 * *logits: its part of those that are wanted. */
int engine_forward(
	struct engine *e, uint32_t n, uint32_t first, const float **logits, struct err *err);
/* A step has ended: its figures are there for engine_stats. */
void engine_publish(struct engine *e);

/* --- copies of KV rows (engine_kv.c); nothing happens in an engine without --- */

int engine_kv_new(struct engine *e, struct err *err);
void engine_kv_free(struct engine_kv *k);
uint64_t engine_kv_bytes(const struct engine_config *c);
/* Main thread: whether there is news for on_kv. */
bool engine_kv_heard(struct engine *e);
/* Engine thread: it was woken; the n rows in e->rows are computed next; they are; nobody waits for this
 * peer's part of the step any more, so there is time to copy them. */
void engine_kv_woken(struct engine *e);
void engine_kv_begin(struct engine *e, uint32_t n);
void engine_kv_end(struct engine *e, uint32_t n);
void engine_kv_copy(struct engine *e);
/* Coordinator: no request may be taken yet; where one begins, with n_done as far as its rows are there; all that
 * were given back have been placed. */
bool engine_kv_is_held(struct engine *e);
uint32_t engine_kv_place(struct engine *e, struct request *r);
void engine_kv_settle(struct engine *e);

/* Main thread, until it stops: on_wake runs on the engine's. */
void engine_wake(struct engine *e);

/* Tells the main thread, once, that the group is broken. */
void engine_post_broken(struct engine *e, const char *who, const char *why);

#endif
