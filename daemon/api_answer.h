/* An answer on its way to its client: text comes in as it is made, and goes out as the chunks of a
 * stream, or as one object at the end. Ended by exactly one of _end and _error. */
#ifndef DAEMON_API_ANSWER_H
#define DAEMON_API_ANSWER_H

#include "daemon/answers_job.h"
#include "daemon/api_logprobs.h"
#include "daemon/api_object.h"
#include "daemon/call_reader.h"
#include "daemon/utf8_hold.h"

/* Bytes of all calls of an answer: a cloud's come at once, and a stream has to hold them. */
#define API_MOST_CALLS (512u << 10)

struct api_answer {
	struct http_request *http;
	struct api_head head;
	bool stream, include_usage, return_tokens;
	struct utf8_hold hold;
	struct buf text; /* not streamed: the answer; streamed: the next piece */
	json_t *shoal;   /* the object of that name behind the text; NULL: none */
	/* It is kept under a key: all goes there, and its clients are not ours. Set, where it is, before
	 * api_answer_begin. NULL: http is its client. */
	struct kept *kept;
	struct api_logprobs logprobs;
	/* Calls of tools, where some were offered (answer_calls.c). */
	bool tools, apart;
	bool lost; /* one that the client cannot get: the answer ends in an error */
	struct call_reader reader;
	json_t *calls;      /* that were made, as a message has them */
	size_t calls_bytes; /* of their names and arguments */
	struct buf said;    /* its words until now, their begin: with tools only */
};

void api_answer_init(struct api_answer *w, struct http_request *r, const struct api_format *f,
	const struct api_request *a, const char *model);
void api_answer_free(struct api_answer *w);
/* Of a stream, the headers and the first chunk leave at once: they tell the client that it was
 * admitted. Text that is in w->text already goes with them. After http_wait. */
void api_answer_begin(struct api_answer *w);
/* Which model speaks: in all that is sent from now on. */
void api_answer_model(struct api_answer *w, const char *model);
void api_answer_text(struct api_answer *w, const char *text, size_t len);
/* How probable tokens were whose text comes next, or that have none (desk.h). */
void api_answer_odds(struct api_answer *w, const struct token_odds *odds, size_t n, bool lost);
/* With tools. apart: text is words from now on, and calls come by api_answer_call, as a cloud says them;
 * else calls are read from the text. The text of before has ended (api_answer_flush). */
void api_answer_apart(struct api_answer *w, bool apart);
/* A call that is whole. id NULL or "": it gets one. arguments: JSON, as a text. Left out behind the first
 * one where the request wants one at most. */
void api_answer_call(
	struct api_answer *w, const char *id, const char *name, const char *arguments, size_t len);
/* One call was wanted at most, and it is there: the model that writes may stop. */
bool api_answer_enough(const struct api_answer *w);
/* What is held because it may be the begin of a call goes out, as what it is. */
void api_answer_flush(struct api_answer *w);
/* With tools: each of the texts that the client has seen, as the record of what was said knows them
 * (privacy_messages.h). */
void api_answer_texts(const struct api_answer *w,
	void (*each)(void *arg, const char *text, size_t len), void *arg);
void api_answer_end(struct api_answer *w, const char *reason, const struct usage *u);
/* status: of HTTP, for an answer that is not streamed. */
void api_answer_error(struct api_answer *w, int status, const char *what);
/* The same with other words in the log: what a cloud says may quote the prompt. */
void api_answer_fail(struct api_answer *w, int status, const char *what, const char *logged);

/* answer_calls.c, for api_answer.c and answers that are kept. calls: NULL, or as a message has them. */
json_t *answer_call(const char *id, const char *name, const char *arguments, size_t len);
json_t *answer_calls_choice(const struct api_format *f, json_t *call); /* takes it */
const char *answer_calls_reason(json_t *calls, const char *reason);
json_t *answer_calls_add(json_t *calls, json_t *whole); /* gives `whole` back */
void answer_calls_init(struct api_answer *w, const struct api_request *a);
void answer_calls_free(struct api_answer *w);
void api_answer_words(struct api_answer *w, const char *text, size_t len);

/* What the object `shoal` says, in the headers of a whole answer. shoal NULL: nothing. */
void api_answer_headers(struct http_request *r, const json_t *shoal);

#endif
