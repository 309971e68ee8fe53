#include "sched/knob.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PRIOR = 8 }; /* scores, evenly from -1 to 1, that count beside those that were seen */
#define FIRST_STEP 0.05f

static float
unit(float q)
{
	return q > 0.0f ? (q < 1.0f ? q : 1.0f) : 0.0f; /* NaN: 0 */
}

static float
usable(float score)
{
	return score > -1.0f ? (score < 1.0f ? score : 1.0f) : -1.0f;
}

/* --- a share ------------------------------------------------------------------------------------- */

void
knob_saw(struct knob *k, float score)
{
	k->score[k->next] = usable(score);
	k->next = (k->next + 1) % KNOB_WINDOW;
	k->n += k->n < KNOB_WINDOW;
}

void
knob_begin(struct knob *k, const float *scores, size_t n)
{
	size_t from = n > KNOB_WINDOW ? n - KNOB_WINDOW : 0;

	*k = (struct knob){0};
	for (size_t i = from; i < n; i++)
		knob_saw(k, scores[i]);
}

/* 0 to 1: where a score stands among those that were seen. Equal ones count half. */
static float
rank_of(const struct knob *k, float score)
{
	float below = (float)PRIOR * (score + 1.0f) / 2.0f;

	for (uint32_t i = 0; i < k->n; i++)
		below += k->score[i] < score ? 1.0f : k->score[i] == score ? 0.5f : 0.0f;
	return below / (float)(PRIOR + k->n);
}

/* The score whose rank is `edge`. */
static float
score_at(const struct knob *k, float edge)
{
	float low = -1.0f, high = 1.0f;

	for (int i = 0; i < 24; i++) {
		float middle = (low + high) / 2.0f;

		if (rank_of(k, middle) > edge)
			high = middle;
		else
			low = middle;
	}
	return high;
}

struct knob_decision
knob_decide(const struct knob *k, float q, float score)
{
	float edge = 1.0f - unit(q) - k->shift;

	score = usable(score);
	if (unit(q) <= 0.0f)
		return (struct knob_decision){false, INFINITY};
	if (unit(q) >= 1.0f)
		return (struct knob_decision){true, -INFINITY};
	return (struct knob_decision){rank_of(k, score) > edge, score_at(k, edge)};
}

void
knob_learn(struct knob *k, float q, float score, bool up)
{
	float step = 1.0f / (1.0f / FIRST_STEP + (float)k->decisions);

	q = unit(q);
	knob_saw(k, score);
	if (q <= 0.0f || q >= 1.0f)
		return;
	step = step > KNOB_STEP ? step : KNOB_STEP;
	k->shift += step * (q - (up ? 1.0f : 0.0f));
	k->shift = k->shift > 1.0f ? 1.0f : k->shift < -1.0f ? -1.0f : k->shift;
	k->decisions += k->decisions < UINT32_MAX;
}

void
knob_share_add(struct knob_share *s, float q, bool up)
{
	s->n += s->n < KNOB_WINDOW;
	s->wanted += (unit(q) - s->wanted) / (float)s->n;
	s->real += ((up ? 1.0f : 0.0f) - s->real) / (float)s->n;
}

int
knob_write(const struct knob *k, struct buf *out)
{
	buf_u32(out, k->n);
	buf_u32(out, k->next);
	buf_u32(out, k->decisions);
	buf_f32(out, k->shift);
	for (uint32_t i = 0; i < KNOB_WINDOW; i++)
		buf_f32(out, k->score[i]);
	return out->failed ? -1 : 0;
}

int
knob_read(struct knob *k, struct rd *in, struct err *err)
{
	struct knob new = {.n = rd_u32(in), .next = rd_u32(in)};
	bool good;

	new.decisions = rd_u32(in);
	new.shift = rd_f32(in);
	good = new.n <= KNOB_WINDOW &&new.next < KNOB_WINDOW &&
	       (new.n == KNOB_WINDOW || new.next == new.n) && fabsf(new.shift) <= 1.0f;
	for (uint32_t i = 0; i < KNOB_WINDOW; i++) {
		new.score[i] = rd_f32(in);
		good &= fabsf(new.score[i]) <= 1.0f;
	}
	if (!good || in->failed)
		return err_set(err, "the state of a knob is damaged");
	*k = new;
	return 0;
}

/* --- a promise ------------------------------------------------------------------------------------ */

#define ONE_SIDED_95 1.645

static int
by_score(const void *a, const void *b)
{
	float x = ((const struct knob_sample *)a)->score,
	      y = ((const struct knob_sample *)b)->score;

	return (x < y) - (x > y);
}

void
knob_curve_make(struct knob_curve *c, struct knob_sample *samples, size_t n)
{
	*c = (struct knob_curve){.n = (uint32_t)n};
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		samples[i].score = usable(samples[i].score);
	qsort(samples, n, sizeof *samples, by_score);
	for (int s = 0; s <= KNOB_STEPS; s++) {
		size_t up = ((size_t)s * n + KNOB_STEPS / 2) / KNOB_STEPS;
		double x = 0.0, xx = 0.0, xl = 0.0;

		for (size_t i = 0; i < n; i++) {
			double l = (double)samples[i].large;
			double q = i < up ? l : (double)samples[i].small;

			x += q;
			xx += q * q;
			xl += q * l;
		}
		c->step[s] =
			(struct knob_step){.threshold = up > 0 ? samples[up - 1].score : INFINITY,
				.x = (float)(x / (double)n),
				.xx = (float)(xx / (double)n),
				.xl = (float)(xl / (double)n)};
	}
	c->step[KNOB_STEPS].threshold = -INFINITY;
	c->l = c->step[KNOB_STEPS].x;
	c->ll = c->step[KNOB_STEPS].xx;
}

/* The lower bound of E[x - r l] at one step, with a row of x = 0 and l = 1 beside the n. */
static double
lower_bound(const struct knob_curve *c, const struct knob_step *s, double r)
{
	double n = (double)c->n, mean = (double)s->x - r * (double)c->l;
	double square = (double)s->xx - 2.0 * r * (double)s->xl + r * r * (double)c->ll, var;

	mean = (n * mean - r) / (n + 1.0);
	square = (n * square + r * r) / (n + 1.0);
	var = square - mean * mean;
	return mean - ONE_SIDED_95 * sqrt((var > 0.0 ? var : 0.0) / (n > 0.0 ? n : 1.0));
}

struct knob_promise
knob_at_least(const struct knob_curve *c, float r)
{
	struct knob_promise p = {.threshold = -INFINITY, .share = 1.0f, .quality = c->l};

	for (int s = KNOB_STEPS - 1; s >= 0 && c->n > 0; s--) {
		double lower = lower_bound(c, &c->step[s], (double)unit(r));

		if (!(lower >= 0.0))
			break;
		p = (struct knob_promise){.kept = true,
			.threshold = c->step[s].threshold,
			.share = (float)s / (float)KNOB_STEPS,
			.quality = c->step[s].x,
			.slack = (float)lower};
	}
	return p;
}

int
knob_curve_write(const struct knob_curve *c, struct buf *out)
{
	buf_u32(out, c->n);
	buf_f32(out, c->l);
	buf_f32(out, c->ll);
	for (int s = 0; s <= KNOB_STEPS; s++) {
		buf_f32(out, c->step[s].threshold);
		buf_f32(out, c->step[s].x);
		buf_f32(out, c->step[s].xx);
		buf_f32(out, c->step[s].xl);
	}
	return out->failed ? -1 : 0;
}

static bool
is_mean(float x)
{
	return x >= 0.0f && x <= 1.0f;
}

int
knob_curve_read(struct knob_curve *c, struct rd *in, struct err *err)
{
	struct knob_curve new = {.n = rd_u32(in)};
	bool good;

	new.l = rd_f32(in);
	new.ll = rd_f32(in);
	good = is_mean(new.l) && is_mean(new.ll);
	for (int s = 0; s <= KNOB_STEPS; s++) {
		struct knob_step *at = &new.step[s];

		at->threshold = rd_f32(in);
		at->x = rd_f32(in);
		at->xx = rd_f32(in);
		at->xl = rd_f32(in);
		good &= !isnan(at->threshold) && is_mean(at->x) && is_mean(at->xx) &&
			is_mean(at->xl) && (s == 0 || at->threshold <= new.step[s - 1].threshold);
	}
	if (!good || in->failed)
		return err_set(err, "what qualities were measured is damaged");
	*c = new;
	return 0;
}
