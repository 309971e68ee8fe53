/* Peers of a star in one process, each on a thread and a loop of its own, with links over loopback
 * as the way wants them. What goes wrong ends the program. */
#ifndef TESTS_SUPPORT_STAR_GROUP_H
#define TESTS_SUPPORT_STAR_GROUP_H

#include "daemon/star.h"

#define STAR_GROUP_MAX 8

/* Runs `peer` for each of c->peers on its thread, and returns when all have. The configuration is
 * everybody's: rank, links and names are filled in. */
void star_group_run(const struct star_config *c,
	void (*peer)(void *arg, struct star *s, uint32_t rank), void *arg);

#endif
