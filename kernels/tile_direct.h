/* Few columns (rows of activations): runs of 32 weights are unpacked in registers and meet all columns at
 * once. Included by a set's file after its tile_*.h. */
#ifndef KERNELS_TILE_DIRECT_H
#define KERNELS_TILE_DIRECT_H

#include "kernels/tile_sums.h"

#ifndef TILE_STEPS
#define TILE_STEPS 0
#endif

/* Asks for the part-th of `parts` parts of the lines of a body that comes later. Far ahead is what brings
 * decode to the speed of memory: the hardware's own prefetching ends with each page. */
INLINE void
fetch_part(enum dtype t, const uint8_t *body, uint32_t part, uint32_t parts)
{
	const uint32_t lines = format_body(t) / 64;

	UNROLL
	for (uint32_t i = lines * part / parts; i < lines * (part + 1) / parts; i++)
		fetch_far(body + FETCH_FAR + (size_t)64 * i);
}

/* The same for one run of a block, the first with what is in front of it. */
INLINE void
fetch_run(enum dtype t, const uint8_t *body, uint32_t run)
{
	const uint8_t *p = body + FETCH_FAR + format_front(t) + (size_t)run * format_step(t);

	if (run == 0) {
		UNROLL
		for (uint32_t i = 0; i < format_front(t); i += 64)
			fetch_far(body + FETCH_FAR + i);
	}
	UNROLL
	for (uint32_t i = 0; i < format_step(t); i += 64)
		fetch_far(p + i);
}

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

/* All runs of a row group for n columns from c on; n is a constant. */
INLINE void
direct(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c, uint32_t n,
	struct sums sums[STRIPS])
{
	uint32_t per_block = format_runs(t), runs = block_count(x->cols), blocks = runs / per_block;
	const uint8_t *head = group;
	const uint8_t *body = group + ((size_t)blocks * format_head(t) + 63) / 64 * 64;
	vfloats f[STRIPS][DIRECT_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		f[i / n][i % n] = floats_set1(0.0f);
	for (uint32_t b = 0; b < blocks; b++) {
		_Alignas(32) uint8_t room[SIX_BIT_BYTES];
		const uint8_t *planes = take_planes(t, head, body, room);
		size_t at = (size_t)c * runs + (size_t)b * per_block;

		if (runs_roll(t)) {
			for (uint32_t run = 0; run < per_block; run++) {
				fetch_run(t, body, run);
				direct_run(t, head, body, planes, run, x, at + run, runs, n, f);
			}
		} else {
			UNROLL
			for (uint32_t run = 0; run < per_block; run++) {
				fetch_part(t, body, run, per_block);
				direct_run(t, head, body, planes, run, x, at + run, runs, n, f);
			}
		}
		head += format_head(t);
		body += format_body(t);
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
	if (DIRECT_COLS > 2 && x->rows - c >= 2) {
		direct(t, group, x, c, 2, sums);
		c += 2;
	}
	if (c < x->rows)
		direct(t, group, x, c, 1, sums);
}

#endif
