/* Matrices of floats: weights become float32 as they are multiplied. Included by a set's file after its tile_*.h. */
#ifndef KERNELS_TILE_FLOATS_H
#define KERNELS_TILE_FLOATS_H

#include "kernels/tile_sums.h"

INLINE uint32_t
float_bytes(enum dtype t) /* of 16 weights, one of each row */
{
	return TILE_ROWS * (t == DTYPE_F32 ? 4 : 2);
}

/* Strip `strip` of the 16 weights at p, one of each row. */
INLINE vfloats
float_weights(enum dtype t, const uint8_t *p, uint32_t strip)
{
	if (t == DTYPE_F16)
		return floats_f16(p, strip);
	if (t == DTYPE_BF16)
		return floats_bf16(p, strip);
	return floats_load((const float *)(const void *)p + strip * ROW_LANES);
}

/* The weights of one column of the matrix, at p, and the activations that they meet of n (a constant) rows, at `in` and
 * every `cols` behind it. */
INLINE void
add_weights(enum dtype t, const uint8_t *p, const float *in, size_t cols, uint32_t n,
	vfloats f[STRIPS][FLOAT_COLS])
{
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		vfloats w = float_weights(t, p, strip);

		UNROLL
		for (uint32_t i = 0; i < n; i++)
			f[strip][i] = floats_fma(w, floats_set1(in[i * cols]), f[strip][i]);
	}
}

/* Of `count` columns of the matrix from `group` on, four of each eight, from `first` (0 or 4) on. */
INLINE void
add_fours(enum dtype t, const uint8_t *group, const float *in, size_t cols, uint32_t count,
	uint32_t first, uint32_t n, bool twice, vfloats f[STRIPS][FLOAT_COLS])
{
	const uint32_t bytes = float_bytes(t);
	uint32_t k = first;

	for (; k + 4 <= count; k += 8) {
		const struct ahead ahead = {group + k * bytes, twice};

		if (!fetch_in_parts(n))
			fetch_lines(ahead, 0, 4 * bytes / 64);
		UNROLL
		for (uint32_t i = 0; i < 4; i++) {
			if (fetch_in_parts(n))
				fetch_share(ahead, 4 * bytes, i, 4);
			add_weights(t, group + (k + i) * bytes, in + k + i, cols, n, f);
		}
	}
	for (; k < count; k++)
		add_weights(t, group + k * bytes, in + k, cols, n, f);
}

/* A section of `count` columns, by both of its sums at once: one after the other, they would wait for themselves longer
 * than for memory. */
INLINE void
add_both(enum dtype t, const uint8_t *group, const float *in, size_t cols, uint32_t count,
	uint32_t n, bool twice, vfloats sum[2][STRIPS][FLOAT_COLS])
{
	const uint32_t bytes = float_bytes(t);
	uint32_t k = 0;

	for (; count - k >= 8; k += 8, group += 8 * bytes) {
		const struct ahead ahead = {group, twice};

		if (!fetch_in_parts(n))
			fetch_lines(ahead, 0, 8 * bytes / 64);
		UNROLL
		for (uint32_t i = 0; i < 8; i++) {
			if (fetch_in_parts(n))
				fetch_share(ahead, 8 * bytes, i, 8);
			add_weights(t, group + i * bytes, in + k + i, cols, n, sum[i / 4]);
		}
	}
	add_fours(t, group, in + k, cols, count - k, 0, n, twice, sum[0]);
	add_fours(t, group, in + k, cols, count - k, 4, n, twice, sum[1]);
}

/* One row group, n (a constant) columns (rows of activations) from c on. twice: FETCH_TWICE. */
INLINE void
float_group(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c, uint32_t n,
	bool twice, struct sums sums[STRIPS])
{
	const float *in = x->f + (size_t)c * x->cols;
	vfloats sum[2][STRIPS][FLOAT_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		sum[0][i / n][i % n] = floats_set1(0.0f);
	for (uint32_t k = 0, count; k < x->cols; k += count, group += count * float_bytes(t)) {
		count = x->cols - k < FLOAT_SECTION ? x->cols - k : FLOAT_SECTION;
		UNROLL
		for (uint32_t i = 0; i < STRIPS * n; i++)
			sum[1][i / n][i % n] = floats_set1(0.0f);
		if (2 * STRIPS * n <= FLOAT_SUMS) {
			add_both(t, group, in + k, x->cols, count, n, twice, sum);
		} else {
			add_fours(t, group, in + k, x->cols, count, 0, n, twice, sum[0]);
			add_fours(t, group, in + k, x->cols, count, 4, n, twice, sum[1]);
		}
		UNROLL
		for (uint32_t i = 0; i < STRIPS * n; i++)
			sum[0][i / n][i % n] =
				floats_add(sum[0][i / n][i % n], sum[1][i / n][i % n]);
	}
	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		store_sums(&sums[i / n], c + i % n, sum[0][i / n][i % n]);
}

/* Columns from c on. */
INLINE void
float_columns(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c,
	struct sums sums[STRIPS])
{
	for (; x->rows - c >= FLOAT_COLS; c += FLOAT_COLS)
		float_group(t, group, x, c, FLOAT_COLS, FETCH_TWICE, sums);
	if (FLOAT_COLS > 8 && x->rows - c >= 8) {
		float_group(t, group, x, c, 8, FETCH_TWICE, sums);
		c += 8;
	}
	if (FLOAT_COLS > 4 && x->rows - c >= 4) {
		float_group(t, group, x, c, 4, FETCH_TWICE, sums);
		c += 4;
	}
	/* Each of these passes reads and converts the group again. */
	if (x->rows - c == 3)
		float_group(t, group, x, c, 3, FETCH_TWICE, sums);
	else if (x->rows - c == 2)
		float_group(t, group, x, c, 2, FETCH_TWICE, sums);
	else if (c < x->rows && FETCH_TWICE)
		float_group(t, group, x, c, 1, true, sums);
	else if (c < x->rows)
		float_group(t, group, x, c, 1, false, sums);
}

#endif
