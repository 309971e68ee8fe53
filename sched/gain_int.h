/* What the files of gain.h share. */
#ifndef SCHED_GAIN_INT_H
#define SCHED_GAIN_INT_H

#include "sched/gain.h"

#include <math.h>

/* Logistic heads on a few dense inputs. */
enum {
	DENSE_TEXT = GAIN_MODELS,                   /* what `before` said, in log odds, per model */
	DENSE_CHANCES = DENSE_TEXT + TOKEN_FIGURES, /* of the answer, of its least sure tokens */
	DENSE_INPUTS = DENSE_CHANCES + 3,
	DENSE_WEIGHTS = DENSE_INPUTS + 1 /* the last is the constant's */
};

/* Calibration: log odds = slope * score + offset. */
struct platt {
	float slope, offset;
};

struct dense {
	float mean[DENSE_INPUTS], scale[DENSE_INPUTS]; /* input = (x - mean) * scale; 0: unused */
	float weight[GAIN_MODELS][DENSE_WEIGHTS];
	struct platt platt[GAIN_MODELS];
};

/* The sparse heads. Weights of a bucket stand together: they are read together. */
struct sparse {
	float weight[ROUTE_BUCKETS][GAIN_MODELS];
	float constant[GAIN_MODELS];
};

struct gain {
	struct sparse text;
	uint8_t seen[ROUTE_BUCKETS / 8];
	struct platt platt[GAIN_MODELS]; /* of text */
	struct dense both, answer;       /* with and without what text says */
	struct platt mean[GAIN_MODELS];  /* of the mean of their log odds */
	struct gain_facts facts;         /* facts.buckets is counted when asked for */
};

static inline bool
gain_seen(const struct gain *g, uint16_t bucket)
{
	return (g->seen[bucket / 8] >> bucket % 8 & 1) != 0;
}

/* What a feature counts: all n of a prompt have length 1 together, so that a long prompt is not surer
 * than a short one; and a pair, of which there are so many that each was seen seldom, half. */
static inline float
gain_feature(uint32_t n)
{
	return n > 0 ? 1.0f / sqrtf((float)n) : 0.0f;
}

static inline float
gain_part(uint16_t bucket)
{
	return bucket < ROUTE_PAIRS ? 1.0f : 0.5f;
}

/* Each head's score, in uncalibrated log odds. */
void gain_text_scores(const struct sparse *s, const uint16_t *bucket, uint32_t n,
	float score[static GAIN_MODELS]);

/* The inputs of dense heads, before they are scaled. text: log odds by `before`. */
void gain_inputs(const float text[static GAIN_MODELS], const float figure[static TOKEN_FIGURES],
	float input[static DENSE_INPUTS]);
void gain_dense_scores(const struct dense *d, const float input[static DENSE_INPUTS],
	float score[static GAIN_MODELS]);

double gain_odds_to_p(double log_odds);

static inline float
gain_calibrated(const struct platt *p, float score)
{
	return p->slope * score + p->offset;
}

/* Fits a head: weight[n + 1] (the constant last) such that sigmoid(weight . x) meets y, for rows
 * x[rows][stride], y < 0 where unknown; ridge on all but the constant, towards `towards`. skip:
 * NULL, or rows[i] with skip[i] == fold are left out. Newton's method; at most 20 inputs. */
struct logistic {
	const float *x;
	size_t stride;
	const float *y;
	size_t y_stride;
	size_t rows;
	uint32_t n;
	double ridge, towards;
	const uint8_t *fold;
	uint8_t skip; /* UINT8_MAX: none */
};
void gain_logistic(const struct logistic *l, float *weight);

#endif
