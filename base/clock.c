#include "base/clock.h"

#include <time.h>

static uint64_t
read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t
clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

double
clock_seconds(void)
{
	return 1e-9 * (double)clock_ns();
}

double
clock_cpu_seconds(void)
{
	return 1e-9 * (double)read_clock(CLOCK_PROCESS_CPUTIME_ID);
}
