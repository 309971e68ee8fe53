/* TQ1_0 by ternary_step() of a set with vpdpbusd, for few columns (rows of activations). Included by its tile_block*.h. */
#ifndef KERNELS_TILE_TERNARY_H
#define KERNELS_TILE_TERNARY_H

#include "kernels/tile_sums.h"

/* All runs of a strip of a block of TQ1_0: what a digit was taken from is kept in registers for the next. */
INLINE void
ternary_strip(const uint8_t *head, const uint8_t *body, struct ahead ahead, const struct act *x,
	size_t runs, uint32_t n, uint32_t strip, vfloats f[DIRECT_COLS])
{
	const enum dtype t = DTYPE_TQ1_0;
	const struct run r = {.scale = {floats_f16(head, strip)}};
	vbytes v[TERNARY_BYTES];

	UNROLL
	for (uint32_t run = 0; run < 8; run++) {
		struct ternary_dot dot[DIRECT_COLS];

		/* Of two strips the registers are full, and what must stay in its place costs a fifth. */
		if (STRIPS == 1 && fetch_in_parts(n))
			fetch_share(ahead, format_bytes(t), run, 8);
		else
			fetch_part(t, ahead, 8 * strip + run, 8 * STRIPS);
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			dot[i] = ternary_begin(run_start(t, x, run + i * runs, 0));
		UNROLL
		for (int g = 0; g < GROUPS; g++) {
			const int from = ternary_bytes(run, g);

			if (ternary_place(run, g) == 0)
				v[from] = ternary_first(
					bytes_load(body + 64 * from + strip * 4 * ROW_LANES));
			ternary_step(dot, n, &v[from], x->q + run * BLOCK, runs * BLOCK, g);
		}
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			f[i] = add_dot(&r, x, run + i * runs, 0, ternary_sum(&dot[i]), f[i]);
	}
}

#endif
