/* A request as the desk and an engine's thread see it. */
#ifndef DAEMON_DESK_INT_H
#define DAEMON_DESK_INT_H

#include "daemon/desk.h"

#include <stdatomic.h>

enum outcome { OUTCOME_NONE, OUTCOME_END, OUTCOME_ERROR, OUTCOME_GONE };

/* Made by the main thread, taken by an engine's thread, and, with its outcome, heard and freed by
 * the main thread. A cancelled one takes the same way. */
struct request {
	/* main thread */
	struct request_events ev;
	void *arg;
	/* both */
	atomic_bool cancelled;
	/* whoever has it: the desk (under its lock) or an engine's thread, until the outcome is set */
	struct session *session;
	struct request *next;
	uint64_t number; /* in the order of submission */
	uint64_t client;
	uint32_t n_done;     /* ids whose rows are computed */
	size_t n_ids_before; /* ids when it was given back last */
	unsigned tries;      /* how often it was given back without a new one */
	uint64_t submitted, started, first_token; /* uv_hrtime */
	/* under the desk's lock */
	struct buf text; /* to be heard by the main thread */
	struct buf ids;  /* uint32_t; likewise, where somebody wants them */
	bool ids_lost;
	bool has_signals;
	struct token_signals signals; /* as of the text */
	bool posted;                  /* in the list of those to be heard */
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

void request_list_init(struct request_list *l);
void request_list_add(struct request_list *l, struct request *r);
struct request *request_list_take(struct request_list *l); /* NULL: empty */

/* What it has cost until now. For whoever has it. */
const struct usage *request_usage(struct request *r);

#endif
