/* What is worth doing instead of a plan that serves: less for other slices of the same devices than for other devices. */
#include "tests/support/plan_swarm.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static const struct swarm_plan_worth usual = {0.1, 0.1}, shifting = {0.05, 0.1};

static struct plan_swarm s;
static struct swarm_plan_result r;
static struct swarm_plan_alt serving;

static const struct swarm_plan_alt *
choose(void)
{
	struct err err = {""};

	ck_assert_msg(swarm_plan_choose(&s.in, &r, &err) == 0, "%s", err.msg);
	return &r.alts[r.best];
}

/* A model of many KV heads, whose layers can be shared finely, on two devices: their best plan serves. */
static void
serve_two(double a, double b)
{
	swarm_init(&s, 16, 4096, 11264, 64, 64, 32000);
	swarm_add(&s, "a", a, 8000);
	swarm_add(&s, "b", b, 8000);
	serving = *choose();
	ck_assert_uint_eq(serving.n, 2);
}

/* A device is as fast as that from now on. */
static void
becomes(uint32_t peer, double gbps)
{
	s.peers[peer].read_bps = gbps * 1e9;
	s.peers[peer].macs_ps = 30 * gbps * 1e9;
}

static const struct swarm_plan_alt *
better(const struct swarm_plan_worth *worth)
{
	ck_assert_int_eq(swarm_plan_predict_given(&s.in, &serving), 0);
	choose();
	return swarm_plan_better(&s.in, &r, &serving, worth);
}

static double
saving(const struct swarm_plan_alt *a)
{
	return 1 - a->score / serving.score;
}

START_TEST(what_serves_stays)
{
	serve_two(10, 10);
	ck_assert_ptr_null(better(&usual));
	ck_assert_ptr_null(better(&shifting));
}
END_TEST

START_TEST(other_slices_are_worth_less_trouble)
{
	const struct swarm_plan_alt *a;

	serve_two(10, 10);
	becomes(1, 8.6);
	ck_assert_ptr_null(better(&usual));
	a = better(&shifting);
	ck_assert_ptr_eq(a, &r.alts[r.best]);
	ck_assert_double_gt(saving(a), 0.05);
	ck_assert_double_lt(saving(a), 0.1);
	ck_assert_double_gt(a->members[0].share, a->members[1].share);
	becomes(1, 9.5);
	ck_assert_ptr_null(better(&shifting));
	becomes(1, 6);
	ck_assert_ptr_eq(better(&usual), &r.alts[r.best]);
}
END_TEST

/* A third one would do better than the second, but not by so much that weights shall move to it. */
START_TEST(the_same_devices_where_others_are_not_worth_it)
{
	const struct swarm_plan_alt *a, *best;

	serve_two(10, 10);
	becomes(1, 8.6);
	swarm_add(&s, "c", 8.8, 8000);
	s.in.members = 2;
	a = better(&shifting);
	best = &r.alts[r.best];
	ck_assert_uint_eq(best->members[1].peer, 2);
	ck_assert_double_lt(saving(best), 0.1);
	ck_assert_ptr_nonnull(a);
	ck_assert_uint_eq(a->n, 2);
	ck_assert_uint_eq(a->members[1].peer, 1);
	ck_assert_double_gt(saving(a), 0.05);
	ck_assert_double_gt(a->score, best->score);
	ck_assert_ptr_null(better(&usual));
	ck_assert_ptr_eq(better(&(const struct swarm_plan_worth){0, 0}), &r.alts[r.best]);
	becomes(1, 9.6); /* and the third one is better still: nothing is worth it */
	becomes(2, 9.8);
	ck_assert_ptr_null(better(&shifting));
	ck_assert_uint_eq(r.alts[r.best].members[1].peer, 2);
	becomes(2, 12); /* and now it is */
	ck_assert_ptr_eq(better(&shifting), &r.alts[r.best]);
	ck_assert_uint_eq(r.alts[r.best].members[1].peer, 2);
}
END_TEST

START_TEST(a_plan_that_does_not_fit_any_more_gives_way)
{
	serve_two(10, 10);
	s.peers[1].memory = s.peers[1].overhead;
	ck_assert_int_eq(swarm_plan_predict_given(&s.in, &serving), -1);
	serving.score = INFINITY;
	choose();
	ck_assert_ptr_eq(swarm_plan_better(&s.in, &r, &serving, &usual), &r.alts[r.best]);
	serving = (struct swarm_plan_alt){.score = INFINITY}; /* and so does none */
	ck_assert_ptr_eq(swarm_plan_better(&s.in, &r, &serving, &shifting), &r.alts[r.best]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plan_better");
	TCase *t = tcase_create("better");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_add_test(t, what_serves_stays);
	tcase_add_test(t, other_slices_are_worth_less_trouble);
	tcase_add_test(t, the_same_devices_where_others_are_not_worth_it);
	tcase_add_test(t, a_plan_that_does_not_fit_any_more_gives_way);
	suite_add_tcase(suite, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
