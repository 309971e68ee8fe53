#include "config.h"

#include "kernels/pool.h"

#include "base/clock.h"
#include "kernels/cpu.h"
#include "kernels/cpu_tie.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_THREADS = 256,
	SPIN_NS = 50 * 1000, /* about two phases of a layer */
	SPINS_PER_LOOK = 64, /* at the clock */
	STALL_NS = 1000 * 1000,
	TURN_NS = 1000 * 1000,          /* less than the slices that systems give, 3 ms and more */
	POLITE_NS = 1000 * 1000 * 1000, /* how long a stall is remembered */
	CLEAR_NS =
		20 * 1000 *
		1000 /* from one move of the workers to one by a caller that has slept, at least */
};

typedef void (*pool_fn)(void *arg, uint32_t item, unsigned thread);

/* A thread's items not yet taken: [from, to) of a run. The owner takes at the front, others what they steal at the
 * back. */
struct span {
	_Alignas(64) _Atomic uint64_t left;
};

/* A thread reads a span, then the work, and takes by changing the span it has read: if that succeeds the run was still
 * open, so what it read belongs to it. The work is written only while no items are left, and the caller waits for
 * items, not for threads: one that is late, asleep or without a CPU holds nobody up. The limit is part of the work: a
 * thread beyond it never takes.
 *
 * A worker that loses its CPU to another process while it holds an item does hold all up, for as long as
 * that process may run: two threads would be slower than one. So once the caller has waited longer than
 * STALL_NS, workers give their CPUs away themselves for a while, between items, before they have run so long
 * that the system takes them. Where nobody wants the CPU, they have it back at once. */
struct pool {
	_Alignas(64) _Atomic uint32_t run; /* the last one that began */
	_Atomic(pool_fn) fn;
	_Atomic(void *) arg;
	_Atomic uint32_t first, n; /* items of the run */
	_Atomic unsigned limit;
	_Alignas(64) _Atomic uint32_t done;
	_Alignas(64) _Atomic uint32_t asleep; /* workers that wait for `work` */
	_Atomic bool caller_asleep;           /* waits for `idle` */
	_Atomic bool stop;
	_Atomic uint64_t polite_until; /* in ns; 0: no need */
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	pthread_cond_t raised; /* the limit: for workers beyond it */
	unsigned threads;
	bool pinned;
	int caller_cpu; /* to tie the caller to at its next run; -1: none */
	int clear_of;   /* the CPU that workers leave to the caller; -1: none */
	uint64_t cleared_at;
	pthread_t ids[MAX_THREADS];
	struct span spans[MAX_THREADS];
};

struct worker {
	struct pool *p;
	unsigned thread;
	uint32_t seen; /* the last run it has looked at */
	uint64_t turn; /* when its turn on its CPU began, as far as is known */
};

/* A span in a word. */
enum { ITEM_BITS = 20, MAX_ITEMS = (1 << ITEM_BITS) - 1 };

static uint64_t
span_pack(uint32_t run, uint32_t from, uint32_t to)
{
	return (uint64_t)run << 2 * ITEM_BITS | (uint64_t)from << ITEM_BITS | to;
}

static uint32_t
span_from(uint64_t s)
{
	return s >> ITEM_BITS & MAX_ITEMS;
}

static uint32_t
span_to(uint64_t s)
{
	return s & MAX_ITEMS;
}

static uint32_t
span_items(uint64_t s)
{
	return span_to(s) - span_from(s);
}

static void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory"); /* `yield` takes no time on most cores */
#endif
}

static bool
beyond_limit(struct pool *p, unsigned thread)
{
	return thread >= atomic_load(&p->limit);
}

/* Something to do other than to wait for work. */
static bool
work_there(struct worker *w)
{
	return atomic_load(&w->p->run) != w->seen || beyond_limit(w->p, w->thread) ||
	       atomic_load(&w->p->stop);
}

static bool
work_done(struct worker *caller)
{
	return atomic_load(&caller->p->done) == atomic_load(&caller->p->n);
}

/* Whether it came true within the time for spinning. */
static bool
spin(struct worker *w, bool (*ready)(struct worker *w))
{
	uint64_t end = clock_ns() + SPIN_NS;

	do {
		for (int i = 0; i < SPINS_PER_LOOK; i++) {
			if (ready(w))
				return true;
			relax();
		}
	} while (clock_ns() < end);
	return false;
}

static void
sleep_for_work(struct worker *w)
{
	struct pool *p = w->p;

	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->asleep, 1);
	while (!work_there(w))
		pthread_cond_wait(&p->work, &p->lock);
	atomic_fetch_sub(&p->asleep, 1);
	pthread_mutex_unlock(&p->lock);
}

/* Not counted as asleep: no run wakes it. */
static void
sleep_beyond_limit(struct pool *p, unsigned thread)
{
	pthread_mutex_lock(&p->lock);
	while (beyond_limit(p, thread) && !atomic_load(&p->stop))
		pthread_cond_wait(&p->raised, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

/* Who is woken may be put on its waker's CPU, with another idle beside it: for milliseconds both take turns (seen in half
 * of all runs after 30 ms of rest, Linux 6.18, two CPUs). So workers leave the caller its CPU. It may be put on one of
 * theirs as well, where a worker that may not use the free one would stay beside it for good: asked again when the
 * caller has slept, but not so often that workers move to and fro beside another busy process. */
static void
keep_clear_of_caller(struct pool *p)
{
	int here = cpu_here();

	if (p->pinned || here == p->clear_of)
		return;
	cpu_keep_clear(p->ids + 1, p->threads - 1, here);
	p->clear_of = here;
	p->cleared_at = clock_ns();
}

static void
wait_until_done(struct worker *caller)
{
	struct pool *p = caller->p;
	uint64_t start = clock_ns(), end;

	pthread_mutex_lock(&p->lock);
	atomic_store(&p->caller_asleep, true);
	while (!work_done(caller))
		pthread_cond_wait(&p->idle, &p->lock);
	atomic_store(&p->caller_asleep, false);
	pthread_mutex_unlock(&p->lock);
	end = clock_ns();
	if (end - p->cleared_at >= CLEAR_NS)
		keep_clear_of_caller(p);
	if (end - start >= STALL_NS)
		atomic_store(&p->polite_until, end + POLITE_NS);
}

/* Between items: whether others shall have the CPU, because the last time was a turn ago. Never the caller's, for whom
 * all would wait. */
static bool
is_turn_over(const struct worker *w)
{
	uint64_t until = atomic_load_explicit(&w->p->polite_until, memory_order_relaxed), now;

	if (until == 0 || w->thread == 0)
		return false;
	now = clock_ns();
	if (now >= until)
		atomic_compare_exchange_strong(&w->p->polite_until, &until, 0);
	return now < until && now - w->turn >= TURN_NS;
}

static void
give_way(struct worker *w)
{
	sched_yield();
	w->turn = clock_ns();
}

/* --- taking --- */

static void
count_done(struct pool *p, uint32_t items, uint32_t n)
{
	if (atomic_fetch_add(&p->done, items) + items == n && atomic_load(&p->caller_asleep)) {
		pthread_mutex_lock(&p->lock);
		pthread_cond_signal(&p->idle);
		pthread_mutex_unlock(&p->lock);
	}
}

/* Takes the thread's own items until none is left. They count as done together, since one word is written by all, but
 * before others have the CPU: nobody shall wait for what is done. */
static void
take_own(struct worker *w)
{
	struct pool *p = w->p;
	_Atomic uint64_t *left = &p->spans[w->thread].left;
	uint64_t span = atomic_load(left);
	uint32_t taken = 0, n = 0;

	while (span_items(span) != 0) {
		pool_fn fn = atomic_load(&p->fn);
		void *arg = atomic_load(&p->arg);
		uint32_t first = atomic_load(&p->first);

		n = atomic_load(&p->n);
		if (beyond_limit(p, w->thread))
			break;
		if (!atomic_compare_exchange_weak(left, &span, span + (1 << ITEM_BITS)))
			continue;
		fn(arg, first + span_from(span), w->thread);
		taken++;
		if (is_turn_over(w)) {
			count_done(p, taken, n);
			taken = 0;
			give_way(w);
		}
		span = atomic_load(left);
	}
	if (taken != 0)
		count_done(p, taken, n);
}

static bool
of_run(uint64_t span, uint32_t run)
{
	return span_pack(run, 0, 0) == span_pack((uint32_t)(span >> (2 * ITEM_BITS)), 0, 0);
}

/* The thread that has most left of the last run that began, with what it has; 0: nobody has any. */
static uint64_t
longest_span(struct pool *p, unsigned *thread)
{
	unsigned limit = atomic_load(&p->limit);
	uint32_t run = atomic_load(&p->run);
	uint64_t longest = 0;

	for (unsigned t = 0; t < limit; t++) {
		uint64_t span = atomic_load(&p->spans[t].left);

		if (of_run(span, run) && span_items(span) > span_items(longest)) {
			longest = span;
			*thread = t;
		}
	}
	return longest;
}

/* Makes half of what another has left the thread's own. False: nobody has any. Writing the own span needs no care once
 * it is seen to be empty in a run that has begun: all spans are there by then, the run cannot end before what is stolen
 * is done, and nobody steals of an empty one. */
static bool
steal(struct worker *w)
{
	struct pool *p = w->p;
	_Atomic uint64_t *own = &p->spans[w->thread].left;
	unsigned victim = 0;
	uint64_t span;

	while ((span = longest_span(p, &victim)) != 0 && !beyond_limit(p, w->thread)) {
		uint32_t run = (uint32_t)(span >> (2 * ITEM_BITS));
		uint32_t to = span_to(span), cut = to - (span_items(span) + 1) / 2;

		if (span_items(atomic_load(own)) != 0)
			return true;
		if (atomic_compare_exchange_strong(
			    &p->spans[victim].left, &span, span_pack(run, span_from(span), cut))) {
			atomic_store(own, span_pack(run, cut, to));
			return true;
		}
	}
	return false;
}

static void
take(struct worker *w)
{
	do
		take_own(w);
	while (steal(w));
}

static void *
work(void *arg)
{
	struct worker w = *(struct worker *)arg;

	free(arg);
	while (!atomic_load(&w.p->stop)) {
		if (beyond_limit(w.p, w.thread))
			sleep_beyond_limit(w.p, w.thread);
		w.seen = atomic_load(&w.p->run);
		take(&w);
		if (!spin(&w, work_there))
			sleep_for_work(&w);
	}
	return NULL;
}

/* --- CPUs --- */

static void
tie_caller(struct pool *p)
{
	(void)cpu_tie(pthread_self(), p->caller_cpu); /* it worked for the others */
	p->caller_cpu = -1;
}

int
pool_pin(struct pool *p, struct err *err)
{
	int cpus[MAX_THREADS];
	unsigned n = cpu_order(cpus, MAX_THREADS);

	if (n == 0)
		return err_set(err, "this system does not tie threads to CPUs");
	if (n < p->threads)
		return err_set(err, "%u threads cannot each have one of %u CPUs", p->threads, n);
	for (unsigned i = 1; i < p->threads; i++) {
		int rc = cpu_tie(p->ids[i], cpus[i]);

		if (rc != 0)
			return err_set(
				err, "cannot tie a thread to CPU %d: %s", cpus[i], strerror(rc));
	}
	p->caller_cpu = cpus[0];
	p->pinned = true;
	return 0;
}

/* --- runs --- */

void
pool_limit(struct pool *p, unsigned threads)
{
	if (threads == 0 || threads > p->threads)
		threads = p->threads;
	if (threads == atomic_load(&p->limit))
		return;
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->limit, threads);
	pthread_cond_broadcast(&p->raised);
	pthread_mutex_unlock(&p->lock);
}

static void
wake(struct pool *p)
{
	keep_clear_of_caller(p);
	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
}

/* Gives each thread that takes part a span as long as the others', and tells all. Up to the store of `run` nothing waits
 * for another core to let go of a line: between cores without a common cache that takes 400 ns each time (Zen 5). Who
 * sees a span or the run sees what was stored before. */
static void
share_out(struct pool *p, uint32_t n)
{
	uint32_t run = atomic_load(&p->run) + 1;
	unsigned limit = atomic_load(&p->limit);

	for (unsigned t = 0; t < limit; t++) {
		uint32_t from = (uint32_t)((uint64_t)n * t / limit),
			 to = (uint32_t)((uint64_t)n * (t + 1) / limit);

		atomic_store_explicit(
			&p->spans[t].left, span_pack(run, from, to), memory_order_release);
	}
	atomic_store(&p->run, run);
	if (atomic_load(&p->asleep) > 0)
		wake(p);
}

static void
run_shared(struct pool *p, uint32_t first, uint32_t n)
{
	struct worker caller = {.p = p};

	atomic_store_explicit(&p->done, 0, memory_order_relaxed);
	atomic_store_explicit(&p->first, first, memory_order_relaxed);
	atomic_store_explicit(&p->n, n, memory_order_relaxed);
	share_out(p, n);
	take(&caller);
	if (!spin(&caller, work_done))
		wait_until_done(&caller);
}

void
pool_run(struct pool *p, pool_fn fn, void *arg, uint32_t n)
{
	if (p->caller_cpu >= 0)
		tie_caller(p);
	if (atomic_load(&p->limit) == 1 || n == 1) {
		for (uint32_t i = 0; i < n; i++)
			fn(arg, i, 0);
		return;
	}
	atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
	atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
	for (uint32_t first = 0; first < n; first += MAX_ITEMS)
		run_shared(p, first, n - first < MAX_ITEMS ? n - first : MAX_ITEMS);
}

/* --- life --- */

static int
start_worker(struct pool *p, unsigned thread)
{
	struct worker *w = malloc(sizeof(*w));

	if (w == NULL)
		return -1;
	*w = (struct worker){.p = p, .thread = thread};
	if (pthread_create(&p->ids[thread], NULL, work, w) != 0) {
		free(w);
		return -1;
	}
	return 0;
}

struct pool *
pool_new(unsigned threads, struct err *err)
{
	struct pool *p;

	if (threads == 0)
		threads = cpu_count();
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	p = aligned_alloc(64, (sizeof(*p) + 63) & ~(size_t)63);
	if (p == NULL) {
		err_set(err, "no memory for a pool of %u threads", threads);
		return NULL;
	}
	*p = (struct pool){.threads = 1, .caller_cpu = -1, .clear_of = -1};
	atomic_store(&p->limit, threads);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	pthread_cond_init(&p->raised, NULL);
	for (; p->threads < threads; p->threads++) {
		if (start_worker(p, p->threads) != 0) {
			err_set(err, "cannot start thread %u of %u; ask for fewer", p->threads + 1,
				threads);
			pool_free(p);
			return NULL;
		}
	}
	return p;
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->stop, true);
	pthread_cond_broadcast(&p->work);
	pthread_cond_broadcast(&p->raised);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 1; i < p->threads; i++)
		pthread_join(p->ids[i], NULL);
	pthread_cond_destroy(&p->raised);
	pthread_cond_destroy(&p->idle);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

unsigned
pool_threads(const struct pool *p)
{
	return atomic_load(&p->limit);
}

unsigned
pool_size(const struct pool *p)
{
	return p->threads;
}
