/* Which CPUs a thread may use. */
#ifndef KERNELS_CPU_TIE_H
#define KERNELS_CPU_TIE_H

#include <pthread.h>

/* The thread may use this CPU only. 0, or an error number (ENOSYS: the system does not tie threads). */
int cpu_tie(pthread_t thread, int cpu);

/* Which CPU the calling thread is on; -1: unknown. */
int cpu_here(void);

/* The n threads may use what the calling one may, but not this CPU; they keep what they have where nothing is left. */
void cpu_keep_clear(const pthread_t *threads, unsigned n, int cpu);

#endif
