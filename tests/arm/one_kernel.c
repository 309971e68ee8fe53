/* Runs one kernel once, for tests/arm/counts to count its instructions: 64 x 1024 weights (or fewer rows of them), in
 * tiles, times some rows of activations. Prints how many times 32 multiplications and additions that is.
 *
 *   one_kernel SET TYPE ROWS [WEIGHT-ROWS] */
#include "kernels/block.h"
#include "kernels/kernels.h"
#include "kernels/sets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 64, COLS = 1024 };

static uint32_t
type_of(const char *name)
{
	for (uint32_t t = 0; t < DTYPE_COUNT; t++)
		if (dtype_computed(t) && strcmp(dtype_name(t), name) == 0)
			return t;
	return DTYPE_COUNT;
}

/* What the numbers are does not change the count; they need not make sense. */
static void
fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 37 % 61);
}

int
main(int argc, char **argv)
{
	bool enough = argc == 4 || argc == 5;
	const struct kernels *k = enough ? kernel_set_find(argv[1]) : NULL;
	uint32_t type = enough ? type_of(argv[2]) : DTYPE_COUNT;
	uint32_t n = enough ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
	uint32_t rows = argc == 5 ? (uint32_t)strtoul(argv[4], NULL, 10) : ROWS;
	size_t group, bytes;
	uint8_t *weights;
	float *x, *out;
	struct act act;
	struct err err;

	if (k == NULL || type == DTYPE_COUNT || k->matmul[type] == NULL || n == 0 || n > 512 ||
		rows == 0 || rows > ROWS || rows % TILE_ROWS != 0) {
		fprintf(stderr, "usage: one_kernel SET TYPE ROWS [WEIGHT-ROWS]\n");
		return 2;
	}
	group = tile_group_bytes(type, COLS);
	bytes = group * (ROWS / TILE_ROWS);
	weights = aligned_alloc(64, (bytes + 63) / 64 * 64);
	x = calloc((size_t)n * COLS, sizeof *x);
	out = calloc((size_t)n * ROWS, sizeof *out);
	if (weights == NULL || x == NULL || out == NULL || act_init(&act, n, COLS, &err) != 0)
		return 1;
	fill(weights, bytes);
	act.rows = n;
	act.cols = COLS;
	act.f = x;
	k->quantize(&act, 0, n);
	k->matmul[type](&(const struct matrix){type, rows, COLS, group, weights, LAYOUT_TILES}, 0,
		rows, &act, out, ROWS);
	printf("%u\n", rows * COLS / BLOCK * n);
	act_deinit(&act);
	free(weights);
	free(x);
	free(out);
	return 0;
}
