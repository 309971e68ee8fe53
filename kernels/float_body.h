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

#define FLOAT_KERNELS .rmsnorm = rmsnorm, .add = add, .silu_mul = silu_mul, .rope = rope
