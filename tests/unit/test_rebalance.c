/* Live re-balancing in virtual time: a swarm whose devices change their speed, steps and changes of
 * shares on a clock that only the test moves. */
#include "sched/rebalance.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PEERS 3
#define STEP  0.1 /* seconds of a step when all is as planned */

struct world {
	struct rebalance r;
	double now;
	double speed[PEERS];    /* as it is seen */
	double most[PEERS];     /* and no step with more than so much work a second; 0: as seen */
	double planned[PEERS];  /* as the plan thinks */
	double measured[PEERS]; /* by itself; 0: not known */
	double share[PEERS];
	double computed; /* steps */
	unsigned changes, backs;
	bool refuses; /* the planner */
	unsigned refused;
	double changed_at; /* the last one */
	uint32_t seed;
	double noise; /* part of a step's time by which measurements scatter */
};

static struct world w;

static double
scatter(void)
{
	w.seed = w.seed * 1664525u + 1013904223u;
	return 1 + w.noise * ((w.seed >> 8) / (double)(1 << 24) * 2 - 1);
}

/* The shares are what they were. */
static void
watch_plan(void)
{
	struct rebalance_peer p[PEERS];

	for (uint32_t i = 0; i < PEERS; i++) {
		p[i] = (struct rebalance_peer){.id = i,
			.work = w.share[i],
			.expected_s = w.share[i] / w.planned[i],
			.most = REBALANCE_TRUST * w.measured[i] / w.planned[i]};
	}
	rebalance_plan(&w.r, p, PEERS);
}

/* Shares by speed: what the planner does when nothing else binds. */
static void
begin_plan(void)
{
	double sum = 0;

	for (int i = 0; i < PEERS; i++)
		sum += w.planned[i];
	for (int i = 0; i < PEERS; i++)
		w.share[i] = w.planned[i] / sum;
	watch_plan();
}

static void
start(double a, double b, double c)
{
	memset(&w, 0, sizeof w);
	w.seed = 7;
	w.noise = 0.05;
	w.planned[0] = w.speed[0] = a / STEP;
	w.planned[1] = w.speed[1] = b / STEP;
	w.planned[2] = w.speed[2] = c / STEP;
	rebalance_init(&w.r);
	begin_plan();
}

/* The plan that serves, with what it was measured to do as planned. */
static void
know_speeds(void)
{
	memcpy(w.measured, w.planned, sizeof w.measured);
	begin_plan();
}

/* Runs steps for so many seconds. */
static void
run(double seconds)
{
	double end = w.now + seconds, asked = w.now, factors[PEERS];

	while (w.now < end) {
		double slowest = 0, took[PEERS];

		for (int i = 0; i < PEERS; i++) {
			took[i] = w.share[i] / w.speed[i] * scatter();
			slowest = fmax(slowest, took[i]);
			if (w.most[i] > 0)
				slowest = fmax(slowest, w.share[i] / w.most[i]);
		}
		w.now += slowest;
		rebalance_whole(&w.r, slowest, w.now);
		w.computed++;
		for (uint32_t i = 0; i < PEERS; i++)
			rebalance_step(&w.r, i, took[i], w.now);
		if (w.now < asked + 1)
			continue;
		asked = w.now;
		if (!rebalance_due(&w.r, w.now, factors))
			continue;
		for (int i = 0; i < PEERS; i++)
			w.planned[i] *= factors[i];
		if (w.refuses) {
			w.refused++;
			watch_plan();
			rebalance_refused(&w.r);
			continue;
		}
		w.changes++;
		w.changed_at = w.now;
		w.backs += w.r.back;
		begin_plan();
		rebalance_began(&w.r, true);
	}
}

START_TEST(steady_it_stays)
{
	start(0.5, 0.3, 0.2);
	w.noise = 0.2;
	run(3600);
	ck_assert_uint_eq(w.changes, 0);
	ck_assert_double_lt(fabs(rebalance_gain(&w.r)), 0.1);
}
END_TEST

START_TEST(one_that_slows_down_gets_less)
{
	double before;

	start(0.5, 0.3, 0.2);
	run(100);
	w.speed[0] /= 2;
	before = w.now;
	run(30);
	ck_assert_uint_eq(w.changes, 1);
	ck_assert_double_gt(w.changed_at - before, REBALANCE_DRIFT);
	ck_assert_double_lt(w.changed_at - before, REBALANCE_DRIFT + 8);
	ck_assert_double_eq_tol(w.share[0], 0.25 / 0.75, 0.03);
	before = w.computed;
	run(300);
	ck_assert_uint_eq(w.changes, 1);
	/* Three quarters of the speed are left, and they are used. */
	ck_assert_double_gt((w.computed - before) / (300 / STEP), 0.75 * 0.93);
}
END_TEST

/* Seven percent: too little for ten seconds to tell. */
START_TEST(a_small_gain_takes_longer)
{
	double before, planned;

	start(0.5, 0.3, 0.2);
	run(100);
	w.speed[0] *= 0.87;
	w.speed[2] *= 1.05; /* which does not count */
	planned = w.planned[2];
	before = w.now;
	run(15);
	ck_assert_uint_eq(w.changes, 0);
	run(85);
	ck_assert_uint_eq(w.changes, 1);
	ck_assert_double_gt(w.changed_at - before, 1.5 * REBALANCE_DRIFT);
	ck_assert_double_eq_tol(w.planned[0], w.speed[0], 0.05 * w.speed[0]);
	ck_assert_double_le(w.planned[2], planned);
	run(3600);
	ck_assert_uint_eq(w.changes, 1);
}
END_TEST

/* A device so many times as fast, for an hour. */
static void
changes_nothing(int device, double times)
{
	start(0.5, 0.3, 0.2);
	know_speeds();
	w.speed[device] *= times;
	run(3600);
	ck_assert_uint_eq(w.changes, 0);
}

START_TEST(four_percent_change_nothing)
{
	changes_nothing(0, 0.923);
}
END_TEST

START_TEST(a_small_gain_of_one_that_looks_faster_changes_nothing)
{
	changes_nothing(1, 1.25);
}
END_TEST

START_TEST(what_a_small_gain_took_is_given_back)
{
	start(0.5, 0.3, 0.2);
	know_speeds();
	run(20);
	w.speed[0] *= 0.87;
	run(60);
	ck_assert_uint_eq(w.changes, 1);
	w.speed[0] /= 0.87;
	run(3 * REBALANCE_WAIT);
	ck_assert_uint_eq(w.changes, 2);
	ck_assert_double_eq_tol(w.share[0], 0.5, 0.02);
	run(3600);
	ck_assert_uint_eq(w.changes, 2);
}
END_TEST

/* What a long step says of the seconds that it took is not what they were. */
START_TEST(a_single_long_step_changes_nothing)
{
	start(0.5, 0.3, 0.2);
	for (int i = 0; i < 20; i++) {
		double speed = w.speed[i % PEERS];

		run(20);
		w.speed[i % PEERS] = speed / (20 + 5 * i);
		run(0.01);
		w.speed[i % PEERS] = speed;
	}
	run(20);
	ck_assert_uint_eq(w.changes, 0);
}
END_TEST

/* In a swarm that takes six seconds for a token a step that is twice as long says as much as a lasting small gain. */
START_TEST(a_long_step_of_a_slow_swarm_changes_nothing)
{
	start(0.5 / 60, 0.3 / 60, 0.2 / 60);
	w.noise = 0.03;
	for (int i = 0; i < 20; i++) {
		run(300);
		w.speed[0] /= 2;
		run(1);
		w.speed[0] *= 2;
	}
	run(300);
	ck_assert_uint_eq(w.changes, 0);
}
END_TEST

START_TEST(small_gains_to_and_fro_do_not_hold_up_a_large_one)
{
	double before;

	start(0.5, 0.3, 0.2);
	know_speeds();
	for (int i = 0; w.r.last.wait < 8 * REBALANCE_WAIT || w.now > w.changed_at + 100; i++) {
		ck_assert_int_lt(i, 1000);
		w.speed[0] *= i % 2 == 0 ? 0.86 : 1 / 0.86;
		run(110);
	}
	w.speed[1] /= 3;
	before = w.now;
	run(REBALANCE_WAIT + 20);
	ck_assert_double_gt(w.changed_at, before);
}
END_TEST

/* A device that is nearly slow enough for a change, and then another one that looks fast for a moment. */
START_TEST(the_two_kinds_of_gain_do_not_add_up)
{
	start(0.5, 0.3, 0.2);
	w.speed[0] *= 0.87;
	run(15);
	w.speed[1] *= 2;
	run(5);
	w.speed[1] /= 2;
	ck_assert_uint_eq(w.changes, 0);
}
END_TEST

START_TEST(a_new_plan_begins_anew)
{
	start(0.5, 0.3, 0.2);
	w.speed[0] *= 0.87;
	for (int i = 0; i < 20; i++) {
		run(15);
		begin_plan();
		rebalance_began(&w.r, false);
	}
	ck_assert_uint_eq(w.changes, 0);
}
END_TEST

/* However long it was there while a change had to wait: ten seconds without it, and it begins anew. */
START_TEST(a_small_gain_that_is_over_is_forgotten)
{
	start(0.5, 0.3, 0.2);
	w.speed[0] /= 2;
	run(25);
	ck_assert_uint_eq(w.changes, 1);
	w.speed[1] *= 0.86;
	run(36);
	w.speed[1] /= 0.86;
	run(12);
	w.speed[1] *= 0.86;
	run(9);
	ck_assert_double_gt(w.now - w.changed_at, REBALANCE_WAIT);
	ck_assert_uint_eq(w.changes, 1);
}
END_TEST

/* Half of the time slow, in turns of a few seconds. */
START_TEST(short_turns_change_nothing)
{
	start(0.5, 0.3, 0.2);
	for (int i = 0; i < 200; i++) {
		w.speed[0] /= 2;
		run(4 + i % 3);
		w.speed[0] *= 2;
		run(8);
	}
	ck_assert_uint_eq(w.changes, 0);
}
END_TEST

START_TEST(one_that_is_free_again_gets_more)
{
	start(0.25, 0.3, 0.2);
	run(50);
	w.speed[0] *= 2;
	run(100);
	ck_assert_uint_eq(w.changes, 1);
	ck_assert_double_eq_tol(w.share[0], 0.5, 0.03);
}
END_TEST

START_TEST(hiccups_change_nothing)
{
	start(0.5, 0.3, 0.2);
	for (int i = 0; i < 60; i++) {
		w.speed[1] /= 3;
		run(5);
		w.speed[1] *= 3;
		run(20);
	}
	ck_assert_uint_eq(w.changes, 0);
}
END_TEST

START_TEST(all_slower_alike_change_nothing)
{
	start(0.5, 0.3, 0.2);
	for (int i = 0; i < PEERS; i++)
		w.speed[i] /= 3;
	run(600);
	ck_assert_uint_eq(w.changes, 0);
}
END_TEST

START_TEST(what_the_planner_refuses_is_no_change)
{
	start(0.5, 0.3, 0.2);
	run(20);
	w.refuses = true;
	w.speed[0] /= 2;
	run(100);
	ck_assert_uint_eq(w.refused, 1);
	w.refuses = false;
	w.speed[0] /= 2;
	run(REBALANCE_DRIFT + 8);
	ck_assert_uint_eq(w.changes, 1); /* without a wait */
	w.refuses = true;
	w.speed[0] *= 2;
	run(2 * REBALANCE_WAIT + 20);
	ck_assert_uint_eq(w.refused, 2);
	ck_assert_double_eq(w.r.last.at, w.changed_at);
	w.refuses = false;
	w.speed[1] /= 2;
	run(REBALANCE_DRIFT + 8);
	ck_assert_uint_eq(w.changes, 2);
}
END_TEST

START_TEST(between_changes_lies_a_wait)
{
	double first;

	start(0.5, 0.3, 0.2);
	run(20);
	w.speed[0] /= 2;
	run(25);
	ck_assert_uint_eq(w.changes, 1);
	first = w.changed_at;
	w.speed[1] /= 2;
	run(REBALANCE_WAIT + 40);
	ck_assert_uint_eq(w.changes, 2);
	ck_assert_double_ge(w.changed_at - first, REBALANCE_WAIT);
	ck_assert_double_lt(w.changed_at - first, REBALANCE_WAIT + 15);
}
END_TEST

/* A device that is busy for two minutes of every four: each time back doubles the wait. */
/* Held to a part of a core, a device computes fast whenever it is looked at, and stands still after that. */
START_TEST(a_change_that_makes_it_slower_is_taken_back)
{
	double before;

	start(0.6, 0.2, 0.2);
	w.speed[1] = 3 * w.planned[1];
	w.most[1] = w.planned[1];
	run(60);
	ck_assert_uint_eq(w.changes, 2);
	ck_assert_uint_eq(w.backs, 1);
	ck_assert_double_eq_tol(w.share[1], 0.2, 1e-9);
	before = w.computed;
	run(6 * 3600);
	ck_assert_uint_eq(w.changes, 2 * w.backs);
	ck_assert_uint_le(w.changes, 20);
	/* As it was at first, nearly always. */
	ck_assert_double_gt((w.computed - before) / (6 * 3600 / STEP), 0.97);
}
END_TEST

/* In its pauses it gathers what it may spend of a core: steps see it far faster than it can be all the time. */
START_TEST(one_that_looks_faster_than_measured_is_not_believed)
{
	start(1, 0.4, 1);
	know_speeds();
	w.speed[1] *= 2.5;
	run(300);
	ck_assert_uint_eq(w.changes, 0);
	w.speed[1] = w.planned[1] / 3; /* slower counts at once, */
	run(20);
	ck_assert_uint_eq(w.changes, 1);
	ck_assert_double_eq_tol(w.planned[1], w.speed[1], 0.2 * w.speed[1]);
	w.speed[1] = w.measured[1]; /* and what was measured is believed again */
	run(300);
	ck_assert_uint_eq(w.changes, 2);
	ck_assert_double_eq_tol(w.planned[1], w.speed[1], 0.2 * w.speed[1]);
}
END_TEST

START_TEST(a_trial_ends_with_other_devices)
{
	struct rebalance_peer p[2] = {{.id = 0, .work = 0.6, .expected_s = 0.06},
		{.id = 7, .work = 0.4, .expected_s = 0.1}};
	double factors[PEERS], asked;

	start(0.6, 0.2, 0.2);
	w.speed[1] = 3 * w.planned[1];
	run(REBALANCE_DRIFT + 8);
	ck_assert_uint_eq(w.changes, 1);
	rebalance_plan(&w.r, p, 2);
	rebalance_began(&w.r, false);
	for (asked = w.now; w.now < asked + 2 * REBALANCE_TRIAL; w.now += 0.5)
		rebalance_whole(&w.r, 0.5, w.now);
	ck_assert(!rebalance_due(&w.r, w.now, factors));
}
END_TEST

START_TEST(flapping_calms_down)
{
	unsigned first;

	start(0.5, 0.3, 0.2);
	for (int i = 0; i < 15; i++) {
		w.speed[0] /= 2;
		run(120);
		w.speed[0] *= 2;
		run(120);
	}
	first = w.changes;
	ck_assert_uint_ge(first, 3);
	ck_assert_uint_le(first, 8);
	ck_assert_double_ge(w.r.last.wait, 4 * REBALANCE_WAIT);
}
END_TEST

START_TEST(calm_for_long_the_wait_is_short_again)
{
	start(0.5, 0.3, 0.2);
	w.speed[0] /= 2;
	run(100);
	w.speed[0] *= 2;
	run(200);
	ck_assert_uint_eq(w.changes, 2);
	ck_assert_double_eq(w.r.last.wait, 2 * REBALANCE_WAIT);
	run(25 * REBALANCE_WAIT);
	w.speed[0] /= 2;
	run(30);
	ck_assert_uint_eq(w.changes, 3);
	ck_assert_double_eq(w.r.last.wait, REBALANCE_WAIT);
}
END_TEST

/* A plan that could not be even (memory binds) is not what new shares could better. */
START_TEST(uneven_as_planned_is_no_drift)
{
	struct rebalance_peer p[2] = {{.id = 0, .work = 0.8, .expected_s = 0.08},
		{.id = 1, .work = 0.2, .expected_s = 0.01}};
	struct rebalance r;
	double factors[2];

	rebalance_init(&r);
	rebalance_plan(&r, p, 2);
	for (int i = 0; i < 1000; i++) {
		rebalance_step(&r, 0, 0.08, i * 0.08);
		rebalance_step(&r, 1, 0.01, i * 0.08);
		ck_assert(!rebalance_due(&r, i * 0.08, factors));
	}
	ck_assert_double_eq_tol(rebalance_gain(&r), 0, 1e-9);
}
END_TEST

START_TEST(nothing_measured_nothing_done)
{
	struct rebalance r;
	double factors[PEERS];

	rebalance_init(&r);
	ck_assert(!rebalance_due(&r, 1, factors));
	start(0.5, 0.3, 0.2);
	rebalance_step(&w.r, 99, 1, 1);
	rebalance_step(&w.r, 0, NAN, 1);
	rebalance_step(&w.r, 0, -1, 1);
	ck_assert(!rebalance_due(&w.r, 100, factors));
	ck_assert_double_eq(rebalance_gain(&w.r), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("rebalance");
	TCase *t = tcase_create("virtual time");
	SRunner *runner;
	int failed;

	tcase_add_test(t, steady_it_stays);
	tcase_add_test(t, one_that_slows_down_gets_less);
	tcase_add_test(t, a_small_gain_takes_longer);
	tcase_add_test(t, four_percent_change_nothing);
	tcase_add_test(t, a_small_gain_of_one_that_looks_faster_changes_nothing);
	tcase_add_test(t, what_a_small_gain_took_is_given_back);
	tcase_add_test(t, a_single_long_step_changes_nothing);
	tcase_add_test(t, a_long_step_of_a_slow_swarm_changes_nothing);
	tcase_add_test(t, small_gains_to_and_fro_do_not_hold_up_a_large_one);
	tcase_add_test(t, the_two_kinds_of_gain_do_not_add_up);
	tcase_add_test(t, a_new_plan_begins_anew);
	tcase_add_test(t, a_small_gain_that_is_over_is_forgotten);
	tcase_add_test(t, short_turns_change_nothing);
	tcase_add_test(t, one_that_is_free_again_gets_more);
	tcase_add_test(t, hiccups_change_nothing);
	tcase_add_test(t, all_slower_alike_change_nothing);
	tcase_add_test(t, what_the_planner_refuses_is_no_change);
	tcase_add_test(t, between_changes_lies_a_wait);
	tcase_add_test(t, a_change_that_makes_it_slower_is_taken_back);
	tcase_add_test(t, one_that_looks_faster_than_measured_is_not_believed);
	tcase_add_test(t, a_trial_ends_with_other_devices);
	tcase_add_test(t, flapping_calms_down);
	tcase_add_test(t, calm_for_long_the_wait_is_short_again);
	tcase_add_test(t, uneven_as_planned_is_no_drift);
	tcase_add_test(t, nothing_measured_nothing_done);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
