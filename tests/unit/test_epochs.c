/* Numbers of plans: never given twice, also over restarts and while nothing can be written. */
#include "daemon/epochs.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static char dir[64];
static struct err err;

static void
setup(void)
{
	strcpy(dir, "/tmp/shoal-epochs-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	signal(SIGXFSZ, SIG_IGN);
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static uint64_t
next(struct epochs *e, uint64_t seen)
{
	uint64_t epoch;

	ck_assert_msg(epochs_next(e, dir, seen, &epoch, &err) == 0, "%s", err.msg);
	return epoch;
}

static void
fill_disk(bool full)
{
	const struct rlimit room = {full ? 0 : RLIM_INFINITY, RLIM_INFINITY};

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &room), 0);
}

START_TEST(grow_over_restarts)
{
	struct epochs e = {0}, later = {0}, last = {0};
	uint64_t before;

	ck_assert_uint_eq(next(&e, 0), 1);
	for (uint64_t i = 2; i < 3 * EPOCHS_BLOCK; i++)
		ck_assert_uint_eq(next(&e, 0), i);
	/* As another device has coordinated since. */
	ck_assert_uint_eq(next(&e, 70000), 70001);
	ck_assert_uint_eq(next(&e, 70000), 70002);
	before = next(&later, 0);
	ck_assert_uint_gt(before, 70002);
	ck_assert_uint_gt(next(&last, 0), before);
}
END_TEST

START_TEST(go_on_while_the_disk_is_full)
{
	struct epochs e = {0}, later = {0};
	uint64_t last = next(&e, 0), epoch, n = 0;

	fill_disk(true);
	while (epochs_next(&e, dir, 0, &epoch, &err) == 0) {
		ck_assert_uint_gt(epoch, last);
		last = epoch;
		n++;
	}
	fill_disk(false);
	ck_assert_uint_ge(n, EPOCHS_BLOCK / 2);
	ck_assert_ptr_nonnull(strstr(err.msg, dir));
	ck_assert_uint_gt(next(&later, 0), last);
}
END_TEST

START_TEST(are_not_given_when_none_was_ever_written)
{
	struct epochs e = {0};
	uint64_t epoch;

	fill_disk(true);
	ck_assert_int_eq(epochs_next(&e, dir, 0, &epoch, &err), -1);
	fill_disk(false);
	ck_assert_uint_eq(next(&e, 0), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("epochs");
	TCase *t = tcase_create("epochs");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, grow_over_restarts);
	tcase_add_test(t, go_on_while_the_disk_is_full);
	tcase_add_test(t, are_not_given_when_none_was_ever_written);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
