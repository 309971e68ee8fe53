#include "model/rope.h"

#include <math.h>
#include <stdlib.h>

#define TWO_PI 6.283185307179586

static int
rope_check(const struct model_shape *s, struct err *err)
{
	bool scaled = s->rope_scaling != ROPE_NONE;

	if (s->rope_dim == 0 || s->rope_dim % 2 != 0 || s->rope_dim > s->head_dim)
		return err_set(err,
			"rope turns %u dimensions of heads of %u: it must be even and no more",
			s->rope_dim, s->head_dim);
	if (!(s->rope_base > 1.0f) || isinf(s->rope_base))
		return err_set(err, "rope base %g: must be above 1", (double)s->rope_base);
	if (scaled && (!(s->rope_factor > 0.0f) || isinf(s->rope_factor)))
		return err_set(
			err, "rope scaling factor %g: must be positive", (double)s->rope_factor);
	if ((s->rope_scaling == ROPE_YARN || s->rope_scaling == ROPE_LLAMA3) &&
		s->rope_orig_context == 0)
		return err_set(err, "rope scaling needs the original context length, which is 0");
	if (s->rope_scaling == ROPE_LLAMA3 &&
		!(s->rope_low_freq > 0.0f && s->rope_high_freq > s->rope_low_freq))
		return err_set(err,
			"rope scaling llama3: frequency factors %g and %g do not rise from 0",
			(double)s->rope_low_freq, (double)s->rope_high_freq);
	if (s->rope_scaling == ROPE_YARN && !(s->yarn_beta_slow > 0.0f && s->yarn_beta_fast > 0.0f))
		return err_set(err, "rope scaling yarn: beta %g and %g must be positive",
			(double)s->yarn_beta_fast, (double)s->yarn_beta_slow);
	return 0;
}

/* Llama 3: long waves are stretched by the factor, short ones are kept, those between are mixed. */
static double
llama3_freq(const struct model_shape *s, double freq)
{
	double turns = s->rope_orig_context * freq / TWO_PI; /* in the original context */
	double low = s->rope_low_freq, high = s->rope_high_freq, mix;

	if (turns >= high)
		return freq;
	if (turns <= low)
		return freq / s->rope_factor;
	mix = (turns - low) / (high - low);
	return freq * (mix + (1.0 - mix) / s->rope_factor);
}

/* YaRN: the (fractional) pair that turns `turns` times in the original context. */
static double
yarn_pair(const struct model_shape *s, double turns)
{
	return s->rope_dim * log(s->rope_orig_context / (turns * TWO_PI)) /
	       (2.0 * log(s->rope_base));
}

/* YaRN as its authors' code has it: pairs faster than beta_fast keep their frequency, those slower
 * than beta_slow are interpolated, with a ramp over the pairs between. */
static double
yarn_freq(const struct model_shape *s, double freq, uint32_t pair)
{
	double first = fmax(0.0, floor(yarn_pair(s, s->yarn_beta_fast)));
	double last = fmin(s->rope_dim - 1.0, ceil(yarn_pair(s, s->yarn_beta_slow)));
	double ramp = (pair - first) / fmax(0.001, last - first);
	double keep = (1.0 - fmin(1.0, fmax(0.0, ramp))) * s->yarn_ext_factor;

	return freq * (keep + (1.0 - keep) / s->rope_factor);
}

static double
scaled_freq(const struct model_shape *s, double freq, uint32_t pair, bool factors)
{
	switch (s->rope_scaling) {
	case ROPE_LINEAR:
		return freq / s->rope_factor;
	case ROPE_LLAMA3:
		return factors ? freq : llama3_freq(s, freq);
	case ROPE_YARN:
		return yarn_freq(s, freq, pair);
	case ROPE_NONE:
		break;
	}
	return freq;
}

int
rope_init(struct rope *r, const struct model_shape *s, const float *factors, struct err *err)
{
	*r = (struct rope){.half = s->rope_dim / 2, .mscale = 1.0};
	if (rope_check(s, err) != 0)
		return -1;
	r->freq = calloc(r->half, sizeof *r->freq);
	if (r->freq == NULL)
		return err_set(err, "no memory for %u rope frequencies", r->half);
	for (uint32_t i = 0; i < r->half; i++) {
		double freq = pow(s->rope_base, -2.0 * i / s->rope_dim);

		if (factors != NULL && !(factors[i] > 0.0f && isfinite(factors[i]))) {
			rope_deinit(r);
			return err_set(err, "rope_freqs.weight[%u] is not a positive number", i);
		}
		freq = scaled_freq(s, freq, i, factors != NULL);
		r->freq[i] = factors != NULL ? freq / factors[i] : freq;
	}
	if (s->rope_scaling == ROPE_YARN) {
		r->mscale = s->yarn_attn_factor;
		if (s->yarn_ext_factor != 0.0f)
			r->mscale *= 1.0 + 0.1 * log(s->rope_factor);
	}
	return 0;
}

void
rope_deinit(struct rope *r)
{
	free(r->freq);
	*r = (struct rope){0};
}

void
rope_row(const struct rope *r, uint32_t pos, float *cos_out, float *sin_out)
{
	for (uint32_t i = 0; i < r->half; i++) {
		double angle = pos * r->freq[i];

		cos_out[i] = (float)(cos(angle) * r->mscale);
		sin_out[i] = (float)(sin(angle) * r->mscale);
	}
}
