/* How many threads a step gets: numbers that are given, and counts that are tried on machines whose times are
 * made up. */
#include "model/thread_choice.h"

#include <check.h>
#include <stdlib.h>

START_TEST(pools)
{
	ck_assert_uint_eq(thread_choice_pool(0, 0, 8), 8);
	ck_assert_uint_eq(thread_choice_pool(3, 0, 8), 3);
	ck_assert_uint_eq(thread_choice_pool(3, 6, 8), 6);
	ck_assert_uint_eq(thread_choice_pool(0, 6, 8), 8);
	ck_assert_uint_eq(thread_choice_pool(0, 12, 8), 12);
}
END_TEST

START_TEST(given_numbers_are_kept)
{
	struct thread_choice c;

	thread_choice_init(&c, 2, 6, 6);
	for (int i = 0; i < 10000; i++) {
		ck_assert_uint_eq(thread_choice_threads(&c, 1), 2);
		ck_assert_uint_eq(thread_choice_threads(&c, 4), 2);
		ck_assert_uint_eq(thread_choice_threads(&c, 5), 6);
		thread_choice_took(&c, 1, i % 100);
	}
	thread_choice_init(&c, 3, 0, 3); /* prompts follow generation */
	ck_assert_uint_eq(thread_choice_threads(&c, 64), 3);
	thread_choice_init(&c, 0, 2, 8); /* but not the other way round */
	ck_assert_uint_eq(thread_choice_threads(&c, 64), 2);
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 8);
	thread_choice_init(&c, 9, 9, 4);
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 4);
	ck_assert_uint_eq(thread_choice_threads(&c, 64), 4);
}
END_TEST

/* Steps on a machine where a step with t threads takes seconds[t]; returns how many were not
 * computed with `best`. */
static unsigned
run(struct thread_choice *c, const double *seconds, unsigned steps, unsigned best)
{
	unsigned others = 0;

	for (unsigned i = 0; i < steps; i++) {
		unsigned t = thread_choice_threads(c, 1);

		others += t != best;
		thread_choice_took(c, 1, seconds[t]);
	}
	return others;
}

static const double laptop[] = {0, 2.0, 1.0};          /* all cores are best */
static const double pi[] = {0, 1.41, 1.0, 1.05, 1.14}; /* two read fastest */
static const double busy[] = {0, 2.0, 2.6};

START_TEST(the_fastest_count_is_kept)
{
	struct thread_choice c;

	thread_choice_init(&c, 0, 0, 2);
	ck_assert_uint_le(run(&c, laptop, 4000, 2), 9);
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 2);
	thread_choice_init(&c, 0, 0, 4);
	ck_assert_uint_le(run(&c, pi, 4000, 2), 27);
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 2);
	ck_assert_uint_eq(thread_choice_threads(&c, 64), 4);
	thread_choice_init(&c, 0, 0, 1);
	ck_assert_uint_eq(run(&c, laptop, 100, 1), 0);
}
END_TEST

/* Within a few percent it is noise, and more threads are kept. */
START_TEST(fewer_must_be_clearly_faster)
{
	static const double same[] = {0, 0.98, 1.0};
	struct thread_choice c;

	thread_choice_init(&c, 0, 0, 2);
	run(&c, same, 100, 2);
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 2);
}
END_TEST

/* Another program takes one of the CPUs, and ends. */
START_TEST(the_choice_follows_the_machine)
{
	struct thread_choice c;

	thread_choice_init(&c, 0, 0, 2);
	run(&c, laptop, 200, 2);
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 2);
	ck_assert_uint_le(run(&c, busy, 1000, 1), 40);
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 1);
	run(&c, laptop, 5000, 2); /* nothing got slower: it is found out at the next trial */
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 2);
}
END_TEST

/* Prompts and steps of several sessions between those of one row change nothing. */
START_TEST(other_steps_do_not_count)
{
	struct thread_choice c;

	thread_choice_init(&c, 0, 0, 2);
	for (int i = 0; i < 200; i++) {
		thread_choice_took(&c, 64, 100.0);
		thread_choice_took(&c, 3, i % 2 != 0 ? 50.0 : 0.001);
		run(&c, laptop, 1, 2);
	}
	ck_assert_uint_eq(thread_choice_threads(&c, 1), 2);
}
END_TEST

/* As a context grows steps take longer; it must not end in trying all the time. */
START_TEST(steps_that_grow_are_no_reason_to_try_for_ever)
{
	struct thread_choice c;
	unsigned others = 0;

	thread_choice_init(&c, 0, 0, 2);
	for (int i = 0; i < 8000; i++) {
		unsigned t = thread_choice_threads(&c, 1);

		others += t != 2;
		thread_choice_took(&c, 1, laptop[t] * (1.0 + i / 1000.0));
	}
	ck_assert_uint_le(others, 200);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("thread_choice");
	TCase *tc = tcase_create("thread_choice");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, pools);
	tcase_add_test(tc, given_numbers_are_kept);
	tcase_add_test(tc, the_fastest_count_is_kept);
	tcase_add_test(tc, fewer_must_be_clearly_faster);
	tcase_add_test(tc, the_choice_follows_the_machine);
	tcase_add_test(tc, other_steps_do_not_count);
	tcase_add_test(tc, steps_that_grow_are_no_reason_to_try_for_ever);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
