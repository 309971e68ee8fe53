/* How fast matrices are. */
#include "tests/kernels/check.h"

#include "kernels/roof.h"
#include "kernels/sets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of a pass. */
static double
time_read(uint64_t (*read)(const uint8_t *p, size_t n), const uint8_t *data, size_t bytes)
{
	double start = now();
	volatile uint64_t sink;
	uint64_t seen = 0;

	for (size_t at = 0; at + ROOF_UNIT <= bytes; at += ROOF_UNIT)
		seen |= read(data + at, ROOF_UNIT);
	sink = seen;
	(void)sink;
	return now() - start;
}

double
read_bandwidth(const struct kernels *k, const uint8_t *data, size_t bytes)
{
	double best = 1e9, seconds;

	for (int turn = 0; turn < 5 * ROOF_READS; turn++) {
		if (k->roof_read[turn % ROOF_READS] == NULL)
			continue;
		seconds = time_read(k->roof_read[turn % ROOF_READS], data, bytes);
		best = seconds < best ? seconds : best;
	}
	return (double)(bytes / ROOF_UNIT * ROOF_UNIT) / best;
}

uint8_t *
huge_bytes(size_t bytes)
{
	size_t huge = (size_t)2 << 20, room = (bytes + huge - 1) / huge * huge;
	uint8_t *data = aligned_alloc(huge, room);

	if (data == NULL)
		exit(2);
#ifdef MADV_HUGEPAGE
	madvise(data, room, MADV_HUGEPAGE);
#endif
	memset(data, 1, room);
	return data;
}

/* Best of several turns, in seconds. */
static double
time_matmul(const struct kernels *k, const struct matrix *m, struct act *act, float *out)
{
	double best = 1e9;

	for (int turn = 0; turn < 7; turn++) {
		double start = now();

		for (uint32_t r = 0; r < m->rows; r += 64)
			k->matmul[m->dtype](m, r, r + 64, act, out, m->rows);
		if (now() - start < best)
			best = now() - start;
	}
	return best;
}

/* Fills a matrix in tiles with the first row group, again and again. */
static void
fill_tiles(const struct matrix *m, uint8_t *data)
{
	size_t row = dtype_row_bytes(m->dtype, m->cols);
	uint8_t *rows = malloc(row * TILE_ROWS);

	if (rows == NULL)
		exit(2);
	fill_weights(m->dtype, rows, row * TILE_ROWS, false);
	tile_pack(m->dtype, m->cols, rows, row, TILE_ROWS, data);
	for (uint32_t g = 1; g < m->rows / TILE_ROWS; g++)
		memcpy(data + g * m->stride, data, m->stride);
	free(rows);
}

/* Decode: a matrix that no cache holds. Prefill: 256 rows. Both of 4096 columns. */
static void
bench_type(const struct kernels *k, uint32_t type, float *x, float *out, double roof)
{
	enum { COLS = 4096, MOST = 512, BYTES = 192 << 20 };
	static const uint32_t counts[] = {2, 4, 8, 16, 64, 512};
	size_t group = tile_group_bytes(type, COLS);
	struct matrix m = {
		type, (uint32_t)(BYTES / group / 4 * 64), COLS, group, NULL, LAYOUT_TILES};
	uint8_t *data = huge_bytes(group * m.rows / TILE_ROWS);
	struct act act;
	struct err err;
	double speed;

	if (act_init(&act, MOST, COLS, &err) != 0)
		exit(2);
	fill_tiles(&m, data);
	m.data = data;
	act.cols = COLS;
	act.f = x;
	act.rows = 1;
	k->quantize(&act, 0, 1);
	speed = (double)group * m.rows / TILE_ROWS / time_matmul(k, &m, &act, out);
	printf("%-8s %-7s %7.2f %5.2f", k->name, dtype_name(type), speed / 1e9, speed / roof);
	m.rows = 256;
	printf(" %7.2f ", (double)group * m.rows / TILE_ROWS / time_matmul(k, &m, &act, out) / 1e9);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		act.rows = counts[i];
		k->quantize(&act, 0, act.rows);
		printf(" %7.1f", 256.0 * COLS * counts[i] / time_matmul(k, &m, &act, out) / 1e9);
		fflush(stdout);
	}
	printf("\n");
	act_deinit(&act);
	free(data);
}

void
bench_matrices(const char *only_set, const char *only_type, double roof)
{
	const char *const *names = kernels_names();
	size_t n = (size_t)4096 * 512;
	float *x = malloc(n * sizeof *x), *out = malloc(((size_t)8 << 20) * sizeof *out);

	if (x == NULL || out == NULL)
		exit(2);
	for (size_t i = 0; i < n; i++)
		x[i] = rnd_float(1.0f);
	printf("set      type    from memory  in cache   GMAC/s with rows of activations:\n");
	printf("                  GB/s share      GB/s         2       4       8      16      64"
	       "     512\n");
	for (size_t i = 0; names[i] != NULL; i++) {
		const struct kernels *k = kernel_set_find(names[i]);

		if (strcmp(k->name, "plain") == 0 ||
			(only_set != NULL && strcmp(only_set, k->name) != 0))
			continue;
		for (uint32_t t = 0; t < DTYPE_COUNT; t++)
			if (k->matmul[t] != NULL &&
				(only_type == NULL || strcmp(only_type, dtype_name(t)) == 0))
				bench_type(k, t, x, out, roof);
	}
	free(x);
	free(out);
}
