/* The calibration error: of words that come true, of words that do not, and after they have changed. */
#include "sched/calibration.h"
#include "tests/support/route_task.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static uint64_t state = 11;

/* n predictions that are all over the range; what they are of happens by `off` more often than they say. */
static void
predict(struct calibration *c, int n, float off)
{
	for (int i = 0; i < n; i++) {
		float p = 0.1f + 0.6f * (float)route_task_unit(&state);

		calibration_add(c, p, route_task_unit(&state) < (double)(p + off) ? 1.0f : 0.0f);
	}
}

START_TEST(words_that_come_true)
{
	struct calibration c = {0};

	ck_assert_float_lt(calibration_error(&c), 0);
	predict(&c, 2000, 0);
	ck_assert_float_eq_tol(calibration_weight(&c), CALIBRATION_WINDOW, 0.1f);
	ck_assert_float_lt(calibration_error(&c), 0.12f);
}
END_TEST

START_TEST(words_that_do_not)
{
	struct calibration c = {0};

	predict(&c, 2000, 0.3f);
	ck_assert_float_eq_tol(calibration_error(&c), 0.3f, 0.1f);
	predict(&c, 5 * CALIBRATION_WINDOW, 0); /* heads that learned since */
	ck_assert_float_lt(calibration_error(&c), 0.12f);
}
END_TEST

/* By hand: two bins, and halves as labels have them. */
START_TEST(by_hand)
{
	struct calibration c = {0};

	calibration_add(&c, 0.95f, 0.5f);
	calibration_add(&c, 0.95f, 1.0f);
	calibration_add(&c, 0.25f, 0.25f);
	ck_assert_float_eq_tol(calibration_weight(&c), 3, 1e-5f);
	ck_assert_float_eq_tol(calibration_error(&c), 0.4f / 3, 1e-5f);
}
END_TEST

/* Gains are from -1 to 1, and what is no number says nothing. */
START_TEST(the_ends)
{
	struct calibration c = {0};

	calibration_add(&c, -1, 1);
	ck_assert_float_eq_tol(calibration_error(&c), 2, 1e-5f);
	calibration_add(&c, 1, 1);
	calibration_add(&c, INFINITY, 7);
	calibration_add(&c, -INFINITY, -7);
	ck_assert_float_eq_tol(calibration_error(&c), 0.5f, 1e-5f);
	calibration_add(&c, NAN, 1);
	calibration_add(&c, 1, NAN);
	ck_assert_float_eq_tol(calibration_weight(&c), 4, 1e-5f);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("calibration");
	TCase *t = tcase_create("calibration");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, words_that_come_true);
	tcase_add_test(t, words_that_do_not);
	tcase_add_test(t, by_hand);
	tcase_add_test(t, the_ends);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
