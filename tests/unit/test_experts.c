#include "sched/experts.h"

#include <check.h>
#include <stdlib.h>

static struct experts *x;
static struct err err;

static void
begin(uint32_t n, uint32_t slots)
{
	x = experts_new(n, slots, &err);
	ck_assert_ptr_nonnull(x);
}

static void
end(void)
{
	experts_free(x);
	x = NULL;
}

/* Uses it as a forward pass does. Returns whether it had to be read. */
static bool
use(uint32_t expert)
{
	enum experts_answer a = experts_want(x, expert);

	ck_assert_int_ne(a, EXPERTS_NO_ROOM);
	if (a == EXPERTS_READ) {
		ck_assert(!experts_ready(x, expert));
		experts_arrived(x, expert);
	}
	ck_assert(experts_ready(x, expert));
	experts_leave(x, expert);
	return a == EXPERTS_READ;
}

START_TEST(what_is_used_stays)
{
	uint32_t reads = 0;

	begin(40, 8);
	for (uint32_t i = 0; i < 4000; i++) {
		/* Four that are used again and again, and a stream of others. */
		reads += use(i % 4) && i > 50;
		use(4 + i % 36);
	}
	ck_assert_uint_eq(reads, 0);
	end();
}
END_TEST

START_TEST(habits_change)
{
	uint32_t reads = 0;

	begin(40, 8);
	for (uint32_t i = 0; i < 20000; i++)
		use(i % 8);
	for (uint32_t i = 0; i < 20000; i++)
		reads += use(20 + i % 8) && i > 10000;
	ck_assert_uint_eq(reads, 0);
	end();
}
END_TEST

START_TEST(what_is_wanted_is_not_taken_away)
{
	begin(10, 3);
	for (uint32_t e = 0; e < 3; e++)
		ck_assert_int_eq(experts_want(x, e), EXPERTS_READ);
	ck_assert_int_eq(experts_want(x, 3), EXPERTS_NO_ROOM);
	ck_assert_int_eq(experts_want(x, 1), EXPERTS_THERE);
	experts_arrived(x, 0);
	experts_arrived(x, 1);
	ck_assert_int_eq(experts_want(x, 3), EXPERTS_NO_ROOM);
	experts_leave(x, 1);
	ck_assert_int_eq(experts_want(x, 3), EXPERTS_READ);
	ck_assert(!experts_ready(x, 1));
	ck_assert(experts_ready(x, 0));
	ck_assert(!experts_ready(x, 3));
	experts_leave_all(x);
	/* 2 and 3 are still being read: their slots are not free, nobody's bytes get mixed. */
	ck_assert_int_eq(experts_want(x, 4), EXPERTS_READ);
	ck_assert(!experts_ready(x, 0));
	ck_assert_int_eq(experts_want(x, 5), EXPERTS_NO_ROOM);
	end();
}
END_TEST

START_TEST(slots_are_never_shared)
{
	uint32_t seed = 3;

	begin(50, 7);
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t holders[7] = {0};

		seed = seed * 1664525u + 1013904223u;
		use((seed >> 8) % 50);
		for (uint32_t e = 0; e < 50; e++)
			if (experts_ready(x, e)) {
				ck_assert_uint_lt(experts_slot(x, e), 7);
				ck_assert_uint_eq(holders[experts_slot(x, e)]++, 0);
			}
	}
	end();
}
END_TEST

START_TEST(what_failed_is_forgotten)
{
	begin(10, 3);
	ck_assert(use(0));
	ck_assert_int_eq(experts_want(x, 1), EXPERTS_READ);
	experts_restart(x);
	ck_assert(!use(0));
	ck_assert(use(1));
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("experts");
	TCase *t = tcase_create("cache");
	SRunner *r;
	int failed;

	tcase_add_test(t, what_is_used_stays);
	tcase_add_test(t, habits_change);
	tcase_add_test(t, what_is_wanted_is_not_taken_away);
	tcase_add_test(t, slots_are_never_shared);
	tcase_add_test(t, what_failed_is_forgotten);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
