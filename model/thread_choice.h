/* How many threads take part in a step. Generation (steps of few rows) reads all weights for little arithmetic: a
 * few threads may read memory faster than all of them do (four Cortex-A76 read slower than two). Prompts (steps of
 * many rows) are arithmetic, to which every thread adds. So prompts are computed with all threads, and for generation
 * counts are tried at the first steps, in turns; the one whose steps took least is kept until steps become much slower
 * than they were, or a few thousand steps have passed: then counts are tried again, since other programs start and end.
 *
 * Pure: times are arguments. */
#ifndef MODEL_THREAD_CHOICE_H
#define MODEL_THREAD_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	THREAD_CHOICE_FEW_ROWS = 4, /* a step of up to so many is generation */
	THREAD_CHOICE_MAX = 4       /* counts that are tried, at most */
};

struct thread_choice {
	unsigned batch;                        /* threads of steps of many rows */
	unsigned counts[THREAD_CHOICE_MAX], n; /* for generation, most first; 1: nothing to try */
	double sums[THREAD_CHOICE_MAX];        /* seconds of the steps of this trial */
	bool trying;
	unsigned at;    /* of counts: what the next step uses */
	uint32_t steps; /* of one row, of this trial or since it */
	double trial;   /* seconds of a step with the chosen count, when tried */
	double recent;  /* and lately */
};

/* How large a pool these numbers need: threads for generation, for prompts; 0: auto. That is one per CPU of
 * `cpus`, but prompts take as many as generation when only that is given. */
unsigned thread_choice_pool(unsigned threads, unsigned batch, unsigned cpus);
/* The same numbers, for a pool of `pool` threads. */
void thread_choice_init(struct thread_choice *c, unsigned threads, unsigned batch, unsigned pool);

unsigned thread_choice_threads(const struct thread_choice *c, uint32_t rows);
/* A step of so many rows took so long, computed by the threads that thread_choice_threads gave. */
void thread_choice_took(struct thread_choice *c, uint32_t rows, double seconds);

#endif
