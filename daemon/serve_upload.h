/* Giving chunks to others: a coordinator out of its model file, a member out of the shards on its disk.
 * Who asks is a member (of a coordinator), or a fellow member.
 *
 * One chunk is read at a time, on the thread pool, for all who ask in turn; while this device computes
 * they wait for their turn longer (sched/upload.h). Memory: that chunk, and of each asker what is queued
 * and not yet written, at most UPLOAD_QUEUED and one chunk. Main thread. */
#ifndef DAEMON_SERVE_UPLOAD_H
#define DAEMON_SERVE_UPLOAD_H

#include "daemon/swarm.h"

#include <jansson.h>

#define UPLOAD_QUEUED (1u << 20)
#define UPLOAD_LINKS  4 /* of one asker */

struct serve;
struct uploads;

struct uploads *uploads_new(struct serve *s); /* NULL: out of memory */
void uploads_close(struct uploads *u);        /* NULL is fine, here and below */
void uploads_free(struct uploads *u);         /* after the loop has ended */

/* A bulk link comes in: of a member (peer), or of whoever has that key. -1: it is turned away. */
int uploads_admit(struct uploads *u, struct swarm_peer *peer, const uint8_t key[32], struct link *l,
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err);
/* Closes the links of those who are away, or no fellows any more. */
void uploads_check(struct uploads *u);
void uploads_end(struct uploads *u, const char *why); /* closes all links */

/* What was given so far: bytes, chunks, and of these those that went while this device computed. */
json_t *uploads_json(const struct uploads *u);

#endif
