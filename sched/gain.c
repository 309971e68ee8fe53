#include "sched/gain_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gain *
gain_new(struct err *err)
{
	struct gain *g = calloc(1, sizeof *g);

	if (g == NULL)
		err_set(err, "no memory for a router's model");
	return g;
}

void
gain_free(struct gain *g)
{
	free(g);
}

void
gain_facts(const struct gain *g, struct gain_facts *f)
{
	*f = g->facts;
	f->buckets = 0;
	for (uint32_t b = 0; b < ROUTE_BUCKETS; b++)
		f->buckets += gain_seen(g, (uint16_t)b);
}

/* --- scores ------------------------------------------------------------------------------------ */

double
gain_odds_to_p(double log_odds)
{
	return 1.0 / (1.0 + exp(-log_odds));
}

void
gain_text_scores(
	const struct sparse *s, const uint16_t *bucket, uint32_t n, float score[static GAIN_MODELS])
{
	float small = 0.0f, large = 0.0f, cloud = 0.0f, x = gain_feature(n);

	for (uint32_t i = 0; i < n; i++) { /* no loop over the models: the sums stay in registers */
		const float *w = s->weight[bucket[i]];
		float part = gain_part(bucket[i]);

		small += part * w[GAIN_SMALL];
		large += part * w[GAIN_LARGE];
		cloud += part * w[GAIN_CLOUD];
	}
	score[GAIN_SMALL] = s->constant[GAIN_SMALL] + x * small;
	score[GAIN_LARGE] = s->constant[GAIN_LARGE] + x * large;
	score[GAIN_CLOUD] = s->constant[GAIN_CLOUD] + x * cloud;
}

/* ln(1 + x), of what may be far out. */
static float
small_part(float x)
{
	return log1pf(x > 0.0f ? x : 0.0f);
}

/* Probabilities that are nearly 1 and far below it both matter: log-probabilities and entropies
 * count by the logarithm. */
static float
fine(float x)
{
	x = x > 1e-6f ? x : 1e-6f;
	return logf(x < 1e3f ? x : 1e3f);
}

static float
chance(float log_chance)
{
	return expf(log_chance < 0.0f ? log_chance : 0.0f);
}

void
gain_inputs(const float text[static GAIN_MODELS], const float figure[static TOKEN_FIGURES],
	float input[static DENSE_INPUTS])
{
	float *in = input + DENSE_TEXT;

	for (int m = 0; m < GAIN_MODELS; m++)
		input[m] = text[m];
	in[TOKEN_MEAN_LOGP] = fine(-figure[TOKEN_MEAN_LOGP]);
	in[TOKEN_SUM_LOGP] = fine(-figure[TOKEN_SUM_LOGP]);
	in[TOKEN_LEAST_LOGP] = fine(-figure[TOKEN_LEAST_LOGP]);
	in[TOKEN_MEAN_ENTROPY] = fine(figure[TOKEN_MEAN_ENTROPY]);
	in[TOKEN_MOST_ENTROPY] = fine(figure[TOKEN_MOST_ENTROPY]);
	in[TOKEN_MEAN_MARGIN] = figure[TOKEN_MEAN_MARGIN];
	in[TOKEN_LEAST_MARGIN] = figure[TOKEN_LEAST_MARGIN];
	in[TOKEN_FIRST_LOGP] = fine(-figure[TOKEN_FIRST_LOGP]);
	in[TOKEN_FIRST_ENTROPY] = fine(figure[TOKEN_FIRST_ENTROPY]);
	in[TOKEN_DOUBTS] = small_part(figure[TOKEN_DOUBTS]);
	in[TOKEN_COUNT] = small_part(figure[TOKEN_COUNT]);
	input[DENSE_CHANCES] = chance(figure[TOKEN_SUM_LOGP]);
	input[DENSE_CHANCES + 1] = chance(figure[TOKEN_LEAST_LOGP]);
	input[DENSE_CHANCES + 2] = chance(-figure[TOKEN_LEAST_MARGIN]);
}

void
gain_dense_scores(const struct dense *d, const float input[static DENSE_INPUTS],
	float score[static GAIN_MODELS])
{
	for (int m = 0; m < GAIN_MODELS; m++) {
		const float *w = d->weight[m];
		float sum = w[DENSE_INPUTS];

		for (int i = 0; i < DENSE_INPUTS; i++)
			sum += w[i] * (input[i] - d->mean[i]) * d->scale[i];
		score[m] = sum;
	}
}

/* --- why --------------------------------------------------------------------------------------- */

static void
insert_part(struct gain_estimate *e, uint32_t feature, float part)
{
	uint32_t at;

	for (at = e->n_why; at > 0 && fabsf(part) > fabsf(e->why[at - 1].part); at--)
		if (at < GAIN_WHY)
			e->why[at] = e->why[at - 1];
	e->why[at] = (struct gain_why){feature, part};
	e->n_why += e->n_why < GAIN_WHY;
}

static inline void
note_part(struct gain_estimate *e, uint32_t feature, float part)
{
	float least = e->n_why < GAIN_WHY ? 0.0f : fabsf(e->why[GAIN_WHY - 1].part);

	if (fabsf(part) > least) /* as few are */
		insert_part(e, feature, part);
}

/* How much the large model's log odds move with input i, less how much the small one's do. */
static float
weight_of(const struct dense *d, int i)
{
	return (d->platt[GAIN_LARGE].slope * d->weight[GAIN_LARGE][i] -
		       d->platt[GAIN_SMALL].slope * d->weight[GAIN_SMALL][i]) *
	       d->scale[i];
}

/* d: NULL where the words alone decide; else it has half of the say. */
static void
note_words(const struct gain *g, const struct route_text *t, const struct dense *d,
	struct gain_estimate *e)
{
	float x = gain_feature(t->n), by[GAIN_MODELS] = {0};

	if (d == NULL) {
		by[GAIN_LARGE] = g->platt[GAIN_LARGE].slope;
		by[GAIN_SMALL] = -g->platt[GAIN_SMALL].slope;
	}
	for (int m = 0; d != NULL && m < GAIN_MODELS; m++)
		by[m] = 0.5f * weight_of(d, m) * g->platt[m].slope;
	for (uint32_t i = 0; i < t->n; i++) {
		const float *w = g->text.weight[t->bucket[i]];
		float part = 0.0f;

		for (int m = 0; m < GAIN_MODELS; m++)
			part += by[m] * w[m];
		note_part(e, i, x * gain_part(t->bucket[i]) * part);
	}
}

static void
add_parts(const struct dense *d, const float input[static DENSE_INPUTS], float by,
	float part[static TOKEN_FIGURES])
{
	static const uint8_t figure_of[] = {TOKEN_SUM_LOGP, TOKEN_LEAST_LOGP, TOKEN_LEAST_MARGIN};

	for (int i = DENSE_TEXT; i < DENSE_INPUTS; i++) {
		int f = i < DENSE_CHANCES ? i - DENSE_TEXT : figure_of[i - DENSE_CHANCES];

		part[f] += by * weight_of(d, i) * (input[i] - d->mean[i]);
	}
}

static void
note_figures(const float part[static TOKEN_FIGURES], struct gain_estimate *e)
{
	for (uint32_t f = 0; f < TOKEN_FIGURES; f++)
		note_part(e, GAIN_WHY_FIGURE + f, part[f]);
}

void
gain_why_name(const struct gain_why *w, const struct route_text *t, const char *text, size_t len,
	char name[static ROUTE_NAME])
{
	static const char *const figures[TOKEN_FIGURES] = {
		[TOKEN_MEAN_LOGP] = "how likely its tokens were",
		[TOKEN_SUM_LOGP] = "how likely its answer was",
		[TOKEN_LEAST_LOGP] = "its least likely token",
		[TOKEN_MEAN_ENTROPY] = "how open its tokens were",
		[TOKEN_MOST_ENTROPY] = "its most open token",
		[TOKEN_MEAN_MARGIN] = "how far ahead its tokens were",
		[TOKEN_LEAST_MARGIN] = "its least sure token",
		[TOKEN_FIRST_LOGP] = "its first token",
		[TOKEN_FIRST_ENTROPY] = "how open its first token was",
		[TOKEN_DOUBTS] = "its doubtful tokens",
		[TOKEN_COUNT] = "the length of its answer"};

	if (w->feature >= GAIN_WHY_FIGURE && w->feature < GAIN_WHY_FIGURE + TOKEN_FIGURES)
		snprintf(name, ROUTE_NAME, "%s", figures[w->feature - GAIN_WHY_FIGURE]);
	else if (w->feature < t->n)
		route_text_name(t, w->feature, text, len, name);
	else
		name[0] = '\0';
}

/* --- estimates ---------------------------------------------------------------------------------- */

static void
take_odds(struct gain_estimate *e, const struct gain *g, const float odds[static GAIN_MODELS])
{
	for (int m = 0; m < GAIN_MODELS; m++)
		e->p[m] = g->facts.labels[m] < GAIN_LEAST_ROWS
				  ? 0.5f
				  : (float)gain_odds_to_p((double)odds[m]);
	e->gain = e->p[GAIN_LARGE] - e->p[GAIN_SMALL];
}

static void
calibrated(const struct platt platt[static GAIN_MODELS], const float score[static GAIN_MODELS],
	float odds[static GAIN_MODELS])
{
	for (int m = 0; m < GAIN_MODELS; m++)
		odds[m] = gain_calibrated(&platt[m], score[m]);
}

/* After the answer: where the words are known, the mean of what the figures say with and without
 * them. A kind of task that was never labelled may be made of known words. */
static void
estimate_answered(const struct gain *g, const struct route_text *t, const float *figures,
	const float text[static GAIN_MODELS], struct gain_estimate *e)
{
	float input[DENSE_INPUTS], score[GAIN_MODELS], odds[GAIN_MODELS], other[GAIN_MODELS];
	float part[TOKEN_FIGURES] = {0};
	bool known = e->known >= GAIN_KNOWN;

	e->reason = known ? GAIN_TEXT_AND_ANSWER : GAIN_ANSWER;
	calibrated(g->platt, text, odds);
	gain_inputs(odds, figures, input);
	gain_dense_scores(&g->answer, input, score);
	calibrated(g->answer.platt, score, odds);
	add_parts(&g->answer, input, known ? 0.5f : 1.0f, part);
	if (known) {
		gain_dense_scores(&g->both, input, score);
		calibrated(g->both.platt, score, other);
		add_parts(&g->both, input, 0.5f, part);
		for (int m = 0; m < GAIN_MODELS; m++)
			odds[m] = gain_calibrated(&g->mean[m], 0.5f * (odds[m] + other[m]));
		note_words(g, t, &g->both, e);
	}
	take_odds(e, g, odds);
	note_figures(part, e);
}

static void
estimate_untrained(const float *figures, struct gain_estimate *e)
{
	for (int m = 0; m < GAIN_MODELS; m++)
		e->p[m] = 0.5f;
	if (figures == NULL)
		return;
	e->reason = GAIN_MARGIN;
	e->gain = expf(-(figures[TOKEN_LEAST_MARGIN] > 0.0f ? figures[TOKEN_LEAST_MARGIN] : 0.0f));
	note_part(e, GAIN_WHY_FIGURE + TOKEN_LEAST_MARGIN, e->gain);
}

/* Of its words and pairs: lengths have all been seen soon. */
static float
known_share(const struct gain *g, const struct route_text *t)
{
	uint32_t known = 0, n = 0;

	for (uint32_t i = 0; i < t->n; i++)
		if (t->where[i].kind <= ROUTE_WORD_PAIR) {
			known += gain_seen(g, t->bucket[i]);
			n++;
		}
	return n > 0 ? (float)known / (float)n : 0.0f;
}

void
gain_estimate(const struct gain *g, const struct route_text *t, const float *figures,
	struct gain_estimate *e)
{
	float text[GAIN_MODELS], odds[GAIN_MODELS];

	*e = (struct gain_estimate){.reason = GAIN_NOTHING};
	e->known = g->facts.rows > 0 ? known_share(g, t) : 0.0f;
	if (g->facts.rows == 0 ||
		(figures != NULL && g->facts.answered < GAIN_LEAST_ROWS && e->known < GAIN_KNOWN)) {
		estimate_untrained(figures, e);
		return;
	}
	gain_text_scores(&g->text, t->bucket, t->n, text);
	if (figures != NULL && g->facts.answered >= GAIN_LEAST_ROWS) {
		estimate_answered(g, t, figures, text, e);
		return;
	}
	e->reason = e->known < GAIN_KNOWN ? GAIN_TEXT_UNKNOWN : GAIN_TEXT;
	calibrated(g->platt, text, odds);
	take_odds(e, g, odds);
	note_words(g, t, NULL, e);
}

const char *
gain_reason_name(enum gain_reason r)
{
	static const char *const names[] = {[GAIN_NOTHING] = "nothing-known",
		[GAIN_MARGIN] = "margin-untrained",
		[GAIN_TEXT] = "text",
		[GAIN_TEXT_UNKNOWN] = "text-unknown",
		[GAIN_ANSWER] = "answer",
		[GAIN_TEXT_AND_ANSWER] = "text-and-answer"};

	return names[r];
}
