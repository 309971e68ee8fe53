/* One block of weights and few columns (rows of activations), unpacked in registers that hold all rows of a group.
 * Included by a set's file after its tile_*.h, before tile_direct.h; others have tile_block_avx2.h or
 * tile_block_neon.h instead. */
#ifndef KERNELS_TILE_BLOCK_H
#define KERNELS_TILE_BLOCK_H

#include "kernels/tile_ternary.h"

/* All runs of a block. at: the place of the first in the first column's arrays; ahead: as in tile_direct.h. */
INLINE void
direct_block(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *ahead,
	const struct act *x, size_t at, size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t per_block = format_runs(t);

	if (t == DTYPE_TQ1_0 && n <= TERNARY_COLS) {
		const struct act here = acts_from(x, at);

		ternary_strip(head, body, ahead, &here, runs, n, 0, f[0]);
		return;
	}
	UNROLL
	for (uint32_t run = 0; run < per_block; run++) {
		struct run r;

		fetch_part(t, ahead, run, per_block);
		take_run(t, &r, head, body, NULL, run, 0);
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			f[0][i] = add_run(t, &r, x, at + run + i * runs, f[0][i]);
	}
}

#endif
