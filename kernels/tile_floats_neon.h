/* Matrices of floats and many columns (rows of activations), in NEON: weights become float32 once, as many
 * as the first-level cache holds, and all columns are run over them. Included by a set's file after its
 * tile_*.h. */
#ifndef KERNELS_TILE_FLOATS_NEON_H
#define KERNELS_TILE_FLOATS_NEON_H

#include "kernels/tile_floats.h"

enum {
	WIDE_STEPS = 128, /* of 16 weights, at a time: 8 KiB */
	WIDE_COLS = 4,    /* columns at once */
	WIDE_FROM = 8     /* columns from which it pays */
};

/* Steps from i on: one, or four whose activations are loaded at once. */
INLINE void
wide_steps(
	const float *w, const float *in, size_t cols, uint32_t steps, vfloats f[STRIPS][WIDE_COLS])
{
	vfloats x[WIDE_COLS];

	UNROLL
	for (uint32_t i = 0; i < WIDE_COLS; i++)
		x[i] = steps == 4 ? floats_load(in + i * cols) : floats_set1(in[i * cols]);
	UNROLL
	for (uint32_t k = 0; k < steps; k++) {
		UNROLL
		for (uint32_t i = 0; i < STRIPS * WIDE_COLS; i++) {
			uint32_t strip = i / WIDE_COLS, c = i % WIDE_COLS;

			f[strip][c] = vfmaq_n_f32(f[strip][c],
				floats_load(w + k * TILE_ROWS + strip * ROW_LANES), x[c][k]);
		}
	}
}

/* n steps from k on and the columns from c on. */
INLINE void
wide_gemm(const float *w, uint32_t k, uint32_t n, const struct act *x, uint32_t c,
	const struct sums sums[STRIPS])
{
	const float *in = x->f + (size_t)c * x->cols + k;
	vfloats f[STRIPS][WIDE_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * WIDE_COLS; i++)
		f[i / WIDE_COLS][i % WIDE_COLS] =
			k == 0 ? floats_set1(0.0f)
			       : load_sums(&sums[i / WIDE_COLS], c + i % WIDE_COLS);
	for (; n >= 4; n -= 4, w += (size_t)4 * TILE_ROWS, in += 4)
		wide_steps(w, in, x->cols, 4, f);
	for (; n > 0; n--, w += TILE_ROWS, in++)
		wide_steps(w, in, x->cols, 1, f);
	UNROLL
	for (uint32_t i = 0; i < STRIPS * WIDE_COLS; i++)
		store_sums(
			&sums[i / WIDE_COLS], c + i % WIDE_COLS, f[i / WIDE_COLS][i % WIDE_COLS]);
}

/* Returns how many columns it did: a multiple of WIDE_COLS. */
INLINE uint32_t
wide_columns(
	enum dtype t, const uint8_t *group, const struct act *x, const struct sums sums[STRIPS])
{
	const uint32_t bytes = TILE_ROWS * (t == DTYPE_F32 ? 4 : 2);
	uint32_t cols = x->rows >= WIDE_FROM ? x->rows / WIDE_COLS * WIDE_COLS : 0;
	_Alignas(64) float room[WIDE_STEPS * TILE_ROWS];

	for (uint32_t k = 0, n; cols > 0 && k < x->cols; k += n, group += (size_t)n * bytes) {
		n = x->cols - k < WIDE_STEPS ? x->cols - k : WIDE_STEPS;
		for (uint32_t i = 0; i < n && t != DTYPE_F32; i++) {
			fetch_far(group + (size_t)i * bytes + FETCH_FAR);
			UNROLL
			for (uint32_t strip = 0; strip < STRIPS; strip++)
				floats_store(room + (size_t)i * TILE_ROWS + strip * ROW_LANES,
					float_weights(t, group + (size_t)i * bytes, strip));
		}
		for (uint32_t c = 0; c < cols; c += WIDE_COLS)
			wide_gemm(t == DTYPE_F32 ? (const float *)(const void *)group : room, k, n,
				x, c, sums);
	}
	return cols;
}

#endif
