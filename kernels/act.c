#include "base/buf.h"
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

/* --- rows as bytes --- */

enum { WIRE_BLOCK = 4 + BLOCK, LEAST = 0x80 /* -128, as a byte */ };

size_t
act_row_bytes(uint32_t cols)
{
	return (size_t)block_count(cols) * WIRE_BLOCK;
}

void
act_row_write(const struct act *a, uint32_t row, uint8_t *out)
{
	size_t blocks = block_count(a->cols), at = row * blocks;

	for (size_t b = 0; b < blocks; b++, out += WIRE_BLOCK) {
		put_le32(out, float_to_bits(a->d[at + b]));
		memcpy(out + 4, a->q + (at + b) * BLOCK, BLOCK);
	}
}

/* Of 16 int8, eight at a time in the bytes of a word: as unsigned numbers of 128 more, neighbours first. */
static int32_t
sum_of_16(const uint8_t *q)
{
	const uint64_t even = 0x00ff00ff00ff00ff, more = 0x8080808080808080;
	uint64_t a, b, pairs;

	memcpy(&a, q, sizeof a);
	memcpy(&b, q + sizeof a, sizeof b);
	a ^= more;
	b ^= more;
	pairs = (a & even) + (a >> 8 & even) + (b & even) + (b >> 8 & even);
	return (int32_t)(pairs * 0x0001000100010001 >> 48) - 16 * 128;
}

void
act_row_read(struct act *a, uint32_t row, const uint8_t *in)
{
	size_t blocks = block_count(a->cols), at = row * blocks;

	for (size_t b = 0; b < blocks; b++, in += WIRE_BLOCK) {
		uint8_t q[BLOCK];

		for (size_t i = 0; i < BLOCK; i++)
			q[i] = (uint8_t)(in[4 + i] + (in[4 + i] == LEAST));
		memcpy(a->q + (at + b) * BLOCK, q, BLOCK);
		a->d[at + b] = bits_to_float(get_le32(in));
		a->half[at + b] = sum_of_16(q);
		a->sum[at + b] = a->half[at + b] + sum_of_16(q + BLOCK / 2);
	}
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
