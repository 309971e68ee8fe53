/* Many columns (rows of activations), in NEON with smmla: expanded weights meet two of them at a time. Lanes are two
 * rows times the two columns, so that sums need not be put in another order but at a part's end.
 * Included by a set's file after its tile_*.h. */
#ifndef KERNELS_TILE_GEMM_PAIRS_H
#define KERNELS_TILE_GEMM_PAIRS_H

#define TILE_PAIRS 1

#include "kernels/tile_expand_neon.h"

/* In the lanes of both rows. */
INLINE vfloats
two_floats(float a, float b)
{
	float32x2_t v = vset_lane_f32(b, vdup_n_f32(a), 1);

	return vcombine_f32(v, v);
}

/* Products of eight weights a row, of all strips, with eight activations of each column. */
INLINE void
multiply_pairs(uint8_t w[2][STRIPS][4 * ROW_LANES], int8x16_t q, vints dot[STRIPS][2])
{
	UNROLL
	for (uint32_t s = 0; s < STRIPS; s++) {
		UNROLL
		for (int j = 0; j < 2; j++)
			dot[s][j] =
				vmmlaq_s32(dot[s][j], vreinterpretq_s8_u8(bytes_load(w[j][s])), q);
	}
}

/* Half h of a run (or all of it, where there are no halves) and the columns whose places are a and b. */
INLINE void
pairs_half(enum dtype t, struct expanded *e, uint32_t k, int h, const struct act *x, size_t a,
	size_t b, vfloats f[STRIPS][2])
{
	const int groups = format_halves(t) ? GROUPS / 2 : GROUPS, from = h * groups;
	vfloats d = two_floats(x->d[a], x->d[b]);
	const int32_t *zero = dot_zero;
	vints dot[STRIPS][2];

	UNROLL
	for (uint32_t i = 0; i < 2 * STRIPS; i++)
		dot[i / 2][i % 2] = dot_nothing(&zero).sum;
	UNROLL
	for (int g = from; g < from + groups; g += 4) {
		int64x2_t p = vreinterpretq_s64_s8(vld1q_s8(x->q + a * BLOCK + 4 * g));
		int64x2_t q = vreinterpretq_s64_s8(vld1q_s8(x->q + b * BLOCK + 4 * g));

		multiply_pairs(&e->w[k][g], vreinterpretq_s8_s64(vzip1q_s64(p, q)), dot);
		multiply_pairs(&e->w[k][g + 2], vreinterpretq_s8_s64(vzip2q_s64(p, q)), dot);
	}
	UNROLL
	for (uint32_t i = 0; i < 2 * STRIPS; i++) {
		vfloats scale = floats_load(&e->scale[k][h][i / 2][i % 2 * ROW_LANES]);

		f[i / 2][i % 2] = floats_fma(
			floats_mul(scale, d), dot_floats(dot[i / 2][i % 2]), f[i / 2][i % 2]);
	}
}

/* What follows the sums of half h. */
INLINE void
pairs_mins(enum dtype t, const struct expanded *e, uint32_t k, int h, const struct act *x, size_t a,
	size_t b, vfloats f[STRIPS][2])
{
	vfloats d = two_floats(x->d[a], x->d[b]);
	vfloats sum = two_floats((float)sum_of(t, x, a, h), (float)sum_of(t, x, b, h));

	UNROLL
	for (uint32_t i = 0; i < 2 * STRIPS; i++) {
		vfloats min = floats_load(&e->min[k][h][i / 2][i % 2 * ROW_LANES]);

		f[i / 2][i % 2] = floats_fma(floats_mul(min, d), sum, f[i / 2][i % 2]);
	}
}

INLINE void
load_pairs(const struct sums sums[STRIPS], uint32_t c, uint32_t last, vfloats f[STRIPS][2])
{
	UNROLL
	for (uint32_t s = 0; s < STRIPS; s++) {
		vfloats a = load_sums(&sums[s], c), b = load_sums(&sums[s], last);

		f[s][0] = vzip1q_f32(a, b);
		f[s][1] = vzip2q_f32(a, b);
	}
}

INLINE void
store_pairs(const struct sums sums[STRIPS], uint32_t c, uint32_t last, vfloats f[STRIPS][2])
{
	UNROLL
	for (uint32_t s = 0; s < STRIPS; s++) {
		store_sums(&sums[s], last, vuzp2q_f32(f[s][0], f[s][1]));
		store_sums(&sums[s], c, vuzp1q_f32(f[s][0], f[s][1]));
	}
}

/* Expanded runs that begin at `first` of the row, and columns c and `last`: the same one twice, at the end of an odd
 * number. */
INLINE void
gemm_pairs(enum dtype t, struct expanded *e, uint32_t first, uint32_t n_runs, const struct act *x,
	uint32_t c, uint32_t last, const struct sums sums[STRIPS])
{
	const int halves = format_halves(t) ? 2 : 1, mins = format_mins(t) ? halves : 0;
	size_t runs = block_count(x->cols), a = c * runs + first, b = last * runs + first;
	vfloats f[STRIPS][2];

	UNROLL
	for (uint32_t i = 0; i < 2 * STRIPS; i++)
		f[i / 2][i % 2] = floats_set1(0.0f);
	if (first > 0)
		load_pairs(sums, c, last, f);
	for (uint32_t k = 0; k < n_runs; k++) {
		UNROLL
		for (int h = 0; h < halves; h++)
			pairs_half(t, e, k, h, x, a + k, b + k, f);
		UNROLL
		for (int h = 0; h < mins; h++)
			pairs_mins(t, e, k, h, x, a + k, b + k, f);
	}
	store_pairs(sums, c, last, f);
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
		for (uint32_t c = 0; c < x->rows; c += 2)
			gemm_pairs(t, &e, first, n, x, c, c + 1 < x->rows ? c + 1 : c, sums);
	}
}

#endif
