/* One model asked one thing about a document: its whole text comes back, once. Who computes it, a model
 * of this device, of the swarm, or a cloud, makes no difference to who asks. Main thread. */
#ifndef DAEMON_DOCUMENT_ASK_H
#define DAEMON_DOCUMENT_ASK_H

#include "daemon/document_prompt.h"
#include "daemon/router_int.h"

#define DOCUMENT_HEARD_MAX (256u << 10) /* bytes of an answer; a longer one is a failure */

struct document_ask;

struct document_heard {
	int status;       /* 0: it has answered; else of HTTP, for */
	const char *why;  /* in words, which may quote a cloud */
	const char *end;  /* one word of a fixed set */
	const char *text; /* good during the call */
	size_t len;
	uint32_t prompt_tokens, new_tokens;
	const float
		*figures; /* how sure a small model was (model/token_signal.h); NULL: not known */
	double seconds;
	uint64_t cost; /* micro-units */
};
typedef void document_done(void *arg, const struct document_heard *h);

struct document_question {
	const struct chat_message *messages;
	size_t n;
	struct sampler_params sampler;
	bool seeded;
	bool signals; /* of a model at home: how sure it is, for document_heard.figures */
	uint32_t max_tokens;
	uint64_t client;
};

/* Of a model at home. NULL with *status of HTTP: 400 it does not fit, 429 its desk is full, 503. */
struct document_ask *document_ask_model(struct router *r, const struct served_model *m,
	const struct document_question *q, document_done *done, void *arg, int *status,
	struct err *err);

/* Of the same small model m on a member. *status: as above. */
struct document_ask *document_ask_helper(struct router *r, const char *helper,
	const struct served_model *m, const struct document_question *q, document_done *done,
	void *arg, int *status, struct err *err);

/* The tokens of the prompt; SIZE_MAX: it cannot be said. */
size_t document_tokens(const struct served_model *m, const struct document_prompt *p);

struct document_leave { /* what a cloud is asked under */
	const struct endpoint *endpoint;
	struct wall_verdict *verdict;
	uint64_t client;
	uint64_t spent, budget; /* micro-units: of this request so far, and its limit */
	uint32_t timeout_ms;
};
/* The body that would leave for this question, and how many bytes it is on the wire with its head. Under `redact` its
 * texts have lost their items (document_items.c). */
int document_cloud_body(struct router *r, const struct document_leave *l,
	const struct document_question *q, struct buf *body, size_t *wire, struct err *err);
/* Sends it, with a ticket for exactly these bytes. NULL: it did not leave, *no says why. */
struct document_ask *document_ask_cloud(struct router *r, const struct document_leave *l,
	const struct buf *body, document_done *done, void *arg, struct door_no *no);

/* No `done` after this. Returns what it has cost. */
uint64_t document_ask_cancel(struct document_ask *a);

#endif
