/* One answer that the small model of this device and the large one of the swarm write together: the
 * small one writes, and the large one says the tokens of which it is not sure (sched/token_mode.h). Each
 * has its guide on its desk (daemon/desk.h); the answer itself, with its stop texts, its bounds and its
 * text, is a session that no engine sees, which takes the tokens that were decided. Only one of the two
 * works at a time; what the other one has missed it gets as rows of one step when its turn comes.
 *
 * A large model that loses a device goes on with others, as with any request. When the small model
 * fails the large one says the rest. Main thread. */
#ifndef DAEMON_TOKEN_RUN_H
#define DAEMON_TOKEN_RUN_H

#include "daemon/serve.h"
#include "sched/token_mode.h"

struct token_run;

struct token_params {
	const struct served_model *small, *large; /* one vocabulary (tokenizer_same) */
	float threshold;                          /* how sure the small model has to be, 0 to 1 */
	uint64_t client;
};

struct token_figures {
	uint32_t small, large; /* tokens of the answer, by who decided them */
	uint32_t drafted,
		accepted; /* for the large one to check, where it decides all; of these, right */
	uint32_t asked;   /* times that the large one was asked */
	bool alone;       /* the small one failed on the way */
};

/* The part of the answer that the large model decided, 0 to 1. */
static inline double
token_figures_share(const struct token_figures *f)
{
	double all = (double)f->small + f->large;

	return all > 0 ? f->large / all : 0;
}

/* Begins. Takes s, which is of the large model, with its prompt and nothing more. One of on_end and
 * on_error (of which no others are called but on_text) follows, unless it is cancelled; none of them
 * may cancel it. NULL: one of the models cannot take it; *status as desk_submit says. */
struct token_run *token_run_begin(const struct token_params *p, struct session *s,
	const struct request_events *ev, void *arg, int *status, struct err *err);
/* No event after this; t is void after it or after an end. */
void token_run_cancel(struct token_run *t);
/* Enough of it: it ends, as if by itself, when on_text, of which alone this may be called, returns. */
void token_run_stop(struct token_run *t);

#endif
