/* Many columns (rows of activations), in NEON: expanded weights meet them by sdot or by smull and smlal.
 * Included by a set's file after its tile_*.h. */
#ifndef KERNELS_TILE_GEMM_NEON_H
#define KERNELS_TILE_GEMM_NEON_H

#include "kernels/tile_expand_neon.h"

enum {
	GEMM_COLS = 2,                     /* columns at once, and */
	GEMM_STRIPS = TILE_DOTPROD ? 4 : 2 /* strips: as many sums as there are registers for */
};

/* One run, strips from `strip` on and n (a constant) columns. at: of the first; runs: from one column to
 * the next. */
INLINE void
gemm_run(enum dtype t, const struct expanded *e, uint32_t k, uint32_t strip, const struct act *x,
	size_t at, size_t runs, uint32_t n, vfloats f[GEMM_STRIPS][GEMM_COLS])
{
	const int halves = format_halves(t) ? 2 : 1, steps = GROUPS / halves;
	const int most = format_most(t, true);
	const int32_t *zero = dot_zero;
	struct dot dot[GEMM_STRIPS][GEMM_COLS][2];

	UNROLL
	for (uint32_t i = 0; i < GEMM_STRIPS * n; i++)
		UNROLL for (int h = 0; h < halves; h++) dot[i / n][i % n][h] = dot_nothing(&zero);
	UNROLL
	for (int g = 0; g < GROUPS; g++) {
		UNROLL
		for (uint32_t i = 0; i < n; i++) {
			const int8_t *q = x->q + (at + i * runs) * BLOCK;
			int8x16_t acts = most > 15 ? dot_acts(q, g) : dot_acts_one(q, g);

			UNROLL
			for (uint32_t s = 0; s < GEMM_STRIPS; s++)
				dot_multiply(&dot[s][i][g / steps], g % steps, steps,
					bytes_load(e->w[k][g][strip + s]), acts, g, most);
		}
	}
	UNROLL
	for (uint32_t s = 0; s < GEMM_STRIPS; s++) {
		struct run r;

		UNROLL
		for (int h = 0; h < halves; h++) {
			r.scale[h] = floats_load(e->scale[k][h][strip + s]);
			r.min[h] = floats_load(e->min[k][h][strip + s]);
		}
		UNROLL
		for (uint32_t i = 0; i < n; i++) {
			UNROLL
			for (int h = 0; h < halves; h++)
				f[s][i] =
					add_dot(&r, x, at + i * runs, h, dot[s][i][h].sum, f[s][i]);
			f[s][i] = add_mins(t, &r, x, at + i * runs, f[s][i]);
		}
	}
}

/* Expanded runs that begin at `first` of the row, strips from `strip` on, and n (a constant) columns from c
 * on. */
INLINE void
gemm(enum dtype t, const struct expanded *e, uint32_t first, uint32_t n_runs, uint32_t strip,
	const struct act *x, uint32_t c, uint32_t n, const struct sums sums[STRIPS])
{
	size_t runs = block_count(x->cols), at = c * runs + first;
	vfloats f[GEMM_STRIPS][GEMM_COLS];

	UNROLL
	for (uint32_t i = 0; i < GEMM_STRIPS * n; i++)
		f[i / n][i % n] =
			first == 0 ? floats_set1(0.0f) : load_sums(&sums[strip + i / n], c + i % n);
	for (uint32_t k = 0; k < n_runs; k++)
		gemm_run(t, e, k, strip, x, at + k, runs, n, f);
	UNROLL
	for (uint32_t i = 0; i < GEMM_STRIPS * n; i++)
		store_sums(&sums[strip + i / n], c + i % n, f[i / n][i % n]);
}

INLINE void
expanded_columns(enum dtype t, const uint8_t *group, size_t stride, const struct act *x,
	const struct sums *sums)
{
	uint32_t runs = block_count(x->cols);
	struct expanded e;

	for (uint32_t first = 0; first < runs; first += EXPAND_RUNS) {
		uint32_t n = runs - first < EXPAND_RUNS ? runs - first : EXPAND_RUNS;

		expand(t, group, stride, runs, first, n, &e);
		for (uint32_t strip = 0; strip < STRIPS; strip += GEMM_STRIPS) {
			uint32_t c = 0;

			for (; x->rows - c >= GEMM_COLS; c += GEMM_COLS)
				gemm(t, &e, first, n, strip, x, c, GEMM_COLS, sums);
			if (c < x->rows)
				gemm(t, &e, first, n, strip, x, c, 1, sums);
		}
	}
}

#endif
