/* One block of weights and few columns (rows of activations), unpacked in registers. Included by a set's file after
 * its tile_*.h, before tile_direct.h; NEON has tile_block_neon.h instead. */
#ifndef KERNELS_TILE_BLOCK_H
#define KERNELS_TILE_BLOCK_H

#include "kernels/tile_sums.h"

#ifndef TILE_STEPS
#define TILE_STEPS 0
#endif

/* Run `run` of a block and n (a constant) columns. at: its place in the first column's arrays; runs:
 * from one column to the next. */
#if TILE_STEPS
INLINE void
direct_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	uint32_t run, const struct act *x, size_t at, size_t runs, uint32_t n,
	vfloats f[STRIPS][DIRECT_COLS])
{
	const int halves = format_halves(t) ? 2 : 1;
	struct dot dot[STRIPS][DIRECT_COLS][2];
	struct run r;

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		UNROLL for (int h = 0; h < halves; h++) dot[i / n][i % n][h].sum =
			run_start(t, x, at + i % n * runs, h);
	UNROLL
	for (int g = 0; g < GROUPS / 2; g++) {
		UNROLL
		for (uint32_t strip = 0; strip < STRIPS; strip++) {
			vbytes pair[2];

			take_groups(t, body, run, strip, g, pair);
			UNROLL
			for (uint32_t i = 0; i < 2 * n; i++) {
				int group = format_group(t, g, i % 2);
				int step = halves == 2 ? group % 4 : 2 * g + (int)(i % 2);

				dot_step(&dot[strip][i / 2][halves == 2 ? group / 4 : 0], step,
					GROUPS / halves, pair[i % 2],
					x->q + (at + i / 2 * runs) * BLOCK, group,
					format_most(t, false));
			}
		}
	}
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		take_scales(t, &r, head, body, planes, run, strip);
		UNROLL
		for (uint32_t i = 0; i < n; i++) {
			UNROLL
			for (int h = 0; h < halves; h++)
				f[strip][i] = add_dot(
					&r, x, at + i * runs, h, dot[strip][i][h].sum, f[strip][i]);
			f[strip][i] = add_mins(t, &r, x, at + i * runs, f[strip][i]);
		}
	}
}
#else
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
#endif

/* All runs of a block. at: the place of the first in the first column's arrays. */
INLINE void
direct_block(enum dtype t, const uint8_t *head, const uint8_t *body, const struct act *x, size_t at,
	size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t per_block = format_runs(t);
	_Alignas(32) uint8_t room[SIX_BIT_BYTES];
	const uint8_t *planes = take_planes(t, head, body, room);

	UNROLL
	for (uint32_t run = 0; run < per_block; run++) {
		fetch_part(t, body, run, per_block);
		direct_run(t, head, body, planes, run, x, at + run, runs, n, f);
	}
}

#endif
