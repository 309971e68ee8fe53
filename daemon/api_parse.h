/* The JSON body of a generation request to what it asks for. Pure: bytes in, a request or an error
 * out. Fields that this server does not act on are refused by name rather than ignored; a short
 * list of fields has no effect by nature and is accepted. */
#ifndef DAEMON_API_PARSE_H
#define DAEMON_API_PARSE_H

#include "model/chat.h"
#include "model/session.h"

#include <jansson.h>

/* Bounds on a body beside its bytes: what JSON can cost in memory is the number of its values. */
#define API_MAX_DEPTH   32
#define API_MAX_VALUES  (1u << 20)
#define API_MAX_OBJECTS (1u << 16)
#define API_MAX_STOP    4096 /* bytes of one stop text */

enum api_kind { API_CHAT, API_COMPLETION };

/* An answer that is an error, in OpenAI's shape. */
struct api_error {
	int status;
	const char *code; /* "model_not_found"; NULL: null */
	char param[64];   /* the field; "": null */
	char message[512];
	uint64_t n_prompt_tokens, n_ctx; /* shown when n_ctx is not 0 */
};

/* The `type` that goes with a status. */
const char *api_error_type(int status);
/* Fills e and returns -1. param may be NULL. */
int api_error_set(struct api_error *e, int status, const char *code, const char *param,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
json_t *api_error_json(const struct api_error *e); /* {"error":{...}}; new reference */

struct api_request {
	enum api_kind kind;
	json_t *root;                  /* owns every text below */
	const char *model;             /* NULL: whatever is served */
	struct chat_message *messages; /* chat */
	size_t n_messages;
	size_t text_bytes;  /* of all messages, or of the prompt */
	const char *prompt; /* completion by text; NULL: by ids */
	uint32_t *ids;
	size_t n_ids;
	bool stream, include_usage, echo, return_tokens, ignore_end;
	bool seeded; /* else the server draws a seed */
	struct sampler_params sampler;
	uint32_t max_tokens;    /* UINT32_MAX: as the context allows */
	bool uncached;          /* the prompt is computed, even if its rows are there */
	uint32_t max_guesses;   /* tokens guessed ahead, at most; UINT32_MAX: as it pays */
	bool logprobs;          /* of the answer's tokens, */
	uint32_t top_logprobs;  /* and so many alternatives to each */
	const char *prediction; /* of the answer's text; NULL: none */
	const char *stops[SESSION_MAX_STOPS];
	uint32_t n_stops;
	json_t *tools; /* functions that the model may call, a list of one at least; NULL: none */
	bool no_calls, one_call; /* of them, as the request says: none, one at most */
	json_t *must_call;       /* `tool_choice`, where it asks for a call; NULL: it does not */
	const char *only;        /* of this one; NULL: of any */
	json_t *response_format; /* where it asks for JSON; NULL: text */
	/* What the answer of a model at home is held to; NULL: nothing, or no_form.status says that it cannot
	 * be, which is an error of the request where no cloud answers. */
	struct grammar *grammar;
	struct api_error no_form;
	json_t *shoal;     /* the object of that name; NULL: none */
	char unknown[200]; /* names of fields nobody knows, for the debug log */
};

/* Reads a body. 0, or -1 with e filled; api_request_free in both cases. */
int api_parse(enum api_kind kind, const void *body, size_t len, struct api_request *r,
	struct api_error *e);
void api_request_free(struct api_request *r);

/* A JSON object of the control routes ("" is an empty one), with the same bounds. New reference, or
 * NULL with e filled. */
json_t *api_parse_object(const void *body, size_t len, struct api_error *e);

#endif
