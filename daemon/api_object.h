/* The JSON objects of answers: a whole one, and the chunks of a streamed one. */
#ifndef DAEMON_API_OBJECT_H
#define DAEMON_API_OBJECT_H

#include "daemon/api_generate.h"

struct api_head { /* what all chunks of an answer have in common */
	const struct api_format *format;
	char id[48], model[256];
	json_int_t created;
};

/* A prefix with random digits behind it. */
void api_make_id(char *out, size_t size, const char *prefix);
/* A new id, and the time. */
void api_head_make(struct api_head *h, const struct api_format *f, const char *model);
/* choice is taken; NULL: none. */
json_t *api_chunk(const struct api_head *h, json_t *choice);
/* The last chunk with a choice. tokens: with the ids of u. */
json_t *api_last_chunk(
	const struct api_head *h, const char *reason, const struct usage *u, bool tokens);
/* The one behind it, of those who asked for it. */
json_t *api_usage_chunk(const struct api_head *h, const struct usage *u);
/* text is taken. */
json_t *api_whole(const struct api_head *h, json_t *text, const char *reason, const struct usage *u,
	bool tokens);
/* What a log says about an answer that ended. */
void api_log(const char *id, const char *reason, const struct usage *u);

#endif
