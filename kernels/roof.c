#include "config.h"

#include "kernels/roof.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	PASSES = 5,
	PRODUCT_TURNS = 1 << 14, /* of a loop: under a millisecond */
	PRODUCT_ITEMS = 16       /* such loops for each thread */
};

struct roof {
	uint8_t *data;
	size_t bytes;
	const struct kernels *k;
	_Atomic uint64_t seen; /* what is read must be used for something */
};

struct roof *
roof_new(size_t bytes, struct err *err)
{
	struct roof *r = calloc(1, sizeof *r);
	size_t huge = (size_t)2 << 20;

	bytes = (bytes < ROOF_UNIT ? ROOF_UNIT : bytes) / ROOF_UNIT * ROOF_UNIT;
	if (r != NULL)
		r->data = aligned_alloc(huge, (bytes + huge - 1) / huge * huge);
	if (r == NULL || r->data == NULL) {
		free(r);
		err_set(err, "no memory to read: %zu MiB", bytes >> 20);
		return NULL;
	}
	r->bytes = bytes;
#ifdef MADV_HUGEPAGE
	madvise(r->data, bytes, MADV_HUGEPAGE); /* as weights in memory have it */
#endif
	memset(r->data, 1, bytes); /* pages of zeros would be one page */
	return r;
}

void
roof_free(struct roof *r)
{
	if (r == NULL)
		return;
	free(r->data);
	free(r);
}

static void
read_unit(void *arg, uint32_t item, unsigned thread)
{
	struct roof *r = arg;

	(void)thread;
	atomic_fetch_or(&r->seen, r->k->roof_read(r->data + (size_t)item * ROOF_UNIT, ROOF_UNIT));
}

double
roof_bandwidth(struct roof *r, const struct kernels *k, struct pool *p)
{
	double best = 0;

	r->k = k;
	for (int pass = 0; pass < PASSES; pass++) {
		double start = clock_seconds(), speed;

		pool_run(p, read_unit, r, (uint32_t)(r->bytes / ROOF_UNIT));
		speed = (double)r->bytes / (clock_seconds() - start);
		best = speed > best ? speed : best;
	}
	return best;
}

struct products {
	const struct kernels *k;
	_Atomic uint64_t done;
};

static void
multiply(void *arg, uint32_t item, unsigned thread)
{
	struct products *m = arg;
	_Alignas(64) int8_t q[ROOF_ACTIVATIONS];

	(void)item;
	(void)thread;
	for (int i = 0; i < ROOF_ACTIVATIONS; i++)
		q[i] = (int8_t)(i % 7);
	atomic_fetch_add(&m->done, m->k->roof_products(q, PRODUCT_TURNS));
}

double
roof_operations(const struct kernels *k, struct pool *p)
{
	double best = 0;

	for (int pass = 0; pass < PASSES; pass++) {
		struct products m = {.k = k};
		double start = clock_seconds(), speed;

		pool_run(p, multiply, &m, PRODUCT_ITEMS * pool_threads(p));
		speed = 2 * (double)m.done / (clock_seconds() - start);
		best = speed > best ? speed : best;
	}
	return best;
}
