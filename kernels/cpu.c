#include "config.h"

#include "kernels/cpu.h"

#include "kernels/sets.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* --- features --- */

/* The vendors' numbers, spelled out so that they mean the same on every machine. */
enum {
	LEAF1_ECX_FMA = 1 << 12,
	LEAF1_ECX_OSXSAVE = 1 << 27,
	LEAF1_ECX_AVX = 1 << 28,
	LEAF1_ECX_F16C = 1 << 29,
	LEAF7_EBX_AVX2 = 1 << 5,
	LEAF7_EBX_AVX512F = 1 << 16,
	LEAF7_EBX_AVX512DQ = 1 << 17,
	LEAF7_EBX_AVX512BW = 1 << 30,
	LEAF7_ECX_GFNI = 1 << 8,
	LEAF7_ECX_AVX512VNNI = 1 << 11,
	LEAF7_EDX_AMX_TILE = 1 << 24,
	LEAF7_EDX_AMX_INT8 = 1 << 25,
	LEAF71_EAX_AVXVNNI = 1 << 4,
	XCR0_AVX = 0x6,     /* SSE and AVX state */
	XCR0_AVX512 = 0xe0, /* masks and the wide registers */
	XCR0_AMX = 0x60000  /* tiles and their shapes */
};
#define LEAF7_EBX_AVX512VL (1u << 31)

/* From the kernel's ABI (asm/hwcap.h). */
#define ARM64_HWCAP_ASIMD   (1ul << 1)
#define ARM64_HWCAP_ASIMDDP (1ul << 20)
#define ARM64_HWCAP2_I8MM   (1ul << 13)

static bool
has(uint64_t word, uint64_t bits)
{
	return (word & bits) == bits;
}

uint32_t
cpu_features_x86(const struct cpuid *leaf1, const struct cpuid *leaf7, const struct cpuid *leaf71,
	uint64_t xcr0)
{
	const uint32_t avx512 =
		LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL;
	uint32_t features = 0;

	if (!has(leaf1->ecx, LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX | LEAF1_ECX_FMA | LEAF1_ECX_F16C) ||
		!has(leaf7->ebx, LEAF7_EBX_AVX2) || !has(xcr0, XCR0_AVX))
		return 0;
	features |= CPU_AVX2;
	if (has(leaf7->ecx, LEAF7_ECX_GFNI))
		features |= CPU_GFNI;
	if (has(leaf71->eax, LEAF71_EAX_AVXVNNI))
		features |= CPU_AVX_VNNI;
	if (has(leaf7->ebx, avx512) && has(leaf7->ecx, LEAF7_ECX_AVX512VNNI) &&
		has(xcr0, XCR0_AVX512))
		features |= CPU_AVX512_VNNI;
	if (has(leaf7->edx, LEAF7_EDX_AMX_TILE | LEAF7_EDX_AMX_INT8) && has(xcr0, XCR0_AMX))
		features |= CPU_AMX;
	return features;
}

uint32_t
cpu_features_arm(unsigned long hwcap, unsigned long hwcap2)
{
	uint32_t features = 0;

	if (!has(hwcap, ARM64_HWCAP_ASIMD))
		return 0;
	features |= CPU_NEON;
	if (!has(hwcap, ARM64_HWCAP_ASIMDDP))
		return features;
	features |= CPU_DOTPROD;
	if (has(hwcap2, ARM64_HWCAP2_I8MM))
		features |= CPU_I8MM;
	return features;
}

#if defined(__x86_64__) || defined(__i386__)
static struct cpuid
leaf_of(uint32_t leaf, uint32_t sub)
{
	struct cpuid c = {0};

	if (__get_cpuid_count(leaf, sub, &c.eax, &c.ebx, &c.ecx, &c.edx) == 0)
		return (struct cpuid){0};
	return c;
}

/* Linux gives tiles to processes that ask for them, since a thread has 8 KB more to be saved from its first one on
 * (Documentation/arch/x86/xstate.rst). The permission is the process's, for threads that are there, too. */
static bool
ask_for_tiles(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
	const unsigned long req_xcomp_perm = 0x1023, xfeature_xtiledata = 18;

	return syscall(SYS_arch_prctl, req_xcomp_perm, xfeature_xtiledata) == 0;
#else
	return false;
#endif
}

uint32_t
cpu_detect(void)
{
	const struct cpuid leaf1 = leaf_of(1, 0), leaf7 = leaf_of(7, 0);
	struct cpuid leaf71 = {0};
	uint32_t low = 0, high = 0, features;

	if (leaf7.eax >= 1) /* the number of the last part */
		leaf71 = leaf_of(7, 1);
	if (has(leaf1.ecx, LEAF1_ECX_OSXSAVE))
		__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	features = cpu_features_x86(&leaf1, &leaf7, &leaf71, (uint64_t)high << 32 | low);
	if ((features & CPU_AMX) && !ask_for_tiles())
		features &= ~(uint32_t)CPU_AMX;
	return features;
}

void
cpu_maker(char maker[13])
{
	const struct cpuid leaf0 = leaf_of(0, 0); /* whose letters come in a strange order */

	memcpy(maker, &leaf0.ebx, 4);
	memcpy(maker + 4, &leaf0.edx, 4);
	memcpy(maker + 8, &leaf0.ecx, 4);
	maker[12] = '\0';
}
#elif defined(__aarch64__) && defined(__linux__)
uint32_t
cpu_detect(void)
{
	return cpu_features_arm(getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
}
#else
uint32_t
cpu_detect(void)
{
	return 0;
}
#endif

#if !defined(__x86_64__) && !defined(__i386__)
void
cpu_maker(char maker[13])
{
	maker[0] = '\0';
}
#endif

/* --- names --- */

static const struct {
	uint32_t feature;
	const char *name;
} feature_names[] = {
	{CPU_AVX2, "AVX2 with FMA and F16C"},
	{CPU_AVX_VNNI, "AVX-VNNI"},
	{CPU_AVX512_VNNI, "AVX512 with VNNI"},
	{CPU_AMX, "AMX for bytes"},
	{CPU_GFNI, "GFNI"},
	{CPU_NEON, "NEON"},
	{CPU_DOTPROD, "dot products"},
	{CPU_I8MM, "8-bit matrix products"},
};

int
cpu_parse_for(const char *name, uint32_t have, uint32_t *features, struct err *err)
{
	const struct kernels *set = kernel_set_find(name);
	const struct kernels *k;
	char list[128] = "";

	if (set != NULL && has(have, set->features)) {
		*features = set->features;
		return 0;
	}
	for (size_t i = 0; (k = kernel_set_at(i)) != NULL; i++)
		if (has(have, k->features))
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
				list[0] != '\0' ? ", " : "", k->name);
	if (set == NULL)
		return err_set(
			err, "there is no set of kernels '%s' here; there are: %s", name, list);
	for (size_t i = 0; i < sizeof(feature_names) / sizeof(*feature_names); i++)
		if (feature_names[i].feature & set->features & ~have)
			return err_set(err,
				"this machine cannot run the kernels '%s': it has no %s; "
				"choose one of: %s",
				name, feature_names[i].name, list);
	return -1;
}

int
cpu_parse(const char *name, uint32_t *features, struct err *err)
{
	return cpu_parse_for(name, cpu_detect(), features, err);
}

/* --- the machine --- */

/* /proc/cpuinfo names an x86 CPU by "model name", a board by "Model", an Arm core by number. */
static const struct {
	const char *part, *name;
} arm_parts[] = {
	{"0xd03", "Cortex-A53"},
	{"0xd04", "Cortex-A35"},
	{"0xd05", "Cortex-A55"},
	{"0xd07", "Cortex-A57"},
	{"0xd08", "Cortex-A72"},
	{"0xd09", "Cortex-A73"},
	{"0xd0a", "Cortex-A75"},
	{"0xd0b", "Cortex-A76"},
	{"0xd0c", "Neoverse-N1"},
	{"0xd0d", "Cortex-A77"},
	{"0xd40", "Neoverse-V1"},
	{"0xd41", "Cortex-A78"},
	{"0xd44", "Cortex-X1"},
	{"0xd46", "Cortex-A510"},
	{"0xd47", "Cortex-A710"},
	{"0xd48", "Cortex-X2"},
	{"0xd49", "Neoverse-N2"},
	{"0xd4d", "Cortex-A715"},
	{"0xd4e", "Cortex-X3"},
	{"0xd80", "Cortex-A520"},
	{"0xd81", "Cortex-A720"},
	{"0xd82", "Cortex-X4"},
};

static char model_name[96];

/* The value of a line "key : value" of /proc/cpuinfo, or NULL. */
static char *
cpuinfo_value(char *line, const char *key)
{
	size_t len = strlen(key);
	char *colon;

	if (strncmp(line, key, len) != 0 || (line[len] != '\t' && line[len] != ' '))
		return NULL;
	colon = strchr(line, ':');
	if (colon == NULL || colon[1] == '\0')
		return NULL;
	colon[strcspn(colon, "\n")] = '\0';
	return colon + 1 + strspn(colon + 1, " ");
}

static void
read_model(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];
	const char *value;

	snprintf(model_name, sizeof(model_name), "unknown CPU");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		value = cpuinfo_value(line, "model name");
		if (value != NULL) {
			snprintf(model_name, sizeof(model_name), "%.95s", value);
			break;
		}
		value = cpuinfo_value(line, "CPU part");
		for (size_t i = 0; value != NULL && i < sizeof(arm_parts) / sizeof(*arm_parts); i++)
			if (strcmp(value, arm_parts[i].part) == 0)
				snprintf(model_name, sizeof(model_name), "%s", arm_parts[i].name);
	}
	if (f != NULL)
		fclose(f);
}

const char *
cpu_model(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_model);
	return model_name;
}
