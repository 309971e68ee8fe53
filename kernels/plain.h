/* Plain C's kernels, each kind in a file of its own: plain.c (matrices), plain_rows.c, plain_attend.c.
 * The meaning of right: written to be read, not to be fast. */
#ifndef KERNELS_PLAIN_H
#define KERNELS_PLAIN_H

#include "kernels/block.h"
#include "kernels/kernels.h"

/* Every type, rows and tiles. */
void plain_matmul(const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x, float *out,
	size_t out_stride);
#define PLAIN_MATMULS                                                                              \
	{                                                                                          \
		[DTYPE_F32] = plain_matmul, [DTYPE_F16] = plain_matmul,                            \
		[DTYPE_BF16] = plain_matmul, [DTYPE_Q4_0] = plain_matmul,                          \
		[DTYPE_Q4_1] = plain_matmul, [DTYPE_Q5_0] = plain_matmul,                          \
		[DTYPE_Q5_1] = plain_matmul, [DTYPE_Q8_0] = plain_matmul,                          \
		[DTYPE_Q2_K] = plain_matmul, [DTYPE_Q3_K] = plain_matmul,                          \
		[DTYPE_Q4_K] = plain_matmul, [DTYPE_Q5_K] = plain_matmul,                          \
		[DTYPE_Q6_K] = plain_matmul, [DTYPE_IQ4_NL] = plain_matmul,                        \
		[DTYPE_IQ4_XS] = plain_matmul, [DTYPE_TQ1_0] = plain_matmul,                       \
		[DTYPE_TQ2_0] = plain_matmul, [DTYPE_MXFP4] = plain_matmul,                        \
	}

void plain_rmsnorm(float *out, const float *x, const float *w, uint32_t n, float eps);
void plain_add(float *x, const float *y, uint32_t n);
void plain_silu_mul(float *gate, const float *up, uint32_t n);
void plain_rope(float *x, const float *cos, const float *sin, uint32_t n, bool interleaved);
void plain_kv_store(const struct attention *a, void *k, void *v, uint32_t pos, const float *key,
	const float *value);
void plain_attend(const struct attention *a, const struct attend_rows *r, void *scratch);
void plain_attend_span(const struct attention *a, const struct attend_rows *r, uint32_t span,
	float *partial, void *scratch);
void plain_attend_merge(
	const struct attention *a, const struct attend_rows *r, float *partials, size_t stride);

uint64_t plain_roof_read(const uint8_t *p, size_t n);
uint64_t plain_roof_products(const int8_t *q, uint32_t turns);

/* Joins the eight lanes of a float sum in the one order. */
static inline float
join(const float s[LANES])
{
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

#endif
