#include "kernels/cpu.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#include <stdbool.h>

#include "kernels/sets.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <sys/auxv.h>
#endif

/* From the kernel's ABI (asm/hwcap.h), spelled out so that old headers do. */
#define ARM64_HWCAP_ASIMD   (1ul << 1)
#define ARM64_HWCAP_ASIMDDP (1ul << 20)
#define ARM64_HWCAP2_I8MM   (1ul << 13)

#if defined(__x86_64__) || defined(__i386__)
/* clang 14's __builtin_cpu_supports() has no word for it. */
static bool
has_f16c(void)
{
	unsigned a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

uint32_t
cpu_detect(void)
{
	uint32_t features = 0;

#if defined(__x86_64__) || defined(__i386__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
		features |= CPU_AVX2;
	if ((features & CPU_AVX2) && __builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni"))
		features |= CPU_AVX512_VNNI;
#elif defined(__aarch64__) && defined(__linux__)
	unsigned long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);

	if (hwcap & ARM64_HWCAP_ASIMD)
		features |= CPU_NEON;
	if ((features & CPU_NEON) && (hwcap & ARM64_HWCAP_ASIMDDP))
		features |= CPU_DOTPROD;
	if ((features & CPU_DOTPROD) && (hwcap2 & ARM64_HWCAP2_I8MM))
		features |= CPU_I8MM;
#endif
	return features;
}

int
cpu_parse(const char *name, uint32_t *features, struct err *err)
{
	const char *const *names = kernels_names();
	char list[128] = "";

	for (size_t i = 0; names[i] != NULL; i++) {
		if (strcmp(names[i], name) == 0) {
			*features = kernel_set_find(name)->features;
			return 0;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			i > 0 ? ", " : "", names[i]);
	}
	return err_set(err, "no kernels '%s' for this CPU; there are: %s", name, list);
}

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
