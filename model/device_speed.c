#include "config.h"

#include "model/device_speed.h"

#include "base/clock.h"
#include "kernels/cpu.h"
#include "kernels/roof.h"
#include "model/thread_choice.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	COLS = 4096,
	ROUNDS_LEAST = 2, /* or nothing could be said of what was undisturbed */
	ROUNDS = 16,      /* turns of each type, for one row and for many */
	MIB = 1 << 20,
	HUGE_PAGE = 2 * MIB,
	LEAST_MEMORY = 32 * MIB,
	MOST_MEMORY = 256 * MIB,
	READ_PASSES = 5,
	TRIAL_TURNS = 5 /* of each number of threads */
};
/* Less than a scheduler's slice, so that on a busy machine too some turns are whole. */
#define TURN_SECONDS  0.001
#define LIMIT_SECONDS 1.5  /* of all turns, but for the least */
#define BETTER        0.97 /* fewer threads must be that much faster, as in thread_choice.c */

/* What is timed: products with one row, and with many. */
enum way { ONE_ROW, MANY_ROWS, WAYS };

struct bench {
	const struct device_test *t;
	struct pool *pool;
	unsigned threads[WAYS];
	uint8_t *data; /* of weights of any type */
	size_t bytes, at;
	float *x, *out;
	struct act act[WAYS];
	double turns[DTYPE_COUNT][WAYS][ROUNDS]; /* seconds for a byte, seconds for an operation */
	unsigned n[DTYPE_COUNT][WAYS];
	double amount[DTYPE_COUNT][WAYS]; /* bytes, operations of all turns */
	double spent;                     /* seconds */
};

/* --- memory --- */

/* Bytes of the largest cache of the first CPU; 0: the system does not say, as in many virtual
 * machines. */
static uint64_t
largest_cache(void)
{
	uint64_t most = 0;

	for (int i = 0; i < 6; i++) {
		unsigned long long n = 0;
		char path[80], unit = 'K';
		FILE *f;

		snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
		f = fopen(path, "re");
		if (f == NULL)
			break;
		if (fscanf(f, "%llu%c", &n, &unit) >= 1)
			n <<= unit == 'M' ? 20 : 10;
		fclose(f);
		most = n > most ? n : most;
	}
	return most;
}

uint64_t
device_speed_memory(void)
{
	uint64_t cache = largest_cache(), bytes = 4 * cache;

	if (cache == 0 || bytes > MOST_MEMORY)
		return MOST_MEMORY;
	return bytes > LEAST_MEMORY ? bytes : LEAST_MEMORY;
}

/* Bytes that make sane weights of every type: whatever two of them are a float16's, they are 0.03 to
 * 0.12, four of them a float's a small normal number. Kernels take the same time for all of those. */
static void
fill(uint8_t *data, size_t bytes)
{
	uint32_t state = 1;

	for (size_t i = 0; i < MIB && i < bytes; i++) {
		state = state * 1664525 + 1013904223;
		data[i] = (uint8_t)(0x28 | state >> 29);
	}
	for (size_t i = MIB; i < bytes; i += MIB)
		memcpy(data + i, data, bytes - i < MIB ? bytes - i : MIB);
}

/* Rows of a matrix of the type. One row: as large as those of models are, so that handing out the
 * work takes its due share. Many: enough for every thread. */
static uint32_t
rows_of(const struct bench *b, uint32_t type, enum way way)
{
	size_t group = tile_group_bytes(type, COLS), groups;

	if (way == MANY_ROWS) {
		groups = 4 * b->threads[way];
	} else {
		size_t bytes = (size_t)b->threads[way] * MIB / 4;

		bytes = bytes < MIB ? MIB : bytes > 4 * MIB ? 4 * MIB : bytes;
		groups = bytes / group;
	}
	groups = groups * group < b->bytes ? groups : b->bytes / group;
	return (uint32_t)groups * TILE_ROWS;
}

static uint32_t
most_rows(const struct bench *b, enum way way)
{
	uint32_t most = 0;

	for (uint32_t type = 0; type < DTYPE_COUNT; type++) {
		uint32_t rows = b->t->kernels->matmul[type] != NULL ? rows_of(b, type, way) : 0;

		most = rows > most ? rows : most;
	}
	return most;
}

static int
get_memory(struct bench *b, struct err *err)
{
	uint64_t want = device_speed_memory();
	size_t one, many;

	b->bytes = (size_t)(want < b->t->memory ? want : b->t->memory) / HUGE_PAGE * HUGE_PAGE;
	if (b->bytes == 0)
		return err_set(err, "no memory is left to measure with");
	one = most_rows(b, ONE_ROW);
	many = (size_t)most_rows(b, MANY_ROWS) * DEVICE_SPEED_ROWS;
	b->data = aligned_alloc(HUGE_PAGE, b->bytes);
	b->x = malloc((size_t)DEVICE_SPEED_ROWS * COLS * sizeof *b->x);
	b->out = malloc((one > many ? one : many) * sizeof *b->out);
	if (act_init(&b->act[ONE_ROW], 1, COLS, err) != 0 ||
		act_init(&b->act[MANY_ROWS], DEVICE_SPEED_ROWS, COLS, err) != 0)
		return -1;
	if (b->data == NULL || b->x == NULL || b->out == NULL)
		return err_set(err, "no memory for %zu MiB to measure with", b->bytes / MIB);
#ifdef MADV_HUGEPAGE
	madvise(b->data, b->bytes, MADV_HUGEPAGE); /* as weights in memory have it */
#endif
	fill(b->data, b->bytes);
	for (size_t i = 0; i < (size_t)DEVICE_SPEED_ROWS * COLS; i++)
		b->x[i] = (float)((i * 7919) % 255) / 127 - 1;
	act_prepare(b->t->kernels, b->pool, &b->act[ONE_ROW], b->x, 1, COLS, true);
	act_prepare(
		b->t->kernels, b->pool, &b->act[MANY_ROWS], b->x, DEVICE_SPEED_ROWS, COLS, true);
	return 0;
}

/* --- turns --- */

static bool
stopped(const struct bench *b)
{
	return b->t->stop != NULL && b->t->stop(b->t->arg);
}

/* Goes on through the sample for so many seconds, a matrix after the other, from where the last turn
 * ended: no cache holds what comes. *amount: bytes, or operations. Returns seconds. */
static double
turn(struct bench *b, uint32_t type, enum way way, double *amount)
{
	struct matrix m = {.dtype = type,
		.rows = rows_of(b, type, way),
		.cols = COLS,
		.stride = tile_group_bytes(type, COLS),
		.layout = LAYOUT_TILES};
	size_t bytes = m.stride * (m.rows / TILE_ROWS);
	struct matmul_job job = {.w = &m, .out = b->out, .out_stride = m.rows};
	double start = clock_seconds(), now;

	*amount = 0;
	pool_limit(b->pool, b->threads[way]);
	do {
		b->at = b->at + bytes <= b->bytes ? b->at : 0;
		m.data = b->data + b->at;
		matmul_run(b->t->kernels, b->pool, &job, 1, &b->act[way]);
		b->at += bytes;
		*amount += way == ONE_ROW ? (double)bytes : 2.0 * m.rows * COLS * DEVICE_SPEED_ROWS;
		now = clock_seconds();
	} while (now - start < TURN_SECONDS);
	return now - start;
}

static double
least(const double *v, unsigned n)
{
	double min = v[0];

	for (unsigned i = 1; i < n; i++)
		min = v[i] < min ? v[i] : min;
	return min;
}

/* The number of threads that generation is best done with, as its steps will find out. */
static void
choose_threads(struct bench *b)
{
	struct thread_choice c;
	double times[THREAD_CHOICE_MAX][TRIAL_TURNS], amount;
	unsigned best = 0;

	thread_choice_init(&c, b->t->threads, b->t->threads_batch, pool_size(b->pool));
	b->threads[MANY_ROWS] = c.batch;
	for (unsigned i = 0; c.n > 1 && i < TRIAL_TURNS * c.n; i++) {
		b->threads[ONE_ROW] = c.counts[i % c.n];
		turn(b, DTYPE_Q4_0, ONE_ROW, &amount); /* wakes them up */
		times[i % c.n][i / c.n] = turn(b, DTYPE_Q4_0, ONE_ROW, &amount);
		times[i % c.n][i / c.n] /= amount;
	}
	for (unsigned i = 1; i < c.n; i++)
		if (least(times[i], TRIAL_TURNS) < BETTER * least(times[best], TRIAL_TURNS))
			best = i;
	b->threads[ONE_ROW] = c.counts[best];
}

static void
take_turn(struct bench *b, uint32_t type, enum way way)
{
	double amount, took;

	if (b->t->kernels->matmul[type] == NULL || stopped(b))
		return;
	took = turn(b, type, way, &amount);
	b->turns[type][way][b->n[type][way]++] = took / amount;
	b->amount[type][way] += amount;
	b->spent += took;
}

/* Round and round, so that no type has the only bad moment; threads are changed once a round. */
static void
take_turns(struct bench *b)
{
	double end = clock_seconds() + LIMIT_SECONDS;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < WAYS * DTYPE_COUNT; i++) {
			if (round >= ROUNDS_LEAST && clock_seconds() > end)
				return;
			take_turn(b, i % DTYPE_COUNT, i < DTYPE_COUNT ? ONE_ROW : MANY_ROWS);
		}
	}
}

/* --- what they say --- */

static void
conclude(struct bench *b, struct device_speed *s)
{
	double speeds[DTYPE_COUNT][WAYS] = {{0}}, best_turns = 0;

	for (uint32_t type = 0; type < DTYPE_COUNT; type++) {
		for (enum way way = 0; way < WAYS; way++) {
			double best;

			if (b->n[type][way] == 0)
				continue;
			best = least(b->turns[type][way], b->n[type][way]);
			speeds[type][way] = 1 / best;
			best_turns += b->amount[type][way] * best;
		}
	}
	s->undisturbed = best_turns < b->spent ? best_turns / b->spent : 1;
	for (uint32_t type = 0; type < DTYPE_COUNT; type++) {
		s->types[type].bytes_per_s = s->undisturbed * speeds[type][ONE_ROW];
		s->types[type].ops_per_s = s->undisturbed * speeds[type][MANY_ROWS];
	}
}

static void
bench_free(struct bench *b)
{
	act_deinit(&b->act[ONE_ROW]);
	act_deinit(&b->act[MANY_ROWS]);
	free(b->data);
	free(b->x);
	free(b->out);
	pool_free(b->pool);
	free(b);
}

struct reading {
	const struct bench *b;
	uint64_t (*read)(const uint8_t *p, size_t n);
	_Atomic uint64_t seen; /* what is read must be used for something */
};

static void
read_unit(void *arg, uint32_t item, unsigned thread)
{
	struct reading *r = arg;

	(void)thread;
	atomic_fetch_or(&r->seen, r->read(r->b->data + (size_t)item * ROOF_UNIT, ROOF_UNIT));
}

/* As roof_bandwidth (roof.h), over memory that is there already: the best of passes by either loop. */
static double
read_memory(const struct bench *b)
{
	struct reading r = {.b = b};
	double best = 0;

	pool_limit(b->pool, b->threads[ONE_ROW]);
	for (int pass = 0; pass < READ_PASSES && !stopped(b); pass++) {
		uint64_t (*const *reads)(const uint8_t *, size_t) = b->t->kernels->roof_read;
		double start = clock_seconds(), speed;

		r.read = reads[pass % ROOF_READS] != NULL ? reads[pass % ROOF_READS] : reads[0];
		pool_run(b->pool, read_unit, &r, (uint32_t)(b->bytes / ROOF_UNIT));
		speed = (double)b->bytes / (clock_seconds() - start);
		best = speed > best ? speed : best;
	}
	return best;
}

int
device_speed_measure(const struct device_test *t, struct device_speed *s, struct err *err)
{
	struct bench *b = calloc(1, sizeof *b);
	unsigned threads = thread_choice_pool(t->threads, t->threads_batch, cpu_count());
	struct err no_disk;
	int rc = -1;

	*s = (struct device_speed){0};
	if (b == NULL)
		return err_set(err, "out of memory");
	b->t = t;
	b->threads[ONE_ROW] = b->threads[MANY_ROWS] = threads;
	b->pool = pool_new(threads, err);
	if (b->pool == NULL || get_memory(b, err) != 0)
		goto out;
	choose_threads(b);
	take_turns(b);
	s->threads = b->threads[ONE_ROW];
	if (!stopped(b))
		conclude(b, s);
	if (!stopped(b))
		s->read_bytes_per_s = s->undisturbed * read_memory(b);
	if (!stopped(b))
		s->disk_bytes_per_s = disk_speed_measure(t, &no_disk);
	rc = stopped(b) ? err_set(err, "something else is to be done") : 0;
out:
	bench_free(b);
	return rc;
}

static bool
sane(double v)
{
	return v == 0 || (isfinite(v) && v >= 1e3 && v <= 1e16);
}

bool
device_speed_sane(const struct device_speed *s)
{
	for (uint32_t i = 0; i < DTYPE_COUNT; i++)
		if (!sane(s->types[i].bytes_per_s) || !sane(s->types[i].ops_per_s))
			return false;
	if (!(s->undisturbed >= 0 && s->undisturbed <= 1))
		return false;
	return sane(s->read_bytes_per_s) && sane(s->disk_bytes_per_s) && s->threads <= 1024;
}
