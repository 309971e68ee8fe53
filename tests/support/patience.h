/* How long tests wait for what must come: far longer than it takes with sanitizers, beside other work, or on a machine
 * that stops for a while, since only a test that fails waits so long. That something is quick is said by what can be
 * counted, or by CPU time, never by a clock. */
#ifndef TESTS_SUPPORT_PATIENCE_H
#define TESTS_SUPPORT_PATIENCE_H

#include "base/clock.h"

#include <stdbool.h>
#include <time.h>

enum { PATIENCE_S = 60, PATIENCE_MS = 1000 * PATIENCE_S };

/* A pause between two looks, `while (!came() && wait_more(&since))`; *since is 0 at first. False: it does not come. */
static inline bool
wait_more(uint64_t *since)
{
	nanosleep(&(const struct timespec){.tv_nsec = 1000 * 1000}, NULL);
	if (*since == 0)
		*since = clock_ns();
	return clock_ns() - *since < PATIENCE_S * UINT64_C(1000000000);
}

#endif
