/* Round trips and bursts, on a clock that the test sets. */
#include "sched/link_speed.h"

#include <check.h>
#include <stdlib.h>

START_TEST(percentiles)
{
	struct rtt_window w = {0};

	ck_assert_uint_eq(rtt_percentile(&w, 50), 0);
	rtt_add(&w, 300);
	ck_assert_uint_eq(rtt_percentile(&w, 50), 300);
	ck_assert_uint_eq(rtt_percentile(&w, 99), 300);
	for (uint32_t i = 100; i >= 1; i--)
		rtt_add(&w, i);
	/* 1 to 100, and 300 */
	ck_assert_uint_eq(rtt_percentile(&w, 50), 51);
	ck_assert_uint_eq(rtt_percentile(&w, 99), 100);
	ck_assert_uint_eq(rtt_percentile(&w, 100), 300);
	ck_assert_uint_eq(rtt_percentile(&w, 1), 2);
}
END_TEST

START_TEST(only_the_last_ones_count)
{
	struct rtt_window w = {0};

	for (uint32_t i = 0; i < RTT_WINDOW; i++)
		rtt_add(&w, 9000);
	for (uint32_t i = 0; i < RTT_WINDOW; i++)
		rtt_add(&w, 200 + i % 2);
	ck_assert_uint_eq(w.n, RTT_WINDOW);
	ck_assert_uint_eq(rtt_percentile(&w, 100), 201);
	rtt_add(&w, (uint64_t)1 << 40); /* as much as there is room for */
	ck_assert_uint_eq(rtt_percentile(&w, 100), UINT32_MAX);
	rtt_add(&w, 0); /* the clock is too coarse: still a round trip */
	ck_assert_uint_eq(rtt_percentile(&w, 1), 200);
}
END_TEST

/* Plays a burst over a link of so many bytes a second and so much delay there and back; returns the
 * speed that it found. One queue: a piece arrives when those before it have. */
static double
play(double bytes_per_s, uint64_t rtt, struct burst *b, uint64_t *took)
{
	uint64_t answers[BURST_PIECES], now = 1000000, line = now;
	uint32_t sent = 0, answered = 0;

	burst_begin(b, now);
	while (!burst_over(b, now)) {
		for (uint32_t n = burst_more(b, now); n > 0; n--) {
			line = line > now ? line : now;
			line += (uint64_t)(1e6 * BURST_PIECE / bytes_per_s);
			answers[sent++] = line + rtt;
		}
		ck_assert_uint_lt(answered, sent);
		now = answers[answered++];
		burst_answer(b, now);
	}
	*took = now - b->began;
	return burst_bytes_per_s(b);
}

START_TEST(bursts_find_the_speed)
{
	static const struct {
		double bytes_per_s;
		uint64_t rtt;
	} links[] = {{1e9, 100}, {125e6, 200}, {12.5e6, 5000}, {1.25e6, 20000}, {2e5, 100000}};

	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		struct burst b;
		uint64_t took;
		double speed = play(links[i].bytes_per_s, links[i].rtt, &b, &took);

		ck_assert_msg(
			speed > 0.9 * links[i].bytes_per_s && speed < 1.1 * links[i].bytes_per_s,
			"%g instead of %g", speed, links[i].bytes_per_s);
		ck_assert_uint_le(b.sent, BURST_PIECES);
	}
}
END_TEST

/* What is under way when the time is over is little where the link is slow. */
START_TEST(a_slow_link_is_not_flooded)
{
	struct burst b;
	uint64_t took;

	play(2e5, 10000, &b, &took);
	ck_assert_uint_le(b.sent, 4);
	ck_assert_uint_lt(took, 1500000);
}
END_TEST

START_TEST(answers_that_were_not_asked_for)
{
	struct burst b;

	burst_begin(&b, 5);
	burst_answer(&b, 6);
	ck_assert_uint_eq(b.answered, 0);
	ck_assert(burst_bytes_per_s(&b) == 0);
	ck_assert_uint_eq(burst_more(&b, 6), 2);
	ck_assert_uint_eq(burst_more(&b, 6), 0);
	for (int i = 0; i < 100; i++)
		burst_answer(&b, 10);
	ck_assert_uint_eq(b.answered, 2);
	ck_assert(burst_bytes_per_s(&b) > 0);
	ck_assert_uint_eq(burst_more(&b, 5 + BURST_US), 0);
	ck_assert(burst_over(&b, 5 + BURST_US));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("link speed");
	TCase *t = tcase_create("link speed");
	SRunner *r;
	int failed;

	tcase_add_test(t, percentiles);
	tcase_add_test(t, only_the_last_ones_count);
	tcase_add_test(t, bursts_find_the_speed);
	tcase_add_test(t, a_slow_link_is_not_flooded);
	tcase_add_test(t, answers_that_were_not_asked_for);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
