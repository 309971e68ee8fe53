/* One block of weights and few columns (rows of activations), unpacked in registers that hold all rows of a group.
 * Included by a set's file after its tile_*.h, before tile_direct.h; others have tile_block_avx2.h or
 * tile_block_neon.h instead. */
#ifndef KERNELS_TILE_BLOCK_H
#define KERNELS_TILE_BLOCK_H

#include "kernels/tile_planes_avx512.h"
#include "kernels/tile_ternary.h"

/* A run of a block and n columns, the first of which has the run at `at`. */
INLINE void
direct_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	uint32_t run, const struct act *x, size_t at, size_t runs, uint32_t n,
	vfloats f[DIRECT_COLS])
{
	struct run r;

	take_run(t, &r, head, body, planes, run, 0);
	UNROLL
	for (uint32_t i = 0; i < n; i++)
		f[i] = add_run(t, &r, x, at + i * runs, f[i]);
}

/* All runs of a block. at: the place of the first in the first column's arrays; ahead: as in tile_direct.h.
 *
 * Where runs are alike, they are a loop that stays one: unrolled, K-quants lose up to a tenth of the speed of memory on
 * Zen 5, although the same lines are asked for in the same order. */
INLINE void
direct_block(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *ahead,
	const struct act *x, size_t at, size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t per_block = format_runs(t), step = format_bytes(t) / per_block;
	_Alignas(64) uint8_t room[SIX_BIT_BYTES];
	const uint8_t *planes = take_planes(t, head, body, room);

	if (t == DTYPE_TQ1_0 && n <= TERNARY_COLS) {
		const struct act here = acts_from(x, at);

		ternary_strip(head, body, ahead, &here, runs, n, 0, f[0]);
		return;
	}
	if (runs_roll(t)) {
		for (uint32_t run = 0; run < per_block; run++, ahead += step) {
			fetch_lines(ahead, 0, (step + 63) / 64);
			direct_run(t, head, body, planes, run, x, at + run, runs, n, f[0]);
		}
		return;
	}
	UNROLL
	for (uint32_t run = 0; run < per_block; run++) {
		fetch_part(t, ahead, run, per_block);
		direct_run(t, head, body, planes, run, x, at + run, runs, n, f[0]);
	}
}

#endif
