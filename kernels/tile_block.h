/* One block of weights and few columns (rows of activations), unpacked in registers. Included by a set's file after
 * its tile_*.h, before tile_direct.h; NEON has tile_block_neon.h instead. */
#ifndef KERNELS_TILE_BLOCK_H
#define KERNELS_TILE_BLOCK_H

#include "kernels/tile_sums.h"

/* Run `run` of a block and n (a constant) columns. at: its place in the first column's arrays; runs:
 * from one column to the next. */
INLINE void
direct_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	uint32_t run, const struct act *x, size_t at, size_t runs, uint32_t n,
	vfloats f[STRIPS][DIRECT_COLS])
{
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		struct run r;

		take_run(t, &r, head, body, planes, run, strip);
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			f[strip][i] = add_run(t, &r, x, at + i * runs, f[strip][i]);
	}
}

/* All runs of a block. at: the place of the first in the first column's arrays; ahead: as in tile_direct.h. */
INLINE void
direct_block(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *ahead,
	const struct act *x, size_t at, size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t per_block = format_runs(t);
	_Alignas(32) uint8_t room[SIX_BIT_BYTES];
	const uint8_t *planes = take_planes(t, head, body, room);

	UNROLL
	for (uint32_t run = 0; run < per_block; run++) {
		fetch_part(t, ahead, run, per_block);
		direct_run(t, head, body, planes, run, x, at + run, runs, n, f);
	}
}

#endif
