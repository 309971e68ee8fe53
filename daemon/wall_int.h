#ifndef DAEMON_WALL_INT_H
#define DAEMON_WALL_INT_H

#include "daemon/wall.h"

/* One that stays nearer than a cloud. */
struct wall_prompt {
	struct privacy_hash hash;
	uint32_t length; /* as it is hashed */
	uint8_t policy;
};

struct wall_record {
	uint64_t client;
	unsigned refs;
	struct privacy_taint *taint;
	struct wall_prompt *prompts;
	uint32_t n_prompts;
	uint32_t *ends, n_ends; /* their lengths, ascending */
	bool lost; /* others were forgotten: no prompt of this client is known to be new */
	struct wall_record *next; /* the one that was used before it */
};

struct wall {
	enum privacy policy;
	struct redact_words *words;
	uint8_t key[32];             /* of messages' hashes */
	uint64_t redact_key;         /* of tables of items */
	struct wall_record *records; /* used last first */
	unsigned n;
	bool lost;            /* a record with private prompts was forgotten */
	char path[4096 + 16]; /* of the prompts on disk; "": they are not */
	uint32_t appended;    /* to it, records */
	bool behind;          /* it could not be written: it lacks some */
};

/* The client's record, first in the list. NULL without memory. */
struct wall_record *wall_record_of(struct wall *w, uint64_t client);

/* wall_prompts.c. Reads those of before; with a word in the log where something is in the way. */
void wall_prompts_open(struct wall *w, const struct config *c);
/* A prompt is answered that stays nearer than a cloud: who continues it is known by it. */
void wall_prompt_made(struct wall *w, struct wall_record *r, const struct privacy_messages *m,
	enum privacy policy);
/* A client's were forgotten: none that comes from a new client is known to be new. */
void wall_prompts_lost(struct wall *w);

/* wall_body.c: what a cloud would get of a request, but for the model's name; NULL: it cannot be sent. The same
 * without personal items; NULL: they could not be removed for certain. */
json_t *wall_whole(const struct api_request *a, uint32_t max_tokens, struct err *err);
json_t *wall_redacted(struct wall *w, struct wall_verdict *v, json_t *body, struct err *err);

/* wall_tools.c: of a request with tools, or whose answer has a form. Lists; the second NULL: they cannot be
 * sent. */
json_t *wall_tools(json_t *tools);
json_t *wall_tool_messages(const struct api_request *a, struct err *err);
/* Which call is wanted, and what else the answer has to look like. */
json_t *wall_tool_choice(const struct api_request *a);
json_t *wall_response_format(const struct api_request *a);

#endif
