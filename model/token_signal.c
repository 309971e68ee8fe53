/* One pass for the maximum, one for the sums: the sums are then of numbers from 0 to 1 and neither
 * overflow nor lose anything. The loops run over a fixed number of lanes side by side, as long as a
 * compiler makes vectors of without being asked; lanes are added up in double.
 *
 * With S = sum exp(l - m) and W = sum exp(l - m) (l - m): ln p(t) = l_t - m - ln S, and the entropy
 * is ln S - W / S. */
#include "model/token_signal.h"

#include "model/candidates.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum { LANES = 256, BLOCK = 64 * LANES };

/* --- e^x --------------------------------------------------------------------------------------- */

#define LOG2E     0x1.715476p+0f
#define LN2_HI    0x1.62e4p-1f
#define LN2_LO    0x1.7f7d1cp-20f
#define MAGIC     0x1.8p+23f /* added, it leaves the rounded integer in the low bits */
#define LEAST_EXP -87.0f /* e^x is a normal number from here up; below it counts as that, 1e-38 */

/* e^x for -87 <= x <= 0, good to 2e-6 of it, without a branch or a call: 2^n e^r. */
static inline float
exp_below(float x)
{
	float t, n, r, p;
	uint32_t bits;

	t = x * LOG2E + MAGIC;
	n = t - MAGIC;
	r = x - n * LN2_HI - n * LN2_LO;
	p = 0x1.111112p-7f;
	p = p * r + 0x1.555556p-5f;
	p = p * r + 0x1.555556p-3f;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	memcpy(&bits, &t, sizeof bits);
	bits = (bits + 127) << 23;
	memcpy(&t, &bits, sizeof t);
	return p * t;
}

/* --- parts ------------------------------------------------------------------------------------- */

/* candidate_usable() without a call. */
static inline float
usable(float x)
{
	x = x > -FLT_MAX ? x : -FLT_MAX; /* NaN too */
	return x < FLT_MAX ? x : FLT_MAX;
}

static inline float
greater(float a, float b)
{
	return a > b ? a : b;
}

static inline float
lesser(float a, float b)
{
	return a < b ? a : b;
}

/* Up to LANES logits, the rest filled up. */
static void
load(float x[restrict LANES], const float *restrict logits, uint32_t n)
{
	memcpy(x, logits, n * sizeof *x);
	for (uint32_t k = n; k < LANES; k++)
		x[k] = -FLT_MAX;
	for (uint32_t k = 0; k < LANES; k++)
		x[k] = usable(x[k]);
}

static void
two_best(struct token_part *p, const float *logits, uint32_t n)
{
	float x[LANES], best[LANES], second[LANES];

	for (uint32_t k = 0; k < LANES; k++)
		best[k] = second[k] = -FLT_MAX;
	for (uint32_t i = 0; i < n; i += LANES) {
		load(x, logits + i, n - i < LANES ? n - i : LANES);
		for (uint32_t k = 0; k < LANES; k++) {
			second[k] = greater(second[k], lesser(best[k], x[k]));
			best[k] = greater(best[k], x[k]);
		}
	}
	for (uint32_t k = 0; k < LANES; k++) {
		p->second = greater(greater(p->second, second[k]), lesser(p->best, best[k]));
		p->best = greater(p->best, best[k]);
	}
}

/* Up to BLOCK logits. */
static void
add_sums(struct token_part *p, const float *logits, uint32_t n)
{
	float x[LANES], sum[LANES] = {0}, weighted[LANES] = {0}, best = p->best;

	for (uint32_t i = 0; i < n; i += LANES) {
		load(x, logits + i, n - i < LANES ? n - i : LANES);
		for (uint32_t k = 0; k < LANES; k++)
			x[k] = greater(x[k] - best, LEAST_EXP);
		for (uint32_t k = 0; k < LANES; k++) {
			float e = exp_below(x[k]);

			sum[k] += e;
			weighted[k] += e * x[k];
		}
	}
	for (uint32_t k = 0; k < LANES; k++) {
		p->sum += (double)sum[k];
		p->weighted += (double)weighted[k];
	}
}

void
token_part_of(struct token_part *p, const float *logits, uint32_t n)
{
	*p = (struct token_part){.n = n, .best = -FLT_MAX, .second = -FLT_MAX};
	if (n == 0)
		return;
	two_best(p, logits, n);
	for (uint32_t i = 0; i < n; i += BLOCK)
		add_sums(p, logits + i, n - i < BLOCK ? n - i : BLOCK);
}

/* Makes `best` the number that the sums refer to. */
static void
move_to(struct token_part *p, float best)
{
	double down = (double)p->best - (double)best, by = exp(down);

	/* sum e^(l - best) (l - best), with l - best = (l - p->best) + down */
	p->weighted = by > 0.0 ? by * (p->weighted + down * p->sum) : 0.0;
	p->sum *= by;
}

void
token_part_merge(struct token_part *p, const struct token_part *other)
{
	struct token_part o = *other;
	float best, low;

	if (o.n == 0)
		return;
	if (p->n == 0) {
		*p = o;
		return;
	}
	best = p->best > o.best ? p->best : o.best;
	low = p->best > o.best ? o.best : p->best;
	move_to(p, best);
	move_to(&o, best);
	p->n += o.n;
	p->sum += o.sum;
	p->weighted += o.weighted;
	p->second = p->second > o.second ? p->second : o.second;
	p->second = low > p->second ? low : p->second;
	p->best = best;
}

void
token_part_signal(const struct token_part *p, float picked_logit, struct token_signal *s)
{
	double log_sum, logp, entropy, margin;

	*s = (struct token_signal){0};
	if (p->n == 0 || !(p->sum > 0.0))
		return;
	log_sum = log(p->sum);
	logp = (double)usable(picked_logit) - (double)p->best - log_sum;
	entropy = log_sum - p->weighted / p->sum;
	margin = (double)p->best - (double)p->second;
	s->logp = logp >= 0.0 ? 0.0f : logp > (double)-FLT_MAX ? (float)logp : -FLT_MAX;
	s->entropy = entropy > 0.0 ? (float)entropy : 0.0f;
	s->margin = p->n > 1 && margin < (double)TOKEN_MARGIN ? (float)margin : TOKEN_MARGIN;
}

void
token_signal_of(struct token_signal *s, const float *logits, uint32_t n, uint32_t picked)
{
	struct token_part p;

	token_part_of(&p, logits, n);
	token_part_signal(&p, picked < n ? logits[picked] : -FLT_MAX, s);
}

/* --- an answer --------------------------------------------------------------------------------- */

void
token_signals_add(struct token_signals *a, const struct token_signal *s)
{
	if (a->n == UINT32_MAX)
		return;
	if (a->n == 0) {
		a->first = *s;
		a->least_logp = s->logp;
		a->most_entropy = s->entropy;
		a->least_margin = s->margin;
	}
	a->n++;
	a->doubts += s->margin < TOKEN_DOUBT;
	a->logp += (double)s->logp;
	a->entropy += (double)s->entropy;
	a->margin += (double)s->margin;
	a->least_logp = s->logp < a->least_logp ? s->logp : a->least_logp;
	a->most_entropy = s->entropy > a->most_entropy ? s->entropy : a->most_entropy;
	a->least_margin = s->margin < a->least_margin ? s->margin : a->least_margin;
}

bool
token_signals_figures(const struct token_signals *a, float figures[static TOKEN_FIGURES])
{
	double n = a->n;

	memset(figures, 0, TOKEN_FIGURES * sizeof *figures);
	if (a->n == 0)
		return false;
	figures[TOKEN_MEAN_LOGP] = (float)(a->logp / n);
	figures[TOKEN_SUM_LOGP] = a->logp > (double)-FLT_MAX ? (float)a->logp : -FLT_MAX;
	figures[TOKEN_LEAST_LOGP] = a->least_logp;
	figures[TOKEN_MEAN_ENTROPY] = (float)(a->entropy / n);
	figures[TOKEN_MOST_ENTROPY] = a->most_entropy;
	figures[TOKEN_MEAN_MARGIN] = (float)(a->margin / n);
	figures[TOKEN_LEAST_MARGIN] = a->least_margin;
	figures[TOKEN_FIRST_LOGP] = a->first.logp;
	figures[TOKEN_FIRST_ENTROPY] = a->first.entropy;
	figures[TOKEN_DOUBTS] = (float)a->doubts;
	figures[TOKEN_COUNT] = (float)a->n;
	return true;
}

const char *
token_figure_name(enum token_figure figure)
{
	static const char *const names[TOKEN_FIGURES] = {[TOKEN_MEAN_LOGP] = "mean_logp",
		[TOKEN_SUM_LOGP] = "sum_logp",
		[TOKEN_LEAST_LOGP] = "least_logp",
		[TOKEN_MEAN_ENTROPY] = "mean_entropy",
		[TOKEN_MOST_ENTROPY] = "most_entropy",
		[TOKEN_MEAN_MARGIN] = "mean_margin",
		[TOKEN_LEAST_MARGIN] = "least_margin",
		[TOKEN_FIRST_LOGP] = "first_logp",
		[TOKEN_FIRST_ENTROPY] = "first_entropy",
		[TOKEN_DOUBTS] = "doubts",
		[TOKEN_COUNT] = "count"};

	return names[figure];
}
