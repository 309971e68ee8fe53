/* What one reduction costs on loopback beside the arithmetic: from one sum at rank 0 to the next,
 * with nothing to compute between. Sealed is what a swarm does; plain is the same frames in clear by
 * blocking calls.
 *
 *     collective [REDUCTIONS [ROWS]] */
#include "daemon/log.h"
#include "tests/bench/plain_group.h"
#include "tests/support/star_group.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP 100 /* reductions of a step */
#define WARM 100 /* reductions that are not counted */

struct sealed_run {
	struct star_config c;
	uint32_t rows, reductions;
	uint64_t *done; /* as in plain_run */
};

static void
sealed_peer(void *arg, struct star *s, uint32_t rank)
{
	struct sealed_run *r = arg;
	struct collective *c = star_collective(s);
	float *x = calloc((size_t)r->rows * r->c.embd, sizeof *x);
	struct step_row *rows = calloc(r->rows, sizeof *rows);
	struct collective_label label = {0};
	struct err err = {""};
	uint32_t n, divided;

	if (x == NULL || rows == NULL)
		abort();
	for (uint32_t i = 0; i < r->reductions; i++) {
		bool first = i % STEP == 0;

		if (first && rank == 0 && star_step(s, rows, r->rows, 0, x, &err) != 0)
			abort();
		while (first && rank != 0 && !star_next(s, rows, x, &n, &divided))
			if (star_broken(s))
				abort();
		for (size_t k = 0; k < (size_t)r->rows * r->c.embd; k += 64)
			x[k] = (float)(k % 101) - 50.0f; /* sums of sums would grow */
		label.layer = i % STEP;
		if (c->begin(c, x, r->rows, r->c.embd, &label, &err) != 0 ||
			c->finish(c, &err) != 0) {
			fprintf(stderr, "rank %u: %s\n", rank, err.msg);
			abort();
		}
		if (rank == 0)
			r->done[i] = uv_hrtime();
	}
	free(x);
	free(rows);
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Median and 99th percentile of the times between sums, in microseconds. Steps begin with more than
 * a reduction, so those are left out. */
static void
print_times(uint64_t *done, uint32_t n)
{
	uint32_t k = 0;

	for (uint32_t i = WARM + 1; i < n; i++)
		if (i % STEP != 0)
			done[k++] = done[i] - done[i - 1];
	qsort(done, k, sizeof *done, by_size);
	printf(" %9.1f %9.1f", (double)done[k / 2] / 1e3, (double)done[k / 100 * 99] / 1e3);
}

static void
sealed(uint32_t peers, uint32_t width, uint32_t rows, enum frame_format format,
	enum collective_way way, uint64_t *done, uint32_t n)
{
	static struct slice slices[STAR_GROUP_MAX];
	struct sealed_run r = {.c = {.epoch = 1,
				       .slices = slices,
				       .peers = peers,
				       .embd = width,
				       .vocab = 1,
				       .max_rows = rows,
				       .max_logits = 1,
				       .slots = 1,
				       .context = 1,
				       .format = {format, format},
				       .way = way},
		.rows = rows,
		.reductions = n,
		.done = done};

	star_group_run(&r.c, sealed_peer, &r);
	print_times(done, n);
}

static void
bench(uint32_t peers, uint32_t width, uint32_t rows, uint32_t n, uint64_t *done)
{
	static const char *const formats[] = {"f32", "f16", "q8"};
	static const char *const ways[] = {"star", "direct", "scatter"};

	for (int format = FRAME_F32; format <= FRAME_Q8; format++)
		for (int way = WAY_STAR; way <= WAY_SCATTER; way++) {
			const struct plain_run plain = {.peers = peers,
				.rows = rows,
				.width = width,
				.reductions = n,
				.format = (enum frame_format)format,
				.way = (enum collective_way)way,
				.done = done};

			if (way == WAY_SCATTER && rows == 1)
				continue;
			printf("| %5u | %6u | %7s | %-7s |", peers, width, formats[format],
				ways[way]);
			sealed(peers, width, rows, (enum frame_format)format,
				(enum collective_way)way, done, n);
			printf(" |");
			if (way != WAY_SCATTER && rows == 1) {
				plain_group_run(&plain);
				print_times(done, n);
				printf(" |\n");
			} else {
				printf("         -         - |\n");
			}
			fflush(stdout);
		}
}

int
main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 3000;
	uint32_t rows = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
	uint64_t *done;

	if (argc > 3 || n <= WARM + STEP || n > 10000000 || rows == 0 || rows > 1024) {
		fprintf(stderr,
			"usage: collective [REDUCTIONS (201 or more) [ROWS (1 to 1024)]]\n");
		return 2;
	}
	done = calloc(n, sizeof *done);
	if (sodium_init() < 0 || done == NULL)
		return EXIT_FAILURE;
	log_open(LOG_LEVEL_ERROR);
	printf("One reduction of %u row%s, microseconds on this machine's loopback.\n", rows,
		rows > 1 ? "s" : "");
	printf("| peers | hidden | payload | way     | sealed: median, 99 %% | plain: median, 99 "
	       "%% |\n"
	       "|------:|-------:|--------:|:--------|--------------------:|-------------------:|"
	       "\n");
	for (uint32_t peers = 2; peers <= 4; peers++)
		for (uint32_t width = 2048; width <= 4096; width *= 2)
			bench(peers, width, rows, n, done);
	free(done);
	return EXIT_SUCCESS;
}
