/* One generation behind a request: the model is asked, and its events become an answer, whole or
 * streamed. What differs between chats and completions is in struct api_format. */
#ifndef DAEMON_API_GENERATE_H
#define DAEMON_API_GENERATE_H

#include "daemon/http_internal.h"

struct api_format {
	enum api_kind kind;
	const char *id_prefix;     /* "chatcmpl-" */
	const char *whole, *chunk; /* the `object` of an answer and of a piece of a stream */
	/* The prompt's token ids. */
	int (*prompt)(const struct api_request *r, const struct served_model *m,
		struct token_list *out, struct err *err);
	/* The choice of a stream's first chunk, or NULL: there is none of its own. */
	json_t *(*begin_choice)(void);
	/* The choice of a chunk. text may be empty; reason NULL: it goes on. */
	json_t *(*chunk_choice)(json_t *text, const char *reason);
	/* The choice of a whole answer. */
	json_t *(*whole_choice)(json_t *text, const char *reason);
};

void api_generate(struct http_request *r, const struct api_format *f);

/* From a request to a session of a model (api_session.c). */
struct answer_key;
/* The field that holds the prompt. */
const char *api_prompt_param(const struct api_request *a);
/* The prompt's ids. 1: it is longer than the context with an answer; *n: how many tokens it has at least. Of one that is
 * much too long they are not all made. */
int api_prompt(const struct api_format *f, const struct api_request *a,
	const struct served_model *m, struct token_list *ids, uint64_t *n, struct err *err);
/* The same for the asker: the prompt's ids, or false after an answer that says why not. */
bool api_make_prompt(struct http_request *r, const struct api_format *f,
	const struct api_request *a, const struct served_model *m, struct token_list *ids);
/* key: of an answer that is kept, or NULL. signals: see struct session_params. */
struct session *api_make_session(const struct api_request *a, const struct served_model *m,
	const struct token_list *ids, bool signals, const struct answer_key *key, struct err *err);
/* Appends the prompt of a completion, as text also where it came as ids; special: with tokens that are no text. */
void api_prompt_text(
	struct buf *text, const struct api_request *a, const struct served_model *m, bool special);
/* With `echo` the answer begins with the prompt: appends it to text. */
void api_echo(struct buf *text, const struct api_request *a, const struct served_model *m);

#endif
