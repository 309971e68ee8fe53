/* Fellow members: whom a member may ask for chunks of slices, and who may ask it. The coordinator tells
 * every member of the others that are here, each time that one comes or goes; only whom it has told of
 * is let in. Main thread. */
#ifndef DAEMON_SERVE_FELLOWS_H
#define DAEMON_SERVE_FELLOWS_H

#include "daemon/swarm.h"

struct serve;

struct fellow {
	uint8_t key[32];
	char name[PEER_NAME];
	char address[80]; /* host:port where it listens */
};

struct fellows { /* zeros: none */
	uint32_t n;
	struct fellow list[STATE_MAX_PEERS];
};

/* Coordinator: tells all members. */
void fellows_tell(struct serve *s);
/* Member: the coordinator's word. -1: it is not usable. */
int fellows_take(struct serve *s, const Shoal__Fellows *m, struct err *err);
/* This device follows nobody any more, or another one. */
void fellows_drop(struct serve *s);
const struct fellow *fellows_find(const struct serve *s, const uint8_t key[32]); /* NULL: none */

#endif
