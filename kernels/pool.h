/* A pool of threads that starts once. Work is a range of items. Each thread has a part of it, one after another in
 * address order, so that what it reads is one stream; whoever is done takes half of what the slowest has left, so that
 * uneven or busy cores finish together. The calling thread works too. Waiting threads spin for a bounded time, then
 * sleep; those that are woken leave the caller its CPU. Beside other busy processes, workers let go of their CPUs
 * between items, so that none is stopped in the middle of one while all wait. */
#ifndef KERNELS_POOL_H
#define KERNELS_POOL_H

#include "base/err.h"

#include <stdint.h>

struct pool;

/* threads: how many work, the caller included; 0: one per CPU this process may use. */
struct pool *pool_new(unsigned threads, struct err *err);
void pool_free(struct pool *p); /* NULL is fine */

/* How many threads take part in runs from now on; 0, or more than there are: all. The others sleep
 * and cost nothing. Between runs, by the thread that calls pool_run. */
void pool_limit(struct pool *p, unsigned threads);
unsigned pool_threads(const struct pool *p); /* those that take part */
unsigned pool_size(const struct pool *p);    /* all of them */

/* Ties each thread to a CPU of its own, the biggest cores to the first threads (cpu_order); the
 * calling thread is tied at its first run. Before the first run. -1: there are more threads than CPUs,
 * or the system does not tie threads; none is tied. */
int pool_pin(struct pool *p, struct err *err);

/* Calls fn(arg, item, thread) once for each item in [0, n), and returns when all are done. thread
 * is in [0, pool_threads). Not reentrant; one caller at a time. */
void pool_run(struct pool *p, void (*fn)(void *arg, uint32_t item, unsigned thread), void *arg,
	uint32_t n);

#endif
