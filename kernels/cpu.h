/* What the CPU can do, and which set of kernels that allows. Detected once at start; any lesser set
 * can be forced (`--cpu plain`), and tests fake the features. */
#ifndef KERNELS_CPU_H
#define KERNELS_CPU_H

#include "base/err.h"

#include <stdint.h>

enum cpu_feature {
	CPU_AVX2 = 1u << 0, /* with FMA and F16C */
	CPU_AVX_VNNI = 1u << 1,
	CPU_AVX512_VNNI = 1u << 2, /* with F, BW, VL, DQ */
	CPU_NEON = 1u << 8,
	CPU_DOTPROD = 1u << 9,
	CPU_I8MM = 1u << 10,
};

uint32_t cpu_detect(void);

/* "plain", "avx2", ...: the features of that set and all it builds on. -1 for an unknown name; the
 * message lists those that exist. */
int cpu_parse(const char *name, uint32_t *features, struct err *err);

/* What the machine calls its CPU ("AMD EPYC", "Cortex-A72"), for people; never NULL. */
const char *cpu_model(void);

#endif
