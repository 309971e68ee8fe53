#include "config.h"

#include "model/measure.h"

#include "base/clock.h"
#include "kernels/dtype.h"
#include "model/shard_int.h"

#include <stdlib.h>

#define LEAST_SECONDS 0.15 /* of a measurement */

struct sample {
	struct matrix *matrices;
	uint32_t n, max_rows, max_cols;
	uint8_t *memory;
	uint64_t bytes, macs;
	bool quantised;
};

static uint64_t
align_up(uint64_t n)
{
	return (n + TILE_ALIGN - 1) / TILE_ALIGN * TILE_ALIGN;
}

static bool
wanted(const struct shard_extent *e)
{
	return !tensor_is_vector((enum tensor_role)e->role);
}

/* Which extents: the first ones that fit, in order. */
static uint32_t
choose(const struct shard_header *h, uint64_t most, uint64_t *bytes)
{
	uint32_t n = 0;

	*bytes = 0;
	for (uint32_t i = 0; i < h->n_extents; i++) {
		if (!wanted(&h->extents[i]))
			continue;
		if (n > 0 && *bytes + h->extents[i].bytes > most)
			break;
		*bytes += align_up(h->extents[i].bytes);
		n++;
	}
	return n;
}

static int
pack(struct sample *s, const struct gguf *g, const struct shard_header *h, uint64_t most,
	struct err *err)
{
	uint64_t bytes, at = 0;
	uint32_t n = choose(h, most, &bytes);

	s->matrices = calloc(n + 1, sizeof *s->matrices);
	s->memory = aligned_alloc(TILE_ALIGN, (size_t)align_up(bytes + 1));
	if (s->matrices == NULL || s->memory == NULL)
		return err_set(err, "no memory for %llu bytes of weights to measure with",
			(unsigned long long)bytes);
	for (uint32_t i = 0; s->n < n; i++) {
		const struct shard_extent *e = &h->extents[i];

		if (!wanted(e))
			continue;
		if (shard_extent_read(g, h, i, 0, s->memory + at, (size_t)e->bytes, err) != 0)
			return -1;
		s->matrices[s->n++] = (struct matrix){.dtype = e->dtype,
			.rows = e->rows,
			.cols = e->cols,
			.stride = shard_group_bytes(e),
			.data = s->memory + at,
			.layout = LAYOUT_TILES};
		at += align_up(e->bytes);
		s->bytes += e->bytes;
		s->macs += (uint64_t)e->rows * e->cols;
		s->max_rows = e->rows > s->max_rows ? e->rows : s->max_rows;
		s->max_cols = e->cols > s->max_cols ? e->cols : s->max_cols;
		s->quantised |= dtype_quantised(e->dtype);
	}
	return s->n > 0 ? 0 : err_set(err, "there are no weights to measure with");
}

/* Seconds of one pass over the sample with so many rows of activations. */
static double
time_pass(const struct sample *s, const struct kernels *k, struct pool *pool, struct act *act,
	const float *x, float *out, uint32_t rows)
{
	double start, best = 1e30;
	double end = clock_seconds() + LEAST_SECONDS;

	do {
		start = clock_seconds();
		for (uint32_t i = 0; i < s->n; i++) {
			const struct matrix *m = &s->matrices[i];

			act_prepare(k, pool, act, x, rows, m->cols, dtype_quantised(m->dtype));
			matmul_run(k, pool, &(const struct matmul_job){m, out, m->rows}, 1, act);
		}
		start = clock_seconds() - start;
		best = start < best ? start : best;
	} while (clock_seconds() < end);
	return best;
}

static int
run(const struct sample *s, const struct kernels *k, struct pool *pool, uint32_t rows,
	struct measured *m, struct err *err)
{
	struct act act;
	float *x = calloc((size_t)rows * s->max_cols, sizeof *x);
	float *out = malloc((size_t)rows * s->max_rows * sizeof *out);
	int rc = act_init(&act, rows, s->max_cols, err);

	if (rc == 0 && (x == NULL || out == NULL))
		rc = err_set(err, "out of memory");
	if (rc == 0) {
		for (size_t i = 0; i < (size_t)rows * s->max_cols; i++)
			x[i] = (float)((i * 7919) % 255) / 127 - 1;
		m->bytes = s->bytes;
		m->bytes_per_s = (double)s->bytes / time_pass(s, k, pool, &act, x, out, 1);
		m->macs_per_s = (double)s->macs * rows / time_pass(s, k, pool, &act, x, out, rows);
	}
	act_deinit(&act);
	free(x);
	free(out);
	return rc;
}

int
measure_compute(const struct gguf *g, const struct shard_header *h, uint64_t most, uint32_t rows,
	const struct kernels *k, struct pool *pool, struct measured *m, struct err *err)
{
	struct sample s = {0};
	int rc = pack(&s, g, h, most, err);

	if (rc == 0)
		rc = run(&s, k, pool, rows, m, err);
	free(s.matrices);
	free(s.memory);
	return rc;
}
