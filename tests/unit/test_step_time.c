/* How many rows of prompts a step has: devices of which only times are known. */
#include "sched/step_time.h"

#include <check.h>
#include <stdlib.h>

/* A device reads all weights in `once`, waits for `disk`, and computes a row in `row`. */
struct device {
	double once, disk, row;
};

static void
step(struct step_time *t, const struct device *d, uint32_t rows)
{
	double computes = rows * d->row;

	step_time_took(t, rows, (computes > d->once ? computes : d->once) + d->disk, d->disk);
}

static struct step_time
seen(const struct device *d)
{
	struct step_time t = {0};

	for (int i = 0; i < 20; i++) {
		step(&t, d, STEP_UNKNOWN);
		step(&t, d, 1);
	}
	return t;
}

START_TEST(fast_devices_take_many_rows)
{
	struct step_time laptop = seen(&(struct device){0.02, 0, 0.004});

	ck_assert_uint_eq(step_time_rows(&laptop, false), STEP_ROWS);
	ck_assert_uint_eq(step_time_rows(&laptop, true), 48); /* 0.25 s are 62 rows */
}
END_TEST

START_TEST(slow_devices_let_others_in)
{
	struct step_time pi = seen(&(struct device){0.2, 0, 0.05});
	struct step_time large = seen(&(struct device){1.2, 0, 0.4});

	ck_assert_uint_eq(step_time_rows(&pi, false), 80);
	ck_assert_uint_eq(step_time_rows(&pi, true), STEP_UNIT);
	ck_assert_uint_eq(step_time_rows(&large, false), 16); /* 8 x 1.2 s are 24 rows */
	ck_assert_uint_eq(step_time_rows(&large, true), STEP_UNIT);
}
END_TEST

/* All weights are read for a step, however few rows it has: many rows make up for it. */
START_TEST(streamed_weights_want_many_rows)
{
	struct step_time t = seen(&(struct device){0.2, 10, 0.3});

	ck_assert_uint_eq(step_time_rows(&t, false), STEP_ROWS);
	ck_assert_uint_eq(step_time_rows(&t, true), 64); /* twice the 10 s of anybody's token */
}
END_TEST

START_TEST(it_begins_carefully_and_follows)
{
	struct step_time t = {0};
	const struct device fast = {0.02, 0, 0.004}, slow = {0.2, 0, 0.1};

	ck_assert_uint_eq(step_time_rows(&t, false), STEP_UNKNOWN);
	step(&t, &fast, 1);
	ck_assert_uint_eq(step_time_rows(&t, true), STEP_UNKNOWN);
	step(&t, &fast, STEP_UNKNOWN);
	ck_assert_uint_eq(step_time_rows(&t, false), STEP_ROWS);
	for (int i = 0; i < 20; i++)
		step(&t, &slow, step_time_rows(&t, false));
	ck_assert_uint_eq(step_time_rows(&t, false), 32);
	for (int i = 0; i < 20; i++)
		step(&t, &fast, step_time_rows(&t, false));
	ck_assert_uint_eq(step_time_rows(&t, false), STEP_ROWS);
}
END_TEST

/* Times that a clock can give: never fewer rows than the least, nor more than the most. */
START_TEST(odd_times_are_bounded)
{
	static const double times[] = {0, 1e-12, 1e-3, 1, 1e6, 1e300};

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		for (size_t j = 0; j < sizeof times / sizeof *times; j++) {
			struct step_time t = {0};

			step_time_took(&t, 1, times[i], 0);
			step_time_took(&t, STEP_UNIT, times[j], times[i]);
			for (int beside = 0; beside < 2; beside++) {
				uint32_t rows = step_time_rows(&t, beside);

				ck_assert_uint_ge(rows, STEP_UNIT);
				ck_assert_uint_le(rows, STEP_ROWS);
				ck_assert_uint_eq(rows % STEP_UNIT, 0);
			}
		}
}
END_TEST

START_TEST(memory_says_the_most)
{
	ck_assert_uint_eq(step_time_most(1u << 30, 10u << 20), STEP_ROWS);
	ck_assert_uint_eq(step_time_most(256u << 20, 10u << 20), STEP_FEW_ROWS);
	ck_assert_uint_eq(step_time_most(0, 1), STEP_FEW_ROWS); /* not known */
	ck_assert_uint_eq(step_time_most(UINT64_MAX, 10u << 20), STEP_ROWS);
}
END_TEST

/* What a device says of itself: by its speed in a burst a plan would give it more than it can keep up with. */
START_TEST(a_quota_is_what_can_be_kept_up)
{
	ck_assert_double_eq_tol(step_time_compute(1, 0.25, 0, 0), 0.75, 1e-12);
	ck_assert_double_eq_tol(step_time_compute(1, 0.25, 8, 0), 0.75, 1e-12); /* no quota */
	/* Half of a CPU: 0.6 s of its time are there again after 1.2 s. */
	ck_assert_double_eq_tol(step_time_compute(1, 0.4, 0.6, 0.5), 1.2, 1e-12);
	/* Two CPUs' time for what one computes is enough. */
	ck_assert_double_eq_tol(step_time_compute(1, 0.4, 0.6, 2), 0.6, 1e-12);
	/* Clocks that disagree make no negative time. */
	ck_assert_double_eq_tol(step_time_compute(1, 1.5, 0, 0.5), 0, 1e-12);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("step_time");
	TCase *t = tcase_create("rows");
	SRunner *r;
	int failed;

	tcase_add_test(t, fast_devices_take_many_rows);
	tcase_add_test(t, slow_devices_let_others_in);
	tcase_add_test(t, streamed_weights_want_many_rows);
	tcase_add_test(t, it_begins_carefully_and_follows);
	tcase_add_test(t, odd_times_are_bounded);
	tcase_add_test(t, memory_says_the_most);
	tcase_add_test(t, a_quota_is_what_can_be_kept_up);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
