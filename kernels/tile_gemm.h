/* Many columns (rows of activations), on x86: a part of a strip is expanded once to bytes and float
 * scales, small enough for the first-level cache, and all columns are run over it; sums wait in `out`
 * meanwhile. Included by a set's file after its tile_*.h. */
#ifndef KERNELS_TILE_GEMM_H
#define KERNELS_TILE_GEMM_H

#include "kernels/tile_sums.h"

enum { EXPAND_RUNS = 32 /* of a strip, at a time */ };

struct expanded {
	_Alignas(64) uint8_t w[EXPAND_RUNS][GROUPS][4 * ROW_LANES];
	_Alignas(64) float scale[EXPAND_RUNS][2][ROW_LANES];
	_Alignas(64) float min[EXPAND_RUNS][2][ROW_LANES];
};

/* Runs [first, first + n) of one strip; both are multiples of a block's runs, or n ends the row. */
INLINE void
expand(enum dtype t, const uint8_t *group, uint32_t runs, uint32_t strip, uint32_t first,
	uint32_t n, struct expanded *e)
{
	uint32_t per_block = format_runs(t), blocks = runs / per_block;
	const uint8_t *bodies = group + ((size_t)blocks * format_head(t) + 63) / 64 * 64;
	uint32_t halves = format_halves(t) ? 2 : 1;

	for (uint32_t i = 0; i < n; i += per_block) {
		uint32_t b = (first + i) / per_block;

		UNROLL
		for (uint32_t run = 0; run < per_block; run++) {
			struct run r;

			take_run(t, &r, group + (size_t)b * format_head(t),
				bodies + (size_t)b * format_body(t), NULL, run, strip);
			UNROLL
			for (int g = 0; g < GROUPS; g++)
				bytes_store(e->w[i + run][g], r.w[g]);
			UNROLL
			for (uint32_t h = 0; h < halves; h++) {
				floats_store(e->scale[i + run][h], r.scale[h]);
				if (format_mins(t))
					floats_store(e->min[i + run][h], r.min[h]);
			}
		}
	}
}

/* n (a constant) columns from c on over expanded runs that begin at `first` of the row. */
INLINE void
gemm(enum dtype t, const struct expanded *e, uint32_t first, uint32_t n_runs, const struct act *x,
	uint32_t c, uint32_t n, const struct sums *sums)
{
	size_t runs = block_count(x->cols), at = c * runs + first;
	vfloats f[GEMM_COLS];

	UNROLL
	for (uint32_t i = 0; i < n; i++)
		f[i] = first == 0 ? floats_set1(0.0f) : load_sums(sums, c + i);
	for (uint32_t k = 0; k < n_runs; k++, at++) {
		struct run r;

		UNROLL
		for (int g = 0; g < GROUPS; g++)
			r.w[g] = bytes_load(e->w[k][g]);
		UNROLL
		for (int h = 0; h < 2; h++) {
			r.scale[h] = floats_load(e->scale[k][h]);
			r.min[h] = floats_load(e->min[k][h]);
		}
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			f[i] = add_run(t, &r, x, at + i * runs, f[i]);
	}
	UNROLL
	for (uint32_t i = 0; i < n; i++)
		store_sums(sums, c + i, f[i]);
}

INLINE void
gemm_columns(enum dtype t, const struct expanded *e, uint32_t first, uint32_t n_runs,
	const struct act *x, const struct sums *sums)
{
	uint32_t c = 0;

	for (; x->rows - c >= GEMM_COLS; c += GEMM_COLS)
		gemm(t, e, first, n_runs, x, c, GEMM_COLS, sums);
	for (; x->rows - c >= 4; c += 4)
		gemm(t, e, first, n_runs, x, c, 4, sums);
	for (; x->rows - c >= 2; c += 2)
		gemm(t, e, first, n_runs, x, c, 2, sums);
	if (c < x->rows)
		gemm(t, e, first, n_runs, x, c, 1, sums);
}

INLINE void
expanded_columns(enum dtype t, const uint8_t *group, const struct act *x, struct sums sums[STRIPS])
{
	uint32_t runs = block_count(x->cols);
	struct expanded e;

	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		for (uint32_t first = 0; first < runs; first += EXPAND_RUNS) {
			uint32_t n = runs - first < EXPAND_RUNS ? runs - first : EXPAND_RUNS;

			expand(t, group, runs, strip, first, n, &e);
			gemm_columns(t, &e, first, n, x, &sums[strip]);
		}
	}
}

/* How many columns of a matrix of floats are done in another way than float_columns(): none. */
INLINE uint32_t
wide_columns(
	enum dtype t, const uint8_t *group, const struct act *x, const struct sums sums[STRIPS])
{
	(void)t;
	(void)group;
	(void)x;
	(void)sums;
	return 0;
}

#endif
