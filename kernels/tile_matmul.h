/* Matrices in tiles times rows of activations, for one set: included by its file after its tile_*.h and
 * the ways that it takes, for few columns (rows of activations), many, and matrices of floats. All do the
 * same operations in the same order. */
#ifndef KERNELS_TILE_MATMUL_H
#define KERNELS_TILE_MATMUL_H

#include "kernels/sets.h"
#include "kernels/tile_sums.h"

#ifndef DIRECT_FUNCTION
#define DIRECT_FUNCTION INLINE /* what few columns are done by */
#endif
#ifndef LOOKUP_FUNCTION
#define LOOKUP_FUNCTION DIRECT_FUNCTION /* the same of weights that are looked up */
#endif
#ifndef MANY_FUNCTION
#define MANY_FUNCTION static /* and many */
#endif

/* n strips from row r on, of which those before r1 exist. */
INLINE void
strips_of(uint32_t r, uint32_t r1, float *out, size_t out_stride, uint32_t n, struct sums *sums)
{
	for (uint32_t s = 0; s < n; s++) {
		uint32_t from = r + s * ROW_LANES, left = from < r1 ? r1 - from : 0;

		sums[s] =
			(struct sums){out + from, out_stride, left < ROW_LANES ? left : ROW_LANES};
	}
}

#ifndef NARROW
#define NARROW(t) false /* whether the AVX2 set is better at one column */
#endif

/* few: of few columns; NULL for floats. */
INLINE void
tile_matmul(enum dtype t, const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x,
	float *out, size_t out_stride,
	void (*few)(const uint8_t *group, const struct act *x, struct sums sums[STRIPS]))
{
	const bool floats = t == DTYPE_F32 || t == DTYPE_F16 || t == DTYPE_BF16;

	if (NARROW(t) && x->rows == 1) {
		kernels_avx2.matmul[t](w, r0, r1, x, out, out_stride);
		return;
	}
	for (uint32_t r = r0; r < r1;) {
		const bool expands = !floats && x->rows > direct_most(t);
		const uint8_t *group = w->data + r / TILE_ROWS * w->stride;
		struct sums sums[GEMM_GROUPS * STRIPS];

		strips_of(r, r1, out, out_stride, GEMM_GROUPS * STRIPS, sums);
		if (floats)
			float_columns(t, group, x, wide_columns(t, group, x, sums), sums);
		else if (expands)
			expanded_columns(t, group, w->stride, x, sums);
		else
			few(group, x, sums);
		r += expands ? GEMM_GROUPS * TILE_ROWS : TILE_ROWS;
	}
}

#define TILE_MATMUL_BY(type, few)                                                                  \
	MANY_FUNCTION void tile_matmul_##type(const struct matrix *w, uint32_t r0, uint32_t r1,    \
		const struct act *x, float *out, size_t out_stride)                                \
	{                                                                                          \
		tile_matmul(DTYPE_##type, w, r0, r1, x, out, out_stride, few);                     \
	}
#define TILE_FLOATS(type) TILE_MATMUL_BY(type, NULL)
#define TILE_MATMUL_AS(type, function)                                                             \
	function void tile_direct_##type(                                                          \
		const uint8_t *group, const struct act *x, struct sums sums[STRIPS])               \
	{                                                                                          \
		direct_columns(DTYPE_##type, group, x, sums);                                      \
	}                                                                                          \
	TILE_MATMUL_BY(type, tile_direct_##type)
#define TILE_MATMUL(type) TILE_MATMUL_AS(type, DIRECT_FUNCTION)

TILE_FLOATS(F32)
TILE_FLOATS(F16)
TILE_FLOATS(BF16)
TILE_MATMUL(Q4_0)
TILE_MATMUL(Q4_1)
TILE_MATMUL(Q5_0)
TILE_MATMUL(Q5_1)
TILE_MATMUL(Q8_0)
TILE_MATMUL(Q2_K)
TILE_MATMUL(Q3_K)
TILE_MATMUL(Q4_K)
TILE_MATMUL(Q5_K)
TILE_MATMUL(Q6_K)
TILE_MATMUL(IQ4_NL)
TILE_MATMUL(IQ4_XS)
TILE_MATMUL(TQ1_0)
TILE_MATMUL(TQ2_0)
TILE_MATMUL_AS(MXFP4, LOOKUP_FUNCTION)

/* For a set's table. */
#define TILE_MATMULS                                                                               \
	{                                                                                          \
		[DTYPE_F32] = tile_matmul_F32, [DTYPE_F16] = tile_matmul_F16,                      \
		[DTYPE_BF16] = tile_matmul_BF16, [DTYPE_Q4_0] = tile_matmul_Q4_0,                  \
		[DTYPE_Q4_1] = tile_matmul_Q4_1, [DTYPE_Q5_0] = tile_matmul_Q5_0,                  \
		[DTYPE_Q5_1] = tile_matmul_Q5_1, [DTYPE_Q8_0] = tile_matmul_Q8_0,                  \
		[DTYPE_Q2_K] = tile_matmul_Q2_K, [DTYPE_Q3_K] = tile_matmul_Q3_K,                  \
		[DTYPE_Q4_K] = tile_matmul_Q4_K, [DTYPE_Q5_K] = tile_matmul_Q5_K,                  \
		[DTYPE_Q6_K] = tile_matmul_Q6_K, [DTYPE_IQ4_NL] = tile_matmul_IQ4_NL,              \
		[DTYPE_IQ4_XS] = tile_matmul_IQ4_XS, [DTYPE_TQ1_0] = tile_matmul_TQ1_0,            \
		[DTYPE_TQ2_0] = tile_matmul_TQ2_0, [DTYPE_MXFP4] = tile_matmul_MXFP4,              \
	}

#endif
