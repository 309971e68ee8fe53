/* How the peers of a group add their partial sums. The forward pass knows only this; the ways
 * (star, direct exchange, ...) are in daemon/, and tests join forward passes in one process with
 * their own. */
#ifndef MODEL_COLLECTIVE_H
#define MODEL_COLLECTIVE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* The ways to do it; the same on all peers of a plan. */
enum collective_way {
	WAY_STAR,    /* members to the hub, the hub to members: two hops */
	WAY_DIRECT,  /* every peer to every other: one hop */
	WAY_SCATTER, /* each peer adds its part of the columns (reduce-scatter), and tells all others
		      * (all-gather): two hops, fewest bytes */
	WAY_ROWS, /* each peer adds its part of the rows and does for them what follows (struct collective_rows), and
		      * tells all others: two hops */
	WAY_AUTO, /* direct for few rows; for many by rows, where that can be, else scatter */
	WAYS
};

#define COLLECTIVE_AT_ONCE 2 /* reductions under way, at most */

/* Rows of a step from which on WAY_AUTO goes by rows: fewer have little to save by it, beside the second hop. */
#define COLLECTIVE_ROWS_FROM 64

/* What is made of sums that go by rows. Until then each peer has added all rows, and done the same for them as all
 * others: residual, norm, rounding to the 8 bits that matrices read. By rows each does it for some and tells the
 * others the result (sequence parallelism, Korthikanti et al., 2022). The 8 bits are what travels back: exactly what
 * everybody would have computed, in fewer bytes than sums have. */
enum collective_made {
	MADE_BLOCKS, /* for each 32 columns a scale, float32, and 32 int8: of the same bytes as 8-bit sums; so the
		      * width is a multiple of 32 */
	MADE_FLOATS /* float32, little-endian, as the scales are */
};

struct collective_rows {
	enum collective_made made;
	/* sums[n][width], which may be overwritten, are those of rows [from, from + n) of the reduction, this
	 * peer's: writes what becomes of them. Called while the collective begins, finishes or is tended. */
	void (*make)(void *arg, float *sums, uint32_t from, uint32_t n, uint8_t *out);
	/* What any peer has made of its rows, this one's included. Called by finish, once for each peer. */
	void (*take)(void *arg, const uint8_t *made, uint32_t from, uint32_t n);
	void *arg;
};

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
	/* Whether a step of so many rows goes by rows, in all of its reductions; the same on all peers. NULL: never. */
	bool (*by_rows)(const struct collective *c, uint32_t n);
	/* The same as begin, by rows. `made` outlives the reduction. */
	int (*begin_rows)(struct collective *c, float *rows, uint32_t n, uint32_t width,
		const struct collective_label *label, const struct collective_rows *made,
		struct err *err);
	/* Waits for the reduction that began first: its rows are then the sums over all peers of the
	 * group, bit-identical on every peer (by rows: they hold nothing, and all that was made has been taken).
	 * -1 when a peer is lost (the step is void). */
	int (*finish)(struct collective *c, struct err *err);
	/* Who computes for long calls this every few milliseconds: what is on the way moves only then.
	 * Never waits. NULL: no need. */
	void (*tend)(struct collective *c);
};

#endif
