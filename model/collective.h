/* How the peers of a group add their partial sums. The forward pass knows only this; the ways
 * (star, direct exchange, ...) are in daemon/, and tests join forward passes in one process with
 * their own. */
#ifndef MODEL_COLLECTIVE_H
#define MODEL_COLLECTIVE_H

#include "base/err.h"

#include <stdint.h>

/* The ways to do it; the same on all peers of a plan. */
enum collective_way {
	WAY_STAR,    /* members to the hub, the hub to members: two hops */
	WAY_DIRECT,  /* every peer to every other: one hop */
	WAY_SCATTER, /* each peer adds its part of the columns (reduce-scatter), and tells all others
		      * (all-gather): two hops, fewest bytes */
	WAY_AUTO,    /* direct for few rows, scatter for many */
	WAYS
};

struct collective {
	/* rows[n][width] holds this peer's partial sums and receives the sums over all peers of the
	 * group, bit-identical on every peer. Blocks until they are there; -1 when a peer is lost
	 * (the step is void). layer and phase (0 attention, 1 feed-forward) only label the
	 * exchange. */
	int (*allreduce)(struct collective *c, float *rows, uint32_t n, uint32_t width,
		uint32_t layer, uint32_t phase, struct err *err);
};

#endif
