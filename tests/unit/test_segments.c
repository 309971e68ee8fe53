/* When a cloud is asked for a segment of an answer, and for how much: never for more than asking once. */
#include "sched/segments.h"

#include <check.h>
#include <stdlib.h>

/* --- when --------------------------------------------------------------------------------------- */

/* Words of a row of tokens: '.' sure, '?' doubtful, '!' the last one, sure. */
static void
expect_words(const char *tokens, const char *words)
{
	struct segment_doubt d = {0};
	static const char names[] = {
		[SEGMENT_SURE] = 's', [SEGMENT_HELD] = 'h', [SEGMENT_ASK] = 'a'};

	for (size_t i = 0; tokens[i] != '\0'; i++) {
		char got = names[segment_token(&d, tokens[i] == '?', tokens[i] == '!')];

		ck_assert_msg(got == words[i], "%s: token %zu is %c", tokens, i, got);
	}
}

START_TEST(three_of_eight)
{
	expect_words("....", "ssss");
	expect_words("???", "hha");
	expect_words("..?......?.", "sshhhhhhhss");
	expect_words("?.......??.", "hhhhhhhshhh");
	expect_words("?...?..??..?", "hhhhhhhahhhh");
	expect_words("?..!", "hhhs");
	expect_words("???.???", "hhashha");
}
END_TEST

/* --- for how much -------------------------------------------------------------------------------- */

static struct segment_query
query(uint64_t in, uint64_t out, uint32_t prompt, uint32_t expected)
{
	return (struct segment_query){.price = {in * 1000000, out * 1000000},
		.prompt = prompt,
		.expected = expected,
		.most = expected};
}

START_TEST(forecasts)
{
	struct segment_query q = query(1, 2, 100, 128);

	ck_assert_uint_eq(segment_whole(&q), 100 + 256);
	q.said = 20;
	/* Now, at 20, and once again a round of 52 later, at 72. */
	ck_assert_uint_eq(segment_forecast(&q, 32), 120 + 64 + 172 + 64);
	ck_assert_uint_eq(segment_forecast(&q, 108), 120 + 216);
	ck_assert_uint_eq(segment_forecast(&q, 1000), 120 + 216);
	q.spent = 50;
	ck_assert_uint_eq(segment_forecast(&q, 108), 120 + 216 + 50);
	q.said = 200; /* longer than expected */
	ck_assert_uint_eq(segment_whole(&q), 100 + 2 * 232);
}
END_TEST

START_TEST(the_shortest_that_pays)
{
	struct segment_query q = query(1, 100, 20, 128);

	q.said = 10;
	ck_assert_uint_eq(segment_next(&q), 32); /* output is what costs */
	q = query(1, 2, 1000, 500);
	q.said = 20;
	ck_assert_uint_eq(segment_next(&q), 256); /* reading the prompt does */
	q.asked = 1;
	q.said = 300;
	q.spent = 1532;
	ck_assert_uint_eq(segment_next(&q), 0);
	q = query(0, 0, 1000, 500);
	ck_assert_uint_eq(segment_next(&q), 32); /* a cloud of one's own */
}
END_TEST

START_TEST(what_is_never_asked)
{
	struct segment_query q = query(1, 2, 10, 40);

	q.most = 31;
	ck_assert_uint_eq(segment_next(&q), 0);
	q.most = 32;
	ck_assert_uint_eq(segment_next(&q), 32);
	q.price.out = PURSE_UNKNOWN;
	ck_assert_uint_eq(segment_next(&q), 0);
	q = query(1, 2, UINT32_MAX, UINT32_MAX);
	q.said = UINT32_MAX - 5;
	q.spent = UINT64_MAX - 5;
	ck_assert_uint_eq(segment_next(&q), 0);
}
END_TEST

static uint32_t
draw(uint64_t *state, uint32_t most)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % most;
}

/* However an answer goes on and whatever is charged within the prices: all segments together cost no more
 * than asking once for as many tokens as were said in the end would have cost, or was expected. */
START_TEST(never_dearer_than_asking_once)
{
	uint64_t seed = 7;
	unsigned segments = 0;

	for (int round = 0; round < 2000; round++) {
		struct segment_query q = query(1 + draw(&seed, 10), 1 + draw(&seed, 40),
			draw(&seed, 2000), 1 + draw(&seed, 1000));
		uint32_t n;

		for (int i = 0; i < 50; i++) {
			uint64_t before = segment_whole(&q);

			q.said += draw(&seed, 60);
			q.most = draw(&seed, 600);
			n = segment_next(&q);
			ck_assert(n == 0 || (n >= SEGMENT_LEAST && n <= q.most));
			if (n == 0)
				continue;
			ck_assert_uint_le(segment_forecast(&q, n), segment_whole(&q));
			ck_assert_uint_ge(segment_whole(&q), before);
			q.spent += purse_cost(&q.price, q.prompt + q.said, SEGMENT_LEAST);
			q.said += SEGMENT_LEAST;
			q.asked++;
			segments++;
			ck_assert_uint_le(q.spent, segment_whole(&q));
		}
	}
	ck_assert_uint_gt(segments, 1000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("segments");
	TCase *t = tcase_create("segments");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, three_of_eight);
	tcase_add_test(t, forecasts);
	tcase_add_test(t, the_shortest_that_pays);
	tcase_add_test(t, what_is_never_asked);
	tcase_add_test(t, never_dearer_than_asking_once);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
