/* The one clock that measures how long something takes: it only grows, and says nothing of the time
 * of day. sched/ and proto/ do not use it: there time is an argument. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ns(void);
double clock_seconds(void);

/* What this process has computed, on all CPUs together. A system call. */
double clock_cpu_seconds(void);

#endif
