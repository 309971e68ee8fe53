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

#define COLLECTIVE_AT_ONCE 2 /* reductions under way, at most */

/* Which sum it is; it only labels the exchange, so that peers notice when they mean different ones. */
struct collective_label {
	uint32_t layer;
	uint32_t phase; /* 0 attention, 1 feed-forward */
	uint32_t part;  /* of the step's rows: 0, or 1 for the second sub-batch */
};

/* A reduction begins and finishes; between, it travels. All peers begin the same ones in the same order,
 * and each finishes its own in the order in which it began them. */
struct collective {
	/* rows[n][width] holds this peer's partial sums. It belongs to the collective until the
	 * reduction has finished. May wait until what was sent before has left. */
	int (*begin)(struct collective *c, float *rows, uint32_t n, uint32_t width,
		const struct collective_label *label, struct err *err);
	/* Waits for the reduction that began first: its rows are then the sums over all peers of the
	 * group, bit-identical on every peer. -1 when a peer is lost (the step is void). */
	int (*finish)(struct collective *c, struct err *err);
	/* Who computes for long calls this every few milliseconds: what is on the way moves only then.
	 * Never waits. NULL: no need. */
	void (*tend)(struct collective *c);
};

#endif
