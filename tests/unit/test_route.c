/* Where a query goes. */
#include "sched/route.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL, LARGE, CLOUD, SECOND };

static struct route_query
query(void)
{
	return (struct route_query){
		.candidates = {[SMALL] = {.kind = ROUTE_SMALL},
			[LARGE] = {.kind = ROUTE_LARGE},
			[CLOUD] = {.kind = ROUTE_CLOUD, .quality = 0.8},
			[SECOND] = {.kind = ROUTE_CLOUD, .quality = 0.9}},
		.n = 4,
		.gain = 0.1,
		.threshold = 0.3,
		.known = true,
		.clear = true,
		.stay = 0.1,
	};
}

static void
expect(struct route_choice c, int candidate, enum route_reason reason)
{
	ck_assert_int_eq(c.candidate, candidate);
	ck_assert_str_eq(route_reason_name(c.reason), route_reason_name(reason));
	ck_assert_int_eq(c.cascade, reason == ROUTE_TRIES);
}

START_TEST(test_gain_decides)
{
	struct route_query q = query();

	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.up = true;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	q.clear = false;
	expect(route_first(&q), SMALL, ROUTE_TRIES);
	q.clear = true;
	q.known = false;
	expect(route_first(&q), SMALL, ROUTE_TRIES);
}
END_TEST

START_TEST(test_tokens_overrule)
{
	struct route_query q = query();

	expect(route_judge(&q, false, SMALL), SMALL, ROUTE_TOKENS_SURE);
	expect(route_judge(&q, true, SMALL), LARGE, ROUTE_TOKENS_DOUBT);
	q.candidates[LARGE].refusal = ROUTE_NOT_READY;
	expect(route_judge(&q, true, SMALL), SMALL, ROUTE_ONLY);
}
END_TEST

/* A cloud is asked unasked-for only where it is known to be better, or nobody else is there. */
START_TEST(test_cloud)
{
	struct route_query q = query();

	q.up = true;
	q.cloud_gain = 0.6;
	q.cloud_threshold = 0.3;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	q.cloud_known = true;
	expect(route_first(&q), SECOND, ROUTE_GAIN);
	q.candidates[SECOND].refusal = ROUTE_BREAKER;
	expect(route_first(&q), CLOUD, ROUTE_GAIN);
	q.candidates[CLOUD].refusal = ROUTE_PRIVACY;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	q = query();
	q.candidates[SMALL].refusal = q.candidates[LARGE].refusal = ROUTE_CONTEXT;
	expect(route_first(&q), SECOND, ROUTE_ONLY);
}
END_TEST

START_TEST(test_named)
{
	struct route_query q = query();

	q.gain = 0.9;
	q.ask = ROUTE_ASK_LOCAL;
	expect(route_first(&q), SMALL, ROUTE_ASKED);
	expect(route_next(&q, SMALL, false), -1, ROUTE_NOBODY);
	q = query();
	q.ask = ROUTE_ASK_HOME;
	expect(route_first(&q), LARGE, ROUTE_ASKED);
	expect(route_next(&q, LARGE, false), SMALL, ROUTE_FELL_BACK);
	expect(route_next(&q, SMALL, false), -1, ROUTE_NOBODY);
	q = query();
	q.ask = ROUTE_ASK_CLOUD;
	expect(route_first(&q), SECOND, ROUTE_ASKED);
	expect(route_next(&q, SECOND, false), CLOUD, ROUTE_FELL_BACK);
	expect(route_next(&q, CLOUD, false), -1, ROUTE_NOBODY);
}
END_TEST

/* A cloud's answer that was cut goes on at home; one of a model at home breaks off. */
START_TEST(test_begun)
{
	struct route_query q = query();

	q.ask = ROUTE_ASK_CLOUD;
	expect(route_next(&q, SECOND, true), LARGE, ROUTE_FELL_BACK);
	expect(route_next(&q, LARGE, true), -1, ROUTE_NOBODY);
	q = query();
	q.candidates[LARGE].refusal = ROUTE_NOT_READY;
	expect(route_next(&q, CLOUD, true), SMALL, ROUTE_FELL_BACK);
}
END_TEST

START_TEST(test_conversations_stay)
{
	struct route_query q = query();

	q.had_last = true;
	q.last = ROUTE_LARGE;
	q.gain = 0.27;
	expect(route_first(&q), LARGE, ROUTE_STAYS);
	q.gain = 0.1; /* well below the threshold from which on it goes up */
	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.known = false;
	expect(route_first(&q), LARGE, ROUTE_STAYS);
	q.known = true;
	q.last = ROUTE_SMALL; /* up at once */
	q.up = true;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
}
END_TEST

/* Whatever is refused is not chosen, and the chain ends, in every state. */
START_TEST(test_all_refusals)
{
	for (unsigned bits = 0; bits < 16 * 4 * 2 * 2 * 5; bits++) {
		static const double gains[] = {-1, 0.1, 0.3, 0.5, 1};
		struct route_query q = query();
		struct route_choice c;
		unsigned tries = 0;

		for (unsigned i = 0; i < q.n; i++)
			if ((bits >> i & 1) != 0)
				q.candidates[i].refusal = ROUTE_BUDGET;
		q.ask = (enum route_ask)(bits >> 4 & 3);
		q.known = q.up = (bits >> 6 & 1) != 0;
		q.cloud_known = (bits >> 7 & 1) != 0;
		q.gain = q.cloud_gain = gains[bits >> 8];
		for (c = route_first(&q); c.candidate >= 0;
			c = route_next(&q, (unsigned)c.candidate, false)) {
			enum route_target kind = q.candidates[c.candidate].kind;

			ck_assert_int_eq(q.candidates[c.candidate].refusal, ROUTE_USABLE);
			ck_assert(q.ask != ROUTE_ASK_LOCAL || kind == ROUTE_SMALL);
			ck_assert(q.ask != ROUTE_ASK_HOME || kind != ROUTE_CLOUD);
			ck_assert(q.ask != ROUTE_ASK_CLOUD || kind == ROUTE_CLOUD);
			ck_assert_uint_le(++tries, q.n);
		}
		ck_assert_str_eq(route_reason_name(c.reason), "nobody");
	}
}
END_TEST

START_TEST(test_names)
{
	for (int i = 0; i < ROUTE_REASONS; i++)
		ck_assert(strlen(route_reason_name((enum route_reason)i)) > 0 &&
			  strlen(route_reason_words((enum route_reason)i)) > 0);
	for (int i = 0; i < ROUTE_REFUSALS; i++)
		ck_assert(strlen(route_refusal_name((enum route_refusal)i)) > 0 &&
			  strlen(route_refusal_words((enum route_refusal)i)) > 0);
	ck_assert_str_eq(route_target_name(ROUTE_LARGE), "large");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("route");
	TCase *t = tcase_create("route");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, test_gain_decides);
	tcase_add_test(t, test_tokens_overrule);
	tcase_add_test(t, test_cloud);
	tcase_add_test(t, test_named);
	tcase_add_test(t, test_begun);
	tcase_add_test(t, test_conversations_stay);
	tcase_add_test(t, test_all_refusals);
	tcase_add_test(t, test_names);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
