/* What the files of the engine share. Two threads meet here; each field says whose it is. */
#ifndef DAEMON_ENGINE_INT_H
#define DAEMON_ENGINE_INT_H

#include "daemon/desk_int.h"
#include "daemon/engine.h"
#include "daemon/star.h"
#include "sched/batch.h"

struct wanted_row { /* of a step: its logits are wanted */
	uint32_t slot;
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
	uv_async_t wake; /* on the engine's loop */

	uv_mutex_t lock; /* held for a few instructions at a time; guards: */
	struct engine_stats stats;
	bool broken_news, thread_done, asleep; /* asleep: wake is closed */
	char who[PEER_NAME], why[512];         /* why it stops or is broken, and by whom */

	/* engine thread */
	uv_loop_t loop;
	struct pool *pool;
	struct forward *forward;
	struct star *star;      /* NULL: alone */
	struct request **slots; /* running requests; NULL: a free slot */
	uv_timer_t room;        /* a slot is held by a led request that rests, and wanted */
	uint32_t turn;
	float *x;                  /* [max_rows][embd] */
	float *logits;             /* coordinator: [max_logits][vocab] */
	struct best *best;         /* coordinator: [max_logits] */
	const float *own;          /* of the last step: this slice's logits */
	struct wanted_row *wanted; /* [max_logits] of the last step */
	uint32_t *undecided; /* [max_logits] numbers of those whose best tokens do not decide */
	uint32_t *tokens;
	struct step_row *rows;
	struct batch_session *sessions; /* [slots], as sched/batch sees them */
	struct batch_part *parts;
	uint32_t *slot_of; /* of sessions[i] */
	struct buf piece;  /* text of one token */
	struct engine_pace pace;
};

/* The thread's work: returns when the engine shall stop. */
void hub_run(struct engine *e);
void member_run(struct engine *e);

/* Fails when a mapped file could not be read since there were `before` errors (file_guard_errors):
 * what was computed meanwhile is not to be used. */
int engine_check_read(uint64_t before, struct err *err);

/* Engine thread: computes the slice's part of a step of n rows, e->rows and e->x; *logits: its part of
 * those that are wanted. */
int engine_forward(struct engine *e, uint32_t n, const float **logits, struct err *err);
/* A step has ended: its figures are there for engine_stats. */
void engine_publish(struct engine *e);

/* Tells the main thread, once, that the group is broken. */
void engine_post_broken(struct engine *e, const char *who, const char *why);

#endif
