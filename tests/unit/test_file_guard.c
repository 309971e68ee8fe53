#include "base/file_guard.h"

#include "base/file.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static char path[] = "/tmp/shoal-guard-XXXXXX";
static long page;
static int fd;

/* A file of four pages full of ones. */
static void
setup(void)
{
	page = sysconf(_SC_PAGESIZE);
	snprintf(path, sizeof path, "/tmp/shoal-guard-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	for (long i = 0; i < 4 * page; i++)
		ck_assert_int_eq(write(fd, "\1", 1), 1);
}

static void
teardown(void)
{
	close(fd);
	unlink(path);
}

START_TEST(an_unreadable_page_is_an_event)
{
	struct mapped m, whole;
	struct err err;

	ck_assert_int_eq(file_guard_start(&err), 0);
	ck_assert_int_eq(file_map(path, &m, &err), 0);
	ck_assert_uint_eq(m.data[3 * page], 1);
	ck_assert_uint_eq(file_guard_errors(), 0);
	ck_assert(!file_guard_failed(m.data));
	ck_assert_int_eq(ftruncate(fd, page), 0);
	ck_assert_uint_eq(m.data[3 * page + 5], 0);
	ck_assert_uint_eq(m.data[3 * page], 0); /* costs no second error */
	ck_assert_uint_eq(file_guard_errors(), 1);
	ck_assert_uint_eq(m.data[2 * page], 0);
	ck_assert_uint_eq(file_guard_errors(), 2);
	ck_assert_uint_eq(m.data[page - 1], 1);
	ck_assert(file_guard_failed(m.data));
	/* Another mapping, also one in the same place, starts anew. */
	ck_assert_int_eq(file_map(path, &whole, &err), 0);
	ck_assert(!file_guard_failed(whole.data));
	file_unmap(&whole);
	file_unmap(&m);
	ck_assert_int_eq(file_map(path, &m, &err), 0);
	ck_assert(!file_guard_failed(m.data));
	file_unmap(&m);
	ck_assert_uint_eq(file_guard_errors(), 2);
}
END_TEST

START_TEST(mappings_come_and_go)
{
	struct mapped m[300];
	struct err err;

	ck_assert_int_eq(file_guard_start(&err), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 300; i++)
			ck_assert_int_eq(file_map(path, &m[i], &err), 0);
		for (int i = 0; i < 300; i++)
			file_unmap(&m[i]);
	}
	ck_assert_int_eq(file_map(path, &m[0], &err), 0);
	ck_assert_int_eq(ftruncate(fd, page), 0);
	ck_assert_uint_eq(m[0].data[page], 0);
	ck_assert(file_guard_failed(m[0].data));
	file_unmap(&m[0]);
}
END_TEST

/* A bus error that is none of a mapped file's ends the process as ever. */
START_TEST(others_are_not_hidden)
{
	struct err err;
	volatile uint8_t *p;

	ck_assert_int_eq(file_guard_start(&err), 0);
	p = mmap(NULL, (size_t)page, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne((const void *)(uintptr_t)p, MAP_FAILED);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	(void)p[0];
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("file guard");
	TCase *t = tcase_create("guard");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_unreadable_page_is_an_event);
	tcase_add_test(t, mappings_come_and_go);
	tcase_add_test_raise_signal(t, others_are_not_hidden, SIGBUS);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
