/* The pool of threads: each item once, limits, CPUs, many runs at once, and no CPU time while nothing is to do. */
#include "config.h"

#include "base/clock.h"
#include "kernels/cpu.h"
#include "kernels/pool.h"
#include "tests/support/patience.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_ITEMS 3000

static struct pool *
new_pool(unsigned threads)
{
	struct err err;
	struct pool *p = pool_new(threads, &err);

	ck_assert_msg(p != NULL, "%s", err.msg);
	return p;
}

/* --- items -------------------------------------------------------------------------------------- */

/* Plain numbers: that they are seen right is what the pool promises. */
struct counts {
	unsigned item[MAX_ITEMS];
	unsigned thread[8];
};

struct counting {
	struct counts *c;
	_Atomic unsigned beyond; /* items with a thread number that there is not */
	unsigned threads;
};

static void
count_item(void *arg, uint32_t item, unsigned thread)
{
	struct counting *c = arg;

	if (thread >= c->threads)
		atomic_fetch_add(&c->beyond, 1);
	else
		c->c->thread[thread]++;
	c->c->item[item]++;
}

static void
assert_items(const struct counts *c, uint32_t n)
{
	for (uint32_t i = 0; i < MAX_ITEMS; i++)
		ck_assert_uint_eq(c->item[i], i < n);
}

static void
assert_once(struct pool *p, uint32_t n)
{
	static struct counts counts;
	struct counting c = {.c = &counts, .threads = pool_threads(p)};
	unsigned sum = 0;

	memset(&counts, 0, sizeof counts);
	pool_run(p, count_item, &c, n);
	assert_items(&counts, n);
	for (unsigned t = 0; t < 8; t++)
		sum += counts.thread[t];
	ck_assert_uint_eq(sum, n);
	ck_assert_uint_eq(c.beyond, 0);
}

START_TEST(every_item_once)
{
	for (unsigned threads = 1; threads <= 5; threads++) {
		struct pool *p = new_pool(threads);

		ck_assert_uint_eq(pool_threads(p), threads);
		ck_assert_uint_eq(pool_size(p), threads);
		for (uint32_t n = 0; n < 40; n++)
			assert_once(p, n);
		assert_once(p, MAX_ITEMS);
		pool_free(p);
	}
	pool_free(NULL);
}
END_TEST

START_TEST(one_thread_per_cpu)
{
	struct pool *p = new_pool(0);

	ck_assert_uint_eq(pool_threads(p), cpu_count() < 256 ? cpu_count() : 256);
	assert_once(p, 100);
	pool_free(p);
}
END_TEST

/* --- limits ------------------------------------------------------------------------------------- */

/* Holds each thread until `wanted` of them have come: so all that can must. */
struct gathering {
	_Atomic unsigned here;
	unsigned wanted;
	_Atomic unsigned mask; /* of thread numbers */
	unsigned item[8];      /* that each has */
	cpu_set_t cpus[8];     /* which CPUs each may use */
};

static void
gather(void *arg, uint32_t item, unsigned thread)
{
	struct gathering *g = arg;

	atomic_fetch_or(&g->mask, 1u << thread);
	if (thread < 8) {
		g->item[thread] = item;
		sched_getaffinity(0, sizeof g->cpus[thread], &g->cpus[thread]);
	}
	atomic_fetch_add(&g->here, 1);
	while (atomic_load(&g->here) < g->wanted)
		sched_yield();
}

static void
assert_takes_part(struct pool *p, unsigned threads)
{
	struct gathering g = {.wanted = threads};

	ck_assert_uint_eq(pool_threads(p), threads);
	pool_run(p, gather, &g, threads);
	ck_assert_uint_eq(g.mask, (1u << threads) - 1);
	for (unsigned t = 0; t < threads; t++)
		ck_assert_uint_eq(g.item[t], t); /* each begins with its own part */
}

START_TEST(only_so_many_take_part)
{
	static const unsigned limits[] = {4, 1, 3, 2, 4, 2, 1, 4};
	struct pool *p = new_pool(4);

	for (int turn = 0; turn < 20; turn++) {
		for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
			pool_limit(p, limits[i]);
			ck_assert_uint_eq(pool_size(p), 4);
			assert_takes_part(p, limits[i]);
			assert_once(p, 50);
		}
	}
	pool_limit(p, 2);
	pool_limit(p, 0);
	assert_takes_part(p, 4);
	pool_limit(p, 99);
	assert_takes_part(p, 4);
	pool_limit(p, 1); /* and free it while most sleep beyond the limit */
	pool_free(p);
}
END_TEST

/* --- CPUs --------------------------------------------------------------------------------------- */

START_TEST(pinned_threads_have_a_cpu_each)
{
	int cpus[256];
	unsigned n = cpu_order(cpus, 256);
	struct pool *p;
	struct gathering g = {0};
	cpu_set_t all;
	struct err err;

	n = n < 8 ? n : 8;
	p = new_pool(n > 0 ? n : 1);
	if (n == 0) {
		ck_assert_int_eq(pool_pin(p, &err), -1);
		pool_free(p);
		return;
	}
	ck_assert_msg(pool_pin(p, &err) == 0, "%s", err.msg);
	g.wanted = n;
	pool_run(p, gather, &g, n);
	CPU_ZERO(&all);
	if (n > 1) /* one item: the caller alone, tied too */
		ck_assert_uint_eq(g.mask, (1u << n) - 1);
	for (unsigned t = 0; t < n; t++) {
		ck_assert_int_eq(CPU_COUNT(&g.cpus[t]), 1);
		ck_assert(CPU_ISSET(cpus[t], &g.cpus[t]));
		CPU_OR(&all, &all, &g.cpus[t]);
	}
	ck_assert_int_eq(CPU_COUNT(&all), (int)n);
	pool_free(p);
}
END_TEST

/* Who has slept is not put on the caller's CPU, then or later; who has had no time to sleep yet is where it was. */
START_TEST(the_caller_keeps_its_cpu)
{
	cpu_set_t all, either;
	struct pool *p = new_pool(2);
	uint64_t since = 0;
	bool slept = false;
	int most;

	ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
	most = CPU_COUNT(&all);
	for (int turn = 0; turn < 10; turn += slept) {
		struct gathering g = {.wanted = 2};

		ck_assert(wait_more(&since));
		pool_run(p, gather, &g, 2);
		slept = slept || most == 1 || CPU_COUNT(&g.cpus[1]) == most - 1;
		ck_assert_int_eq(CPU_COUNT(&g.cpus[0]), most);
		ck_assert_int_eq(CPU_COUNT(&g.cpus[1]), slept && most > 1 ? most - 1 : most);
		CPU_OR(&either, &g.cpus[0], &g.cpus[1]);
		ck_assert(CPU_EQUAL(&either, &all));
	}
	pool_free(p);
}
END_TEST

/* A run in which the caller comes to `to`, and the worker's item goes on so long that the caller sleeps. */
struct move {
	int to;             /* -1: the caller stays */
	_Atomic bool begun; /* the worker's item */
	int caller;         /* the CPU it is on */
	cpu_set_t worker;   /* the CPUs it may use */
};

static void
move_caller(void *arg, uint32_t item, unsigned thread)
{
	struct move *m = arg;
	cpu_set_t one, all;

	(void)item;
	if (thread == 1) {
		sched_getaffinity(0, sizeof m->worker, &m->worker);
		atomic_store(&m->begun, true);
		for (uint64_t end = clock_ns() + 1000 * 1000; clock_ns() < end;)
			sched_yield();
		return;
	}
	while (!atomic_load(&m->begun))
		sched_yield();
	if (m->to >= 0) {
		sched_getaffinity(0, sizeof all, &all);
		CPU_ZERO(&one);
		CPU_SET(m->to, &one);
		sched_setaffinity(0, sizeof one, &one);
		sched_setaffinity(0, sizeof all, &all);
	}
	m->caller = sched_getcpu();
}

/* Whether the worker, which is not woken, leaves that CPU to the caller while it stays there for a few runs. */
static bool
leaves_to_caller(struct pool *p, int cpu)
{
	struct move m = {.to = cpu};

	for (int run = 0; run < 40; run++) {
		pool_run(p, move_caller, &m, 2);
		if (m.caller != cpu || (run > 0 && !CPU_ISSET(cpu, &m.worker)))
			return true;
		m = (struct move){.to = -1};
	}
	return false;
}

START_TEST(a_caller_that_moves_gets_that_cpu)
{
	struct pool *p = new_pool(2);
	int cpus[256];
	unsigned n = cpu_order(cpus, 256);

	for (int turn = 0; n > 1 && turn < 20; turn++)
		ck_assert_msg(leaves_to_caller(p, cpus[turn % 2]), "turn %d", turn);
	pool_free(p);
}
END_TEST

START_TEST(more_threads_than_cpus_are_not_pinned)
{
	cpu_set_t one, before;
	struct gathering g = {.wanted = 2};
	struct pool *p;
	struct err err;

	ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
	p = new_pool(2);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
	ck_assert_int_eq(pool_pin(p, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "2 threads"));
	pool_run(p, gather, &g, 2);
	ck_assert_int_eq(CPU_COUNT(&g.cpus[1]), CPU_COUNT(&before));
	pool_free(p);
}
END_TEST

/* --- many runs ---------------------------------------------------------------------------------- */

struct sum {
	uint64_t parts[64];
	uint64_t add;
};

static void
add_part(void *arg, uint32_t item, unsigned thread)
{
	struct sum *s = arg;

	(void)thread;
	s->parts[item] += s->add;
}

/* Short runs one after the other, each of which needs what the one before wrote. */
static void *
many_runs(void *arg)
{
	unsigned seed = *(unsigned *)arg;
	struct pool *p = new_pool(1 + seed % 4);
	struct sum s = {.add = 1};
	uint64_t want[64] = {0};

	for (int turn = 0; turn < 20000; turn++) {
		uint32_t n;

		seed = seed * 1664525u + 1013904223u;
		n = seed >> 16 & 63;
		if (seed % 61 == 0)
			pool_limit(p, seed >> 8 & 7);
		if (seed % 997 == 0) /* long enough for them to sleep */
			nanosleep(&(const struct timespec){.tv_nsec = 200 * 1000}, NULL);
		s.add = seed & 0xff;
		for (uint32_t i = 0; i < n; i++)
			want[i] += s.add;
		pool_run(p, add_part, &s, n);
	}
	pool_free(p);
	return (void *)(uintptr_t)(memcmp(s.parts, want, sizeof want) == 0);
}

START_TEST(many_runs_of_several_pools)
{
	unsigned seeds[3] = {1, 2, 7};
	pthread_t ids[3];

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&ids[i], NULL, many_runs, &seeds[i]), 0);
	for (int i = 0; i < 3; i++) {
		void *right;

		pthread_join(ids[i], &right);
		ck_assert_msg(right != NULL, "pool %d: wrong sums", i);
	}
}
END_TEST

/* A worker that is late, as one that has lost its CPU, makes the caller wait; then workers give way between items.
 * Nothing is computed twice or left out. */
static void
late_item(void *arg, uint32_t item, unsigned thread)
{
	if (thread != 0 && item % 16 == 0)
		usleep(3000);
	count_item(arg, item, thread);
}

START_TEST(a_late_worker_changes_nothing)
{
	static struct counts counts;
	struct pool *p = new_pool(3);
	struct counting c = {.c = &counts, .threads = 3};

	for (int turn = 0; turn < 20; turn++) {
		memset(&counts, 0, sizeof counts);
		pool_run(p, late_item, &c, 64);
		assert_items(&counts, 64);
		for (int i = 0; i < 50; i++)
			assert_once(p, 200);
	}
	ck_assert_uint_eq(c.beyond, 0);
	pool_free(p);
}
END_TEST

/* A part whose first item takes as long as all that others have: who is done helps, down to the last item. */
struct slowest {
	_Atomic unsigned item[32], done;
	_Atomic bool alone; /* nobody helped */
};

static void
slowest_item(void *arg, uint32_t item, unsigned thread)
{
	struct slowest *s = arg;
	uint64_t since = 0;

	while (thread == 0 && atomic_load(&s->done) < 31 && !atomic_load(&s->alone))
		if (!wait_more(&since))
			atomic_store(&s->alone, true);
	atomic_fetch_add(&s->item[item], 1);
	atomic_fetch_add(&s->done, 1);
}

START_TEST(who_is_done_helps_the_others)
{
	struct pool *p = new_pool(4);

	for (int turn = 0; turn < 50; turn++) {
		struct slowest s = {.done = 0};

		pool_run(p, slowest_item, &s, 32);
		ck_assert(!s.alone);
		for (int i = 0; i < 32; i++)
			ck_assert_uint_eq(s.item[i], 1);
	}
	pool_free(p);
}
END_TEST

struct many {
	_Atomic uint64_t sum;
	_Atomic uint32_t n;
};

static void
sum_item(void *arg, uint32_t item, unsigned thread)
{
	struct many *m = arg;

	(void)thread;
	atomic_fetch_add(&m->sum, item);
	atomic_fetch_add(&m->n, 1);
}

/* More than the word that holds a part counts. */
START_TEST(millions_of_items)
{
	static const uint32_t sizes[] = {(1 << 20) - 1, 1 << 20, 2500000};
	struct pool *p = new_pool(3);

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct many m = {0};

		pool_run(p, sum_item, &m, sizes[i]);
		ck_assert_uint_eq(m.n, sizes[i]);
		ck_assert_uint_eq(m.sum, (uint64_t)sizes[i] * (sizes[i] - 1) / 2);
	}
	pool_free(p);
}
END_TEST

/* --- rest --------------------------------------------------------------------------------------- */

static double
cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double
cpu_seconds_of_rest(void)
{
	double start;

	usleep(20 * 1000); /* they spin for a while */
	start = cpu_seconds();
	usleep(300 * 1000);
	return cpu_seconds() - start;
}

START_TEST(threads_without_work_take_no_time)
{
	struct pool *p = new_pool(4);

	ck_assert_double_lt(cpu_seconds_of_rest(), 0.02);
	assert_once(p, 100);
	ck_assert_double_lt(cpu_seconds_of_rest(), 0.02);
	pool_limit(p, 2);
	assert_once(p, 100);
	ck_assert_double_lt(cpu_seconds_of_rest(), 0.02);
	pool_free(p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pool");
	TCase *tc = tcase_create("pool");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, every_item_once);
	tcase_add_test(tc, one_thread_per_cpu);
	tcase_add_test(tc, only_so_many_take_part);
	tcase_add_test(tc, pinned_threads_have_a_cpu_each);
	tcase_add_test(tc, the_caller_keeps_its_cpu);
	tcase_add_test(tc, a_caller_that_moves_gets_that_cpu);
	tcase_add_test(tc, more_threads_than_cpus_are_not_pinned);
	tcase_add_test(tc, many_runs_of_several_pools);
	tcase_add_test(tc, a_late_worker_changes_nothing);
	tcase_add_test(tc, who_is_done_helps_the_others);
	tcase_add_test(tc, millions_of_items);
	tcase_add_test(tc, threads_without_work_take_no_time);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
