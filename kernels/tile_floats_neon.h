/* Matrices of floats and many columns (rows of activations), in NEON: weights become float32 once, a section of 8 KiB
 * at a time, and all columns are run over them. Included by a set's file after its tile_*.h. */
#ifndef KERNELS_TILE_FLOATS_NEON_H
#define KERNELS_TILE_FLOATS_NEON_H

#include "kernels/tile_floats.h"

enum { WIDE_FROM = 8 /* columns from which it pays */ };

/* Four steps, of which the activations are loaded at once. */
INLINE void
wide_steps(const float *w, const float *in, size_t cols, vfloats f[STRIPS][FLOAT_COLS])
{
	vfloats x[FLOAT_COLS];

	UNROLL
	for (uint32_t i = 0; i < FLOAT_COLS; i++)
		x[i] = floats_load(in + i * cols);
	UNROLL
	for (uint32_t k = 0; k < 4; k++) {
		UNROLL
		for (uint32_t i = 0; i < STRIPS * FLOAT_COLS; i++) {
			uint32_t strip = i / FLOAT_COLS, c = i % FLOAT_COLS;

			f[strip][c] = vfmaq_n_f32(f[strip][c],
				floats_load(w + k * TILE_ROWS + strip * ROW_LANES), x[c][k]);
		}
	}
}

/* Of n steps, a multiple of eight, the first four of each eight. */
INLINE void
wide_fours(const float *w, const float *in, size_t cols, uint32_t n, vfloats f[STRIPS][FLOAT_COLS])
{
	for (; n > 0; n -= 8, w += 8 * TILE_ROWS, in += 8)
		wide_steps(w, in, cols, f);
}

/* A section of n steps from k on and the columns from c on: one sum after the other, since there are no registers for
 * both. */
INLINE void
wide_gemm(const float *w, uint32_t k, uint32_t n, const struct act *x, uint32_t c,
	const struct sums sums[STRIPS])
{
	const float *in = x->f + (size_t)c * x->cols + k;
	float second[STRIPS * FLOAT_COLS][ROW_LANES];
	vfloats f[STRIPS][FLOAT_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * FLOAT_COLS; i++)
		f[i / FLOAT_COLS][i % FLOAT_COLS] = floats_set1(0.0f);
	wide_fours(w + 4 * TILE_ROWS, in + 4, x->cols, n, f);
	UNROLL
	for (uint32_t i = 0; i < STRIPS * FLOAT_COLS; i++)
		floats_store(second[i], f[i / FLOAT_COLS][i % FLOAT_COLS]);
	FROM_MEMORY(second);
	UNROLL
	for (uint32_t i = 0; i < STRIPS * FLOAT_COLS; i++)
		f[i / FLOAT_COLS][i % FLOAT_COLS] =
			k == 0 ? floats_set1(0.0f)
			       : load_sums(&sums[i / FLOAT_COLS], c + i % FLOAT_COLS);
	wide_fours(w, in, x->cols, n, f);
	UNROLL
	for (uint32_t i = 0; i < STRIPS * FLOAT_COLS; i++)
		store_sums(&sums[i / FLOAT_COLS], c + i % FLOAT_COLS,
			floats_add(f[i / FLOAT_COLS][i % FLOAT_COLS], floats_load(second[i])));
}

/* Returns how many columns it did: a multiple of FLOAT_COLS. */
INLINE uint32_t
wide_columns(
	enum dtype t, const uint8_t *group, const struct act *x, const struct sums sums[STRIPS])
{
	const uint32_t bytes = float_bytes(t);
	const bool pays = x->rows >= WIDE_FROM && x->cols % 8 == 0;
	uint32_t cols = pays ? x->rows / FLOAT_COLS * FLOAT_COLS : 0;
	_Alignas(64) float room[FLOAT_SECTION * TILE_ROWS];

	for (uint32_t k = 0, n; cols > 0 && k < x->cols; k += n, group += (size_t)n * bytes) {
		n = x->cols - k < FLOAT_SECTION ? x->cols - k : FLOAT_SECTION;
		for (uint32_t i = 0; i < n && t != DTYPE_F32; i++) {
			fetch_far(group + (size_t)i * bytes + FETCH_FAR);
			UNROLL
			for (uint32_t strip = 0; strip < STRIPS; strip++)
				floats_store(room + (size_t)i * TILE_ROWS + strip * ROW_LANES,
					float_weights(t, group + (size_t)i * bytes, strip));
		}
		for (uint32_t c = 0; c < cols; c += FLOAT_COLS)
			wide_gemm(t == DTYPE_F32 ? (const float *)(const void *)group : room, k, n,
				x, c, sums);
	}
	return cols;
}

#endif
