/* The order of things: the heads on the answer's figures alone, cross-fitted in folds; what they say
 * softens the labels for the words. Then the words' heads on all folds but one, for each fold, so that
 * every row has a score by heads that have not seen it; from these the calibration; with them and
 * the figures the other dense heads, cross-fitted in the same folds for their own calibration; at
 * last the words' heads on all rows. */
#include "sched/gain_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* With so many labels of a model a row's own label counts half of what its words are taught. Chosen on
 * halves of the splits train and tune of tests/bench/route.c. */
#define SOFT 300.0f
/* Of the answer's heads; what is best on held-out rows is taken: noisy or few labels want more. */
static const double ridges[] = {1.0, 3.0, 10.0, 30.0, 100.0};

/* --- calibration --------------------------------------------------------------------------------- */

static void
calibrate(const struct trainer *t, const float *score, size_t stride, const float *label,
	struct platt platt[GAIN_MODELS])
{
	for (int m = 0; m < GAIN_MODELS; m++) {
		struct logistic l = {.x = score + m,
			.stride = stride,
			.y = label + m,
			.y_stride = GAIN_MODELS,
			.rows = t->n,
			.n = 1,
			.ridge = 1.0,
			.towards = 1.0,
			.skip = NO_FOLD};
		float w[2];

		gain_logistic(&l, w);
		platt[m] = (struct platt){w[0] > 0.0f ? w[0] : 0.0f, w[1]};
	}
}

/* --- the answer's heads --------------------------------------------------------------------------- */

/* Inputs of every row, scaled; unanswered rows stay 0. */
static void
make_inputs(struct trainer *t, struct dense *d, bool with_text)
{
	double sum[DENSE_INPUTS] = {0}, square[DENSE_INPUTS] = {0}, n = 0.0;

	memset(t->input, 0, t->n * DENSE_INPUTS * sizeof *t->input);
	for (size_t i = 0; i < t->n; i++) {
		float *in = t->input + i * DENSE_INPUTS, odds[GAIN_MODELS];

		if (!t->rows[i].answered)
			continue;
		for (int m = 0; m < GAIN_MODELS; m++)
			odds[m] = gain_calibrated(
				&t->g->platt[m], t->text[i * GAIN_MODELS + (size_t)m]);
		gain_inputs(odds, t->rows[i].figure, in);
		for (int k = 0; k < DENSE_INPUTS; k++) {
			sum[k] += (double)in[k];
			square[k] += (double)in[k] * (double)in[k];
		}
		n += 1.0;
	}
	for (int k = 0; k < DENSE_INPUTS; k++) {
		double mean = sum[k] / n, spread = sqrt(square[k] / n - mean * mean);
		bool used = (with_text || k >= DENSE_TEXT) && spread > 1e-4;

		d->mean[k] = (float)mean;
		d->scale[k] = used ? (float)(1.0 / spread) : 0.0f;
	}
	for (size_t i = 0; i < t->n; i++)
		for (int k = 0; k < DENSE_INPUTS && t->rows[i].answered; k++) {
			float *in = t->input + i * DENSE_INPUTS + k;

			*in = (*in - d->mean[k]) * d->scale[k];
		}
}

static void
fit_dense(const struct trainer *t, struct dense *d, double ridge, uint8_t without)
{
	for (int m = 0; m < GAIN_MODELS; m++) {
		struct logistic l = {.x = t->input,
			.stride = DENSE_INPUTS,
			.y = t->label_answered + m,
			.y_stride = GAIN_MODELS,
			.rows = t->n,
			.n = DENSE_INPUTS,
			.ridge = ridge,
			.fold = t->fold,
			.skip = without};

		gain_logistic(&l, d->weight[m]);
	}
}

/* How badly log odds meet a label; 0 where it is not known. */
static double
loss_of(float odds, float label)
{
	double y = (double)label, p = gain_odds_to_p((double)odds);

	return label < 0.0f ? 0.0 : -y * log(p + 1e-9) - (1.0 - y) * log(1.0 - p + 1e-9);
}

/* Scores of the rows of one fold; returns how badly they meet the labels (log loss). */
static double
score_dense(const struct trainer *t, const struct dense *d, uint8_t fold, float *score)
{
	double loss = 0.0;

	for (size_t i = 0; i < t->n; i++) {
		const float *in = t->input + i * DENSE_INPUTS;

		for (int m = 0; m < GAIN_MODELS && t->fold[i] == fold; m++) {
			float sum = d->weight[m][DENSE_INPUTS];

			for (int k = 0; k < DENSE_INPUTS; k++)
				sum += d->weight[m][k] * in[k];
			score[i * 2 * GAIN_MODELS + (size_t)m] = sum;
			loss += loss_of(sum, t->label_answered[i * GAIN_MODELS + (size_t)m]);
		}
	}
	return loss;
}

static double
cross_fit(const struct trainer *t, struct dense *d, double ridge, float *score)
{
	double loss = 0.0;

	for (uint8_t fold = 0; fold < GAIN_FOLDS; fold++) {
		fit_dense(t, d, ridge, fold);
		loss += score_dense(t, d, fold, score);
	}
	return loss;
}

/* which: 0 both, 1 answer */
static void
learn_dense(struct trainer *t, struct dense *d, int which)
{
	float *score = t->score + which * GAIN_MODELS;
	double least = INFINITY, best = ridges[0];

	make_inputs(t, d, which == 0);
	for (size_t i = 0; i < sizeof ridges / sizeof *ridges; i++) {
		double loss = cross_fit(t, d, ridges[i], score);

		if (loss < least) {
			least = loss;
			best = ridges[i];
		}
	}
	cross_fit(t, d, best, score);
	calibrate(t, score, (size_t)2 * GAIN_MODELS, t->label_answered, d->platt);
	fit_dense(t, d, best, NO_FOLD);
}

/* --- what the words are taught -------------------------------------------------------------------- */

/* Scores every row by heads that have not seen it, calibrates these scores and says how badly they
 * meet each model's labels (log loss). */
static void
cross_words(struct trainer *t, double loss[static GAIN_MODELS])
{
	for (uint8_t fold = 0; fold < GAIN_FOLDS; fold++) {
		gain_learn_words(t, fold);
		gain_score_words(t, fold);
	}
	calibrate(t, t->text, GAIN_MODELS, t->label, t->g->platt);
	for (size_t m = 0; m < GAIN_MODELS; m++) {
		loss[m] = 0.0;
		for (size_t i = m; i < t->n * GAIN_MODELS; i += GAIN_MODELS)
			loss[m] +=
				loss_of(gain_calibrated(&t->g->platt[m], t->text[i]), t->label[i]);
	}
}

/* An answer is right or wrong, partly by luck; how sure the small model was of it tells its chance, and
 * from few rows chances teach the words more than outcomes do (generalized distillation: Lopez-Paz
 * et al., ICLR 2016, after Vapnik and Vashist's privileged information, 2009). So each label is
 * drawn towards what the answer's heads, which have not seen it, said of its row. */
static void
soften(struct trainer *t, size_t m)
{
	float by = SOFT / (SOFT + (float)t->g->facts.labels[m]);

	for (size_t i = 0; i < t->n; i++) {
		float *target = &t->target[i * GAIN_MODELS + m];
		float score = t->score[(i * 2 + 1) * GAIN_MODELS + m];
		float odds = gain_calibrated(&t->g->answer.platt[m], score);

		if (t->rows[i].answered && *target >= 0.0f)
			*target += by * ((float)gain_odds_to_p((double)odds) - *target);
	}
}

/* Of a model whose hopeless prompts look to the other like its hard ones, figures tell nothing: the
 * labels are softened only for those whose unseen labels are met better then. */
static void
learn_softly(struct trainer *t)
{
	double hard[GAIN_MODELS], soft[GAIN_MODELS];
	struct platt platt[GAIN_MODELS];

	cross_words(t, hard);
	if (t->g->facts.answered < GAIN_LEAST_ROWS)
		return;
	memcpy(platt, t->g->platt, sizeof platt);
	memcpy(t->text_hard, t->text, t->n * GAIN_MODELS * sizeof *t->text);
	for (size_t m = 0; m < GAIN_MODELS; m++)
		soften(t, m);
	cross_words(t, soft);
	for (size_t m = 0; m < GAIN_MODELS; m++) {
		if (soft[m] < hard[m])
			continue;
		t->g->platt[m] = platt[m];
		for (size_t i = m; i < t->n * GAIN_MODELS; i += GAIN_MODELS) {
			t->text[i] = t->text_hard[i];
			t->target[i] = t->label[i];
		}
	}
}

/* --- all of it ----------------------------------------------------------------------------------- */

static void
free_trainer(struct trainer *t)
{
	free(t->order);
	free(t->fold);
	free(t->text);
	free(t->text_hard);
	free(t->input);
	free(t->score);
	free(t->label);
	free(t->target);
	free(t->label_answered);
	free(t->heads);
	free(t->squares);
	free(t->g);
}

static int
alloc_trainer(struct trainer *t, struct err *err)
{
	t->order = calloc(t->n, sizeof *t->order);
	t->fold = calloc(t->n, sizeof *t->fold);
	t->text = calloc(t->n, GAIN_MODELS * sizeof *t->text);
	t->text_hard = calloc(t->n, GAIN_MODELS * sizeof *t->text_hard);
	t->input = calloc(t->n, DENSE_INPUTS * sizeof *t->input);
	t->score = calloc(t->n, (size_t)2 * GAIN_MODELS * sizeof *t->score);
	t->label = calloc(t->n, GAIN_MODELS * sizeof *t->label);
	t->target = calloc(t->n, GAIN_MODELS * sizeof *t->target);
	t->label_answered = calloc(t->n, GAIN_MODELS * sizeof *t->label_answered);
	t->heads = malloc(sizeof *t->heads);
	t->squares = malloc(sizeof *t->squares);
	t->g = calloc(1, sizeof *t->g);
	if (t->order != NULL && t->fold != NULL && t->text != NULL && t->text_hard != NULL &&
		t->input != NULL && t->score != NULL && t->label != NULL && t->target != NULL &&
		t->label_answered != NULL && t->heads != NULL && t->squares != NULL && t->g != NULL)
		return 0;
	return err_set(err, "no memory to learn from %zu rows", t->n);
}

/* Counts, labels, folds. */
static int
look_at_rows(struct trainer *t, struct err *err)
{
	struct gain_facts *f = &t->g->facts;
	size_t features = 1;

	for (size_t i = 0; i < t->n; i++) {
		const struct gain_row *r = &t->rows[i];

		t->order[i] = (uint32_t)i;
		features += r->n;
		f->answered += r->answered;
		for (int m = 0; m < GAIN_MODELS; m++) {
			f->labels[m] += r->label[m] >= 0.0f;
			t->label[i * GAIN_MODELS + (size_t)m] = r->label[m];
			t->target[i * GAIN_MODELS + (size_t)m] = r->label[m];
			t->label_answered[i * GAIN_MODELS + (size_t)m] =
				r->answered ? r->label[m] : GAIN_UNKNOWN;
		}
		for (uint32_t k = 0; k < r->n; k++)
			t->g->seen[r->bucket[k] / 8] |= (uint8_t)(1u << r->bucket[k] % 8);
	}
	f->rows = (uint32_t)t->n;
	if (f->labels[GAIN_SMALL] < GAIN_LEAST_ROWS || f->labels[GAIN_LARGE] < GAIN_LEAST_ROWS)
		return err_set(err,
			"%u labels of the small model's answers and %u of the large one's: at "
			"least %d of each teach something",
			f->labels[GAIN_SMALL], f->labels[GAIN_LARGE], GAIN_LEAST_ROWS);
	t->passes = gain_passes(features);
	gain_shuffle(t);
	for (size_t i = 0; i < t->n; i++)
		t->fold[t->order[i]] = (uint8_t)(i % GAIN_FOLDS);
	return 0;
}

/* Calibrates the mean of both ways to look at an answer; leaves it in the scores of the first. */
static void
learn_mean(struct trainer *t)
{
	struct gain *g = t->g;

	for (size_t i = 0; i < t->n; i++)
		for (size_t m = 0; m < GAIN_MODELS; m++) {
			float *both = t->score + i * 2 * GAIN_MODELS + m;

			*both = 0.5f *
				(gain_calibrated(&g->both.platt[m], *both) +
					gain_calibrated(&g->answer.platt[m], both[GAIN_MODELS]));
		}
	calibrate(t, t->score, (size_t)2 * GAIN_MODELS, t->label_answered, g->mean);
}

static float
held_gain(const struct platt *p, const float *score)
{
	double small = (double)gain_calibrated(&p[GAIN_SMALL], score[GAIN_SMALL]);
	double large = (double)gain_calibrated(&p[GAIN_LARGE], score[GAIN_LARGE]);

	return (float)(gain_odds_to_p(large) - gain_odds_to_p(small));
}

static void
say_held(const struct trainer *t, struct gain_held *held)
{
	for (size_t i = 0; i < t->n; i++) {
		held[i].before = held_gain(t->g->platt, t->text + i * GAIN_MODELS);
		held[i].after = held[i].before;
		if (t->g->facts.answered >= GAIN_LEAST_ROWS && t->rows[i].answered)
			held[i].after = held_gain(t->g->mean, t->score + i * 2 * GAIN_MODELS);
	}
}

static void
learn(struct trainer *t, struct gain_held *held)
{
	bool answered = t->g->facts.answered >= GAIN_LEAST_ROWS;

	if (answered)
		learn_dense(t, &t->g->answer, 1);
	learn_softly(t);
	if (answered) {
		learn_dense(t, &t->g->both, 0);
		learn_mean(t);
	}
	gain_learn_words(t, NO_FOLD);
	t->g->text = *t->heads;
	if (held != NULL)
		say_held(t, held);
}

int
gain_train(struct gain *g, const struct gain_row *rows, size_t n, struct gain_held *held,
	struct err *err)
{
	struct trainer t = {.rows = rows, .n = n, .random = 1};
	int rc;

	if (n < GAIN_LEAST_ROWS || n > GAIN_ROWS)
		return err_set(err, "%zu rows to learn from: must be %d to %d", n, GAIN_LEAST_ROWS,
			GAIN_ROWS);
	rc = alloc_trainer(&t, err);
	if (rc == 0)
		rc = look_at_rows(&t, err);
	if (rc == 0) {
		learn(&t, held);
		*g = *t.g;
	}
	free_trainer(&t);
	return rc;
}
