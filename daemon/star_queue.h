/* Frames that have come from a peer and are not used yet, oldest first, in memory of a fixed size. */
#ifndef DAEMON_STAR_QUEUE_H
#define DAEMON_STAR_QUEUE_H

#include "proto/frame.h"

/* Two reductions may be under way here, and the peer may have begun the next two. */
#define STAR_QUEUED 4

struct star_queue {
	struct star_message {
		struct frame frame;
		size_t at, bytes; /* of data */
	} list[STAR_QUEUED];
	uint32_t n, most; /* at most STAR_QUEUED */
	uint8_t *data;
	size_t room;
};

/* Memory in which frames find room as long as all that wait never have more than `waiting` bytes, and none more
 * than `longest`: a frame lies in one piece, so what is left at the end may be too short for it. */
size_t star_queue_room(size_t waiting, size_t longest);
/* -1: out of memory. most: frames that may wait. */
int star_queue_init(struct star_queue *q, uint32_t most, size_t room);
void star_queue_deinit(struct star_queue *q);

/* Copies a frame's payload behind the others. -1: there is no room, or it has none. */
int star_queue_put(
	struct star_queue *q, const struct frame *f, const uint8_t *payload, size_t bytes);
/* Of the one that waits longest. */
const uint8_t *star_queue_first(const struct star_queue *q);
void star_queue_drop(struct star_queue *q);

#endif
