/* What the two files that train a gain.h model share: gain_train.c, the order of things, and gain_words.c,
 * the words' heads. */
#ifndef SCHED_GAIN_TRAIN_H
#define SCHED_GAIN_TRAIN_H

#include "sched/gain_int.h"

enum { NO_FOLD = UINT8_MAX };

/* What training needs beside the model. */
struct trainer {
	const struct gain_row *rows;
	size_t n;
	uint32_t *order;        /* [n] */
	uint8_t *fold;          /* [n] */
	float *text;            /* [n][GAIN_MODELS]: scores by heads that have not seen the row */
	float *text_hard;       /* the same, of labels as they are */
	float *input;           /* [n][DENSE_INPUTS] */
	float *score;           /* [n][2][GAIN_MODELS]: by `both` and `answer`, likewise */
	float *label;           /* [n][GAIN_MODELS] */
	float *target;          /* [n][GAIN_MODELS]: what the words are taught */
	float *label_answered;  /* the same; unknown of rows without figures */
	struct sparse *heads;   /* on their way */
	struct sparse *squares; /* AdaGrad's sums */
	struct gain *g;         /* the model to be */
	uint32_t passes;
	uint64_t random;
};

/* Deals the rows anew into t->order. */
void gain_shuffle(struct trainer *t);
/* How often the words' heads go over rows that have so many features together. */
uint32_t gain_passes(size_t features);
/* Learns the targets of all rows but those of one fold, into t->heads. */
void gain_learn_words(struct trainer *t, uint8_t without);
/* Scores of the rows of one fold by t->heads, into t->text. */
void gain_score_words(struct trainer *t, uint8_t fold);

#endif
