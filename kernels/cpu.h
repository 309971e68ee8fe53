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
	CPU_AMX = 1u << 3,         /* tiles of bytes */
	CPU_GFNI = 1u << 4,        /* products of bytes and matrices of bits */
	CPU_NEON = 1u << 8,
	CPU_DOTPROD = 1u << 9,
	CPU_I8MM = 1u << 10,
};

/* Of this CPU, as far as the system lets this process have them. Asks Linux for tiles (AMX), whose kernels run only in a
 * process that has called this. */
uint32_t cpu_detect(void);

/* What cpu_detect makes of the words that a CPU gives; tests fake them. x86: registers of the cpuid
 * leaves 1, 7.0 and 7.1 (zeros where there is none) and XCR0, which says what the system saves (0
 * without OSXSAVE). ARM: the kernel's AT_HWCAP and AT_HWCAP2 of an aarch64 process. */
struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};
uint32_t cpu_features_x86(const struct cpuid *leaf1, const struct cpuid *leaf7,
	const struct cpuid *leaf71, uint64_t xcr0);
uint32_t cpu_features_arm(unsigned long hwcap, unsigned long hwcap2);

/* "plain", "avx2", ...: the features of that set and all it builds on. -1 for a set that does not
 * exist or that this CPU cannot run; the message says which, and lists those that can be chosen. */
int cpu_parse(const char *name, uint32_t *features, struct err *err);
/* The same for a CPU that has the features `have`. */
int cpu_parse_for(const char *name, uint32_t have, uint32_t *features, struct err *err);

/* Who made an x86 CPU ("GenuineIntel"), as cpuid says; "" of others. */
void cpu_maker(char maker[13]);
/* What the machine calls its CPU ("AMD EPYC", "Cortex-A72"), for people; never NULL. */
const char *cpu_model(void);

/* How many CPUs this process may keep busy: its affinity mask, and no more than its cgroups allow. At
 * least 1. */
unsigned cpu_count(void);
/* The numbers of the CPUs of the affinity mask, up to max, as cpu_sort puts them. Returns how many; 0
 * where the system does not tie threads to CPUs. */
unsigned cpu_order(int *cpus, unsigned max);

/* Puts CPU numbers in the order in which threads should take them: the first thread of every core
 * before second ones, then bigger cores first (cpu_capacity, then the highest frequency). Reads
 * root/sys/devices/system/cpu; root is "", or a folder that stands for it in tests. */
void cpu_sort(const char *root, int *cpus, unsigned n);
/* The time of so many CPUs is what the cgroups of this process allow it (root/proc/self/cgroup and
 * root/sys/fs/cgroup); 0: no limit. */
double cpu_quota(const char *root);

#endif
