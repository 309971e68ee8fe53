/* Many columns (rows of activations), on x86, as products of four bytes a lane. Two strips side by side, since four
 * activations that are in a register then meet two registers of weights: loads are what bounds the loop. Included by a
 * set's file after its tile_*.h. */
#ifndef KERNELS_TILE_GEMM_H
#define KERNELS_TILE_GEMM_H

#define EXPAND_WEIGHTS 0
#define EXPAND_ABSENT  1
#define GEMM_STRIPS    2

#include "kernels/tile_expand_x86.h"

/* Half h (or all, where there are no halves) of expanded run k: n (a constant) columns, the first of which has its run
 * at `at`. */
INLINE void
gemm_half(enum dtype t, const struct expanded e[GEMM_STRIPS], uint32_t k, int h,
	const struct act *x, size_t at, size_t runs, uint32_t n, vfloats f[GEMM_STRIPS][GEMM_COLS])
{
	const int groups = format_halves(t) ? GROUPS / 2 : GROUPS;
	struct dot dot[GEMM_STRIPS][GEMM_COLS];

	UNROLL
	for (uint32_t i = 0; i < GEMM_STRIPS * n; i++)
		dot[i / n][i % n] = dot_begin(run_start(t, x, at + i % n * runs, h));
	UNROLL
	for (int g = 0; g < groups; g++) {
		UNROLL
		for (uint32_t i = 0; i < GEMM_STRIPS * n; i++)
			dot_step(&dot[i % GEMM_STRIPS][i / GEMM_STRIPS], g, groups,
				bytes_load(e[i % GEMM_STRIPS].w[k][groups * h + g]),
				x->q + (at + i / GEMM_STRIPS * runs) * BLOCK + 16 * h, g,
				format_most(t, false));
	}
	UNROLL
	for (uint32_t i = 0; i < GEMM_STRIPS * n; i++)
		f[i / n][i % n] = floats_fma(floats_mul(floats_load(e[i / n].scale[k][h]),
						     floats_set1(x->d[at + i % n * runs])),
			dot_floats(dot[i / n][i % n].sum), f[i / n][i % n]);
}

/* n (a constant) columns from c on over expanded runs that begin at `first` of the row. */
INLINE void
gemm(enum dtype t, const struct expanded e[GEMM_STRIPS], uint32_t first, uint32_t n_runs,
	const struct act *x, uint32_t c, uint32_t n, const struct sums *sums)
{
	const int halves = format_halves(t) ? 2 : 1;
	size_t runs = block_count(x->cols), at = c * runs + first;
	vfloats f[GEMM_STRIPS][GEMM_COLS];

	UNROLL
	for (uint32_t i = 0; i < GEMM_STRIPS * n; i++)
		f[i / n][i % n] =
			first == 0 ? floats_set1(0.0f) : load_sums(&sums[i / n], c + i % n);
	for (uint32_t k = 0; k < n_runs; k++, at++) {
		UNROLL
		for (int h = 0; h < halves; h++)
			gemm_half(t, e, k, h, x, at, runs, n, f);
		if (!format_mins(t))
			continue;
		UNROLL
		for (uint32_t i = 0; i < GEMM_STRIPS * n; i++) {
			struct run r = {.min = {floats_load(e[i / n].min[k][0]),
						floats_load(e[i / n].min[k][1])}};

			f[i / n][i % n] = add_mins(t, &r, x, at + i % n * runs, f[i / n][i % n]);
		}
	}
	UNROLL
	for (uint32_t i = 0; i < GEMM_STRIPS * n; i++)
		store_sums(&sums[i / n], c + i % n, f[i / n][i % n]);
}

INLINE void
gemm_columns(enum dtype t, const struct expanded e[GEMM_STRIPS], uint32_t first, uint32_t n_runs,
	const struct act *x, const struct sums *sums)
{
	uint32_t c = 0;

	for (; x->rows - c >= GEMM_COLS; c += GEMM_COLS)
		gemm(t, e, first, n_runs, x, c, GEMM_COLS, sums);
	for (; GEMM_COLS > 2 && x->rows - c >= 2; c += 2)
		gemm(t, e, first, n_runs, x, c, 2, sums);
	if (c < x->rows)
		gemm(t, e, first, n_runs, x, c, 1, sums);
}

#endif
