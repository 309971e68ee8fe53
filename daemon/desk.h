/* The desk: the requests of this coordinator from their submission to their end. It outlives
 * engines. An engine takes requests, has them computed, and gives back what it could not finish
 * when its group breaks or its plan ends; the next engine goes on where that one stopped, because a
 * session is its token ids: their rows are computed again, and not one of them is sent twice.
 *
 * Two threads meet here. The main thread submits, cancels and hears (its callbacks run on the main
 * loop); the engine's thread, one at a time, takes, posts and gives back. */
#ifndef DAEMON_DESK_H
#define DAEMON_DESK_H

#include "model/guide.h"
#include "model/session.h"
#include "sched/guess.h"

#include <uv.h>

struct desk;
struct request;

struct token_figures; /* daemon/token_run.h */

struct usage {
	uint32_t prompt_tokens, new_tokens;
	uint32_t cached; /* of the prompt: that were there already (sched/prefix_cache.h) */
	double prompt_seconds, new_seconds, queue_seconds;
	uint32_t drafted,
		accepted; /* tokens that were guessed or drafted ahead; of these, that were right */
	const uint32_t *tokens; /* the new_tokens ids; good during the call */
	/* How sure the model was, where the session asked for it, else NULL; good during the call. */
	const struct token_signals *signals;
	/* Of an answer that two models wrote, else NULL; good during the call. */
	const struct token_figures *both;
};

struct request_events { /* main thread */
	void (*on_text)(void *arg, const char *text, size_t len);
	void (*on_end)(void *arg, enum session_end end, const struct usage *u);
	void (*on_error)(
		void *arg, int status, const char *what); /* HTTP status that fits, words */
	/* How probable the model held the tokens whose text comes next, or came before the end, where the session
	 * keeps odds: ahead of on_text and on_end. lost: some are missing, as there was no memory. May be NULL. */
	void (*on_odds)(void *arg, const struct token_odds *odds, size_t n, bool lost);
	/* The ids that were picked since the last call, always ahead of their text: who keeps them has
	 * them before anybody has seen what they say. so_far: what it has cost with them, but for tokens and
	 * signals. May be NULL. */
	void (*on_ids)(void *arg, const uint32_t *ids, size_t n, const struct usage *so_far);
	/* Of a led one: what it picked since the last call. rests: all that it was to do is done. */
	void (*on_choices)(void *arg, const struct guide_choice *c, size_t n, bool rests);
};

/* --- main thread -------------------------------------------------------------------------------- */

struct desk *desk_new(uv_loop_t *loop, struct err *err);
/* Nothing is heard any more. Free it when the loop has ended. */
void desk_close(struct desk *d);
/* Hears now what was posted, instead of soon: for who is about to free what an engine's answers are read with. */
void desk_hear(struct desk *d);
void desk_free(struct desk *d);

/* What may come in from now on: prompts of at most `context` tokens, and so many requests at a
 * time, running and waiting. */
void desk_limit(struct desk *d, uint32_t context, uint32_t most);

/* Starts a generation, or lets it wait for an engine; requests that wait are taken round robin by
 * client (sched/fair.h). Takes the session, also on failure. NULL: it
 * does not fit (*status 400) or too many are there (429). Exactly one of on_end and on_error
 * follows, unless it is cancelled. */
struct request *desk_submit(struct desk *d, struct session *s, uint64_t client,
	const struct request_events *ev, void *arg, int *status, struct err *err);
/* No event after this; r is void after it or after an end. */
void desk_cancel(struct desk *d, struct request *r);
/* Enough of a generation: it ends soon, as if by itself, and its end tells what was written until then. */
void desk_stop(struct desk *d, struct request *r);

/* A request that is led (model/guide.h): it computes what it is told to, says what it picks, and rests
 * until it is told more. It has no text and no end of its own: on_choices or on_error are heard until
 * it is cancelled. While it rests it has no place among those that run but what nobody else needs;
 * what is computed of it may have to be computed again then, as when a device is lost. Takes the
 * guide, also on failure. */
struct request *desk_guide(struct desk *d, struct guide *g, uint64_t client,
	const struct request_events *ev, void *arg, int *status, struct err *err);
/* What it is to do next; only while it rests. -1: as guide_lead refuses. */
int desk_lead(struct desk *d, struct request *r, const struct guide_run *run, struct err *err);
/* The ids that it has; only while it rests. */
const uint32_t *desk_led_ids(const struct request *r, size_t *n);

/* How sure the model was of what was said until now; false: its session did not ask for it. */
bool desk_signals(struct desk *d, struct request *r, struct token_signals *out);

/* Ends, with an error, every request that was submitted until now: at once where no engine has it,
 * else when the engine gives it back. */
void desk_end_all(struct desk *d, int status, const char *why);

/* Requests that have not ended. */
uint32_t desk_requests(struct desk *d);
/* Whether the one with that number (they are numbered as they are submitted, from 0) waits to be taken. */
bool desk_waits_for(struct desk *d, uint64_t number);

/* --- drafts: what another model would say next (daemon/drafter.h), main thread ------------------- */

struct desk_drafter {
	/* A request is submitted. NULL: nothing is drafted for it. Else `end` follows before it is freed. */
	void *(*begin)(void *arg, struct desk *d, struct request *r, const struct session *s,
		uint64_t client);
	/* Its new ids, [n], from the prompt on, and at most `most` tokens that may follow them are wanted:
	 * desk_drafted says them, at once or later, and only then more are. */
	void (*draft)(void *draft, const uint32_t *ids, size_t n, uint32_t most);
	void (*end)(void *draft);
	void *arg;
};
/* For the requests that are submitted from now on. Copied. */
void desk_set_drafter(struct desk *d, const struct desk_drafter *drafter);
/* n may be 0. ids NULL: nothing will ever be drafted for it. */
void desk_drafted(struct desk *d, struct request *r, const uint32_t *ids, uint32_t n);

/* --- engine thread ------------------------------------------------------------------------------ */

#define DESK_MAX_TRIES 5 /* times that a request is given back without one new token in between */

/* wake is sent when there is something to take or to cancel, until desk_detach. */
void desk_attach(struct desk *d, uv_async_t *wake);
/* The engine has given everything back. */
void desk_detach(struct desk *d);

struct request *desk_take(struct desk *d); /* NULL: there is none */
/* Takes `head` and those behind it, oldest first, to be taken again before all others. One that
 * has been given back too often without getting further ends with `status` and `why`. */
void desk_give_back(struct desk *d, struct request *head, int status, const char *why);

/* The session has a new id; text is what it adds. */
void desk_post_text(struct desk *d, struct request *r, const struct buf *text);
/* The last word on r: after it r belongs to the main thread. */
void desk_post_end(struct desk *d, struct request *r, enum session_end end);
void desk_post_gone(struct desk *d, struct request *r); /* it was cancelled */
void desk_post_failed(struct desk *d, struct request *r, int status, const char *what);

/* A led one has picked; if that was all, it rests, and its guide belongs to the main thread. */
void desk_post_choice(struct desk *d, struct request *r, const struct guide_choice *c);
/* Whether somebody drafts for the request. */
bool desk_may_draft(const struct request *r);
/* Asks for a draft behind its last id. Only where none is asked for. */
void desk_ask_draft(struct desk *d, struct request *r, uint32_t most);
/* The draft, once it is there: false until then. */
struct desk_draft {
	uint32_t ids[GUESS_MOST], n;
	size_t behind;  /* how many ids there were */
	double seconds; /* that it took */
};
bool desk_take_draft(struct desk *d, struct request *r, struct desk_draft *out);
bool desk_asks_draft(const struct request *r); /* one is asked for that was not taken yet */

/* Somebody waits to be taken. Any thread. */
bool desk_waits(struct desk *d);
/* Takes back a led one that rests, until it is told more. False: it is being told just now. */
bool desk_park(struct desk *d, struct request *r);

#endif
