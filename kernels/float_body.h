/* The kernels that work on floats, in eight lanes. Included by each set's file after its vec_*.h, so
 * that every set has its own copy, compiled for its instruction set. The arithmetic is plain.c's. */
#include "kernels/sets.h"

/* --- rows of floats ------------------------------------------------------------------------------ */

/* The lanes' sum, after the last n % 8 products have been added to theirs. */
INLINE float
finish_dot(v8 acc, const float *y, const float *x, uint32_t i, uint32_t n)
{
	float lanes[LANES];

	if (i < n) {
		v8_store(lanes, acc);
		for (uint32_t j = 0; i < n; i++, j++)
			lanes[j] = fmaf(y[i], x[i], lanes[j]);
		acc = v8_load(lanes);
	}
	return v8_join(acc);
}

static void
rmsnorm(float *out, const float *x, const float *w, uint32_t n, float eps)
{
	v8 acc = v8_set1(0.0f);
	float scale;
	uint32_t i = 0;

	for (; i + LANES <= n; i += LANES)
		acc = v8_fma(v8_load(x + i), v8_load(x + i), acc);
	scale = finish_dot(acc, x, x, i, n);
	scale = 1.0f / sqrtf(scale / (float)n + eps);
	for (i = 0; i + LANES <= n; i += LANES)
		v8_store(out + i, v8_mul(v8_mul(v8_load(x + i), v8_set1(scale)), v8_load(w + i)));
	for (; i < n; i++)
		out[i] = x[i] * scale * w[i];
}

static void
add(float *x, const float *y, uint32_t n)
{
	uint32_t i = 0;

	for (; i + LANES <= n; i += LANES)
		v8_store(x + i, v8_add(v8_load(x + i), v8_load(y + i)));
	for (; i < n; i++)
		x[i] += y[i];
}

static void
silu_mul(float *gate, const float *up, uint32_t n)
{
	const v8 one = v8_set1(1.0f), minus = v8_set1(-1.0f);
	uint32_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		v8 g = v8_load(gate + i);
		v8 e = v8_exp(v8_mul(g, minus));

		v8_store(gate + i, v8_mul(v8_div(g, v8_add(one, e)), v8_load(up + i)));
	}
	for (; i < n; i++)
		gate[i] = gate[i] / (1.0f + exp_one(-gate[i])) * up[i];
}

static void
rope(float *x, const float *cos, const float *sin, uint32_t n, bool interleaved)
{
	uint32_t half = n / 2, i = 0;

	for (; !interleaved && i + LANES <= half; i += LANES) {
		v8 a = v8_load(x + i), b = v8_load(x + half + i);
		v8 c = v8_load(cos + i), s = v8_load(sin + i);

		v8_store(x + i, v8_sub(v8_mul(a, c), v8_mul(b, s)));
		v8_store(x + half + i, v8_add(v8_mul(a, s), v8_mul(b, c)));
	}
	for (; i < half; i++) {
		float *a = interleaved ? x + 2 * i : x + i, *b = interleaved ? a + 1 : a + half;
		float a0 = *a, b0 = *b;

		*a = a0 * cos[i] - b0 * sin[i];
		*b = a0 * sin[i] + b0 * cos[i];
	}
}

static void
kv_store(enum kv_type type, void *dst, const float *src, uint32_t n)
{
	uint16_t *half = dst;
	uint32_t i = 0;

	if (type == KV_F32) {
		memcpy(dst, src, n * sizeof(*src));
		return;
	}
	for (; i + LANES <= n; i += LANES)
		v8_store_f16(half + i, v8_load(src + i));
	for (; i < n; i++)
		half[i] = float_to_half(src[i]);
}

/* --- attention ----------------------------------------------------------------------------------- */

enum {
	ATTEND_DIM = 256,  /* largest head that the scratch holds */
	ATTEND_HEADS = 32, /* query heads in one pass over K and V */
	ATTEND_KEYS = 4,   /* keys scored at a time */
	ATTEND_OUT = 8     /* registers of output at a time */
};

struct softmax {
	float max, sum;
};

/* n floats of K or V from element `at` on: in place, or widened into the scratch. */
INLINE const float *
kv_tile(enum kv_type type, const void *base, size_t at, uint32_t n, float *scratch)
{
	const uint16_t *half = (const uint16_t *)base + at;
	uint32_t i = 0;

	if (type == KV_F32)
		return (const float *)base + at;
	for (; i + LANES <= n; i += LANES)
		v8_store(scratch + i, v8_load_f16(half + i));
	for (; i < n; i++)
		scratch[i] = half_to_float(half[i]);
	return scratch;
}

/* Scores of `keys` keys (a constant, at most ATTEND_KEYS). */
INLINE void
score_keys(const float *q, const float *k, uint32_t dim, uint32_t keys, float scale, float *score)
{
	v8 acc[ATTEND_KEYS];
	uint32_t i = 0;

	UNROLL
	for (uint32_t p = 0; p < keys; p++)
		acc[p] = v8_set1(0.0f);
	for (; i + LANES <= dim; i += LANES) {
		v8 in = v8_load(q + i);

		UNROLL
		for (uint32_t p = 0; p < keys; p++)
			acc[p] = v8_fma(in, v8_load(k + (size_t)p * dim + i), acc[p]);
	}
	UNROLL
	for (uint32_t p = 0; p < keys; p++)
		score[p] = scale * finish_dot(acc[p], k + (size_t)p * dim, q, i, dim);
}

/* score becomes weight, e^(score - max); returns by how much older weights shrink. The scores
 * behind the tile are -inf and weigh nothing. */
static float
softmax_step(struct softmax *soft, float *score, uint32_t tile)
{
	float max = soft->max, shrink;
	v8 sum = v8_set1(0.0f);

	for (uint32_t p = 0; p < tile; p++)
		max = score[p] > max ? score[p] : max;
	for (uint32_t p = tile; p < ATTEND_TILE; p++)
		score[p] = -INFINITY;
	shrink = exp_one(soft->max - max);
	for (uint32_t p = 0; p < ATTEND_TILE && p < tile; p += LANES) {
		v8 e = v8_exp(v8_sub(v8_load(score + p), v8_set1(max)));

		v8_store(score + p, e);
		sum = v8_add(sum, e);
	}
	soft->max = max;
	soft->sum = fmaf(soft->sum, shrink, v8_join(sum));
	return shrink;
}

/* `regs` (a constant) registers of output: out = out * shrink + sum of weight * v. */
INLINE void
gather(const float *weight, const float *v, uint32_t dim, uint32_t tile, uint32_t regs,
	float shrink, float *out)
{
	v8 acc[ATTEND_OUT];

	UNROLL
	for (uint32_t j = 0; j < regs; j++)
		acc[j] = v8_mul(v8_load(out + j * LANES), v8_set1(shrink));
	for (uint32_t p = 0; p < tile; p++) {
		v8 w = v8_set1(weight[p]);

		UNROLL
		for (uint32_t j = 0; j < regs; j++)
			acc[j] = v8_fma(w, v8_load(v + (size_t)p * dim + j * LANES), acc[j]);
	}
	UNROLL
	for (uint32_t j = 0; j < regs; j++)
		v8_store(out + j * LANES, acc[j]);
}

static void
gather_all(
	const float *weight, const float *v, uint32_t dim, uint32_t tile, float shrink, float *out)
{
	uint32_t i = 0;

	for (; i + ATTEND_OUT * LANES <= dim; i += ATTEND_OUT * LANES)
		gather(weight, v + i, dim, tile, ATTEND_OUT, shrink, out + i);
	for (; i + LANES <= dim; i += LANES)
		gather(weight, v + i, dim, tile, 1, shrink, out + i);
	for (; i < dim; i++) {
		out[i] *= shrink;
		for (uint32_t p = 0; p < tile; p++)
			out[i] = fmaf(weight[p], v[(size_t)p * dim + i], out[i]);
	}
}

static void
score_all(const float *q, const float *k, uint32_t dim, uint32_t tile, float scale, float *score)
{
	uint32_t p = 0;

	for (; p + ATTEND_KEYS <= tile; p += ATTEND_KEYS)
		score_keys(q, k + (size_t)p * dim, dim, ATTEND_KEYS, scale, score + p);
	for (; p < tile; p++)
		score_keys(q, k + (size_t)p * dim, dim, 1, scale, score + p);
}

/* `heads` query heads over the n positions of their KV head, which begins at element `base`. */
static void
attend_heads(const struct attention *a, const float *q, const void *k, const void *v, size_t base,
	uint32_t n, uint32_t heads, float *out)
{
	struct softmax soft[ATTEND_HEADS];
	float weight[ATTEND_HEADS][ATTEND_TILE], shrink[ATTEND_HEADS];
	float scratch[ATTEND_TILE * ATTEND_DIM];
	const uint32_t dim = a->head_dim;
	const float *in;

	for (uint32_t h = 0; h < heads; h++)
		soft[h] = (struct softmax){-INFINITY, 0.0f};
	memset(out, 0, (size_t)heads * dim * sizeof(*out));
	for (uint32_t p = 0; p < n; p += ATTEND_TILE) {
		uint32_t tile = n - p < ATTEND_TILE ? n - p : ATTEND_TILE;
		size_t at = base + (size_t)p * dim;

		in = kv_tile(a->type, k, at, tile * dim, scratch);
		for (uint32_t h = 0; h < heads; h++) {
			score_all(q + (size_t)h * dim, in, dim, tile, a->scale, weight[h]);
			shrink[h] = softmax_step(&soft[h], weight[h], tile);
		}
		in = kv_tile(a->type, v, at, tile * dim, scratch);
		for (uint32_t h = 0; h < heads; h++)
			gather_all(weight[h], in, dim, tile, shrink[h], out + (size_t)h * dim);
	}
	for (uint32_t h = 0; h < heads; h++) {
		float inverse = 1.0f / soft[h].sum;

		for (uint32_t i = 0; i < dim; i++)
			out[(size_t)h * dim + i] *= inverse;
	}
}

static void
attend(const struct attention *a, const float *q, const void *k, const void *v, uint32_t n,
	uint32_t h0, uint32_t h1, float *out)
{
	uint32_t group = a->heads / a->kv_heads;

	if (a->head_dim > ATTEND_DIM) {
		kernels_plain.attend(a, q, k, v, n, h0, h1, out);
		return;
	}
	for (uint32_t h = h0; h < h1; h++) {
		size_t base = (size_t)h * a->context * a->head_dim;

		for (uint32_t g = 0; g < group; g += ATTEND_HEADS) {
			size_t first = (size_t)(h * group + g) * a->head_dim;

			attend_heads(a, q + first, k, v, base, n,
				group - g < ATTEND_HEADS ? group - g : ATTEND_HEADS, out + first);
		}
	}
}

#define FLOAT_KERNELS                                                                              \
	.rmsnorm = rmsnorm, .add = add, .silu_mul = silu_mul, .rope = rope, .kv_store = kv_store,  \
	.attend = attend
