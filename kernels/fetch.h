/* How far ahead kernels on x86 ask for memory, in bytes. What suits a core follows from its maker more than from its
 * instruction set: found by trying, with weights that no cache holds. */
#ifndef KERNELS_FETCH_H
#define KERNELS_FETCH_H

#include <stddef.h>

struct fetch_ahead {
	size_t near; /* lines, into the first-level cache */
	size_t far;  /* the same lines before that, into the second; 0: not at all */
	size_t page; /* the first line of each page, into the second */
};

/* What suits cores whose maker cpuid calls so ("GenuineIntel"). */
struct fetch_ahead fetch_ahead_for(const char *maker);

/* That of this machine, once kernels_init() or kernel_set_find() was called. */
extern struct fetch_ahead fetch_ahead;
void fetch_ahead_init(void);

#endif
