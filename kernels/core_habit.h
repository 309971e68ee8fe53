/* What suits an x86 core follows from its maker as much as from its instruction set: how far ahead kernels ask for memory,
 * and how they treat steps of middling size. Found by trying, with weights that a core's own caches do not hold. */
#ifndef KERNELS_CORE_HABIT_H
#define KERNELS_CORE_HABIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core_habit {
	/* Bytes ahead at which are asked for: */
	size_t near; /* lines, into the first-level cache */
	size_t far;  /* the same lines before that, into the second; 0: not at all */
	size_t page; /* the first line of each page, into the second */

	/* AVX512: columns (rows of activations) up to which weights are unpacked anew for each few of them, at most; with
	 * more they are expanded once. */
	uint32_t direct_most;

	/* AVX512: one column of some types is multiplied in 256 bits, by the AVX2 set (narrow_type()). */
	bool narrow;
};

/* That of cores whose maker cpuid calls so ("GenuineIntel"). */
struct core_habit core_habit_of(const char *maker);

/* That of this machine, once kernels_init() or kernel_set_find() was called. */
extern struct core_habit core_habit;
void core_habit_init(void);

#endif
