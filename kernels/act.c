#include "kernels/block.h"
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

/* One allocation: quants (a line more than needed, for wide reads), scales, sums, sums of halves. */
static size_t
blocks_of(uint32_t max_rows, uint32_t max_cols)
{
	return (size_t)max_rows * block_count(max_cols);
}

size_t
act_bytes(uint32_t max_rows, uint32_t max_cols)
{
	size_t blocks = blocks_of(max_rows, max_cols);
	size_t bytes = blocks * (BLOCK + sizeof(float) + 2 * sizeof(int32_t)) + 64;

	return (bytes + 63) & ~(size_t)63;
}

int
act_init(struct act *a, uint32_t max_rows, uint32_t max_cols, struct err *err)
{
	size_t blocks = blocks_of(max_rows, max_cols), bytes = act_bytes(max_rows, max_cols);
	uint8_t *base = aligned_alloc(64, bytes);

	*a = (struct act){.max_rows = max_rows, .max_cols = max_cols};
	if (base == NULL)
		return err_set(err, "no memory for activations of %u x %u (%zu bytes)", max_rows,
			max_cols, bytes);
	a->q = (int8_t *)base;
	a->d = (float *)(void *)(base + blocks * BLOCK);
	a->sum = (int32_t *)(void *)(base + blocks * (BLOCK + sizeof(float)));
	a->half = a->sum + blocks;
	return 0;
}

void
act_deinit(struct act *a)
{
	free(a->q);
	*a = (struct act){0};
}

struct act
act_part(const struct act *a, uint32_t from, uint32_t n)
{
	size_t at = (size_t)from * block_count(a->cols);

	return (struct act){.rows = n,
		.cols = a->cols,
		.f = a->f + (size_t)from * a->cols,
		.q = a->q + at * BLOCK,
		.d = a->d + at,
		.sum = a->sum + at,
		.half = a->half + at};
}

void
act_copy_row(struct act *to, uint32_t to_row, const struct act *from, uint32_t row)
{
	size_t blocks = block_count(from->cols), at = to_row * blocks, source = row * blocks;

	memcpy(to->q + at * BLOCK, from->q + source * BLOCK, blocks * BLOCK);
	memcpy(to->d + at, from->d + source, blocks * sizeof *to->d);
	memcpy(to->sum + at, from->sum + source, blocks * sizeof *to->sum);
	memcpy(to->half + at, from->half + source, blocks * sizeof *to->half);
}

struct quantize_arg {
	const struct kernels *k;
	struct act *a;
};

static void
quantize_row(void *arg, uint32_t item, unsigned thread)
{
	struct quantize_arg *q = arg;

	(void)thread;
	q->k->quantize(q->a, item, item + 1);
}

void
act_prepare(const struct kernels *k, struct pool *p, struct act *a, const float *f, uint32_t rows,
	uint32_t cols, bool quantised)
{
	struct quantize_arg arg = {k, a};

	a->f = f;
	a->rows = rows;
	a->cols = cols;
	if (quantised && rows < 4)
		k->quantize(a, 0, rows); /* sooner done than handed out */
	else if (quantised)
		pool_run(p, quantize_row, &arg, rows);
}
