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

/* x from its place `at` on. What a block needs of it then lies at constants from three registers; else the compiler keeps
 * many sums of `at` in memory. */
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
	for (uint32_t run = 0; run < per_block; run++) {
		fetch_part(t, ahead, run, per_block);
		direct_run(t, head, body, planes, run, x, at + run, runs, n, f);
	}
}

#endif
