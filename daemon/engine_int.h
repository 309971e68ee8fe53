/* What the files of the engine share. Two threads meet here; each field says whose it is. */
#ifndef DAEMON_ENGINE_INT_H
#define DAEMON_ENGINE_INT_H

#include "daemon/engine.h"
#include "daemon/star.h"
#include "sched/batch.h"

#include <stdatomic.h>

enum outcome { OUTCOME_NONE, OUTCOME_END, OUTCOME_ERROR, OUTCOME_GONE };

/* Made by the main thread, handed to the engine thread through `news`, handed back with its outcome
 * and freed by the main thread when it hears that. A cancelled one takes the same way. */
struct request {
	/* main thread */
	struct request_events ev;
	void *arg;
	/* both */
	atomic_bool cancelled;
	/* engine thread, until the outcome is set */
	struct session *session;
	struct request *next; /* in news (under the lock), then in the waiting list */
	uint32_t n_done;      /* ids whose rows are computed */
	uint64_t submitted, started, first_token; /* uv_hrtime */
	/* under the lock */
	struct buf text; /* to be heard by the main thread */
	struct buf ids;  /* uint32_t; likewise, where somebody wants them */
	bool ids_lost;
	bool posted; /* in the list of those to be heard */
	struct request *next_posted;
	enum outcome outcome;
	enum session_end end;
	struct usage usage;
	int status;
	char what[512];
};

struct request_list {
	struct request *head, **tail;
};

struct engine {
	struct engine_config c; /* its pointers point at the engine's own copies */
	struct model_shape shape;
	struct slice slices[SLICE_MAX_PEERS];
	uv_thread_t thread;

	/* main thread */
	uv_async_t heard; /* on the main loop */
	struct buf text;  /* of the request that is being heard */
	struct buf ids;
	uint32_t n_requests;
	bool stop_wanted;
	void (*done)(void *arg);
	void *done_arg;

	/* both */
	atomic_bool stopping, broken;
	uv_async_t wake; /* on the engine's loop */

	uv_mutex_t lock; /* held for a few instructions at a time; guards: */
	struct request_list news;
	struct request_list posted;
	struct engine_stats stats;
	bool broken_news, thread_done, asleep; /* asleep: wake is closed */
	char why[512];                         /* why it stops or is broken */

	/* engine thread */
	uv_loop_t loop;
	struct pool *pool;
	struct forward *forward;
	struct star *star; /* NULL: alone */
	struct request_list waiting;
	struct request **slots; /* running requests; NULL: a free slot */
	uint32_t turn;
	float *x;      /* [max_rows][embd] */
	float *logits; /* coordinator: [max_logits][vocab] */
	uint32_t *tokens;
	struct step_row *rows;
	struct batch_session *sessions; /* [slots], as sched/batch sees them */
	struct batch_part *parts;
	uint32_t *slot_of; /* of sessions[i] */
	struct buf piece;  /* text of one token */
};

/* Rows of one step that can want logits. */
static inline uint32_t
engine_max_logits(const struct engine_config *c)
{
	return c->slots < c->max_rows ? c->slots : c->max_rows;
}

/* The thread's work: returns when the engine shall stop. */
void hub_run(struct engine *e);
void member_run(struct engine *e);

/* The engine thread's ways to be heard by the main thread. The outcome is the last word on r. Text
 * is that of the session's last id. */
void engine_post_text(struct engine *e, struct request *r, const struct buf *text);
void engine_post_end(struct engine *e, struct request *r, enum session_end end);
void engine_post_error(struct engine *e, struct request *r, int status, const char *what);
void engine_post_gone(struct engine *e, struct request *r);
void engine_post_broken(struct engine *e, const char *why);

/* The main thread's side: hears what was posted (uv_async_t callback), closes, wakes the other. */
void engine_heard(uv_async_t *a);
void engine_heard_closed(uv_handle_t *h);
void engine_wake(struct engine *e); /* the lock is held */

void request_list_init(struct request_list *l);
void request_list_add(struct request_list *l, struct request *r);
struct request *request_list_take(struct request_list *l); /* NULL: empty */

#endif
