/* One generation behind a request: the model is asked, and its events become an answer, whole or
 * streamed. What differs between chats and completions is in struct api_format. */
#ifndef DAEMON_API_GENERATE_H
#define DAEMON_API_GENERATE_H

#include "daemon/http_internal.h"

struct generation;

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

#endif
