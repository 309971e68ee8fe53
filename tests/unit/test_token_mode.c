/* Whom to ask, and how much to draft: as numbers alone, and over a made-up pair of models. */
#include "sched/token_mode.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

START_TEST(thresholds_are_margins)
{
	float before = -1;

	ck_assert_float_eq(token_mode_margin(0), -1); /* no margin is below 0 */
	ck_assert_float_eq(token_mode_margin(-1), -1);
	ck_assert_float_eq(token_mode_margin(NAN), -1);
	ck_assert(isinf(token_mode_margin(1)));
	/* The second as likely as 1 - threshold of the first. */
	ck_assert_float_eq_tol(token_mode_margin(0.5f), logf(2), 1e-6f);
	ck_assert_float_eq_tol(token_mode_margin(0.9f), logf(10), 1e-5f);
	for (int i = 1; i < 100; i++) {
		ck_assert_float_gt(token_mode_margin((float)i / 100), before);
		before = token_mode_margin((float)i / 100);
	}
}
END_TEST

/* Two models: what a drafted token costs, of a step of one row, and each further row; and how often it
 * is accepted. */
struct pair {
	double draft, row, accepted;
	double tokens, seconds; /* that were made */
	uint64_t seed;
};

static double
random_unit(struct pair *m)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (double)(m->seed >> 11) * 0x1p-53;
}

/* One round with a draft of k. */
static void
round_of(struct pair *m, struct token_pace *p, uint32_t k)
{
	double step = 1 + k * m->row;
	uint32_t matched = 0;

	while (matched < k && random_unit(m) < m->accepted)
		matched++;
	m->tokens += matched + 1;
	m->seconds += step + k * m->draft;
	if (p == NULL)
		return;
	if (k > 0)
		token_pace_drafted(p, k, k * m->draft);
	token_pace_checked(p, matched < k ? matched + 1 : matched, matched);
	token_pace_step(p, k + 1, step);
}

static double
speed_fixed(struct pair m, uint32_t k)
{
	for (int i = 0; i < 20000; i++)
		round_of(&m, NULL, k);
	return m.tokens / m.seconds;
}

static double
speed_adapted(struct pair m, struct token_pace *p)
{
	for (int i = 0; i < 200; i++)
		round_of(&m, p, token_pace_draft(p));
	m.tokens = m.seconds = 0;
	for (int i = 0; i < 5000; i++)
		round_of(&m, p, token_pace_draft(p));
	return m.tokens / m.seconds;
}

/* Whatever the pair: nearly as fast as with the length that is best for it. */
START_TEST(the_length_suits_the_pair)
{
	static const double drafts[] = {0.02, 0.1, 0.4, 1.2}, rows[] = {0, 0.1, 0.6},
			    accepted[] = {0.05, 0.3, 0.6, 0.8, 0.95};

	for (int d = 0; d < 4; d++)
		for (int r = 0; r < 3; r++)
			for (int a = 0; a < 5; a++) {
				struct pair m = {drafts[d], rows[r], accepted[a], .seed = 1};
				struct token_pace p = {0};
				double best = 0, adapted;

				for (uint32_t k = 0; k <= TOKEN_DRAFT_MOST; k++)
					best = fmax(best, speed_fixed(m, k));
				adapted = speed_adapted(m, &p);
				ck_assert_msg(adapted > 0.9 * best,
					"draft %g, row %g, accepted %g: %g instead of %g", m.draft,
					m.row, m.accepted, adapted, best);
				ck_assert_msg(adapted > 0.94, "slower than the large model alone");
			}
}
END_TEST

START_TEST(nothing_is_drafted_in_vain_for_long)
{
	struct pair bad = {0.3, 0.05, 0, .seed = 1}, good = {0.05, 0.05, 0.95, .seed = 1};
	struct token_pace p = {0};
	unsigned drafted = 0;

	for (int i = 0; i < 200; i++)
		round_of(&bad, &p, token_pace_draft(&p));
	for (int i = 0; i < 200; i++) {
		uint32_t k = token_pace_draft(&p);

		ck_assert_uint_le(k, 1);
		drafted += k;
		round_of(&bad, &p, k);
	}
	ck_assert_uint_gt(drafted, 0); /* to see whether that has changed */
	ck_assert_uint_lt(drafted, 20);
	for (int i = 0; i < 400; i++)
		round_of(&good, &p, token_pace_draft(&p));
	ck_assert_uint_ge(token_pace_draft(&p), 5);
}
END_TEST

START_TEST(first_drafts_are_of_medium_length)
{
	struct token_pace p = {0};
	uint32_t k = token_pace_draft(&p);

	ck_assert_uint_ge(k, 2);
	ck_assert_uint_lt(k, TOKEN_DRAFT_MOST);
}
END_TEST

/* All are accepted; seconds of a step, and of each drafted token. */
static uint32_t
in_time(double step, double draft, double *patience)
{
	struct token_pace p = {0};
	uint32_t k = 0;

	for (int i = 0; i < 100; i++) {
		k = token_pace_in_time(&p, patience);
		token_pace_step(&p, k + 1, step);
		token_pace_drafted(&p, k, k * draft);
		token_pace_checked(&p, k, k);
	}
	return k;
}

START_TEST(drafts_come_in_time)
{
	struct token_pace p = {0};
	double patience;

	ck_assert_uint_gt(token_pace_in_time(&p, &patience), 1);
	ck_assert_double_eq(patience, TOKEN_PATIENCE);
	ck_assert_uint_eq(in_time(0.01, 0.001, &patience), TOKEN_DRAFT_MOST);
	ck_assert_double_eq(patience, TOKEN_PATIENCE);
	ck_assert_uint_eq(in_time(0.2, 0.1, &patience), 2); /* more would be better, and late */
	ck_assert_double_eq(patience, TOKEN_PATIENCE);
	ck_assert_uint_eq(in_time(10, 0.3, &patience), TOKEN_DRAFT_MOST);
	ck_assert_double_eq_tol(patience, 20, 1e-6);
}
END_TEST

/* It may be busy with something else for long. */
START_TEST(looking_again_costs_little)
{
	struct token_pace p = {0};
	double patience, waited = 0;

	for (int i = 0; i < 10; i++)
		token_pace_step(&p, 1, 0.01);
	token_pace_drafted(&p, 4, 1);
	for (int i = 0; i < 1000; i++) {
		if (token_pace_in_time(&p, &patience) == 0)
			continue;
		waited += patience;
		token_pace_drafted(&p, 1, 1);
	}
	ck_assert_double_gt(waited, 0);
	ck_assert_double_lt(waited, 0.03 * 1000 * 0.01);
}
END_TEST

START_TEST(nonsense_is_passed_over)
{
	struct token_pace p = {0}, none = {0};

	token_pace_checked(&p, 0, 0);
	token_pace_checked(&p, 2, 3);
	token_pace_drafted(&p, 0, 1);
	token_pace_drafted(&p, 1, NAN);
	token_pace_drafted(&p, 1, -1);
	token_pace_step(&p, 0, 1);
	token_pace_step(&p, 1, INFINITY);
	ck_assert_mem_eq(&p, &none, sizeof p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("token_mode");
	TCase *t = tcase_create("token_mode");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, thresholds_are_margins);
	tcase_add_test(t, the_length_suits_the_pair);
	tcase_add_test(t, nothing_is_drafted_in_vain_for_long);
	tcase_add_test(t, first_drafts_are_of_medium_length);
	tcase_add_test(t, drafts_come_in_time);
	tcase_add_test(t, looking_again_costs_little);
	tcase_add_test(t, nonsense_is_passed_over);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
