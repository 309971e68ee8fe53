/* The sets of kernels that are compiled in: each is one table in one file of its own, built with the
 * flags of its instruction set. */
#ifndef KERNELS_SETS_H
#define KERNELS_SETS_H

#include "kernels/cpu.h"
#include "kernels/kernels.h"

extern const struct kernels kernels_plain;
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avxvnni;
extern const struct kernels kernels_avx512;
extern const struct kernels kernels_amx;
extern const struct kernels kernels_neon;
extern const struct kernels kernels_dotprod;
extern const struct kernels kernels_i8mm;

/* The set of that name, whether or not this CPU can run it; NULL: none is compiled in. */
const struct kernels *kernel_set_find(const char *name);
/* The i-th set that is compiled in, best first, whether or not this CPU can run it; NULL at the end. */
const struct kernels *kernel_set_at(size_t i);

#endif
