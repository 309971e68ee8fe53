/* Inside of the star: star.c (waiting, exchanges), star_receive.c (what arrives), star_new.c. */
#ifndef DAEMON_STAR_INT_H
#define DAEMON_STAR_INT_H

#include "daemon/star.h"

#define STEP_ROW_BYTES 12

struct star_peer {
	struct star *star;
	struct link *link; /* NULL: gone */
	uint32_t rank;
	bool have; /* frame and data hold a message that has not been used */
	struct frame frame;
	uint8_t *data;
	size_t room;
};

struct star {
	struct collective collective; /* first: the forward pass knows only this */
	uv_loop_t *loop;
	uv_timer_t timer;
	struct star_config c;
	struct slice *slices;
	char (*names)[PEER_NAME];
	struct star_peer *peers; /* hub: members by rank - 1; member: the hub */
	uint32_t n_peers;
	uint32_t step;
	bool in_step; /* hub: members may send */
	bool wanting; /* the frame that is due is known: */
	struct frame want;
	float *sum;    /* member: where the sum goes */
	uint8_t *head; /* frame header and step rows */
	uint8_t *out;  /* packed rows */
	uint64_t spin_ns, reduce_ns, sent, received;
	bool broken;
	char who[PEER_NAME];
	struct err why;
};

extern const struct link_events star_link_events; /* arg: struct star_peer */

/* Whether the frame is the one that is due (s->want). */
int star_check_due(
	const struct star *s, const struct star_peer *p, const struct frame *f, struct err *err);

int star_allreduce(struct collective *c, float *rows, uint32_t n, uint32_t width, uint32_t layer,
	uint32_t phase, struct err *err);

#endif
