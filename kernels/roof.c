#include "config.h"

#include "kernels/roof.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	PASSES = 3,
	PRODUCT_TURNS = 1 << 14, /* of a loop: under a millisecond */
	PRODUCT_ITEMS = 16       /* such loops for each thread */
};

struct roof {
	uint8_t *own; /* NULL: it is the caller's memory that is read */
	struct roof_part *units;
	size_t n, bytes;
	uint64_t (*read)(const uint8_t *p, size_t n);
	_Atomic uint64_t seen; /* what is read must be used for something */
};

static void
add_unit(struct roof *r, const uint8_t *data, size_t bytes)
{
	r->units[r->n++] = (struct roof_part){data, bytes};
	r->bytes += bytes;
}

/* What the loops can read of a part, in units. */
static void
add_part(struct roof *r, const struct roof_part *part)
{
	size_t skipped = (64 - (uintptr_t)part->data % 64) % 64;
	const uint8_t *data = part->data + skipped;
	size_t left = part->bytes > skipped ? part->bytes - skipped : 0;

	for (; left >= ROOF_UNIT; left -= ROOF_UNIT, data += ROOF_UNIT)
		add_unit(r, data, ROOF_UNIT);
	if (left >= ROOF_TURN)
		add_unit(r, data, left / ROOF_TURN * ROOF_TURN);
}

struct roof *
roof_over(const struct roof_part *parts, size_t n, struct err *err)
{
	struct roof *r = calloc(1, sizeof *r);
	size_t most = 0;

	for (size_t i = 0; i < n; i++)
		most += parts[i].bytes / ROOF_UNIT + 1;
	if (r != NULL)
		r->units = malloc(most * sizeof *r->units);
	if (r == NULL || r->units == NULL) {
		free(r);
		err_set(err, "no memory for a list of what to read");
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		add_part(r, &parts[i]);
	return r;
}

struct roof *
roof_new(size_t bytes, struct err *err)
{
	size_t huge = (size_t)2 << 20;
	struct roof *r;
	uint8_t *own;

	bytes = (bytes < ROOF_UNIT ? ROOF_UNIT : bytes) / ROOF_UNIT * ROOF_UNIT;
	own = aligned_alloc(huge, (bytes + huge - 1) / huge * huge);
	if (own == NULL) {
		err_set(err, "no memory to read: %zu MiB", bytes >> 20);
		return NULL;
	}
#ifdef MADV_HUGEPAGE
	madvise(own, bytes, MADV_HUGEPAGE); /* as weights in memory have it */
#endif
	memset(own, 1, bytes); /* pages of zeros would be one page */
	r = roof_over(&(struct roof_part){own, bytes}, 1, err);
	if (r == NULL)
		free(own);
	else
		r->own = own;
	return r;
}

void
roof_free(struct roof *r)
{
	if (r == NULL)
		return;
	free(r->own);
	free(r->units);
	free(r);
}

static void
read_unit(void *arg, uint32_t item, unsigned thread)
{
	struct roof *r = arg;
	const struct roof_part *u = &r->units[item];

	(void)thread;
	atomic_fetch_or(&r->seen, r->read(u->data, u->bytes));
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Bytes a second by r->read, the median of a few passes. */
static double
read_speed(struct roof *r, struct pool *p)
{
	double speeds[PASSES];

	for (int pass = 0; pass < PASSES; pass++) {
		double start = clock_seconds();

		pool_run(p, read_unit, r, (uint32_t)r->n);
		speeds[pass] = (double)r->bytes / (clock_seconds() - start);
	}
	qsort(speeds, PASSES, sizeof *speeds, by_size);
	return speeds[PASSES / 2];
}

double
roof_bandwidth(struct roof *r, const struct kernels *k, struct pool *p)
{
	double best = 0, speed;

	for (int i = 0; i < ROOF_READS; i++) {
		r->read = k->roof_read[i];
		speed = r->read != NULL ? read_speed(r, p) : 0;
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
