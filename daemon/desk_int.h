/* A request as the desk and an engine's thread see it, and the inside of the desk. */
#ifndef DAEMON_DESK_INT_H
#define DAEMON_DESK_INT_H

#include "daemon/desk.h"
#include "sched/fair.h"

#include <stdatomic.h>

enum outcome { OUTCOME_NONE, OUTCOME_END, OUTCOME_ERROR, OUTCOME_GONE };

/* What another model drafts for a request (desk_draft.c). */
struct request_draft {
	/* main thread */
	void *drafter; /* of desk_drafter.begin; NULL: there is none */
	/* whoever has the request */
	bool asked;
	size_t told; /* ids that the drafter was told */
	/* under the desk's lock */
	struct buf news;     /* ids for it, uint32_t, to be heard by the main thread; */
	uint32_t most;       /* and how many are wanted behind them; 0: none are */
	uint64_t since, end; /* uv_hrtime: when they were asked for, and came; end 0: not yet */
	size_t behind;
	uint32_t ids[GUESS_MOST], n;
	atomic_bool possible;
};

/* Made by the main thread, taken by an engine's thread, and, with its outcome, heard and freed by
 * the main thread. A cancelled one takes the same way. */
struct request {
	/* main thread */
	struct request_events ev;
	void *arg;
	/* both */
	atomic_bool cancelled, stopped;
	/* whoever has it: the desk (under its lock) or an engine's thread, until the outcome is set */
	struct session *session; /* NULL: it is led, */
	struct guide *guide;     /* while it rests by the main thread */
	atomic_bool led;         /* it does not rest */
	struct request *next;
	uint64_t number; /* in the order of submission */
	uint64_t client;
	size_t n_begun; /* ids when it was submitted: where an answer goes on, what it had said, too */
	uint32_t n_done;     /* ids whose rows are computed */
	uint32_t n_had;      /* the same when it was given back, at most */
	uint32_t n_cached;   /* ids whose rows were there when it began */
	size_t n_ids_before; /* ids, or choices, when it was given back last */
	unsigned tries;      /* how often it was given back without a new one */
	size_t n_chosen;     /* choices ever */
	uint64_t rested;     /* since when it rests */
	/* Guesses of the step under way (daemon/engine_guess.c): of positions from guess_from on. */
	uint32_t guess[GUESS_MOST], n_guess, guess_from, guess_matched;
	bool guess_drafted; /* they are another model's, else what stood before */
	size_t n_draft_has; /* ids that the other model has computed */
	bool draft_near,
		draft_timed;     /* the draft that was asked for: is waited for; tells the pace */
	uint64_t draft_patience; /* ns that it is waited for */
	uint32_t n_guessed, n_right; /* ever */
	struct request_draft draft;
	uint64_t submitted, started, first_token; /* uv_hrtime */
	/* under the desk's lock */
	struct buf text; /* to be heard by the main thread */
	struct buf ids;  /* uint32_t; likewise, where somebody wants them */
	bool ids_lost;
	struct buf odds; /* struct token_odds; likewise */
	bool odds_lost;
	bool has_signals;
	struct token_signals signals; /* as of the text */
	struct guide_choice choices[GUIDE_MOST];
	uint32_t n_choices;
	bool rests;  /* these were the last ones of a run */
	bool parked; /* in the list of those that rest outside an engine */
	bool posted; /* in the list of those to be heard */
	struct request *next_posted;
	enum outcome outcome;
	enum session_end end;
	struct usage usage; /* at its end; and as of its ids, where somebody wants them */
	int status;
	char what[512];
};

struct request_list {
	struct request *head, **tail;
};

struct desk {
	/* main thread */
	uv_async_t heard;
	struct buf text; /* of the request that is being heard */
	struct buf ids;
	struct buf odds;
	bool odds_lost;
	struct usage so_far;
	struct guide_choice choices[GUIDE_MOST];
	uint32_t n_choices;
	bool rests;
	struct buf news; /* for its drafter; */
	uint32_t drafts; /* tokens that it shall draft */
	uint32_t context, most;
	struct desk_drafter drafter; /* begin NULL: there is none */

	uv_mutex_t lock; /* held for a few instructions at a time; guards: */
	struct request_list waiting, parked;
	struct fair fair;
	struct request_list posted;
	uv_async_t *wake; /* of the engine that is there */
	uint32_t n_requests;
	uint64_t next_number;
	uint64_t ended; /* requests with a lower number end when they come back: */
	int end_status;
	char end_why[512];
};

void request_list_init(struct request_list *l);
void request_list_add(struct request_list *l, struct request *r);
struct request *request_list_take(struct request_list *l); /* NULL: empty */

/* Main thread: a request that is counted, and in no list yet. NULL as desk_submit says. */
struct request *desk_admit(struct desk *d, size_t n_ids, uint64_t client,
	const struct request_events *ev, void *arg, int *status, struct err *err);
/* The lock is held: it is heard soon. */
void desk_post(struct desk *d, struct request *r);

/* Drafts: a request is submitted, is freed; the lock is held: what the drafter is to hear is moved to d; it hears. */
void request_draft_begin(struct desk *d, struct request *r);
void request_draft_end(struct desk *d, struct request *r);
void request_draft_take(struct desk *d, struct request *r);
void request_draft_hear(struct desk *d, struct request *r);
/* Moves the content of one buffer to another, which gets its memory in exchange. */
void desk_move(struct buf *to, struct buf *from);

/* All ids of it, prompt first. For whoever has it. */
const uint32_t *request_ids(const struct request *r, size_t *n);
/* What it has cost until now. For whoever has it. */
struct usage request_usage(const struct request *r);

#endif
