/* Matrices of floats: weights become float32 as they are multiplied. Included by a set's file after its tile_*.h. */
#ifndef KERNELS_TILE_FLOATS_H
#define KERNELS_TILE_FLOATS_H

#include "kernels/tile_sums.h"

enum {
	FLOAT_GROUPS = 2 /* row groups side by side: as many as work is handed out in (matmul.c) */
};

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

/* One row group, n (a constant) columns from c on. */
INLINE void
float_group(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c, uint32_t n,
	struct sums sums[STRIPS])
{
	const uint32_t bytes = t == DTYPE_F32 ? 4 : 2;
	const float *in = x->f + (size_t)c * x->cols;
	vfloats f[STRIPS][FLOAT_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		f[i / n][i % n] = floats_set1(0.0f);
	for (uint32_t k = 0; k < x->cols; k++, group += bytes * TILE_ROWS) {
		fetch_far(group + FETCH_FAR);
		UNROLL
		for (uint32_t strip = 0; strip < STRIPS; strip++) {
			vfloats w = float_weights(t, group, strip);

			UNROLL
			for (uint32_t i = 0; i < n; i++)
				f[strip][i] = floats_fma(
					w, floats_set1(in[(size_t)i * x->cols + k]), f[strip][i]);
		}
	}
	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		store_sums(&sums[i / n], c + i % n, f[i / n][i % n]);
}

/* Columns from c on. */
INLINE void
float_columns(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c,
	struct sums sums[STRIPS])
{
	for (; x->rows - c >= FLOAT_COLS; c += FLOAT_COLS)
		float_group(t, group, x, c, FLOAT_COLS, sums);
	for (; x->rows - c >= 4; c += 4)
		float_group(t, group, x, c, 4, sums);
	for (; x->rows - c >= 2; c += 2)
		float_group(t, group, x, c, 2, sums);
	if (c < x->rows)
		float_group(t, group, x, c, 1, sums);
}

/* Asks for what comes behind the n bytes at p. */
INLINE void
fetch_floats(const uint8_t *p, uint32_t n)
{
	if (FETCH_PAGES > 0)
		fetch_page(p, n);
	UNROLL
	for (uint32_t i = 0; i < n; i += 64)
		fetch_line(p + FETCH_FLOATS + i);
}

/* Weight k of 16 rows of each row group, at `group` and every `stride` behind it. */
INLINE void
add_groups(enum dtype t, const uint8_t *group, size_t stride, const struct act *x, uint32_t k,
	vfloats f[FLOAT_GROUPS * STRIPS])
{
	vfloats in = floats_set1(x->f[k]);

	UNROLL
	for (uint32_t i = 0; i < FLOAT_GROUPS * STRIPS; i++)
		f[i] = floats_fma(
			float_weights(t, group + i / STRIPS * stride, i % STRIPS), in, f[i]);
}

/* One row of activations and FLOAT_GROUPS row groups side by side: sums that wait for one addition after the other are
 * slower than memory. Two weights at a time are a whole line, which is asked for once. */
INLINE void
float_groups(enum dtype t, const uint8_t *group, size_t stride, const struct act *x, float *out)
{
	const uint32_t step = TILE_ROWS * (t == DTYPE_F32 ? 4 : 2);
	uint32_t k = 0;
	vfloats f[FLOAT_GROUPS * STRIPS];

	UNROLL
	for (uint32_t i = 0; i < FLOAT_GROUPS * STRIPS; i++)
		f[i] = floats_set1(0.0f);
	for (; x->cols - k >= 2; k += 2, group += 2 * step) {
		UNROLL
		for (uint32_t i = 0; i < FLOAT_GROUPS; i++)
			fetch_floats(group + i * stride, 2 * step);
		add_groups(t, group, stride, x, k, f);
		add_groups(t, group + step, stride, x, k + 1, f);
	}
	if (k < x->cols)
		add_groups(t, group, stride, x, k, f);
	UNROLL
	for (uint32_t i = 0; i < FLOAT_GROUPS * STRIPS; i++)
		floats_store(out + i * ROW_LANES, f[i]);
}

#endif
