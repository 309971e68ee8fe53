/* THE one door: every byte that reaches a cloud passes door_send, and only with a ticket.
 *
 * A ticket says that the policy lets exactly these bytes go to exactly this endpoint, once, and that
 * the most they can cost is reserved. It holds a BLAKE2b hash of the body; door_send refuses another
 * body, another endpoint, a second use, and every use after door_revoke. A retry, a fallback, the next
 * segment or round is another send and needs another ticket. That nothing else calls a cloud is
 * tested by the symbols of the object files (tests/swarm/door.sh).
 *
 * A body is JSON for /chat/completions, or with a prompt for the /completions of an endpoint that has it, of
 * which the door knows what it can cost: named fields only, text only, one answer, and a bound on its
 * tokens (door_body.c). What it does not know does not leave.
 *
 * The door keeps a breaker for each endpoint, and settles each reservation:
 *   an answer that says what it used    that, by tokens or as the endpoint says it, whichever is more
 *   nothing was sent, or status 3xx 4xx nothing
 *   anything else                       in full: a cut, late, cancelled or failed answer may be billed
 * An answer that says more tokens than the endpoint's context has, or a cost far from any price, has not said it.
 *
 * Who is offline shall not wait for it with each request: once no connection could be made, a ticket
 * that is asked for after the breaker's time is refused too, and makes the door knock (connect, and
 * say nothing); when that worked, the next ticket is the breaker's probe. So the one that finds the
 * endpoint gone is the only one that waits. Nobody knocks but for a request that may leave.
 *
 * Main thread. */
#ifndef DAEMON_DOOR_H
#define DAEMON_DOOR_H

#include "daemon/cloud.h"
#include "daemon/purse_file.h"
#include "sched/privacy.h"

#define DOOR_MOST_BODY (16u << 20)
/* What endpoints add to a prompt that has tools: some tell their model in a few hundred words. */
#define DOOR_TOOLS_TOKENS 1024

struct door;
struct ticket;
struct door_call;

enum door_refusal {
	DOOR_OPEN,    /* not refused */
	DOOR_POLICY,  /* it may not leave */
	DOOR_BODY,    /* the body is not one that is understood */
	DOOR_BREAKER, /* the endpoint is not called now */
	DOOR_BUDGET,  /* see purse */
	DOOR_TICKET,  /* the ticket is not for this */
	DOOR_BROKEN   /* no memory and the like */
};

struct door_no {
	enum door_refusal why;
	enum purse_verdict purse; /* DOOR_BUDGET */
	uint64_t wait_ms;         /* DOOR_BREAKER: until it may be called; 0: nobody knows */
	struct err err;           /* for people; never holds a key or a prompt */
};

struct door_request {
	const struct endpoint *endpoint;
	const void *body;
	size_t len;
};

struct ticket_ask {
	struct door_request request;
	/* What holds for these bytes: PRIVACY_CLOUD, or PRIVACY_REDACT where they are `redacted`. */
	enum privacy policy;
	bool redacted;
	uint64_t key; /* the API key's number */
	uint64_t request_used;
	uint64_t request_limit; /* both as in struct purse_ask */
};

/* As struct cloud_events; cost: what was counted, in micro-units. */
struct door_events {
	void (*heard)(void *arg);
	void (*text)(void *arg, const char *delta, size_t len);
	void (*end)(void *arg, const char *finish_reason, const struct cloud_usage *usage,
		uint64_t cost);
	void (*error)(void *arg, const struct cloud_error *e, uint64_t cost);
	void *arg;
	void (*call)(void *arg, const struct cloud_called *c);
};

struct door_stats { /* of one endpoint, since the start */
	uint64_t calls, bytes_out, ends, cancels;
	uint64_t errors[CLOUD_TOO_LARGE + 1]; /* by class */
};

/* endpoints and purse stay the caller's, and outlive the door. limits: as in cloud_new. */
struct door *door_new(uv_loop_t *loop, const struct endpoints *endpoints, struct purse_file *purse,
	const struct cloud_limits *limits, struct err *err);
/* Cancels what runs and settles it, without events. Tickets must be gone. The memory is given back once
 * the loop has run on. */
void door_close(struct door *d);

/* NULL: *no says why, and nothing is reserved. The hash is taken, the bytes are not kept. */
struct ticket *ticket_issue(struct door *d, const struct ticket_ask *ask, struct door_no *no);
uint64_t ticket_reserved(const struct ticket *t); /* micro-units */
/* Gives the reservation back unless the ticket was used. NULL is fine. */
void ticket_free(struct ticket *t);

/* Whatever it returns, the ticket has been used; it is still to be freed. NULL: nothing was sent, no
 * event comes. timeout_ms: for the whole call, at most the endpoint's own; 0: that. */
struct door_call *door_send(struct door *d, struct ticket *t, const struct door_request *r,
	uint32_t timeout_ms, const struct door_events *events, struct door_no *no);
/* Ends it at once, without events. Returns what was counted. */
uint64_t door_cancel(struct door_call *c);

/* No ticket that was issued before is good any more, and calls under way end with CLOUD_REFUSED. */
void door_revoke(struct door *d);

/* What a send would put on the wire, from the same code, the key masked; nothing is sent or reserved.
 * *worst: the most that it can cost, PURSE_UNKNOWN when nobody knows. -1: it would be refused. */
int door_preview(
	const struct door_request *r, struct buf *out, uint64_t *worst, struct door_no *no);

/* Whether a call would pass its breaker, and the breaker's state. A ticket can be refused all the same:
 * where the endpoint was offline, whoever asks for one makes the door knock. */
bool door_passes(const struct door *d, const struct endpoint *e, uint64_t *wait_ms);
enum breaker_state door_state(const struct door *d, const struct endpoint *e);
const struct door_stats *door_stats(const struct door *d, const struct endpoint *e);
uint32_t door_running(const struct door *d);

/* "policy", "budget", ...: the label in metrics. */
const char *door_refusal_word(enum door_refusal why);

#endif
