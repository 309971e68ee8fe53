/* Speeds as they are seen, and what a re-balancing says of itself. */
#include "sched/pace.h"

#include "sched/rebalance_words.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static struct pace p;

static void
fresh(void)
{
	p = (struct pace){0};
}

START_TEST(what_is_seen_counts)
{
	ck_assert_double_eq(pace_factor(&p, 10, 0), 1);
	pace_seen(&p, 4, 10, 100);
	ck_assert_double_eq(pace_factor(&p, 10, 100), 0.4);
	pace_seen(&p, 12, 10, 101);
	ck_assert_double_eq(pace_factor(&p, 10, 101), 1.2);
}
END_TEST

START_TEST(a_new_measurement_stands_for_itself)
{
	pace_seen(&p, 4, 10, 100);
	ck_assert_double_eq(pace_factor(&p, 5, 100), 1);
}
END_TEST

START_TEST(nonsense_is_passed_over)
{
	pace_seen(&p, NAN, 10, 100);
	pace_seen(&p, 4, 0, 100);
	pace_seen(&p, -4, 10, 100);
	ck_assert_double_eq(pace_factor(&p, 10, 100), 1);
	pace_seen(&p, 1e-9, 10, 100);
	ck_assert_double_eq(pace_factor(&p, 10, 100), PACE_LEAST);
	pace_seen(&p, 1e9, 10, 100);
	ck_assert_double_eq(pace_factor(&p, 10, 100), PACE_MOST);
}
END_TEST

START_TEST(with_a_part_it_is_believed_for_ever)
{
	pace_seen(&p, 4, 10, 100);
	for (double now = 100; now < 100000; now += 60)
		pace_holds(&p, now);
	ck_assert_double_eq(pace_factor(&p, 10, 100000), 0.4);
}
END_TEST

/* Left out, it is tried again after a while; each time in vain after a longer one. */
START_TEST(who_is_left_out_is_tried_again)
{
	double now = 100, hold = PACE_HOLD;

	for (int i = 0; i < 8; i++) {
		pace_seen(&p, 4, 10, now);
		ck_assert_double_eq(pace_factor(&p, 10, now + hold - 1), 0.4);
		now += hold + 1;
		ck_assert_double_eq(pace_factor(&p, 10, now), 1);
		pace_holds(&p, now); /* it has a part, as what it was measured to be */
		ck_assert_double_eq(pace_factor(&p, 10, now), 1);
		now += 20;
		hold = fmin(2 * hold, PACE_HOLD_MAX);
	}
	pace_seen(&p, 9.5, 10, now);
	pace_seen(&p, 4, 10, now);
	ck_assert_double_eq(pace_factor(&p, 10, now + PACE_HOLD + 1), 1);
}
END_TEST

/* To slow down twice in a plan is not to be left out twice. */
START_TEST(slower_and_slower_is_no_relapse)
{
	pace_seen(&p, 8, 10, 100);
	pace_holds(&p, 200);
	pace_seen(&p, 4, 10, 300);
	ck_assert_double_eq(pace_factor(&p, 10, 300 + PACE_HOLD + 1), 1);
}
END_TEST

START_TEST(reasons)
{
	char out[128];

	rebalance_reason(out, sizeof out, "laptop", 1 / 2.1);
	ck_assert_str_eq(out, "laptop became 2.1 times slower");
	rebalance_reason(out, sizeof out, "laptop", 3);
	ck_assert_str_eq(out, "laptop became 3.0 times faster");
}
END_TEST

static void
check_moved(const char *who, const struct rebalance_share *shares, uint32_t n, const char *want)
{
	char out[300];

	rebalance_moved(out, sizeof out, who, shares, n);
	ck_assert_str_eq(out, want);
}

START_TEST(what_has_moved)
{
	const struct rebalance_share slower[] = {{"pi-kitchen", 0.3, 0.64}, {"laptop", 0.7, 0.36}};
	const struct rebalance_share three[] = {
		{"a", 0.2, 0.35}, {"laptop", 0.6, 0.4}, {"b", 0.2, 0.25}};
	const struct rebalance_share gone[] = {{"a", 0.6, 1}, {"laptop", 0.4, 0}};
	const struct rebalance_share back[] = {{"a", 1, 0.75}, {"laptop", 0, 0.25}};
	const struct rebalance_share many[] = {{"laptop", 0.5, 0}, {"a", 0.1, 0.2}, {"b", 0.1, 0.2},
		{"c", 0.1, 0.2}, {"d", 0.1, 0.2}, {"e", 0.1, 0.2}};
	const struct rebalance_share same[] = {{"a", 0.5, 0.5}, {"laptop", 0.5, 0.5}};

	check_moved("laptop", slower, 2, "34% of the layers' columns moved to pi-kitchen");
	check_moved("laptop", three, 3, "20% of the layers' columns moved to a, b");
	check_moved("laptop", gone, 2, "it is left out, its 40% of the layers' columns moved to a");
	check_moved("laptop", back, 2, "25% of the layers' columns moved to it from a");
	check_moved("laptop", many, 6,
		"it is left out, its 50% of the layers' columns moved to a, b, c and 2 others");
	check_moved("laptop", same, 2, "the others share the layers in another way");
	check_moved("nobody", same, 2, "the others share the layers in another way");
}
END_TEST

/* Names are as long as devices like; what does not fit is cut. */
START_TEST(long_names_are_cut)
{
	char out[64], name[300];
	struct rebalance_share shares[] = {{name, 0, 0.5}, {"laptop", 1, 0.5}};

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	rebalance_moved(out, sizeof out, "laptop", shares, 2);
	ck_assert_uint_lt(strlen(out), sizeof out);
	ck_assert_ptr_nonnull(strstr(out, "50% of the layers' columns moved to xxx"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pace");
	TCase *tc = tcase_create("pace");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, fresh, NULL);
	tcase_add_test(tc, what_is_seen_counts);
	tcase_add_test(tc, a_new_measurement_stands_for_itself);
	tcase_add_test(tc, nonsense_is_passed_over);
	tcase_add_test(tc, with_a_part_it_is_believed_for_ever);
	tcase_add_test(tc, who_is_left_out_is_tried_again);
	tcase_add_test(tc, slower_and_slower_is_no_relapse);
	tcase_add_test(tc, reasons);
	tcase_add_test(tc, what_has_moved);
	tcase_add_test(tc, long_names_are_cut);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
