/* Between door.c, door_ticket.c, door_knock.c and door_body.c. */
#ifndef DAEMON_DOOR_INT_H
#define DAEMON_DOOR_INT_H

#include "daemon/door.h"

#define DOOR_HASH 32

/* Of one endpoint that was offline. */
struct knock {
	struct door *door;
	struct breaker_call leave;
	struct cloud_call *call; /* NULL: none is under way */
	bool due;                /* it was offline, and no knock has worked since */
};

struct door {
	uv_loop_t *loop;
	const struct endpoints *endpoints;
	struct purse_file *purse;
	struct cloud *cloud;
	struct breaker breakers[ENDPOINTS_MAX];
	struct door_stats stats[ENDPOINTS_MAX];
	struct knock knocks[ENDPOINTS_MAX];
	struct door_call *first;
	uint32_t n;
	uint64_t age; /* how often it was revoked */
};

struct ticket {
	struct door *door;
	uint32_t endpoint;
	uint8_t hash[DOOR_HASH];
	uint64_t age;
	uint64_t reservation, reserved;
	bool plain; /* the body is a prompt's */
	bool used;  /* may not be used again */
	bool sent;  /* the reservation is the call's */
};

/* For tests, which move its times. */
struct breaker *door_breaker(struct door *d, const struct endpoint *e);

/* Its place; ENDPOINTS_MAX: it is none of the door's. */
uint32_t door_index(const struct door *d, const struct endpoint *e);
void *door_refuse(struct door_no *no, enum door_refusal why, const char *words); /* NULL */
/* Its breaker does not pass: says until when, or what to mend. NULL. */
void *door_closed(const struct door *d, uint32_t endpoint, struct door_no *no);

/* Why the ticket is not for this; NULL: it is. */
const char *ticket_misuse(
	const struct ticket *t, const struct door *d, const struct door_request *r);

void door_knock(struct door *d, uint32_t i);
void door_stop_knocking(struct door *d);

/* What of a body its price and its path depend on. */
struct door_body {
	uint64_t tokens_in, tokens_out; /* at most */
	bool plain;                     /* it has a prompt instead of messages */
};

/* -1: the body is not one that may be sent there; err says which part, in no word of the body's own
 * but names of fields. */
int door_body_check(const struct door_request *r, struct door_body *b, struct err *err);

#endif
