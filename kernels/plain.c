/* The meaning of right: every other set gives these bits. Written to be read, not to be fast. */
#include "kernels/plain.h"
#include "kernels/block.h"
#include "kernels/q6_k.h"
#include "kernels/sets.h"

#include <math.h>
#include <string.h>

/* Scale and rounding of 32 activations; n < 32 at the end of a row, padded with zeros. A value that
 * is not finite makes the scale so, and with it all that is computed from the block. */
static int32_t
quantize_block(const float *x, uint32_t n, int8_t *q, float *d, int32_t *half)
{
	uint32_t max = 0;
	int32_t sum = 0;
	float scale, inverse;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t bits = float_to_bits(x[i]) & 0x7fffffff;

		max = bits > max ? bits : max; /* NaN is above infinity, that above the finite */
	}
	memset(q, 0, BLOCK);
	*half = 0;
	scale = max < 0x7f800000 ? bits_to_float(max) / 127.0f : bits_to_float(max);
	inverse = 1.0f / scale;
	if (max < 0x7f800000 && isinf(inverse)) { /* too small to matter */
		*d = 0.0f;
		return 0;
	}
	*d = scale;
	for (uint32_t i = 0; i < n && max < 0x7f800000; i++) {
		q[i] = (int8_t)nearbyintf(x[i] * inverse);
		sum += q[i];
		*half += i < BLOCK / 2 ? q[i] : 0;
	}
	return sum;
}

static void
plain_quantize(struct act *a, uint32_t r0, uint32_t r1)
{
	uint32_t blocks = block_count(a->cols);

	for (uint32_t r = r0; r < r1; r++) {
		const float *x = a->f + (size_t)r * a->cols;
		size_t at = (size_t)r * blocks;

		for (uint32_t b = 0; b < blocks; b++) {
			uint32_t left = a->cols - b * BLOCK;

			a->sum[at + b] =
				quantize_block(x + (size_t)b * BLOCK, left < BLOCK ? left : BLOCK,
					a->q + (at + b) * BLOCK, a->d + at + b, a->half + at + b);
		}
	}
}

static float
scale_at(const uint8_t *block)
{
	uint16_t h;

	memcpy(&h, block, sizeof(h));
	return f16_to_f32(h);
}

static float
dot_q8_0(const uint8_t *w, const struct act *x, uint32_t c, uint32_t n)
{
	uint32_t blocks = n / BLOCK;
	size_t at = (size_t)c * blocks;
	float f = 0.0f;

	for (uint32_t b = 0; b < blocks; b++, at++, w += Q8_0_BYTES) {
		const int8_t *q = x->q + at * BLOCK;
		int32_t sum = 0;

		for (int i = 0; i < BLOCK; i++)
			sum += q[i] * (int8_t)w[2 + i];
		f = fmaf(scale_at(w) * x->d[at], (float)sum, f);
	}
	return f;
}

static float
dot_q4_0(const uint8_t *w, const struct act *x, uint32_t c, uint32_t n)
{
	uint32_t blocks = n / BLOCK;
	size_t at = (size_t)c * blocks;
	float f = 0.0f;

	for (uint32_t b = 0; b < blocks; b++, at++, w += Q4_0_BYTES) {
		const int8_t *q = x->q + at * BLOCK;
		int32_t sum = -8 * x->sum[at];

		for (int i = 0; i < BLOCK / 2; i++)
			sum += q[i] * (w[2 + i] & 15) + q[i + BLOCK / 2] * (w[2 + i] >> 4);
		f = fmaf(scale_at(w) * x->d[at], (float)sum, f);
	}
	return f;
}

/* Two sums of 16 in each block of 32, each under its own scale. */
static float
dot_q6_k(const uint8_t *w, const struct act *x, uint32_t c, uint32_t n)
{
	uint32_t blocks = n / BLOCK;
	size_t at = (size_t)c * blocks;
	float f = 0.0f;

	for (uint32_t b = 0; b < blocks; b++, at++) {
		const uint8_t *block = w + (size_t)(b / 8) * Q6_K_BYTES;
		const int8_t *q = x->q + at * BLOCK;
		int8_t v[BLOCK];

		q6_k_weights(block, b % 8, v);
		for (uint32_t h = 0; h < 2; h++) {
			float scale = scale_at(block + Q6_K_D) * (float)q6_k_scale(block, b % 8, h);
			int32_t sum = 0;

			for (int i = 0; i < BLOCK / 2; i++)
				sum += q[16 * h + i] * v[16 * h + i];
			f = fmaf(scale * x->d[at], (float)sum, f);
		}
	}
	return f;
}

static float
dot_f32(const uint8_t *w, const struct act *x, uint32_t c, uint32_t n)
{
	const float *f = x->f + (size_t)c * n;
	float s[LANES] = {0}, value;

	for (uint32_t i = 0; i < n; i++) {
		memcpy(&value, w + sizeof(value) * i, sizeof(value));
		s[i % LANES] = fmaf(value, f[i], s[i % LANES]);
	}
	return join(s);
}

static float
dot_f16(const uint8_t *w, const struct act *x, uint32_t c, uint32_t n)
{
	const float *f = x->f + (size_t)c * n;
	float s[LANES] = {0};
	uint16_t h;

	for (uint32_t i = 0; i < n; i++) {
		memcpy(&h, w + sizeof(h) * i, sizeof(h));
		s[i % LANES] = fmaf(f16_to_f32(h), f[i], s[i % LANES]);
	}
	return join(s);
}

static float
dot_bf16(const uint8_t *w, const struct act *x, uint32_t c, uint32_t n)
{
	const float *f = x->f + (size_t)c * n;
	float s[LANES] = {0};
	uint16_t h;

	for (uint32_t i = 0; i < n; i++) {
		memcpy(&h, w + sizeof(h) * i, sizeof(h));
		s[i % LANES] = fmaf(bf16_to_f32(h), f[i], s[i % LANES]);
	}
	return join(s);
}

#define PLAIN_MATMUL(type)                                                                         \
	static void plain_matmul_##type(const struct matrix *w, uint32_t r0, uint32_t r1,          \
		const struct act *x, float *out, size_t out_stride)                                \
	{                                                                                          \
		for (uint32_t r = r0; r < r1; r++)                                                 \
			for (uint32_t c = 0; c < x->rows; c++)                                     \
				out[c * out_stride + r] =                                          \
					dot_##type(w->data + r * w->stride, x, c, w->cols);        \
	}

PLAIN_MATMUL(f32)
PLAIN_MATMUL(f16)
PLAIN_MATMUL(bf16)
PLAIN_MATMUL(q8_0)
PLAIN_MATMUL(q4_0)
PLAIN_MATMUL(q6_k)

const struct kernels kernels_plain = {
	.name = "plain",
	.features = 0,
	.quantize = plain_quantize,
	.matmul_rows = {[DTYPE_F32] = plain_matmul_f32,
		[DTYPE_F16] = plain_matmul_f16,
		[DTYPE_BF16] = plain_matmul_bf16,
		[DTYPE_Q8_0] = plain_matmul_q8_0,
		[DTYPE_Q4_0] = plain_matmul_q4_0,
		[DTYPE_Q6_K] = plain_matmul_q6_k},
	.rmsnorm = plain_rmsnorm,
	.add = plain_add,
	.silu_mul = plain_silu_mul,
	.rope = plain_rope,
	.kv_store = plain_kv_store,
	.attend = plain_attend,
};
