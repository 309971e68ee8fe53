#include "config.h"

#include "kernels/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum {
	MAX_THREADS = 256,
	SPIN_NS = 50 * 1000, /* about two phases of a layer */
	SPINS_PER_LOOK = 64  /* at the clock */
};

typedef void (*pool_fn)(void *arg, uint32_t item, unsigned thread);

/* `ticket` holds the run's number in its upper and the items not yet taken in its lower half. A
 * thread reads ticket, then the work, and takes an item by lowering the ticket it has read: if that
 * succeeds the run was still open, so what it read belongs to it. The work is written only while no
 * items are left, and the caller waits for items, not for threads: one that is late, asleep or
 * without a CPU holds nobody up. */
struct pool {
	_Alignas(64) _Atomic uint64_t ticket;
	_Atomic(pool_fn) fn;
	_Atomic(void *) arg;
	_Atomic uint32_t n;
	_Alignas(64) _Atomic uint32_t done;
	_Alignas(64) _Atomic uint32_t asleep; /* workers that wait for `work` */
	_Atomic bool caller_asleep;           /* waits for `idle` */
	_Atomic bool stop;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	unsigned threads;
	pthread_t ids[MAX_THREADS];
};

struct worker {
	struct pool *p;
	unsigned thread;
};

static void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory"); /* `yield` takes no time on most cores */
#endif
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool
work_there(struct pool *p)
{
	return (uint32_t)atomic_load(&p->ticket) != 0 || atomic_load(&p->stop);
}

static bool
work_done(struct pool *p)
{
	return atomic_load(&p->done) == atomic_load(&p->n);
}

/* Whether it came true within the time for spinning. */
static bool
spin(struct pool *p, bool (*ready)(struct pool *p))
{
	uint64_t end = now_ns() + SPIN_NS;

	do {
		for (int i = 0; i < SPINS_PER_LOOK; i++) {
			if (ready(p))
				return true;
			relax();
		}
	} while (now_ns() < end);
	return false;
}

static void
sleep_for_work(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->asleep, 1);
	while (!work_there(p))
		pthread_cond_wait(&p->work, &p->lock);
	atomic_fetch_sub(&p->asleep, 1);
	pthread_mutex_unlock(&p->lock);
}

static void
sleep_until_done(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->caller_asleep, true);
	while (!work_done(p))
		pthread_cond_wait(&p->idle, &p->lock);
	atomic_store(&p->caller_asleep, false);
	pthread_mutex_unlock(&p->lock);
}

/* Takes items until none is left. */
static void
take(struct pool *p, unsigned thread)
{
	uint64_t ticket = atomic_load(&p->ticket);

	while ((uint32_t)ticket != 0) {
		pool_fn fn = atomic_load(&p->fn);
		void *arg = atomic_load(&p->arg);
		uint32_t n = atomic_load(&p->n);

		if (!atomic_compare_exchange_weak(&p->ticket, &ticket, ticket - 1))
			continue;
		fn(arg, n - (uint32_t)ticket, thread);
		if (atomic_fetch_add(&p->done, 1) + 1 == n && atomic_load(&p->caller_asleep)) {
			pthread_mutex_lock(&p->lock);
			pthread_cond_signal(&p->idle);
			pthread_mutex_unlock(&p->lock);
		}
		ticket = atomic_load(&p->ticket);
	}
}

static void *
work(void *arg)
{
	struct worker w = *(struct worker *)arg;

	free(arg);
	while (!atomic_load(&w.p->stop)) {
		take(w.p, w.thread);
		if (!spin(w.p, work_there))
			sleep_for_work(w.p);
	}
	return NULL;
}

void
pool_run(struct pool *p, pool_fn fn, void *arg, uint32_t n)
{
	uint64_t run = (atomic_load(&p->ticket) >> 32) + 1;

	if (n == 0)
		return;
	if (p->threads == 1 || n == 1) {
		for (uint32_t i = 0; i < n; i++)
			fn(arg, i, 0);
		return;
	}
	atomic_store(&p->fn, fn);
	atomic_store(&p->arg, arg);
	atomic_store(&p->done, 0);
	atomic_store(&p->n, n);
	atomic_store(&p->ticket, run << 32 | n);
	if (atomic_load(&p->asleep) > 0) {
		pthread_mutex_lock(&p->lock);
		pthread_cond_broadcast(&p->work);
		pthread_mutex_unlock(&p->lock);
	}
	take(p, 0);
	if (!spin(p, work_done))
		sleep_until_done(p);
}

static unsigned
usable_cpus(void)
{
#ifdef CPU_COUNT
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)CPU_COUNT(&set);
#endif
	return 1;
}

static int
start_worker(struct pool *p, unsigned thread)
{
	struct worker *w = malloc(sizeof(*w));

	if (w == NULL)
		return -1;
	*w = (struct worker){p, thread};
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
		threads = usable_cpus();
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	p = aligned_alloc(64, (sizeof(*p) + 63) & ~(size_t)63);
	if (p == NULL) {
		err_set(err, "no memory for a pool of %u threads", threads);
		return NULL;
	}
	*p = (struct pool){.threads = 1};
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
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
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 1; i < p->threads; i++)
		pthread_join(p->ids[i], NULL);
	pthread_cond_destroy(&p->idle);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

unsigned
pool_threads(const struct pool *p)
{
	return p->threads;
}
