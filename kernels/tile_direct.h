/* Few columns (rows of activations): runs of 32 weights are unpacked in registers and meet all columns at
 * once. Included by a set's file after its tile_block*.h. */
#ifndef KERNELS_TILE_DIRECT_H
#define KERNELS_TILE_DIRECT_H

#include "kernels/tile_sums.h"

/* All runs of a row group for n columns from c on; n is a constant. */
INLINE void
direct(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c, uint32_t n,
	struct sums sums[STRIPS])
{
	uint32_t per_block = format_runs(t), runs = block_count(x->cols), blocks = runs / per_block;
	/* A section's heads lie in front of its bodies, but are used one by one: only what moves on by both asks for
	 * every line, those of the next group too. */
	const uint8_t *ahead = group;
	vfloats f[STRIPS][DIRECT_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		f[i / n][i % n] = floats_set1(0.0f);
	for (uint32_t b = 0, end; b < blocks; b = end) {
		const uint8_t *head = ahead, *body = section_bodies(t, ahead, blocks - b);

		end = b + section_blocks(t, blocks - b);
		for (uint32_t i = b; i < end; i++) {
			direct_block(t, head, body, ahead, x,
				(size_t)c * runs + (size_t)i * per_block, runs, n, f);
			head += format_head(t);
			body += format_body(t);
			ahead += format_bytes(t);
		}
	}
	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		store_sums(&sums[i / n], c + i % n, f[i / n][i % n]);
}

INLINE void
direct_columns(enum dtype t, const uint8_t *group, const struct act *x, struct sums sums[STRIPS])
{
	uint32_t c = 0;

	for (; x->rows - c >= DIRECT_COLS; c += DIRECT_COLS)
		direct(t, group, x, c, DIRECT_COLS, sums);
	/* Each of these passes reads and unpacks the group again. */
	if (DIRECT_COLS > 3 && x->rows - c == 3)
		direct(t, group, x, c, 3, sums);
	else if (DIRECT_COLS > 2 && x->rows - c == 2)
		direct(t, group, x, c, 2, sums);
	else if (c < x->rows)
		direct(t, group, x, c, 1, sums);
}

#endif
