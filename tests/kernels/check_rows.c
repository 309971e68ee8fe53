/* What works on rows of floats. */
#include "tests/kernels/check.h"

#include "kernels/exp.h"
#include "kernels/sets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum vector_kernel { RMSNORM, ADD, SILU_MUL, ROPE, ROPE_INTERLEAVED };

static void
run_vector(const struct kernels *k, enum vector_kernel which, float *x, const float *y,
	const float *z, uint32_t n)
{
	switch (which) {
	case RMSNORM:
		k->rmsnorm(x, x, y, n, 1e-5f);
		break;
	case ADD:
		k->add(x, y, n);
		break;
	case SILU_MUL:
		k->silu_mul(x, y, n);
		break;
	case ROPE:
		k->rope(x, y, z, n, false);
		break;
	case ROPE_INTERLEAVED:
		k->rope(x, y, z, n, true);
		break;
	}
}

static const char *
check_vector(const struct kernels *k, enum vector_kernel which)
{
	for (int turn = 0; turn < 60; turn++) {
		uint32_t n = which >= ROPE ? 2 * between(1, 130) : between(1, 700);
		struct edge y = edge_new(n * sizeof(float)), z = edge_new(n * sizeof(float));
		float *a = guarded_new(n), *b = guarded_new(n);
		const float *fy = (const float *)(const void *)y.data,
			    *fz = (const float *)(const void *)z.data;
		bool same;

		fill_floats(a, n);
		if (which == SILU_MUL)
			for (uint32_t i = 0; i < n; i++)
				a[i] = rnd_float(rnd() % 9 == 0 ? 200.0f : 8.0f);
		memcpy(b, a, n * sizeof *a);
		fill_floats((float *)(void *)y.data, n);
		fill_floats((float *)(void *)z.data, n);
		run_vector(&kernels_plain, which, a, fy, fz, n);
		run_vector(k, which, b, fy, fz, n);
		same = memcmp(a, b, n * sizeof *a) == 0 && guarded_ok(b, n);
		guarded_free(a);
		guarded_free(b);
		edge_free(&y);
		edge_free(&z);
		if (!same)
			return "other bits than plain C";
	}
	return NULL;
}

void
check_vectors(const struct kernels *k)
{
	static const char *const names[] = {
		"rmsnorm", "add", "silu_mul", "rope", "rope interleaved"};

	for (int i = RMSNORM; i <= ROPE_INTERLEAVED; i++)
		report(k->name, names[i], check_vector(k, (enum vector_kernel)i));
}

/* e^x itself, which every set has to give to the bit: right, never subnormal, 0 and infinite where it ends. */
static const char *
exp_trouble(void)
{
	static char trouble[80];
	for (float x = -110.0f; x < 95.0f; x += 0x1.1p-9f) {
		double want = exp((double)x), got = (double)exp_one(x);
		bool close = fabs(got - want) <= 1.5 * 0x1p-23 * want, right = close;

		if (want < 0x1.8p-126)
			right = got == 0 || (close && got >= 0x1p-126);
		else if (want > 0x1.fffffp+127)
			right = close || isinf(got);
		if (right)
			continue;
		snprintf(trouble, sizeof trouble, "e^%a is %a", (double)x, got);
		return trouble;
	}
	if (exp_one(-INFINITY) != 0 || exp_one(-87.5f) != 0)
		return "what is small is not 0";
	if (!isinf(exp_one(89.0f)) || !isinf(exp_one(INFINITY)))
		return "what is large is not infinite";
	return isnan(exp_one(NAN)) ? NULL : "NaN is lost";
}

void
check_exp_meaning(void)
{
	report("plain", "exp", exp_trouble());
}
