/* Waits spin for a while and no longer, and only where what is awaited mostly comes meanwhile. */
#include "base/clock.h"
#include "daemon/spin.h"

#include <check.h>

static struct spins spins;

static void
begin(void)
{
	spins = (struct spins){.allowed = true, .hits = 256};
}

/* A wait for what comes with its second look, or for what does not come in time. Whether it has spun. */
static bool
wait_for(bool in_time)
{
	struct spin s = spin_begin(&spins);
	bool spun = spin_on(&s);

	while (spun && !in_time && spin_on(&s))
		continue;
	return spun;
}

/* Of n waits, how many spin. */
static unsigned
spinning(unsigned n, bool in_time)
{
	unsigned spun = 0;

	while (n-- > 0)
		spun += wait_for(in_time);
	return spun;
}

START_TEST(who_may_not_spin_sleeps_at_once)
{
	spins.allowed = false;
	ck_assert_uint_eq(spinning(100, true), 0);
}
END_TEST

START_TEST(a_wait_spins_for_a_while_and_no_longer)
{
	struct spin s = spin_begin(&spins);
	uint64_t start = clock_ns();

	while (spin_on(&s))
		continue;
	ck_assert_uint_ge(clock_ns() - start, SPIN_NS);
	for (int i = 0; i < 3; i++)
		ck_assert(!spin_on(&s));
}
END_TEST

START_TEST(waits_that_end_in_time_go_on_spinning)
{
	ck_assert_uint_eq(spinning(1000, true), 1000);
	ck_assert_uint_eq(spinning(3, false), 3);
	ck_assert_uint_eq(spinning(1000, true), 1000);
}
END_TEST

START_TEST(waits_that_do_not_stop_spinning_but_try)
{
	ck_assert_uint_lt(spinning(20, false), 15);
	ck_assert_uint_eq(spinning(160, false), 10);
	/* What comes again in time is found out after some tries. */
	ck_assert_uint_lt(spinning(64, true), 50);
	ck_assert_uint_eq(spinning(100, true), 100);
}
END_TEST

START_TEST(what_was_there_at_once_is_no_wait)
{
	spinning(40, false);
	for (int i = 0; i < 100; i++)
		(void)spin_begin(&spins);
	ck_assert_uint_eq(spinning(160, false), 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("spin");
	TCase *t = tcase_create("spin");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, begin, NULL);
	tcase_add_test(t, who_may_not_spin_sleeps_at_once);
	tcase_add_test(t, a_wait_spins_for_a_while_and_no_longer);
	tcase_add_test(t, waits_that_end_in_time_go_on_spinning);
	tcase_add_test(t, waits_that_do_not_stop_spinning_but_try);
	tcase_add_test(t, what_was_there_at_once_is_no_wait);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
