#ifndef DAEMON_DOOR_INT_H
#define DAEMON_DOOR_INT_H

#include "daemon/door.h"

/* What of a body its price depends on. */
struct door_body {
	uint64_t tokens_in, tokens_out; /* at most */
};

/* -1: the body is not one that may be sent there; err says which part, in no word of the body's own
 * but names of fields. */
int door_body_check(const struct door_request *r, struct door_body *b, struct err *err);

#endif
