/* Many columns (rows of activations), in tiles (tile_amx.h): 16 columns of activations meet 16 rows of weights. What is
 * between two scales becomes one tile of sums, which goes through memory to be scaled; that bounds the loop, and not
 * the products. Included by a set's file after its tile_*.h. */
#ifndef KERNELS_TILE_GEMM_AMX_H
#define KERNELS_TILE_GEMM_AMX_H

#define EXPAND_WEIGHTS 1
#define EXPAND_ABSENT  0
#define GEMM_STRIPS    8 /* long rows of activations come from the last cache, once for all of them */

#include "kernels/tile_amx.h"
#include "kernels/tile_expand_x86.h"
#include "kernels/tile_transpose_avx512.h"

enum {
	AMX_AHEAD = 2, /* tiles multiplied before one is scaled, whose sums are there then */
	AMX_SUMS = 4   /* tiles of sums: what is written does not wait for what is read */
};

_Static_assert(
	(int)AMX_FROM >= (int)AMX_ROWS, "the last columns of a tile may have been done, but exist");
_Static_assert((int)ROW_LANES == (int)AMX_LANES, "a strip is as wide as a tile");

struct tile_sums {
	_Alignas(64) int32_t of[AMX_SUMS][AMX_ROWS][AMX_LANES];
};

/* What scales sums of 16 columns, a run's side by side; sum: of the activations, where a type has mins. */
struct columns {
	_Alignas(64) float d[EXPAND_RUNS][AMX_ROWS];
	_Alignas(64) float sum[2][EXPAND_RUNS][AMX_ROWS];
};

INLINE void
store_transposed(vfloats r[16], float to[EXPAND_RUNS][AMX_ROWS])
{
	transpose(r);
	UNROLL
	for (int i = 0; i < EXPAND_RUNS; i++)
		floats_store(to[i], r[i]);
}

/* at: of the first of n runs in the first column's arrays. */
INLINE void
take_columns(enum dtype t, const struct act *x, size_t at, size_t runs, uint32_t n,
	struct columns *columns)
{
	const __mmask16 exist = (__mmask16)((1u << n) - 1);
	vfloats d[AMX_ROWS], first[AMX_ROWS], second[AMX_ROWS];

	UNROLL
	for (uint32_t c = 0; c < AMX_ROWS; c++)
		d[c] = _mm512_maskz_loadu_ps(exist, x->d + at + c * runs);
	store_transposed(d, columns->d);
	if (!format_mins(t))
		return;
	UNROLL
	for (uint32_t c = 0; c < AMX_ROWS; c++) {
		vints sum = _mm512_maskz_loadu_epi32(exist, x->sum + at + c * runs), half = sum;

		if (format_halves(t))
			half = _mm512_maskz_loadu_epi32(exist, x->half + at + c * runs);
		first[c] = ints_to_floats(half);
		second[c] = ints_to_floats(ints_sub(sum, half));
	}
	store_transposed(first, columns->sum[0]);
	if (format_halves(t))
		store_transposed(second, columns->sum[1]);
}

/* Products of tile i: of run i, or of half i % 2 of run i / 2. q: of the first column and the first run. */
INLINE void
amx_product(enum dtype t, const struct expanded *e, uint32_t i, const int8_t *q, size_t stride,
	struct tile_sums *sums)
{
	const uint32_t halves = format_halves(t) ? 2 : 1, groups = GROUPS / halves;

	amx_multiply(q + (size_t)i * 4 * groups, stride, &e->w[i / halves][i % halves * groups],
		sums->of[i % AMX_SUMS]);
}

/* Adds tile i to the sums of all columns, and with a run's last tile the run's mins. */
INLINE void
amx_scale(enum dtype t, const struct expanded *e, uint32_t i, const struct columns *columns,
	const struct tile_sums *sums, vfloats f[AMX_ROWS])
{
	const uint32_t halves = format_halves(t) ? 2 : 1, k = i / halves, h = i % halves;
	const uint32_t mins = format_mins(t) && h + 1 == halves ? halves : 0;
	const vfloats scale = floats_load(e->scale[k][h]);

	UNROLL
	for (uint32_t c = 0; c < AMX_ROWS; c++)
		f[c] = floats_fma(floats_mul(scale, floats_set1(columns->d[k][c])),
			ints_to_floats(ints_load(sums->of[i % AMX_SUMS][c])), f[c]);
	for (uint32_t m = 0; m < mins; m++) {
		const vfloats min = floats_load(e->min[k][m]);

		UNROLL
		for (uint32_t c = 0; c < AMX_ROWS; c++)
			f[c] = floats_fma(floats_mul(min, floats_set1(columns->d[k][c])),
				floats_set1(columns->sum[m][k][c]), f[c]);
	}
}

/* Columns c to c + 15, of which those from `from` on are stored: others were done before. */
INLINE void
amx_columns(enum dtype t, const struct expanded *e, uint32_t first, uint32_t n_runs,
	const struct act *x, const struct columns *columns, uint32_t c, uint32_t from,
	const struct sums *out)
{
	const uint32_t n = n_runs * (format_halves(t) ? 2 : 1);
	const size_t stride = block_count(x->cols) * BLOCK;
	const int8_t *q = x->q + c * stride + (size_t)first * BLOCK;
	struct tile_sums sums;
	vfloats f[AMX_ROWS];

	UNROLL
	for (uint32_t i = 0; i < AMX_ROWS; i++)
		f[i] = first == 0 ? floats_set1(0.0f) : load_sums(out, c + i);
	for (uint32_t i = 0; i < AMX_AHEAD && i < n; i++)
		amx_product(t, e, i, q, stride, &sums);
	for (uint32_t i = 0; i < n; i++) {
		if (i + AMX_AHEAD < n)
			amx_product(t, e, i + AMX_AHEAD, q, stride, &sums);
		amx_scale(t, e, i, columns, &sums, f);
	}
	UNROLL
	for (uint32_t i = 0; i < AMX_ROWS; i++)
		if (c + i >= from)
			store_sums(out, c + i, f[i]);
}

/* There are AMX_FROM columns at least: fewer meet packed weights. */
INLINE void
gemm_columns(enum dtype t, const struct expanded e[GEMM_STRIPS], uint32_t first, uint32_t n_runs,
	const struct act *x, const struct sums *sums)
{
	const size_t runs = block_count(x->cols);
	struct columns columns;

	amx_begin(format_halves(t) ? BLOCK / 2 : BLOCK);
	for (uint32_t from = 0; from < x->rows; from += AMX_ROWS) {
		const uint32_t c = x->rows - from < AMX_ROWS ? x->rows - AMX_ROWS : from;

		take_columns(t, x, c * runs + first, runs, n_runs, &columns);
		for (uint32_t s = 0; s < GEMM_STRIPS; s++)
			if (sums[s].rows > 0)
				amx_columns(
					t, &e[s], first, n_runs, x, &columns, c, from, &sums[s]);
	}
	amx_end();
}

#endif
