/* Two ends of an open tensor link over loopback, both on one loop. What goes wrong ends the
 * program. */
#ifndef TESTS_SUPPORT_LINK_PAIR_H
#define TESTS_SUPPORT_LINK_PAIR_H

#include "daemon/link.h"

struct pair {
	struct link *near, *far; /* who listened, who dialled */
	unsigned open;
};

void pair_open(uv_loop_t *loop, struct pair *p, size_t max_message);
void pair_detach(struct link *l, struct link_detached *d);

/* Events of a link on which a test plays a peer. */
int on_unexpected(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err);
void on_lost(struct link *l, void *arg, const char *why);

#endif
