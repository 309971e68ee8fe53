/* What the files of a fetch's sources share: serve_source.c (who is asked, their links) and
 * serve_answer.c (what is asked for, and what comes). */
#ifndef DAEMON_SERVE_SOURCE_INT_H
#define DAEMON_SERVE_SOURCE_INT_H

#include "daemon/chunk_question.h"
#include "daemon/serve_source.h"

struct source {
	struct follow *follow;
	bool home;
	char name[PEER_NAME];
	uint8_t key[32];
	struct link *link; /* NULL: this place is free */
	bool open;
	uint32_t number;                  /* in sched/fetch; FETCH_NONE: it does not give yet */
	struct chunk_questions questions; /* for chunks */
};

struct fellow_past { /* what is known of a fellow, for this shard */
	uint8_t key[32];
	unsigned dials;
	bool barred;
};

struct sources {
	struct source list[FETCH_SOURCES]; /* the first one is home */
	struct fetch *fetch;               /* NULL: the list of chunks is not there yet */
	unsigned home_tries, home_wrong;
	struct fellow_past past[STATE_MAX_PEERS];
	uint32_t n_past;
};

uint64_t source_now(void); /* us */

/* --- serve_source.c --- */

/* Its link is gone, or is to go; what it was asked for is asked of others. */
void source_let_go(struct source *s, const char *why);
/* It is not asked again for this shard. */
void source_bar(struct source *s);
/* It has said what it holds, or will not: home waits for no more than that. */
void sources_gathered(struct follow *f);
/* What it gives is of no use. -1: and the fetch cannot go on. */
int source_give_up(struct source *s, const char *why, struct err *err);

/* --- serve_answer.c --- */

/* Its link is open: the first questions. */
void source_opened(struct source *s);
/* From now on it gives. */
void source_join(struct source *s);
/* Each source that gives is asked for what it is to give next. */
void sources_ask(struct follow *f);
/* -1: the fetch cannot go on. It may be over, and s gone with it. */
int source_answer(struct source *s, const Shoal__Envelope *e, struct err *err);

#endif
