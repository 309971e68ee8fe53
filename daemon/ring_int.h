/* Inside of the ring: ring.c (steps and waiting), ring_receive.c (what arrives), ring_new.c. */
#ifndef DAEMON_RING_INT_H
#define DAEMON_RING_INT_H

#include "daemon/best_bytes.h"
#include "daemon/ring.h"
#include "daemon/spin.h"
#include "daemon/step_rows.h"

struct ring_message {
	struct frame frame;
	uint8_t *data;
};

struct ring_peer {
	struct ring *ring;
	struct link *link; /* NULL: gone */
	uint32_t number;
	bool before, behind; /* where it stands in the ring */
};

/* A step under way, as the coordinator has begun it. */
struct ring_step {
	uint32_t n_wants;
	uint32_t *wants; /* flags of its rows that want logits, in order */
};

struct ring {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct ring_config c;
	char (*names)[PEER_NAME];
	struct ring_peer
		peers[2]; /* the one behind, then the one before, unless they are the same */
	uint32_t n_peers, depth;

	/* What has come and was not taken, oldest first: steps, or the coordinator's answers. */
	struct ring_message *queue; /* [depth], a circle */
	uint32_t first, n;
	size_t room;    /* of a message */
	uint32_t heard; /* number of the step that came last */

	/* The coordinator: the step that began last, and steps under way by number modulo depth. Others:
	 * the step that was taken last, in `taken` what it wants. */
	uint32_t step;
	struct ring_step *under_way; /* [depth] */
	struct ring_step taken;

	uint32_t answered; /* coordinator: number of the step whose answer was taken last */
	uint64_t
		progress; /* coordinator: when a step began with none under way, or an answer came */
	uint8_t *head, *out; /* of the message that is being sent */
	uint64_t sent, received;
	struct spins spins;
	bool broken;
	char who[PEER_NAME];
	struct err why;
};

extern const struct link_events ring_link_events; /* arg: struct ring_peer */

#endif
