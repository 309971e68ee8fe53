/* CPU dispatch, with words and folders that a real CPU would give: which features they mean, which set of kernels is
 * chosen or refused, in which order threads take CPUs and how many there are. */
#include "config.h"

#include "kernels/core_habit.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "kernels/sets.h"

#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- x86 ---------------------------------------------------------------------------------------- */

/* A CPU as its cpuid leaves tell it, and what the system saves of its registers. */
struct x86 {
	struct cpuid leaf1, leaf7, leaf71;
	uint64_t xcr0;
};

enum {
	FMA_OSXSAVE_AVX_F16C = 1 << 12 | 1 << 27 | 1 << 28 | 1 << 29,
	AVX2 = 1 << 5,
	AVX512_F_DQ_BW = 1 << 16 | 1 << 17 | 1 << 30,
	GFNI = 1 << 8,
	AVX512_VNNI = 1 << 11,
	AVX_VNNI = 1 << 4,
	AMX_TILE = 1 << 24,
	AMX_INT8 = 1 << 25
};
#define AVX512_VL (1u << 31)

static const struct x86 haswell = {{.ecx = FMA_OSXSAVE_AVX_F16C}, {.ebx = AVX2}, {0}, 0x7};
static const struct x86 skylake_x = {
	{.ecx = FMA_OSXSAVE_AVX_F16C}, {.ebx = AVX2 | AVX512_F_DQ_BW | AVX512_VL}, {0}, 0xe7};
static const struct x86 cascade_lake = {{.ecx = FMA_OSXSAVE_AVX_F16C},
	{.ebx = AVX2 | AVX512_F_DQ_BW | AVX512_VL, .ecx = AVX512_VNNI}, {0}, 0xe7};
static const struct x86 ice_lake = {{.ecx = FMA_OSXSAVE_AVX_F16C},
	{.ebx = AVX2 | AVX512_F_DQ_BW | AVX512_VL, .ecx = AVX512_VNNI | GFNI}, {0}, 0xe7};
static const struct x86 alder_lake = {{.ecx = FMA_OSXSAVE_AVX_F16C},
	{.eax = 1, .ebx = AVX2, .ecx = GFNI}, {.eax = AVX_VNNI}, 0x7};
static const struct x86 zen5 = {{.ecx = FMA_OSXSAVE_AVX_F16C},
	{.eax = 1, .ebx = AVX2 | AVX512_F_DQ_BW | AVX512_VL, .ecx = AVX512_VNNI | GFNI},
	{.eax = AVX_VNNI}, 0xe7};
static const struct x86 sapphire_rapids = {{.ecx = FMA_OSXSAVE_AVX_F16C},
	{.eax = 1,
		.ebx = AVX2 | AVX512_F_DQ_BW | AVX512_VL,
		.ecx = AVX512_VNNI | GFNI,
		.edx = AMX_TILE | AMX_INT8},
	{.eax = AVX_VNNI}, 0x600e7};

static uint32_t
features(const struct x86 *c)
{
	return cpu_features_x86(&c->leaf1, &c->leaf7, &c->leaf71, c->xcr0);
}

START_TEST(x86_features_are_told_apart)
{
	ck_assert_uint_eq(features(&(const struct x86){0}), 0);
	ck_assert_uint_eq(features(&haswell), CPU_AVX2);
	ck_assert_uint_eq(features(&skylake_x), CPU_AVX2); /* AVX512 without VNNI */
	ck_assert_uint_eq(features(&cascade_lake), CPU_AVX2 | CPU_AVX512_VNNI);
	ck_assert_uint_eq(features(&ice_lake), CPU_AVX2 | CPU_AVX512_VNNI | CPU_GFNI);
	ck_assert_uint_eq(features(&alder_lake), CPU_AVX2 | CPU_AVX_VNNI | CPU_GFNI);
	ck_assert_uint_eq(features(&zen5), CPU_AVX2 | CPU_AVX_VNNI | CPU_AVX512_VNNI | CPU_GFNI);
	ck_assert_uint_eq(features(&sapphire_rapids),
		CPU_AVX2 | CPU_AVX_VNNI | CPU_AVX512_VNNI | CPU_GFNI | CPU_AMX);
}
END_TEST

/* Registers that the system does not save are no use, whatever the CPU says. */
START_TEST(x86_needs_the_system)
{
	struct x86 c = zen5;

	c.xcr0 = 0x7;
	ck_assert_uint_eq(features(&c), CPU_AVX2 | CPU_AVX_VNNI | CPU_GFNI);
	c.xcr0 = 0x67; /* masks, and half of the wide registers */
	ck_assert_uint_eq(features(&c), CPU_AVX2 | CPU_AVX_VNNI | CPU_GFNI);
	c.xcr0 = 0x3;
	ck_assert_uint_eq(features(&c), 0);
	c.xcr0 = 0;
	ck_assert_uint_eq(features(&c), 0);
	c = zen5;
	c.leaf1.ecx &= ~(1u << 27);
	ck_assert_uint_eq(features(&c), 0);
	c = sapphire_rapids;
	c.xcr0 = 0x200e7; /* the shapes of tiles, but not what is in them */
	ck_assert_uint_eq(features(&c), features(&zen5));
}
END_TEST

/* Every bit is needed: without any one of them the set that uses it is gone. */
START_TEST(x86_needs_every_bit)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		struct x86 c = zen5;

		if (zen5.leaf1.ecx & 1u << bit) {
			c.leaf1.ecx &= ~(1u << bit);
			ck_assert_uint_eq(features(&c), 0);
		}
		c = zen5;
		if (zen5.leaf7.ebx & 1u << bit && 1u << bit != AVX2) {
			c.leaf7.ebx &= ~(1u << bit);
			ck_assert_uint_eq(features(&c), CPU_AVX2 | CPU_AVX_VNNI | CPU_GFNI);
		}
	}
	struct x86 c = zen5;

	c.leaf7.ebx &= ~(uint32_t)AVX2;
	ck_assert_uint_eq(features(&c), 0);
	c = zen5;
	c.leaf7.ecx = GFNI;
	ck_assert_uint_eq(features(&c), CPU_AVX2 | CPU_AVX_VNNI | CPU_GFNI);
	c.leaf7.ecx = AVX512_VNNI;
	ck_assert_uint_eq(features(&c), CPU_AVX2 | CPU_AVX_VNNI | CPU_AVX512_VNNI);
	c = zen5;
	c.leaf71.eax = 0;
	ck_assert_uint_eq(features(&c), CPU_AVX2 | CPU_AVX512_VNNI | CPU_GFNI);
	c = sapphire_rapids;
	c.leaf7.edx = AMX_TILE;
	ck_assert_uint_eq(features(&c), features(&zen5));
	c.leaf7.edx = AMX_INT8;
	ck_assert_uint_eq(features(&c), features(&zen5));
}
END_TEST

static void
check_same(const struct core_habit *a, const struct core_habit *b)
{
	ck_assert_uint_eq(a->near, b->near);
	ck_assert_uint_eq(a->far, b->far);
	ck_assert_uint_eq(a->page, b->page);
	ck_assert_uint_eq(a->direct_most, b->direct_most);
	ck_assert_uint_eq(a->narrow, b->narrow);
}

/* Kernels of one instruction set run on cores of several makers. */
START_TEST(makers_have_their_habits)
{
	const struct core_habit amd = core_habit_of("AuthenticAMD");
	const struct core_habit intel = core_habit_of("GenuineIntel");
	const struct core_habit other = core_habit_of("");
	struct core_habit habit;
	char maker[13];

	ck_assert_uint_eq(amd.far, 0);
	ck_assert_uint_gt(amd.page, amd.near);
	ck_assert_uint_gt(intel.far, intel.near);
	ck_assert_uint_gt(intel.page, intel.far);
	ck_assert_uint_lt(intel.direct_most, amd.direct_most);
	ck_assert(intel.narrow && !amd.narrow);
	check_same(&other, &amd);

	cpu_maker(maker);
	ck_assert_ptr_nonnull(kernel_set_find("plain"));
	habit = core_habit_of(maker);
	check_same(&core_habit, &habit);
}
END_TEST

/* --- ARM ---------------------------------------------------------------------------------------- */

START_TEST(arm_features_are_told_apart)
{
	const unsigned long fp = 1 << 0, asimd = 1 << 1, crc32 = 1 << 7, asimddp = 1 << 20;
	const unsigned long i8mm = 1 << 13;

	ck_assert_uint_eq(cpu_features_arm(0, 0), 0);
	ck_assert_uint_eq(cpu_features_arm(fp, 0), 0);
	ck_assert_uint_eq(cpu_features_arm(fp | asimd | crc32, 0), CPU_NEON); /* a Pi 4: no AES */
	ck_assert_uint_eq(cpu_features_arm(fp | asimd | asimddp, 0), CPU_NEON | CPU_DOTPROD);
	ck_assert_uint_eq(
		cpu_features_arm(fp | asimd | asimddp, i8mm), CPU_NEON | CPU_DOTPROD | CPU_I8MM);
	ck_assert_uint_eq(cpu_features_arm(fp | asimd, i8mm), CPU_NEON);
	ck_assert_uint_eq(cpu_features_arm(fp | asimddp, i8mm), 0);
	ck_assert_uint_eq(cpu_features_arm(~0ul, ~0ul), CPU_NEON | CPU_DOTPROD | CPU_I8MM);
}
END_TEST

/* --- sets --------------------------------------------------------------------------------------- */

static const char *
chosen(uint32_t have)
{
	static struct kernels k;

	kernels_init(&k, have);
	return k.name;
}

START_TEST(the_best_set_is_chosen)
{
	ck_assert_str_eq(chosen(0), "plain");
#ifdef HAVE_AVX2
	ck_assert_str_eq(chosen(features(&haswell)), "avx2");
	ck_assert_str_eq(chosen(features(&skylake_x)), "avx2");
#endif
#ifdef HAVE_AVXVNNI
	ck_assert_str_eq(chosen(features(&alder_lake)), "avxvnni");
#endif
#ifdef HAVE_AVX512
	ck_assert_str_eq(chosen(features(&cascade_lake)), "avx512");
	ck_assert_str_eq(chosen(features(&ice_lake)), "avx512");
	ck_assert_str_eq(chosen(features(&sapphire_rapids) & ~(uint32_t)CPU_GFNI), "avx512");
	ck_assert_str_eq(chosen(features(&zen5)), "avx512");
#endif
#ifdef HAVE_AMX
	ck_assert_str_eq(chosen(features(&sapphire_rapids)), "amx");
#endif
#ifdef HAVE_NEON
	ck_assert_str_eq(chosen(CPU_NEON), "neon");
#endif
#ifdef HAVE_DOTPROD
	ck_assert_str_eq(chosen(CPU_NEON | CPU_DOTPROD), "dotprod");
#endif
#ifdef HAVE_I8MM
	ck_assert_str_eq(chosen(CPU_NEON | CPU_DOTPROD | CPU_I8MM), "i8mm");
#endif
}
END_TEST

/* Each set is accepted by a CPU that has just what it needs, and refused where one feature is missing; then the
 * message says what, and what there is instead. */
START_TEST(a_set_needs_all_its_features)
{
	const struct kernels *k;
	struct err err;

	for (size_t i = 0; (k = kernel_set_at(i)) != NULL; i++) {
		uint32_t got = ~0u;

		ck_assert_ptr_eq(kernel_set_find(k->name), k);
		ck_assert_int_eq(cpu_parse_for(k->name, k->features, &got, &err), 0);
		ck_assert_uint_eq(got, k->features);
		ck_assert_str_eq(chosen(got), k->name);
		for (unsigned bit = 0; bit < 32; bit++) {
			if ((k->features & 1u << bit) == 0)
				continue;
			ck_assert_int_eq(
				cpu_parse_for(k->name, k->features & ~(1u << bit), &got, &err), -1);
			ck_assert_ptr_nonnull(strstr(err.msg, k->name));
			ck_assert_ptr_nonnull(strstr(err.msg, "cannot run"));
			ck_assert_ptr_nonnull(strstr(err.msg, "plain"));
		}
	}
	ck_assert_ptr_null(kernel_set_find("avx3"));
	ck_assert_int_eq(cpu_parse_for("avx3", ~0u, &(uint32_t){0}, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "avx3"));
	ck_assert_ptr_nonnull(strstr(err.msg, "plain"));
}
END_TEST

START_TEST(this_cpu_runs_what_is_listed)
{
	const char *const *names = kernels_names();
	uint32_t got;
	struct err err;
	size_t n = 0;

	for (; names[n] != NULL; n++)
		ck_assert_int_eq(cpu_parse(names[n], &got, &err), 0);
	ck_assert_uint_ge(n, 1);
	ck_assert_str_eq(names[0], chosen(cpu_detect()));
	ck_assert_str_eq(names[n - 1], "plain");
}
END_TEST

/* --- folders ------------------------------------------------------------------------------------ */

static char root[64];

static void
make_root(void)
{
	snprintf(root, sizeof root, "/tmp/shoal-cpu-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void
remove_root(void)
{
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file below root, and the folders it lies in. */
__attribute__((format(printf, 2, 3))) static void
put(const char *text, const char *format, ...)
{
	char path[256], *slash;
	va_list ap;
	int n = snprintf(path, sizeof path, "%s/", root);
	FILE *f;

	va_start(ap, format);
	vsnprintf(path + n, sizeof path - (size_t)n, format, ap);
	va_end(ap);
	for (slash = path + n; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

#define CPU "sys/devices/system/cpu/cpu%d/"

static void
assert_order(int *cpus, unsigned n, const int *want)
{
	cpu_sort(root, cpus, n);
	for (unsigned i = 0; i < n; i++)
		ck_assert_msg(cpus[i] == want[i], "place %u: CPU %d, not %d", i, cpus[i], want[i]);
}

START_TEST(without_folders_the_order_is_that_of_numbers)
{
	assert_order((int[]){3, 0, 2, 1}, 4, (const int[]){0, 1, 2, 3});
}
END_TEST

/* A phone: four little cores, three big ones, a prime one. */
START_TEST(big_cores_come_first)
{
	static const int capacity[] = {280, 280, 280, 280, 760, 760, 760, 1024};
	char text[16];

	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof text, "%d\n", capacity[i]);
		put(text, CPU "cpu_capacity", i);
		snprintf(text, sizeof text, "%d\n", i);
		put(text, CPU "topology/thread_siblings_list", i);
		put("0\n", CPU "topology/core_id", i);
	}
	assert_order((int[]){0, 1, 2, 3, 4, 5, 6, 7}, 8, (const int[]){7, 4, 5, 6, 0, 1, 2, 3});
	assert_order((int[]){1, 5, 6}, 3, (const int[]){5, 6, 1});
}
END_TEST

/* A laptop: two fast cores of two threads, four slow ones of one. */
START_TEST(second_threads_come_last)
{
	static const char *const siblings[] = {"0-1", "0-1", "2,3", "2,3", "4", "5", "6", "7"};

	for (int i = 0; i < 8; i++) {
		put(siblings[i], CPU "topology/thread_siblings_list", i);
		put(i < 4 ? "4700000\n" : "3500000\n", CPU "cpufreq/cpuinfo_max_freq", i);
	}
	assert_order((int[]){0, 1, 2, 3, 4, 5, 6, 7}, 8, (const int[]){0, 2, 4, 5, 6, 7, 1, 3});
	/* A second thread whose first one this process may not use is as good as a first one. */
	assert_order((int[]){1, 2, 3, 4}, 4, (const int[]){1, 2, 4, 3});
}
END_TEST

START_TEST(nonsense_in_folders_does_no_harm)
{
	put("", CPU "topology/thread_siblings_list", 0);
	put("x,-,9999999999999999999-0,1-", CPU "topology/thread_siblings_list", 1);
	put("0-", CPU "topology/thread_siblings_list", 2);
	put("much\n", CPU "cpu_capacity", 0);
	put("-\n", CPU "cpufreq/cpuinfo_max_freq", 1);
	assert_order((int[]){2, 1, 0}, 3, (const int[]){0, 1, 2});
}
END_TEST

START_TEST(quotas_of_cgroups)
{
	ck_assert_double_eq(cpu_quota(root), 0);
	put("0::/a/b\n", "proc/self/cgroup");
	ck_assert_double_eq(cpu_quota(root), 0);
	put("max 100000\n", "sys/fs/cgroup/a/b/cpu.max");
	ck_assert_double_eq(cpu_quota(root), 0);
	put("350000 100000\n", "sys/fs/cgroup/a/b/cpu.max");
	ck_assert_double_eq(cpu_quota(root), 3.5);
	put("200000 100000\n", "sys/fs/cgroup/a/cpu.max"); /* the group around it */
	ck_assert_double_eq(cpu_quota(root), 2);
	put("50000 100000\n", "sys/fs/cgroup/cpu.max");
	ck_assert_double_eq(cpu_quota(root), 0.5);
	put("all of it\n", "sys/fs/cgroup/cpu.max");
	ck_assert_double_eq(cpu_quota(root), 2);
	put("0::/../../x\n", "proc/self/cgroup");
	ck_assert_double_eq(cpu_quota(root), 0);
}
END_TEST

START_TEST(quotas_of_old_cgroups)
{
	put("3:memory:/m\n2:cpu,cpuacct:/job\n", "proc/self/cgroup");
	put("-1\n", "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us");
	put("100000\n", "sys/fs/cgroup/cpu/job/cpu.cfs_period_us");
	ck_assert_double_eq(cpu_quota(root), 0);
	put("400000\n", "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us");
	ck_assert_double_eq(cpu_quota(root), 4);
	put("100000\n", "sys/fs/cgroup/memory/m/cpu.cfs_quota_us"); /* not the folder to look in */
	put("100000\n", "sys/fs/cgroup/memory/m/cpu.cfs_period_us");
	ck_assert_double_eq(cpu_quota(root), 4);
}
END_TEST

START_TEST(this_machine_has_a_cpu)
{
	int cpus[256];
	unsigned n = cpu_order(cpus, 256);

	ck_assert_uint_ge(cpu_count(), 1);
	if (n > 0)
		ck_assert_uint_le(cpu_count(), n < 256 ? n : 1024);
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			ck_assert_int_ne(cpus[i], cpus[j]);
	ck_assert_uint_le(cpu_order(cpus, 1), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cpu");
	TCase *tc = tcase_create("features"), *folders = tcase_create("folders");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, x86_features_are_told_apart);
	tcase_add_test(tc, x86_needs_the_system);
	tcase_add_test(tc, x86_needs_every_bit);
	tcase_add_test(tc, makers_have_their_habits);
	tcase_add_test(tc, arm_features_are_told_apart);
	tcase_add_test(tc, the_best_set_is_chosen);
	tcase_add_test(tc, a_set_needs_all_its_features);
	tcase_add_test(tc, this_cpu_runs_what_is_listed);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(folders, make_root, remove_root);
	tcase_add_test(folders, without_folders_the_order_is_that_of_numbers);
	tcase_add_test(folders, big_cores_come_first);
	tcase_add_test(folders, second_threads_come_last);
	tcase_add_test(folders, nonsense_in_folders_does_no_harm);
	tcase_add_test(folders, quotas_of_cgroups);
	tcase_add_test(folders, quotas_of_old_cgroups);
	tcase_add_test(folders, this_machine_has_a_cpu);
	suite_add_tcase(s, folders);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
