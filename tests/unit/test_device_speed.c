/* Measuring the device: numbers for all that the kernels compute, bounds, giving up. How fast it is
 * does not matter here. */
#include "kernels/cpu.h"
#include "model/device_speed.h"

#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];
static struct kernels kernels;
static struct err err;

static void
setup(void)
{
	strcpy(dir, "/tmp/shoal-speed-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	kernels_init(&kernels, cpu_detect());
}

static void
teardown(void)
{
	rmdir(dir);
}

static struct device_test
a_test(void)
{
	return (struct device_test){
		.kernels = &kernels, .threads = 1, .memory = 8u << 20, .folder = dir};
}

START_TEST(every_type_has_its_speeds)
{
	struct device_test t = a_test();
	struct device_speed s;
	struct dirent *e;
	DIR *d;

	ck_assert_msg(device_speed_measure(&t, &s, &err) == 0, "%s", err.msg);
	ck_assert(device_speed_sane(&s));
	for (uint32_t i = 0; i < DTYPE_COUNT; i++) {
		bool computed = kernels.matmul[i] != NULL;

		ck_assert_msg((s.types[i].bytes_per_s > 0) == computed, "type %u", i);
		ck_assert_msg((s.types[i].ops_per_s > 0) == computed, "type %u", i);
	}
	ck_assert(s.read_bytes_per_s > 0);
	ck_assert(s.disk_bytes_per_s > 0);
	ck_assert_uint_eq(s.threads, 1);
	/* A product has more than one operation for a byte of weights. */
	ck_assert(s.types[DTYPE_Q4_0].ops_per_s > s.types[DTYPE_Q4_0].bytes_per_s);
	d = opendir(dir);
	while ((e = readdir(d)) != NULL)
		ck_assert_msg(e->d_name[0] == '.', "%s is left behind", e->d_name);
	closedir(d);
}
END_TEST

static bool
stop_soon(void *arg)
{
	unsigned *asked = arg;

	return ++*asked > 3;
}

START_TEST(it_gives_up_when_told)
{
	struct device_test t = a_test();
	struct device_speed s;
	unsigned asked = 0;

	t.stop = stop_soon;
	t.arg = &asked;
	ck_assert_int_eq(device_speed_measure(&t, &s, &err), -1);
	ck_assert_uint_gt(asked, 3);
}
END_TEST

START_TEST(without_memory_it_says_so)
{
	struct device_test t = a_test();
	struct device_speed s;

	t.memory = 1000;
	ck_assert_int_eq(device_speed_measure(&t, &s, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "memory"));
	ck_assert_uint_ge(device_speed_memory(), 32u << 20);
	ck_assert_uint_le(device_speed_memory(), 256u << 20);
}
END_TEST

START_TEST(a_folder_that_is_not_there)
{
	struct device_test t = a_test();

	t.folder = "/nonexistent/folder";
	ck_assert(disk_speed_measure(&t, &err) == 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "/nonexistent/folder"));
}
END_TEST

START_TEST(what_is_no_speed)
{
	static const double bad[] = {-1, 1, 1e17, INFINITY, NAN};
	struct device_speed s = {0};

	ck_assert(device_speed_sane(&s));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		s = (struct device_speed){.disk_bytes_per_s = bad[i]};
		ck_assert(!device_speed_sane(&s));
		s = (struct device_speed){0};
		s.types[DTYPE_Q8_0].ops_per_s = bad[i];
		ck_assert(!device_speed_sane(&s));
	}
	s = (struct device_speed){.threads = 5000};
	ck_assert(!device_speed_sane(&s));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("device speed");
	TCase *t = tcase_create("device speed");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_type_has_its_speeds);
	tcase_add_test(t, it_gives_up_when_told);
	tcase_add_test(t, without_memory_it_says_so);
	tcase_add_test(t, a_folder_that_is_not_there);
	tcase_add_test(t, what_is_no_speed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
