/* What the files of answers share. */
#ifndef DAEMON_ANSWERS_INT_H
#define DAEMON_ANSWERS_INT_H

#include "daemon/answers.h"
#include "daemon/api_object.h"
#include "daemon/call_reader.h"
#include "daemon/journal.h"
#include "daemon/token_run.h"
#include "daemon/utf8_hold.h"

#define KEPT_MAX_TEXT (64u << 20) /* bytes of one answer */

/* restored -> running -> ended; running -> failed -> (a retry) -> running. */
enum kept_state {
	KEPT_RESTORED, /* from the journal: waits for its model */
	KEPT_RUNNING,
	KEPT_ENDED,
	KEPT_FAILED
};

struct reader { /* a client that waits for an answer, or reads it */
	struct reader *prev, *next;
	struct kept *kept;
	struct http_request *http;
	const struct api_format *format;
	bool stream, include_usage, tokens;
	bool begun;    /* the first event was sent, or is not wanted */
	uint64_t sent; /* the number of the last event */
};

struct kept {
	struct answers *all;
	struct kept *prev, *next;
	uint8_t name[32], request[32]; /* as in struct answer_key */
	uint8_t model_id[32];
	struct api_head head;
	uint64_t number; /* in the journal */
	/* As the desk's; a restored one is a client by itself: whose it was is not written. */
	uint64_t client;
	bool journaled;
	struct buf session; /* as it began */
	struct buf ids;     /* uint32_t, picked since */
	struct buf text;    /* whole characters */
	/* Of a request with tools (answers_calls.c): text is the words, and these are the calls, as a message
	 * has them. */
	json_t *calls; /* NULL: none */
	size_t calls_bytes;
	struct call_reader reader; /* by a session; without tools: there are none */
	size_t prefix;             /* bytes of text that came with the request */
	struct utf8_hold hold;
	enum kept_state state;
	struct desk *desk; /* KEPT_RUNNING, by a session */
	struct request *work;
	bool by_job; /* (daemon/answers_job.h) not by a session: */
	void (*cancel)(void *job);
	void *job;                 /* KEPT_RUNNING */
	char reason[32];           /* as end */
	json_t *shoal;             /* behind the text; NULL: none */
	struct token_figures both; /* that usage points to */
	bool ended;                /* end and usage are known: KEPT_ENDED, or restored as such */
	enum session_end end;
	struct usage usage;     /* so far, or in all. tokens: NULL, or those of ids */
	struct usage before;    /* of this, before a restart or a failure */
	struct api_error error; /* KEPT_FAILED */
	struct reader *readers;
	uint64_t until; /* uv_now: without readers it is dropped then */
};

struct answers {
	uv_loop_t *loop;
	struct serve *serve;
	struct journal *journal;   /* NULL: none */
	struct kept *first, *last; /* oldest first */
	uint64_t next_number;
	uint64_t keep_ms, grace_ms; /* ANSWER_KEEP_MS, ANSWER_GRACE_MS */
	bool complained;            /* about the journal, since it last worked */
};

/* answers.c: its end is known. */
void kept_end(struct kept *k);
const char *kept_reason(const struct kept *k); /* "stop", ... */

/* answers_calls.c: what the model writes, in words and calls. */
void kept_offer(struct kept *k, json_t *tools, bool one); /* before any of it */
void kept_take(struct kept *k, const char *text, size_t len);
void kept_take_again(struct kept *k, const char *text, size_t len); /* from its begin */
void kept_took_all(struct kept *k);
void kept_call(struct kept *k, json_t *call); /* of a job; takes it */

/* answers_store.c. A kept answer is in the store from kept_new to kept_free; kept_drop also has the
 * journal forget it. */
struct kept *kept_new(struct answers *all);
void kept_free(struct kept *k);
void kept_drop(struct kept *k);
struct kept *kept_find(struct answers *all, const struct answer_key *key);
/* Into the journal. After one that failed the others do nothing: ids must have no gap. */
void kept_note_begin(struct kept *k);
void kept_note_ids(struct kept *k, const uint32_t *ids, size_t n);
void kept_note_end(struct kept *k);
void kept_note_job(struct kept *k); /* begin and end of one by a job */
/* An entry that was found becomes a kept answer; arg: the answers. */
void kept_restore(void *arg, const struct journal_entry *e);
void kept_bound(struct answers *all); /* beyond the bounds the oldest make room */
void kept_tidy(struct answers *all);  /* the journal, when it is due */

/* answers_read.c: clients. */
void reader_attach(struct kept *k, struct http_request *r, const struct answer_key *key,
	const struct api_request *a, const struct api_format *f);
void readers_wake(struct kept *k);  /* there is more text */
void readers_ended(struct kept *k); /* KEPT_ENDED */
void readers_fail(struct kept *k);  /* KEPT_FAILED: all get the error, and are gone */

/* answers_bytes.c: what the journal holds. */
int kept_write_head(const struct kept *k, struct buf *out);
void kept_write_mark(const struct kept *k, struct buf *out);
void kept_write_tail(const struct kept *k, struct buf *out);
/* Fills k from an entry; -1: it is of another version. */
int kept_read(struct kept *k, const struct journal_entry *e);

#endif
