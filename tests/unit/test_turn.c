/* A turn of a loop ends when its timer is due, also where it is due before the turn sleeps. */
#include "daemon/turn.h"

#include <check.h>

static uv_loop_t loop;
static uv_timer_t timer;
static uv_async_t other; /* what the loop waits for else: nothing */

static void
begin(void)
{
	uv_loop_init(&loop);
	uv_timer_init(&loop, &timer);
	uv_async_init(&loop, &other, NULL);
}

static void
end(void)
{
	uv_close((uv_handle_t *)&timer, NULL);
	uv_close((uv_handle_t *)&other, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

START_TEST(a_turn_ends_in_time)
{
	bool woken = false;

	turn_wake_in(&timer, 20, &woken);
	uv_run(&loop, UV_RUN_ONCE);
	ck_assert(woken);
	turn_wake_in(&timer, 20, NULL);
	uv_run(&loop, UV_RUN_ONCE);
}
END_TEST

START_TEST(a_turn_that_begins_late_does_not_sleep)
{
	bool woken = false;

	turn_wake_in(&timer, 1, &woken);
	uv_sleep(20);
	uv_run(&loop, UV_RUN_ONCE);
	ck_assert(woken);
}
END_TEST

/* And not when the loop was turned last: its own time stands still meanwhile. */
START_TEST(the_wait_begins_now)
{
	uint64_t before = uv_now(&loop);

	uv_sleep(60);
	turn_wake_in(&timer, 1000, NULL);
	ck_assert_uint_ge(uv_now(&loop) - before, 50);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("turn");
	TCase *t = tcase_create("turn");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, a_turn_ends_in_time);
	tcase_add_test(t, a_turn_that_begins_late_does_not_sleep);
	tcase_add_test(t, the_wait_begins_now);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
