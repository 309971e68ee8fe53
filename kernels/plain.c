/* The meaning of right: every other set gives these bits. Written to be read, not to be fast. */
#include "kernels/block.h"
#include "kernels/exp.h"
#include "kernels/q6_k.h"
#include "kernels/sets.h"

#include <math.h>
#include <string.h>

/* Scale and rounding of 32 activations; n < 32 at the end of a row, padded with zeros. A value that
 * is not finite makes the scale so, and with it all that is computed from the block. */
static int32_t
quantize_block(const float *x, uint32_t n, int8_t *q, float *d)
{
	uint32_t max = 0;
	int32_t sum = 0;
	float scale, inverse;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t bits = float_to_bits(x[i]) & 0x7fffffff;

		max = bits > max ? bits : max; /* NaN is above infinity, that above the finite */
	}
	memset(q, 0, BLOCK);
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
					a->q + (at + b) * BLOCK, a->d + at + b);
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

/* Joins the eight lanes of a float sum in the one order. */
static float
join(const float s[LANES])
{
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
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

static void
plain_rmsnorm(float *out, const float *x, const float *w, uint32_t n, float eps)
{
	float s[LANES] = {0}, scale;

	for (uint32_t i = 0; i < n; i++)
		s[i % LANES] = fmaf(x[i], x[i], s[i % LANES]);
	scale = 1.0f / sqrtf(join(s) / (float)n + eps);
	for (uint32_t i = 0; i < n; i++)
		out[i] = x[i] * scale * w[i];
}

static void
plain_add(float *x, const float *y, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] += y[i];
}

static void
plain_silu_mul(float *gate, const float *up, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		gate[i] = gate[i] / (1.0f + exp_one(-gate[i])) * up[i];
}

static void
plain_rope(float *x, const float *cos, const float *sin, uint32_t n, bool interleaved)
{
	uint32_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : n / 2;

	for (uint32_t i = 0; i < n / 2; i++) {
		float *a = x + i * step, *b = a + apart;
		float a0 = *a, b0 = *b;

		*a = a0 * cos[i] - b0 * sin[i];
		*b = a0 * sin[i] + b0 * cos[i];
	}
}

static void
plain_kv_store(enum kv_type type, void *dst, const float *src, uint32_t n)
{
	uint16_t *half = dst;

	if (type == KV_F32) {
		memcpy(dst, src, n * sizeof(*src));
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		half[i] = f32_to_f16(src[i]);
}

static float
kv_at(enum kv_type type, const void *base, size_t i)
{
	return type == KV_F32 ? ((const float *)base)[i] : f16_to_f32(((const uint16_t *)base)[i]);
}

/* What one query head has gathered so far: outputs weighted by e^(score - max), their sum. */
struct softmax {
	float max, sum;
};

/* Scores of one query head for the positions of a tile, as weights e^(score - max); the head's
 * output and sum so far are scaled to the new maximum. */
static void
attend_weights(const struct attention *a, const float *q, const void *k, size_t at, uint32_t tile,
	struct softmax *soft, float *weight, float *out)
{
	float max = soft->max, shrink, lanes[LANES] = {0};

	for (uint32_t p = 0; p < tile; p++, at += a->head_dim) {
		float s[LANES] = {0};

		for (uint32_t i = 0; i < a->head_dim; i++)
			s[i % LANES] = fmaf(q[i], kv_at(a->type, k, at + i), s[i % LANES]);
		weight[p] = join(s) * a->scale;
		max = weight[p] > max ? weight[p] : max;
	}
	shrink = exp_one(soft->max - max);
	for (uint32_t p = 0; p < tile; p++) {
		weight[p] = exp_one(weight[p] - max);
		lanes[p % LANES] += weight[p];
	}
	soft->max = max;
	soft->sum = fmaf(soft->sum, shrink, join(lanes));
	for (uint32_t i = 0; i < a->head_dim; i++)
		out[i] *= shrink;
}

static void
attend_head(const struct attention *a, const float *q, const void *k, const void *v, size_t base,
	uint32_t n, float *out)
{
	struct softmax soft = {-INFINITY, 0.0f};
	float weight[ATTEND_TILE], inverse;

	memset(out, 0, a->head_dim * sizeof(*out));
	for (uint32_t p0 = 0; p0 < n; p0 += ATTEND_TILE) {
		uint32_t tile = n - p0 < ATTEND_TILE ? n - p0 : ATTEND_TILE;
		size_t at = base + (size_t)p0 * a->head_dim;

		attend_weights(a, q, k, at, tile, &soft, weight, out);
		for (uint32_t p = 0; p < tile; p++, at += a->head_dim)
			for (uint32_t i = 0; i < a->head_dim; i++)
				out[i] = fmaf(weight[p], kv_at(a->type, v, at + i), out[i]);
	}
	inverse = 1.0f / soft.sum;
	for (uint32_t i = 0; i < a->head_dim; i++)
		out[i] *= inverse;
}

static void
plain_attend(const struct attention *a, const float *q, const void *k, const void *v, uint32_t n,
	uint32_t h0, uint32_t h1, float *out)
{
	uint32_t group = a->heads / a->kv_heads;

	for (uint32_t h = h0 * group; h < h1 * group; h++)
		attend_head(a, q + (size_t)h * a->head_dim, k, v,
			(size_t)(h / group) * a->context * a->head_dim, n,
			out + (size_t)h * a->head_dim);
}

const struct kernels kernels_plain = {
	.name = "plain",
	.features = 0,
	.quantize = plain_quantize,
	.matmul = {[DTYPE_F32] = plain_matmul_f32,
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
