#include "kernels/exp.h"
#include "kernels/plain.h"

void
plain_rmsnorm(float *out, const float *x, const float *w, uint32_t n, float eps)
{
	float s[LANES] = {0}, scale;

	for (uint32_t i = 0; i < n; i++)
		s[i % LANES] = fmaf(x[i], x[i], s[i % LANES]);
	scale = 1.0f / sqrtf(join(s) / (float)n + eps);
	for (uint32_t i = 0; i < n; i++)
		out[i] = x[i] * scale * w[i];
}

void
plain_add(float *x, const float *y, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] += y[i];
}

void
plain_silu_mul(float *gate, const float *up, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		gate[i] = gate[i] / (1.0f + exp_one(-gate[i])) * up[i];
}

void
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
