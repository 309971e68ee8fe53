/* Whether a step of many rows goes through the layers as two sub-batches that take turns, so that one is computed
 * while the sums of the other travel.
 *
 * A step takes c to compute and s to wait for sums. Divided, each half takes c' = max(c / 2, once) to compute,
 * where `once` is what reading all weights takes, as a step of one row does: few rows are no faster. Its sums take
 * up to s, less where bandwidth counts and not latency. So a divided step takes
 *     max(2 c', c' + s)
 * and saves up to min(s, c / 2). But s also holds what this peer waits for slower ones, of which dividing saves
 * nothing. So this only says what is worth trying: how long steps took of either kind decides, which are tried in
 * turns and from time to time again. Steps are compared with those of like many rows (up to twice as many).
 *
 * Pure: times are arguments. */
#ifndef SCHED_OVERLAP_H
#define SCHED_OVERLAP_H

#include <stdbool.h>
#include <stdint.h>

enum overlap_mode {
	OVERLAP_AUTO, /* as measured */
	OVERLAP_ON,   /* always, where there are rows to divide */
	OVERLAP_OFF
};

enum { OVERLAP_CLASSES = 32, OVERLAP_KEPT = 2 };

struct overlap {
	enum overlap_mode mode;
	double once; /* seconds that a step of one row computes; 0: not known */
	struct overlap_class {
		/* Of steps that were not divided [0], and divided [1]: how many there were, and of the
		 * last ones seconds of a row. */
		uint32_t steps[2];
		double row[2][OVERLAP_KEPT];
		double compute, sums; /* of a row of the last one that was not divided */
		uint32_t since;    /* steps of the kind that is better, since the other was tried */
		uint32_t patience; /* and how many there shall be */
	} classes[OVERLAP_CLASSES]; /* by the logarithm of rows */
};

struct overlap_step {
	uint32_t rows, first; /* first 0: it was not divided */
	double seconds;       /* in all */
	double sums;          /* of these: waiting for sums, */
	double disk;          /* and for weights */
};

void overlap_init(struct overlap *o, enum overlap_mode mode);

/* Seconds that a divided step would take which is computed in `compute` and waits `sums` when it is not. */
double overlap_predict(double compute, double sums, double once);

/* Rows of the first sub-batch of a step of so many; 0: it is not to be divided. */
uint32_t overlap_first(const struct overlap *o, uint32_t rows);
void overlap_took(struct overlap *o, const struct overlap_step *s);

#endif
