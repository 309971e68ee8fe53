/* A pool of threads that starts once. Work is a range of items handed out one by one, in address
 * order, from one counter, so that uneven or busy cores finish together. The calling thread works
 * too. Waiting threads spin for a bounded time, then sleep. */
#ifndef KERNELS_POOL_H
#define KERNELS_POOL_H

#include "base/err.h"

#include <stdint.h>

struct pool;

/* threads: how many work, the caller included; 0: one per CPU this process may use. */
struct pool *pool_new(unsigned threads, struct err *err);
void pool_free(struct pool *p); /* NULL is fine */
unsigned pool_threads(const struct pool *p);

/* Calls fn(arg, item, thread) once for each item in [0, n), and returns when all are done. thread
 * is in [0, pool_threads). Not reentrant; one caller at a time. */
void pool_run(struct pool *p, void (*fn)(void *arg, uint32_t item, unsigned thread), void *arg,
	uint32_t n);

#endif
