/* How sure a model was: against the definitions in double, and from parts as from the whole. */
#include "model/token_signal.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { MOST = 5000 };

static float logits[MOST];
static uint64_t state = 3;

static double
unit(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (double)(state >> 11) * 0x1p-53;
}

/* spread: from nearly equal ones to one that leaves no doubt. */
static void
draw(uint32_t n, double spread, double offset)
{
	for (uint32_t i = 0; i < n; i++) {
		double u = unit() + unit() + unit() - 1.5;

		logits[i] = (float)(spread * u * u * u + offset);
	}
}

struct exact {
	double logp, entropy, margin;
};

static struct exact
definition(const float *l, uint32_t n, uint32_t picked)
{
	double max = -DBL_MAX, second = -DBL_MAX, sum = 0.0, entropy = 0.0;

	for (uint32_t i = 0; i < n; i++) {
		double x = (double)l[i];

		second = x > max ? max : x > second ? x : second;
		max = x > max ? x : max;
	}
	for (uint32_t i = 0; i < n; i++)
		sum += exp((double)l[i] - max);
	for (uint32_t i = 0; i < n; i++) {
		double logp = (double)l[i] - max - log(sum);

		entropy -= exp(logp) * logp;
	}
	return (struct exact){(double)l[picked] - max - log(sum), entropy, max - second};
}

static void
check_near(const struct token_signal *s, struct exact e)
{
	double margin = e.margin < (double)TOKEN_MARGIN ? e.margin : (double)TOKEN_MARGIN;

	ck_assert_double_eq_tol((double)s->logp, e.logp, 1e-4 + 1e-6 * fabs(e.logp));
	ck_assert_double_eq_tol((double)s->entropy, e.entropy, 1e-4);
	ck_assert_double_eq_tol((double)s->margin, margin, 1e-4);
}

static const double spreads[] = {0.0, 0.01, 1.0, 8.0, 60.0, 3000.0};
enum { SPREADS = sizeof spreads / sizeof *spreads };
static const uint32_t sizes[] = {2, 3, 15, 16, 17, 31, 100, 1024, 4096, 4097, MOST};
enum { SIZES = sizeof sizes / sizeof *sizes };

START_TEST(as_defined)
{
	for (int i = 0; i < SIZES; i++)
		for (int k = 0; k < SPREADS; k++) {
			uint32_t picked = (uint32_t)(unit() * sizes[i]);
			struct token_signal s;

			draw(sizes[i], spreads[k], k % 2 == 0 ? -900.0 : 40.0);
			token_signal_of(&s, logits, sizes[i], picked);
			check_near(&s, definition(logits, sizes[i], picked));
		}
}
END_TEST

/* As peers that hold parts of the vocabulary of odd sizes, in any order, would say it. */
START_TEST(parts_are_as_the_whole)
{
	for (int i = 0; i < SIZES; i++)
		for (int k = 0; k < SPREADS; k++) {
			uint32_t n = sizes[i], at = 0, picked = (uint32_t)(unit() * n);
			struct token_part all = {0}, others = {0}, part;
			struct token_signal s;

			draw(n, spreads[k], 5.0);
			while (at < n) {
				uint32_t m = 1 + (uint32_t)(unit() * (n - at) * 0.7);

				token_part_of(&part, logits + at, m);
				token_part_merge(unit() < 0.5 ? &all : &others, &part);
				at += m;
			}
			token_part_merge(&all, &others);
			ck_assert_uint_eq(all.n, n);
			token_part_signal(&all, logits[picked], &s);
			check_near(&s, definition(logits, n, picked));
		}
}
END_TEST

START_TEST(broken_logits)
{
	static const float odd[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.0f};
	struct token_signal s;

	for (int round = 0; round < 2000; round++) {
		uint32_t n = 1 + (uint32_t)(unit() * 40), picked = (uint32_t)(unit() * n);

		for (uint32_t i = 0; i < n; i++)
			logits[i] = unit() < 0.5 ? odd[(int)(unit() * 6)] : (float)unit();
		token_signal_of(&s, logits, n, picked);
		ck_assert(s.logp <= 0.0f && s.logp >= -FLT_MAX);
		ck_assert(s.entropy >= 0.0f && s.entropy < 10.0f);
		ck_assert(s.margin >= 0.0f && s.margin <= TOKEN_MARGIN);
	}
	token_signal_of(&s, logits, 0, 0);
	ck_assert(s.logp == 0.0f && s.entropy == 0.0f && s.margin == 0.0f);
	logits[0] = 3.0f;
	token_signal_of(&s, logits, 1, 0); /* there is no choice */
	ck_assert(s.logp == 0.0f && s.entropy < 1e-30f && s.margin == TOKEN_MARGIN);
}
END_TEST

START_TEST(an_answer)
{
	static const struct token_signal tokens[] = {
		{-0.5f, 0.8f, 0.5f}, {-0.1f, 0.2f, 4.0f}, {-2.0f, 1.5f, 0.2f}};
	struct token_signals a = {0};
	float f[TOKEN_FIGURES];

	ck_assert(!token_signals_figures(&a, f));
	ck_assert(f[TOKEN_COUNT] == 0.0f && f[TOKEN_LEAST_LOGP] == 0.0f);
	for (int i = 0; i < 3; i++)
		token_signals_add(&a, &tokens[i]);
	ck_assert(token_signals_figures(&a, f));
	ck_assert_float_eq_tol(f[TOKEN_SUM_LOGP], -2.6f, 1e-6f);
	ck_assert_float_eq_tol(f[TOKEN_MEAN_LOGP], -2.6f / 3.0f, 1e-6f);
	ck_assert_float_eq_tol(f[TOKEN_MEAN_ENTROPY], 2.5f / 3.0f, 1e-6f);
	ck_assert_float_eq_tol(f[TOKEN_MEAN_MARGIN], 4.7f / 3.0f, 1e-6f);
	ck_assert(f[TOKEN_LEAST_LOGP] == -2.0f && f[TOKEN_MOST_ENTROPY] == 1.5f);
	ck_assert(f[TOKEN_LEAST_MARGIN] == 0.2f && f[TOKEN_DOUBTS] == 2.0f);
	ck_assert(f[TOKEN_FIRST_LOGP] == -0.5f && f[TOKEN_FIRST_ENTROPY] == 0.8f);
	ck_assert(f[TOKEN_COUNT] == 3.0f);
	for (int k = 0; k < TOKEN_FIGURES; k++)
		ck_assert_ptr_nonnull(token_figure_name((enum token_figure)k));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("token signal");
	TCase *t = tcase_create("token signal");
	SRunner *r;
	int failed;

	tcase_add_test(t, as_defined);
	tcase_add_test(t, parts_are_as_the_whole);
	tcase_add_test(t, broken_logits);
	tcase_add_test(t, an_answer);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
