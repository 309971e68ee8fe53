#include "tests/bench/route_eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void *
get(size_t n, size_t size)
{
	void *p = calloc(n > 0 ? n : 1, size);

	if (p == NULL) {
		fputs("route: out of memory\n", stderr);
		exit(1);
	}
	return p;
}

double *
new_scores(const struct trace_set *s)
{
	return get(s->n, sizeof(double));
}

/* --- training -------------------------------------------------------------------------------------- */

/* Places of `labels` rows of the set, in a drawn order. Returns how many there are. */
static size_t
draw_places(const struct training *t, size_t *place)
{
	size_t *all = get(t->from->n, sizeof *all), n = 0;
	uint64_t random = 1000 + t->seed;

	for (size_t i = 0; i < t->from->n; i++)
		all[i] = i;
	for (size_t i = t->from->n; i > 1; i--) {
		size_t j = (size_t)(next_random(&random) % i), other = all[j];

		all[j] = all[i - 1];
		all[i - 1] = other;
	}
	for (size_t i = 0; i < t->from->n && n < t->labels; i++)
		if (t->without == NULL || !trace_has(&t->from->t[all[i]], t->without))
			place[n++] = all[i];
	free(all);
	return n;
}

struct gain *
train_gain(const struct training *t)
{
	size_t *place = get(t->labels, sizeof *place), n = draw_places(t, place);
	struct gain_row *rows = get(n, sizeof *rows);
	uint64_t random = 77 + t->seed;
	struct err err;
	struct gain *g = gain_new(&err);

	for (size_t i = 0; i < n; i++) {
		trace_row(&rows[i], &t->from->t[place[i]]);
		if (t->poison > 0 && i + t->batch >= n &&
			(double)(next_random(&random) >> 11) * 0x1p-53 < t->poison)
			for (int m = GAIN_SMALL; m <= GAIN_LARGE; m++)
				rows[i].label[m] = 1.0f - rows[i].label[m];
	}
	if (g == NULL || gain_train(g, rows, n, t->held, &err) != 0) {
		fprintf(stderr, "route: %s\n", err.msg);
		exit(1);
	}
	if (t->rows != NULL)
		memcpy(t->rows, rows, n * sizeof *rows);
	free(rows);
	free(place);
	return g;
}

/* --- scores ---------------------------------------------------------------------------------------- */

void
score_gain(double *score, const struct gain *g, const struct trace_set *s, enum view view)
{
	static const struct route_text no_text; /* of which nothing is known */

	for (size_t i = 0; i < s->n; i++) {
		const struct trace *t = &s->t[i];
		struct gain_estimate e;

		gain_estimate(g, view == VIEW_ANSWER ? &no_text : &t->text,
			view == VIEW_BEFORE ? NULL : t->figure, &e);
		score[i] = (double)e.gain;
	}
}

static bool
same_cell(const struct trace *a, const struct trace *b)
{
	return a->level == b->level && strcmp(a->kinds, b->kinds) == 0;
}

void
score_table(double *score, const struct trace_set *s, const struct training *t)
{
	size_t *place = get(t->labels, sizeof *place), n = draw_places(t, place);

	for (size_t i = 0; i < s->n; i++) {
		double level_sum = 0, level_n = 0, all = 0, sum = 0, count = 0;

		for (size_t k = 0; k < n; k++) {
			const struct trace *r = &t->from->t[place[k]];
			double gain = r->large - r->small;

			all += gain / (double)n;
			level_sum += r->level == s->t[i].level ? gain : 0;
			level_n += r->level == s->t[i].level;
			sum += same_cell(r, &s->t[i]) ? gain : 0;
			count += same_cell(r, &s->t[i]);
		}
		/* A cell with few rows leans on its level, a level on all. */
		level_sum = (level_sum + 2 * all) / (level_n + 2);
		score[i] = (sum + 2 * level_sum) / (count + 2);
	}
	free(place);
}

void
score_random(double *score, const struct trace_set *s, unsigned seed)
{
	uint64_t random = seed;

	for (size_t i = 0; i < s->n; i++)
		score[i] = (double)(next_random(&random) >> 11);
}

void
score_length(double *score, const struct trace_set *s, bool longer_first)
{
	for (size_t i = 0; i < s->n; i++)
		score[i] = (longer_first ? 1 : -1) * (double)strlen(s->t[i].user);
}

void
score_oracle(double *score, const struct trace_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		score[i] = s->t[i].large - s->t[i].small;
}

void
score_figure(double *score, const struct trace_set *s, int figure)
{
	for (size_t i = 0; i < s->n; i++)
		score[i] = figure >= 0 ? (double)s->t[i].figure[figure]
				       : -(double)s->t[i].figure[-1 - figure];
}

int
best_figure(const struct trace_set *s)
{
	double *score = new_scores(s), most = -INFINITY;
	int best = 0;

	for (int f = -TOKEN_FIGURES; f < TOKEN_FIGURES; f++) {
		double apgr;

		score_figure(score, s, f);
		apgr = curve_of(score, s).apgr;
		if (apgr > most) {
			most = apgr;
			best = f;
		}
	}
	free(score);
	return best;
}

struct said {
	double p, right;
};

static int
by_chance(const void *a, const void *b)
{
	double x = ((const struct said *)a)->p, y = ((const struct said *)b)->p;

	return (x > y) - (x < y);
}

double
calibration_error(const struct gain *g, const struct trace_set *s, enum gain_model m)
{
	struct said *said = get(s->n, sizeof *said);
	double off = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct gain_estimate e;

		gain_estimate(g, &s->t[i].text, s->t[i].figure, &e);
		said[i] = (struct said){
			(double)e.p[m], m == GAIN_SMALL ? s->t[i].small : s->t[i].large};
	}
	qsort(said, s->n, sizeof *said, by_chance);
	for (size_t bin = 0; bin < 10; bin++) {
		double sum = 0;

		for (size_t i = bin * s->n / 10; i < (bin + 1) * s->n / 10; i++)
			sum += said[i].p - said[i].right;
		off += fabs(sum) / (double)s->n;
	}
	free(said);
	return off;
}

/* --- curves ---------------------------------------------------------------------------------------- */

static struct route_outcome *
outcomes(const double *score, const struct trace_set *s)
{
	struct route_outcome *o = get(s->n, sizeof *o);

	for (size_t i = 0; i < s->n; i++)
		o[i] = (struct route_outcome){score[i], s->t[i].small, s->t[i].large};
	return o;
}

struct route_curve
curve_of(const double *score, const struct trace_set *s)
{
	struct route_outcome *o = outcomes(score, s);
	struct route_curve c = route_curve(o, s->n);

	free(o);
	return c;
}

double
quality_of(const double *score, const struct trace_set *s, double share)
{
	struct route_outcome *o = outcomes(score, s);
	double q;

	route_curve(o, s->n);
	q = route_quality(o, s->n, share);
	free(o);
	return q;
}

/* --- the bootstrap --------------------------------------------------------------------------------- */

/* Resample r of a set: the same places for every router. */
static void
resample(const struct trace_set *s, const double *score, unsigned r, struct route_outcome *o)
{
	uint64_t random = 0x5eed + r;

	for (size_t i = 0; i < s->n; i++) {
		size_t at = (size_t)(next_random(&random) % s->n);

		o[i] = (struct route_outcome){score[at], s->t[at].small, s->t[at].large};
	}
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct drop
drop_at(double *const *score, size_t n, const struct trace_set *s, double share)
{
	struct route_outcome *o = get(s->n, sizeof *o);
	double drops[RESAMPLES];
	struct drop d = {0};

	for (size_t k = 0; k < n; k++)
		d.mean +=
			(curve_of(score[k], s).large - quality_of(score[k], s, share)) / (double)n;
	for (unsigned r = 0; r < RESAMPLES; r++) {
		drops[r] = 0;
		for (size_t k = 0; k < n; k++) {
			double large;

			resample(s, score[k], r, o);
			large = route_curve(o, s->n).large;
			drops[r] += (large - route_quality(o, s->n, share)) / (double)n;
		}
	}
	free(o);
	qsort(drops, RESAMPLES, sizeof *drops, by_value);
	d.upper = drops[RESAMPLES * 95 / 100];
	return d;
}

static double
mean_apgr(double *const *score, size_t n, const struct trace_set *s, unsigned r,
	struct route_outcome *o)
{
	double sum = 0;

	for (size_t k = 0; k < n; k++) {
		resample(s, score[k], r, o);
		sum += route_curve(o, s->n).apgr / (double)n;
	}
	return sum;
}

struct difference
compare(double *const *a, size_t n_a, double *const *b, size_t n_b, const struct trace_set *s)
{
	struct route_outcome *o = get(s->n, sizeof *o);
	double each[RESAMPLES];
	struct difference d = {0};

	for (size_t k = 0; k < n_a; k++)
		d.mean += curve_of(a[k], s).apgr / (double)n_a;
	for (size_t k = 0; k < n_b; k++)
		d.mean -= curve_of(b[k], s).apgr / (double)n_b;
	for (unsigned r = 0; r < RESAMPLES; r++)
		each[r] = mean_apgr(a, n_a, s, r, o) - mean_apgr(b, n_b, s, r, o);
	free(o);
	qsort(each, RESAMPLES, sizeof *each, by_value);
	d.low = each[RESAMPLES * 25 / 1000];
	d.high = each[RESAMPLES * 975 / 1000];
	return d;
}
