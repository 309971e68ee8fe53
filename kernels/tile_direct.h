/* Few columns (rows of activations): runs of 32 weights are unpacked in registers and meet all columns at
 * once. Included by a set's file after its tile_block*.h. */
#ifndef KERNELS_TILE_DIRECT_H
#define KERNELS_TILE_DIRECT_H

#include "kernels/tile_sums.h"

/* All runs of a row group for n columns from c on; n is a constant. twice: FETCH_TWICE. */
INLINE void
direct(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c, uint32_t n, bool twice,
	struct sums sums[STRIPS])
{
	uint32_t per_block = format_runs(t), runs = block_count(x->cols), blocks = runs / per_block;
	/* A section's heads lie in front of its bodies, but are used one by one: only what moves on by both asks for
	 * every line, those of the next group too. */
	struct ahead ahead = {group, twice};
	vfloats f[STRIPS][DIRECT_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		f[i / n][i % n] = floats_set1(0.0f);
	for (uint32_t b = 0, end; b < blocks; b = end) {
		const uint8_t *head = ahead.at, *body = section_bodies(t, head, blocks - b);

		end = b + section_blocks(t, blocks - b);
		for (uint32_t i = b; i < end; i++) {
			direct_block(t, head, body, ahead, x,
				(size_t)c * runs + (size_t)i * per_block, runs, n, f);
			head += format_head(t);
			body += format_body(t);
			ahead.at += format_bytes(t);
		}
	}
	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		store_sums(&sums[i / n], c + i % n, f[i / n][i % n]);
}

/* So many at once as pays, then what is left: each pass reads and unpacks the group again. */
INLINE void
direct_columns(enum dtype t, const uint8_t *group, const struct act *x, struct sums sums[STRIPS])
{
	const uint32_t most = t == DTYPE_Q2_K || t == DTYPE_TQ2_0 ? DIRECT_COLS_2BIT : DIRECT_COLS;
	uint32_t c = 0;

	for (; x->rows - c >= most; c += most)
		direct(t, group, x, c, most, FETCH_TWICE, sums);
#define LAST(n)                                                                                    \
	if ((n) < DIRECT_COLS && (n) < most && x->rows - c == (n))                                 \
		direct(t, group, x, c, n, FETCH_TWICE, sums);
	LAST(7)
	LAST(6)
	LAST(5)
	LAST(4)
	LAST(3)
	LAST(2)
#undef LAST
	if (x->rows - c == 1 && FETCH_TWICE)
		direct(t, group, x, c, 1, true, sums);
	else if (x->rows - c == 1)
		direct(t, group, x, c, 1, false, sums);
}

#endif
