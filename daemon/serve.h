/* What this daemon serves: the model, its plan over the swarm, the engine that runs it. The API
 * sits on this and knows nothing of plans. Main thread.
 *
 * Coordinator: idle -> hashing -> preparing (members fetch slices) -> linking -> serving. When a
 * member is lost, a plan over the others is made from hashing on, and the requests, which lie on
 * the desk meanwhile, go on. Member: follows what the coordinator says. */
#ifndef DAEMON_SERVE_H
#define DAEMON_SERVE_H

#include "daemon/engine.h"
#include "daemon/swarm.h"
#include "model/chat.h"
#include "model/slice.h"
#include "sched/energy.h"

#include <jansson.h>

struct serve;

#define SERVE_DEVICES SLICE_MAX_PEERS /* that compute a model together, at most */

struct serve *serve_new(uv_loop_t *loop, const struct config *c, struct state *s, struct err *err);
struct swarm *serve_swarm(struct serve *s);
void serve_close(struct serve *s, void (*done)(void *arg),
	void *arg); /* finishes cleanly; then serve_free */
/* While it finishes: what still runs is cut off, and nothing is handed over. */
void serve_hurry(struct serve *s);
void serve_free(struct serve *s);

/* This device takes its leave of the swarm for good, or (with a name) its coordinator removes that
 * member: when no plan needs it any more, or after `stop_timeout`. done is called once, with NULL or
 * what went wrong; not when this returns -1. */
int serve_leave(struct serve *s, const char *name, void (*done)(void *arg, const char *trouble),
	void *arg, struct err *err);

/* Serves another model (coordinator). Refused with a reason at once when the file is not usable;
 * else the change goes on and serve_status tells how far it is. */
int serve_load(struct serve *s, const char *path, struct err *err);

/* The model that is served, also while devices that were lost are replaced; or NULL with *why in
 * words ("waiting for pi-kitchen", "no model is loaded: ..."). */
struct served_model {
	const char *id; /* file name without .gguf: what the API calls it */
	const struct tokenizer *tokenizer;
	enum chat_family chat;
	struct model_shape shape;
	uint32_t context;
	struct desk *desk; /* that takes its requests */
	uint64_t created;  /* unix seconds */
	/* [32], a hash of its content: another file of this name has another */
	const uint8_t *model_id;
	uint32_t devices; /* that compute it together; 1: this one alone */
};
const struct served_model *serve_model(struct serve *s, struct err *why);

/* The small model of this device (`small_model`), or NULL with the reason. */
const struct served_model *serve_small(struct serve *s, struct err *why);
/* Whether there is to be such a model, although it may not be ready. */
bool serve_configured(struct serve *s, bool small);
/* Members that are here and run the very small model of this device: they answer with it too. */
struct serve_helper {
	char name[64];
	uint32_t slots; /* requests at once */
};
uint32_t serve_helpers(struct serve *s, struct serve_helper *out, uint32_t most);

struct serve_told {
	int status; /* 0: it has answered; else of HTTP, for */
	const char *why;
	const char *text; /* good during the call */
	size_t len;
	uint32_t prompt_tokens, new_tokens;
	bool cut;             /* at max_tokens */
	const float *figures; /* [TOKEN_FIGURES] how sure it was; NULL: it does not tell */
};
/* Asks one of them, by its name, for a client of this device; the likeliest tokens are wanted. done is
 * called once, later, unless it is cancelled. NULL: it is not there any more. */
struct serve_ask;
struct serve_ask *serve_ask(struct serve *s, const char *name, const struct token_list *ids,
	uint32_t max_tokens, uint64_t client, void (*done)(void *arg, const struct serve_told *t),
	void *arg, struct err *err);
void serve_ask_cancel(struct serve_ask *a);

/* How fast one was with the requests that it has finished; false: it has finished none. */
struct serve_pace {
	double prompt_tokens_per_s, new_tokens_per_s;
};
bool serve_pace(struct serve *s, bool small, struct serve_pace *p);

/* How the devices are fed that compute the model which is served, and how hot they are, as they tell:
 * this one first, and always, then the members. Returns their number, at least 1. */
uint32_t serve_energy(struct serve *s, struct energy_told devices[SERVE_DEVICES]);

/* For `shoal status`: model, state in words, epoch, peers with their slices, progress, figures. New
 * reference. */
json_t *serve_status(struct serve *s);
/* For `shoal peers`: how fast the devices and their links are. New reference. */
json_t *serve_peers(struct serve *s);

#endif
