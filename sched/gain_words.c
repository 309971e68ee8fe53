/* The words' heads: logistic, by AdaGrad on sparse rows. */
#include "sched/gain_train.h"

#include <math.h>
#include <string.h>

/* Chosen on the tuning split of tests/bench/route.c, where none of them matters much. */
#define RATE  0.2f  /* AdaGrad's */
#define DECAY 1e-2f /* towards 0, of the words' weights */
/* Passes over the rows: MOST_PASSES, fewer where the rows have more than a million features
 * together, so that even 20,000 long prompts are learned from in seconds. */
enum { MOST_PASSES = 8, LEAST_PASSES = 2, WORK = 10000000 };

static uint64_t
next(uint64_t *s) /* splitmix64 */
{
	uint64_t z = *s += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

void
gain_shuffle(struct trainer *t)
{
	for (size_t i = t->n; i > 1; i--) {
		size_t j = (size_t)(next(&t->random) % i);
		uint32_t other = t->order[j];

		t->order[j] = t->order[i - 1];
		t->order[i - 1] = other;
	}
}

static void
step(float *w, float *square, float gradient)
{
	gradient += DECAY * *w;
	*square += gradient * gradient;
	*w -= RATE * gradient / sqrtf(*square + 1e-8f);
}

static void
learn_row(struct trainer *t, size_t at)
{
	const struct gain_row *row = &t->rows[at];
	const float *target = t->target + at * GAIN_MODELS;
	float score[GAIN_MODELS], x = gain_feature(row->n);

	gain_text_scores(t->heads, row->bucket, row->n, score);
	for (int m = 0; m < GAIN_MODELS; m++) {
		float off;

		if (target[m] < 0.0f)
			continue;
		off = (float)gain_odds_to_p((double)score[m]) - target[m];
		t->heads->constant[m] -= 0.05f * off;
		for (uint32_t i = 0; i < row->n; i++)
			step(&t->heads->weight[row->bucket[i]][m],
				&t->squares->weight[row->bucket[i]][m],
				off * x * gain_part(row->bucket[i]));
	}
}

uint32_t
gain_passes(size_t features)
{
	return features < WORK / MOST_PASSES    ? MOST_PASSES
	       : features > WORK / LEAST_PASSES ? LEAST_PASSES
						: (uint32_t)(WORK / features);
}

static double
odds_of_mean(const struct trainer *t, int m)
{
	double sum = 1.0, n = 2.0;

	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i].label[m] >= 0.0f) {
			sum += (double)t->rows[i].label[m];
			n++;
		}
	return log(sum / (n - sum));
}

void
gain_learn_words(struct trainer *t, uint8_t without)
{
	memset(t->heads, 0, sizeof *t->heads);
	memset(t->squares, 0, sizeof *t->squares);
	for (int m = 0; m < GAIN_MODELS; m++)
		t->heads->constant[m] = (float)odds_of_mean(t, m);
	for (uint32_t pass = 0; pass < t->passes; pass++) {
		gain_shuffle(t);
		for (size_t i = 0; i < t->n; i++)
			if (t->fold[t->order[i]] != without)
				learn_row(t, t->order[i]);
	}
}

void
gain_score_words(struct trainer *t, uint8_t fold)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->fold[i] == fold)
			gain_text_scores(t->heads, t->rows[i].bucket, t->rows[i].n,
				t->text + i * GAIN_MODELS);
}
