#include "model/sampler.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DRAWS 20000

static struct sampler_params
plain(void)
{
	return (struct sampler_params){
		.temperature = 1.0f, .top_p = 1.0f, .repeat_penalty = 1.0f, .seed = 7};
}

static struct sampler *
make(const struct sampler_params *p, uint32_t vocab)
{
	struct err err;
	struct sampler *s = sampler_new(p, vocab, &err);

	ck_assert_msg(s != NULL, "%s", err.msg);
	return s;
}

static uint32_t
pick_copy(struct sampler *s, const float *logits, uint32_t n)
{
	static float copy[200000];
	uint32_t id;

	if (n > sizeof copy / sizeof *copy)
		ck_abort_msg("%u logits are more than the test has room for", n);
	memcpy(copy, logits, n * sizeof *copy);
	id = sampler_pick(s, copy);
	if (id >= n)
		ck_abort_msg("picked %u of %u", id, n);
	return id;
}

static uint32_t
pick_once(const struct sampler_params *p, const float *logits, uint32_t n)
{
	struct sampler *s = make(p, n);
	uint32_t id = pick_copy(s, logits, n);

	sampler_free(s);
	return id;
}

/* --- greedy ------------------------------------------------------------------------------------- */

START_TEST(greedy_takes_the_lowest_id_of_the_greatest)
{
	struct sampler_params p = plain();

	p.temperature = 0.0f;
	ck_assert_uint_eq(pick_once(&p, (float[]){1, 3, 2, 3, 3}, 5), 1);
	ck_assert_uint_eq(pick_once(&p, (float[]){-5, -5}, 2), 0);
	ck_assert_uint_eq(pick_once(&p, (float[]){0}, 1), 0);
}
END_TEST

START_TEST(numbers_that_are_none_are_survived)
{
	static const float odd[][4] = {{NAN, NAN, NAN, NAN}, {NAN, 1, NAN, 0},
		{-INFINITY, -INFINITY, -INFINITY, -INFINITY}, {INFINITY, 0, INFINITY, NAN},
		{3e38f, -3e38f, 3e38f, 0}};
	static const uint32_t greedy[] = {0, 1, 0, 0, 0};

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		struct sampler_params p = sampler_defaults();

		pick_once(&p, odd[i], 4);
		p.top_k = 2;
		pick_once(&p, odd[i], 4);
		p.repeat_penalty = 1.5f;
		p.temperature = 0.0f;
		ck_assert_uint_eq(pick_once(&p, odd[i], 4), greedy[i]);
	}
}
END_TEST

static int
check_both(const float *logits, uint32_t n)
{
	struct best best;
	struct err why;
	int rc = logits_check(logits, n, &why);

	best_of(&best, logits, n, 0, true);
	ck_assert_int_eq(best_check(&best, &why), rc);
	ck_assert(rc == 0 || strstr(why.msg, "fetch it again") != NULL);
	return rc;
}

/* Of the whole and of its best tokens. */
START_TEST(a_model_without_a_number_is_told)
{
	float many[200];

	ck_assert_int_eq(check_both((float[]){1, 2}, 2), 0);
	ck_assert_int_eq(check_both((float[]){NAN, -INFINITY, -3}, 3), 0);
	ck_assert_int_eq(check_both((float[]){INFINITY, NAN, 0}, 3), 0);
	ck_assert_int_eq(check_both((float[]){NAN}, 1), -1);
	ck_assert_int_eq(check_both((float[]){NAN, INFINITY, -INFINITY}, 3), -1);
	for (int i = 0; i < 200; i++)
		many[i] = i % 3 != 0 ? NAN : -INFINITY;
	ck_assert_int_eq(check_both(many, 200), -1);
	many[199] = -1e30f;
	ck_assert_int_eq(check_both(many, 200), 0);
}
END_TEST

/* --- distributions ------------------------------------------------------------------------------ */

struct ranked {
	double logit, p;
	uint32_t id;
};

static int
by_logit(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->logit != y->logit)
		return x->logit < y->logit ? 1 : -1;
	return x->id < y->id ? -1 : 1;
}

/* Softmax of the first n at a temperature. */
static void
softmax(struct ranked *r, uint32_t n, double temperature)
{
	double sum = 0.0;

	for (uint32_t i = 0; i < n; i++)
		sum += r[i].p = exp((r[i].logit - r[0].logit) / temperature);
	for (uint32_t i = 0; i < n; i++)
		r[i].p /= sum;
}

/* The distribution by the book: everything sorted, each step on its own. */
static void
expected(const struct sampler_params *p, const float *logits, uint32_t n, double *prob)
{
	struct ranked *r = calloc(n, sizeof *r);
	uint32_t kept = n;
	double sum = 0.0;

	ck_assert(r != NULL);
	for (uint32_t i = 0; i < n; i++)
		r[i] = (struct ranked){logits[i], 0.0, i};
	qsort(r, n, sizeof *r, by_logit);
	if (p->top_k > 0 && p->top_k < kept)
		kept = p->top_k;
	if (p->top_p < 1.0f) {
		softmax(r, kept, 1.0);
		for (uint32_t i = 0; i < kept; i++) {
			sum += r[i].p;
			if (sum >= p->top_p)
				kept = i + 1;
		}
	}
	softmax(r, kept, 1.0);
	for (uint32_t i = 1; i < kept; i++)
		if (r[i].p < p->min_p * r[0].p)
			kept = i;
	softmax(r, kept, p->temperature);
	memset(prob, 0, n * sizeof *prob);
	for (uint32_t i = 0; i < kept; i++)
		prob[r[i].id] = r[i].p;
	free(r);
}

static void
expect_distribution(const struct sampler_params *p, const float *logits, uint32_t n)
{
	double *prob = calloc(n, sizeof *prob);
	uint32_t *seen = calloc(n, sizeof *seen);
	struct sampler *s = make(p, n);

	ck_assert(prob != NULL && seen != NULL);
	expected(p, logits, n, prob);
	for (int i = 0; i < DRAWS; i++)
		seen[pick_copy(s, logits, n)]++;
	for (uint32_t i = 0; i < n; i++) {
		double deviation = sqrt(DRAWS * prob[i] * (1.0 - prob[i]));

		if (prob[i] == 0.0)
			ck_assert_msg(
				seen[i] == 0, "token %u was cut off and came %u times", i, seen[i]);
		ck_assert_msg(fabs(seen[i] - DRAWS * prob[i]) <= 5.0 * deviation + 1.0,
			"token %u came %u times, not about %.1f", i, seen[i], DRAWS * prob[i]);
	}
	sampler_free(s);
	free(prob);
	free(seen);
}

START_TEST(draws_follow_the_distribution)
{
	static const struct sampler_params ways[] = {
		{.temperature = 1.0f, .top_p = 1.0f, .repeat_penalty = 1.0f},
		{.temperature = 0.5f, .top_p = 1.0f, .repeat_penalty = 1.0f},
		{.temperature = 2.0f, .top_k = 5, .top_p = 1.0f, .repeat_penalty = 1.0f},
		{.temperature = 1.0f, .top_p = 0.7f, .repeat_penalty = 1.0f},
		{.temperature = 1.5f, .top_p = 1.0f, .min_p = 0.1f, .repeat_penalty = 1.0f},
		{.temperature = 0.8f,
			.top_k = 12,
			.top_p = 0.8f,
			.min_p = 0.05f,
			.repeat_penalty = 1.0f},
		{.temperature = 1.0f, .top_k = 60, .top_p = 0.0f, .repeat_penalty = 1.0f},
		{.temperature = 1.0f, .top_p = 1.0f, .min_p = 1.0f, .repeat_penalty = 1.0f},
	};
	float logits[50];
	uint32_t rng = (uint32_t)_i + 1;

	for (uint32_t i = 0; i < 50; i++) {
		rng = rng * 1664525u + 1013904223u;
		logits[i] = (float)(rng >> 8) / (1u << 24) * 6.0f;
	}
	logits[31] = logits[7]; /* equals are told apart by their id */
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		expect_distribution(&ways[i], logits, 50);
}
END_TEST

START_TEST(equals_at_the_edge_of_top_k_go_by_id)
{
	struct sampler_params p = plain();
	float logits[6] = {1, 2, 1, 2, 2, 2};

	p.top_k = 2;
	expect_distribution(&p, logits, 6);
}
END_TEST

START_TEST(a_low_temperature_is_nearly_greedy)
{
	struct sampler_params p = plain();

	p.temperature = 1e-30f;
	for (p.seed = 0; p.seed < 50; p.seed++)
		ck_assert_uint_eq(pick_once(&p, (float[]){1, 1.001f, 0, -4}, 4), 1);
}
END_TEST

/* --- seeds -------------------------------------------------------------------------------------- */

START_TEST(a_seed_says_the_same_everywhere)
{
	/* splitmix64, xoshiro256** and a share of 1000, computed apart from this code */
	static const uint32_t want[12] = {
		83, 378, 680, 924, 991, 769, 719, 850, 761, 583, 682, 290};
	struct sampler_params p = plain();
	float logits[1000] = {0};
	struct sampler *s;

	p.seed = 42;
	s = make(&p, 1000);
	for (size_t i = 0; i < 12; i++)
		ck_assert_uint_eq(pick_copy(s, logits, 1000), want[i]);
	sampler_free(s);
}
END_TEST

START_TEST(other_seeds_say_other_things)
{
	struct sampler_params p = plain();
	float logits[1000] = {0};
	uint32_t first, same = 0;

	first = pick_once(&p, logits, 1000);
	for (p.seed = 100; p.seed < 200; p.seed++)
		same += pick_once(&p, logits, 1000) == first;
	ck_assert_uint_lt(same, 5);
}
END_TEST

START_TEST(a_large_vocabulary_is_no_matter)
{
	uint32_t n = 151936;
	float *logits = malloc(n * sizeof *logits);
	struct sampler_params p = sampler_defaults();

	ck_assert(logits != NULL);
	for (uint32_t i = 0; i < n; i++)
		logits[i] = (float)((i * 2654435761u) >> 8) * 1e-7f;
	logits[99999] = 30.0f;
	ck_assert_uint_eq(pick_once(&p, logits, n), 99999);
	p.top_k = 0;
	ck_assert_uint_eq(pick_once(&p, logits, n), 99999);
	free(logits);
}
END_TEST

/* --- penalties ---------------------------------------------------------------------------------- */

/* The logits after penalties, as seen in what a greedy sampler leaves behind. */
static void
penalised(const struct sampler_params *p, const uint32_t *tokens, uint32_t n_tokens, float *logits,
	uint32_t n)
{
	struct sampler *s = make(p, n);

	for (uint32_t i = 0; i < n_tokens; i++)
		sampler_accept(s, tokens[i]);
	sampler_pick(s, logits);
	sampler_free(s);
}

START_TEST(penalties_are_as_llama_cpp_has_them)
{
	struct sampler_params p = {.top_p = 1.0f,
		.repeat_penalty = 2.0f,
		.frequency_penalty = 0.25f,
		.presence_penalty = 0.5f,
		.penalty_last = 64};
	uint32_t tokens[] = {1, 2, 1, 1, 99};
	float logits[4] = {4, 4, -4, 0};

	penalised(&p, tokens, 5, logits, 4);
	ck_assert_float_eq(logits[0], 4.0f);
	ck_assert_float_eq(logits[1], 4.0f / 2.0f - 3 * 0.25f - 0.5f);
	ck_assert_float_eq(logits[2], -4.0f * 2.0f - 0.25f - 0.5f);
	ck_assert_float_eq(logits[3], 0.0f);
}
END_TEST

START_TEST(penalties_forget_what_is_long_ago)
{
	struct sampler_params p = {.top_p = 1.0f,
		.repeat_penalty = 1.0f,
		.frequency_penalty = 1.0f,
		.penalty_last = 3};
	uint32_t tokens[] = {0, 0, 1, 2, 2};
	float logits[4] = {0, 0, 0, 0};
	struct sampler *s = make(&p, 4);

	penalised(&p, tokens, 5, logits, 4);
	ck_assert_float_eq(logits[0], 0.0f);
	ck_assert_float_eq(logits[1], -1.0f);
	ck_assert_float_eq(logits[2], -2.0f);
	/* And again, after more picks than the window is long: nothing is counted twice. */
	for (int i = 0; i < 10; i++) {
		float again[4] = {0, 0, 0, 0};

		sampler_accept(s, 3);
		ck_assert_uint_eq(sampler_pick(s, again), 0);
		ck_assert_float_eq(again[3], i < 2 ? -(float)(i + 1) : -3.0f);
	}
	sampler_free(s);
}
END_TEST

START_TEST(no_window_means_no_penalties)
{
	struct sampler_params p = {.top_p = 1.0f, .repeat_penalty = 2.0f, .penalty_last = 0};
	uint32_t tokens[] = {1, 1};
	float logits[2] = {1, 2};

	penalised(&p, tokens, 2, logits, 2);
	ck_assert_float_eq(logits[1], 2.0f);
}
END_TEST

/* --- from the best alone ------------------------------------------------------------------------ */

#define MAX_VOCAB 3000

static uint64_t state = 1;

static uint32_t
dice(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % n;
}

/* Steep and flat ones, with equals, with numbers that are none. */
static void
random_logits(float *logits, uint32_t n)
{
	uint32_t steps = dice(3) == 0 ? 1 + dice(20) : 100000;
	float spread = (float[]){0.0f, 0.5f, 5.0f, 30.0f}[dice(4)];

	for (uint32_t i = 0; i < n; i++)
		logits[i] = spread * (float)(dice(steps) + dice(steps)) / (float)steps;
	if (dice(20) == 0)
		logits[dice(n)] = NAN;
	if (dice(20) == 0)
		logits[dice(n)] = INFINITY;
	if (dice(20) == 0)
		logits[dice(n)] = -INFINITY;
}

static struct sampler_params
random_params(uint32_t vocab)
{
	struct sampler_params p = sampler_defaults();

	p.temperature = (float[]){0.0f, 0.3f, 0.8f, 1.0f, 1.7f}[dice(5)];
	p.top_k = (uint32_t[]){0, 1, 40, 64, 65, 200, vocab, vocab + 1}[dice(8)];
	p.top_p = (float[]){0.0f, 0.1f, 0.5f, 0.95f, 1.0f, 1.0f}[dice(6)];
	p.min_p = (float[]){0.0f, 0.0f, 0.05f, 0.5f}[dice(4)];
	p.repeat_penalty = dice(8) == 0 ? 1.3f : 1.0f;
	p.seed = dice(1000);
	return p;
}

/* As peers with uneven parts of the vocabulary would say it. */
static void
best_of_parts(struct best *b, const float *logits, uint32_t n, bool sum)
{
	uint32_t peers = 1 + dice(5);

	*b = (struct best){0};
	for (uint32_t from = 0; peers > 0; peers--) {
		uint32_t part = peers == 1 ? n - from : dice(n - from + 1);
		struct best one = {0};

		best_of(&one, logits + from, part, from, sum);
		best_merge(b, &one);
		from += part;
	}
}

START_TEST(the_best_tokens_say_what_the_whole_says)
{
	static float logits[MAX_VOCAB];
	unsigned decided[3] = {0}, undecided[3] = {0};

	for (unsigned round = 0; round < 2000; round++) {
		uint32_t n = dice(4) == 0 ? 1 + dice(80) : 1 + dice(MAX_VOCAB);
		struct sampler_params p = random_params(n);
		struct sampler *whole = make(&p, n), *parts = make(&p, n);
		enum sampler_needs needs = sampler_needs(parts);

		for (unsigned i = 0; i < 3; i++) {
			uint32_t want, got = n;
			struct best b;

			random_logits(logits, n);
			best_of_parts(&b, logits, n, needs == SAMPLER_BEST_AND_SUM);
			want = pick_copy(whole, logits, n);
			if (sampler_pick_best(parts, &b, &got)) {
				decided[needs]++;
			} else {
				undecided[needs]++;
				got = pick_copy(parts, logits, n);
			}
			if (got != want)
				ck_abort_msg("round %u: %u instead of %u", round, got, want);
			sampler_accept(whole, want);
			sampler_accept(parts, want);
		}
		sampler_free(whole);
		sampler_free(parts);
	}
	ck_assert_uint_gt(decided[SAMPLER_BEST], 9 * undecided[SAMPLER_BEST]);
	ck_assert_uint_gt(decided[SAMPLER_BEST_AND_SUM], 100);
	ck_assert_uint_gt(undecided[SAMPLER_BEST_AND_SUM], 30);
	ck_assert_uint_eq(decided[SAMPLER_ALL], 0);
	ck_assert_uint_gt(undecided[SAMPLER_ALL], 100);
}
END_TEST

START_TEST(the_usual_settings_need_the_best_only)
{
	struct sampler_params p = sampler_defaults();
	struct sampler *s = make(&p, 128000);

	ck_assert_int_eq(sampler_needs(s), SAMPLER_BEST);
	sampler_free(s);
	p.top_k = 0;
	s = make(&p, 128000);
	ck_assert_int_eq(sampler_needs(s), SAMPLER_BEST_AND_SUM);
	sampler_free(s);
	p.frequency_penalty = 0.5f;
	s = make(&p, 128000);
	ck_assert_int_eq(sampler_needs(s), SAMPLER_ALL);
	sampler_free(s);
	p = (struct sampler_params){.temperature = 1.0f, .top_p = 1.0f, .repeat_penalty = 1.0f};
	s = make(&p, 128000);
	ck_assert_int_eq(sampler_needs(s), SAMPLER_ALL);
	sampler_free(s);
}
END_TEST

/* --- refusals ----------------------------------------------------------------------------------- */

static void
expect_refused(const struct sampler_params *p, const char *name)
{
	struct err err = {""};

	ck_assert_ptr_null(sampler_new(p, 10, &err));
	ck_assert_msg(strstr(err.msg, name) != NULL, "\"%s\" does not name %s", err.msg, name);
}

START_TEST(values_out_of_range_are_refused_by_name)
{
	static const float bad[] = {-1.0f, NAN, INFINITY};
	struct sampler_params p;
	struct err err;

	p = sampler_defaults();
	ck_assert_int_eq(sampler_check(&p, &err), 0);
	for (size_t i = 0; i < 3; i++) {
		p = sampler_defaults();
		p.temperature = bad[i];
		expect_refused(&p, "temperature");
		p = sampler_defaults();
		p.top_p = bad[i];
		expect_refused(&p, "top_p");
		p = sampler_defaults();
		p.min_p = bad[i];
		expect_refused(&p, "min_p");
		p = sampler_defaults();
		p.repeat_penalty = bad[i];
		expect_refused(&p, "repeat_penalty");
	}
	p = sampler_defaults();
	p.frequency_penalty = NAN;
	expect_refused(&p, "frequency_penalty");
	p = sampler_defaults();
	p.presence_penalty = -INFINITY;
	expect_refused(&p, "presence_penalty");
	p = sampler_defaults();
	p.penalty_last = UINT32_MAX;
	expect_refused(&p, "penalty_last");
	p = sampler_defaults();
	ck_assert_ptr_null(sampler_new(&p, 0, &err));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sampler");
	TCase *tc = tcase_create("sampler");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, greedy_takes_the_lowest_id_of_the_greatest);
	tcase_add_test(tc, numbers_that_are_none_are_survived);
	tcase_add_test(tc, a_model_without_a_number_is_told);
	tcase_add_loop_test(tc, draws_follow_the_distribution, 0, 4);
	tcase_add_test(tc, equals_at_the_edge_of_top_k_go_by_id);
	tcase_add_test(tc, a_low_temperature_is_nearly_greedy);
	tcase_add_test(tc, a_seed_says_the_same_everywhere);
	tcase_add_test(tc, other_seeds_say_other_things);
	tcase_add_test(tc, a_large_vocabulary_is_no_matter);
	tcase_add_test(tc, penalties_are_as_llama_cpp_has_them);
	tcase_add_test(tc, penalties_forget_what_is_long_ago);
	tcase_add_test(tc, no_window_means_no_penalties);
	tcase_add_test(tc, the_best_tokens_say_what_the_whole_says);
	tcase_add_test(tc, the_usual_settings_need_the_best_only);
	tcase_add_test(tc, values_out_of_range_are_refused_by_name);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
