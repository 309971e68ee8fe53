#include "config.h"

#include "kernels/cpu_tie.h"

#include <errno.h>
#include <sched.h>

#ifdef CPU_SET

int
cpu_tie(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(thread, sizeof set, &set);
}

int
cpu_here(void)
{
	return sched_getcpu();
}

void
cpu_keep_clear(const pthread_t *threads, unsigned n, int cpu)
{
	cpu_set_t set;

	if (pthread_getaffinity_np(pthread_self(), sizeof set, &set) != 0)
		return;
	CPU_CLR(cpu, &set);
	if (CPU_COUNT(&set) == 0)
		return;
	for (unsigned i = 0; i < n; i++)
		(void)pthread_setaffinity_np(threads[i], sizeof set, &set); /* a wish */
}

#else

int
cpu_tie(pthread_t thread, int cpu)
{
	(void)thread;
	(void)cpu;
	return ENOSYS;
}

int
cpu_here(void)
{
	return -1;
}

void
cpu_keep_clear(const pthread_t *threads, unsigned n, int cpu)
{
	(void)threads;
	(void)n;
	(void)cpu;
}

#endif
