/* One block of weights and few columns (rows of activations), unpacked in registers. Included by a set's file after
 * its tile_*.h, before tile_direct.h; NEON has tile_block_neon.h instead. */
#ifndef KERNELS_TILE_BLOCK_H
#define KERNELS_TILE_BLOCK_H

#include "kernels/tile_sums.h"

/* Groups of a strip's run times those of n columns, pair after pair as they are unpacked: of 16 registers there are not
 * enough for the weights of a run. q: of the first column, `stride` bytes from one to the next. */
INLINE void
multiply_run(enum dtype t, const uint8_t *body, uint32_t run, uint32_t strip, const int8_t *q,
	size_t stride, uint32_t n, struct dot dot[DIRECT_COLS][2])
{
	const int halves = format_halves(t) ? 2 : 1;

	UNROLL
	for (int g = 0; g < GROUPS / 2; g++) {
		vbytes pair[2];

		take_groups(t, body, run, strip, g, pair);
		UNROLL
		for (uint32_t i = 0; i < 2 * n; i++) {
			int group = format_group(t, g, i % 2);
			int step = halves == 2 ? group % 4 : 2 * g + (int)(i % 2);

			dot_step(&dot[i / 2][halves == 2 ? group / 4 : 0], step, GROUPS / halves,
				pair[i % 2], q + i / 2 * stride, group, format_most(t, false));
		}
	}
}

/* A strip's part of direct_run(). */
INLINE void
direct_strip(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	uint32_t run, uint32_t strip, const struct act *x, size_t at, size_t runs, uint32_t n,
	vfloats f[DIRECT_COLS])
{
	const int halves = format_halves(t) ? 2 : 1;
	const int8_t *q = x->q + at * BLOCK;
	struct dot dot[DIRECT_COLS][2];
	struct run r;

	/* Or what the other strip has loaded would be kept, in memory. */
	__asm__ volatile("" : "+r"(q));
	UNROLL
	for (uint32_t i = 0; i < n * (uint32_t)halves; i++)
		dot[i / halves][i % halves] =
			dot_begin(run_start(t, x, at + i / halves * runs, i % halves));
	multiply_run(t, body, run, strip, q, runs * BLOCK, n, dot);
	take_scales(t, &r, head, body, planes, run, strip);
	UNROLL
	for (uint32_t i = 0; i < n; i++) {
		UNROLL
		for (int h = 0; h < halves; h++)
			f[i] = add_dot(&r, x, at + i * runs, h, dot[i][h].sum, f[i]);
		f[i] = add_mins(t, &r, x, at + i * runs, f[i]);
	}
}

/* Asks for lines before a strip of a run: for all of a run's before its first, but where there is one run, for as many
 * before each. */
INLINE void
fetch_strip(enum dtype t, const uint8_t *ahead, uint32_t run, uint32_t strip)
{
	if (format_runs(t) == 1)
		fetch_part(t, ahead, strip, STRIPS);
	else if (strip == 0)
		fetch_part(t, ahead, run, format_runs(t));
}

/* Run `run` of a block and n (a constant) columns. ahead: as in tile_direct.h; at: the run's place in the first
 * column's arrays; runs: from one column to the next. */
INLINE void
direct_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	const uint8_t *ahead, uint32_t run, const struct act *x, size_t at, size_t runs, uint32_t n,
	vfloats f[STRIPS][DIRECT_COLS])
{
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		struct run r;

		fetch_strip(t, ahead, run, strip);
		if (STRIPS > 1) {
			direct_strip(t, head, body, planes, run, strip, x, at, runs, n, f[strip]);
			continue;
		}
		take_run(t, &r, head, body, planes, run, strip);
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			f[strip][i] = add_run(t, &r, x, at + i * runs, f[strip][i]);
	}
}

/* x from its place `at` on. What a block needs of it then lies at constants from three registers; else the compiler
 * keeps many sums of `at` in memory. */
INLINE struct act
acts_from(const struct act *x, size_t at)
{
	struct act y = {.q = x->q + at * BLOCK, .d = x->d + at, .sum = x->sum + at};

	__asm__("" : "+r"(y.q), "+r"(y.d), "+r"(y.sum));
	return y;
}

/* All runs of a strip of a block of TQ1_0: what a digit was taken from is kept in registers for the next. */
INLINE void
ternary_strip(const uint8_t *head, const uint8_t *body, const uint8_t *ahead, const struct act *x,
	size_t runs, uint32_t n, uint32_t strip, vfloats f[DIRECT_COLS])
{
	const enum dtype t = DTYPE_TQ1_0;
	const struct run r = {.scale = {floats_f16(head, strip)}};
	vbytes v[TERNARY_BYTES];

	UNROLL
	for (uint32_t run = 0; run < 8; run++) {
		struct ternary_dot dot[DIRECT_COLS];

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

/* All runs of a block. at: the place of the first in the first column's arrays; ahead: as in tile_direct.h. */
INLINE void
direct_block(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *ahead,
	const struct act *x, size_t at, size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t per_block = format_runs(t);
	_Alignas(32) uint8_t room[SIX_BIT_BYTES];
	const uint8_t *planes = take_planes(t, head, body, room);

	if (t == DTYPE_TQ1_0 && n <= TERNARY_COLS) {
		const struct act here = acts_from(x, at);

		UNROLL
		for (uint32_t strip = 0; strip < STRIPS; strip++)
			ternary_strip(head, body, ahead, &here, runs, n, strip, f[strip]);
		return;
	}
	UNROLL
	for (uint32_t run = 0; run < per_block; run++)
		direct_run(t, head, body, planes, ahead, run, x, at + run, runs, n, f);
}

#endif
