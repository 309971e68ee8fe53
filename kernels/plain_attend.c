#include "kernels/exp.h"
#include "kernels/plain.h"

void
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

void
plain_attend(const struct attention *a, const float *q, const void *k, const void *v, uint32_t n,
	uint32_t h0, uint32_t h1, float *out)
{
	uint32_t group = a->heads / a->kv_heads;

	for (uint32_t h = h0 * group; h < h1 * group; h++)
		attend_head(a, q + (size_t)h * a->head_dim, k, v,
			(size_t)(h / group) * a->context * a->head_dim, n,
			out + (size_t)h * a->head_dim);
}
