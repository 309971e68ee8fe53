/* How many rows of prompts the next step may have. The more there are, the less each costs, since weights are read and
 * expanded once for all. But while a step runs nobody's token comes, a client that leaves is not heard, and a plan
 * cannot change. So a step may take
 *
 *     STEP_BESIDE seconds, or twice what a step of one row takes, where others generate;
 *     STEP_ALONE seconds, or eight times that, where nobody does: reading is an eighth of it then.
 *
 * Where weights stream from a disk, what is waited for the disk counts as a step of one row.
 *
 * Pure: times are arguments. */
#ifndef SCHED_STEP_TIME_H
#define SCHED_STEP_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define STEP_BESIDE 0.25 /* seconds */
#define STEP_ALONE  4.0

enum {
	STEP_UNIT = 16,    /* rows: the number is a multiple of it, and no less */
	STEP_UNKNOWN = 64, /* while no step has been seen */
	STEP_PIPE_ROWS =
		64,      /* at most, in a pipeline: its stages shall all have some of a prompt */
	STEP_ROWS = 256, /* of a step, where memory is no matter: what is gained beyond is little */
	STEP_FEW_ROWS = 64 /* where it is */
};

/* The most that a step may have at all: STEP_ROWS, where the bytes that they take, `more` than STEP_FEW_ROWS do, are
 * little of the memory there is. */
uint32_t step_time_most(uint64_t memory, uint64_t more);

struct step_time {    /* all 0: nothing was seen */
	double once;  /* seconds of a step of one row */
	double disk;  /* of which the last step of many rows waited for weights */
	double a_row; /* of many: each, without that */
};

void step_time_took(struct step_time *t, uint32_t rows, double seconds, double disk);

/* beside: others generate. */
uint32_t step_time_rows(const struct step_time *t, bool beside);

/* What a step takes from a device, in seconds. waited: of `seconds`, for others and for a disk. Where a cgroup gives it
 * the time of `quota` CPUs (0: of all there are), it computes as fast as ever while that lasts, and not at all
 * afterwards: what it can keep up follows from the time `cpu` of its CPUs, messages and all. */
double step_time_compute(double seconds, double waited, double cpu, double quota);

#endif
