/* Text does not depend on guesses: one process, with the model that comes with Shoal. What was predicted right is computed
 * in fewer steps. */
#include "model/generate.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST  120
#define TRIES 100 /* on a busy machine steps of many rows may look dear for a while */

static struct local l;

static const char prompt[] =
	"<|system|>\nareas: kitchen, hall, kitchen, hall\n<|user|>\nkitchen, hall, kitchen,";

static int
ignore(void *arg, const char *text, size_t n)
{
	(void)arg;
	(void)text;
	(void)n;
	return 0;
}

struct answer {
	uint32_t ids[MOST];
	size_t n;
	struct local_stats stats;
	struct token_signals signals;
};

static void
ask(const struct session_params *p, struct answer *a)
{
	struct token_list ids = {0};
	struct session *s;
	const uint32_t *all;
	size_t n;
	struct err err;

	*a = (struct answer){.stats.signals = &a->signals};
	ck_assert_int_eq(tokenize(l.tokenizer, prompt, strlen(prompt), 0, &ids, &err), 0);
	s = session_new(l.tokenizer, p, ids.ids, ids.n, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	ck_assert_int_eq(local_generate(&l, s, ignore, NULL, &a->stats, &err), 0);
	all = session_ids(s, &n);
	a->n = n - session_n_prompt(s);
	ck_assert_uint_le(a->n, MOST);
	memcpy(a->ids, all + session_n_prompt(s), a->n * sizeof *all);
	ck_assert_uint_eq(a->stats.new_tokens, a->n);
	ck_assert_uint_le(a->stats.right, a->stats.guessed);
	session_free(s);
	token_list_free(&ids);
}

static void
check_same(const struct answer *a, const struct answer *b)
{
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_mem_eq(a->ids, b->ids, a->n * sizeof *a->ids);
	ck_assert_mem_eq(&a->signals, &b->signals, sizeof a->signals);
}

static struct session_params
params(float temperature, uint64_t seed, uint32_t tokens)
{
	struct session_params p = {.sampler = sampler_defaults(),
		.max_tokens = tokens,
		.context = l.opt.context,
		.ignore_end = true};

	p.sampler.temperature = temperature;
	p.sampler.seed = seed;
	return p;
}

START_TEST(text_is_the_same)
{
	static struct answer plain, guessed;
	uint32_t wrong = 0, right = 0;

	for (uint32_t i = 0; i < 24 || (i < TRIES && (wrong == 0 || right == 0)); i++) {
		struct session_params p = params(0.2f * (float)(i % 6), i, 40 + i % 24);

		if (i % 4 == 3)
			p.sampler.repeat_penalty = 1.05f;
		ask(&p, &plain);
		ck_assert_uint_eq(plain.stats.guessed, 0);
		p.max_guesses = UINT32_MAX;
		ask(&p, &guessed);
		check_same(&plain, &guessed);
		wrong += guessed.stats.guessed - guessed.stats.right;
		right += guessed.stats.right;
	}
	ck_assert_uint_gt(wrong, 0);
	ck_assert_uint_gt(right, 0);
}
END_TEST

START_TEST(a_right_prediction_is_followed)
{
	static struct answer plain, guessed;
	struct session_params p = params(0, 0, 100);
	uint32_t wrong[MOST];

	ask(&p, &plain);
	p.max_guesses = UINT32_MAX;
	p.prediction = plain.ids;
	p.n_prediction = plain.n;
	for (unsigned i = 0; i < TRIES && (i == 0 || guessed.stats.right <= 60); i++) {
		ask(&p, &guessed);
		check_same(&plain, &guessed);
	}
	ck_assert_uint_gt(guessed.stats.right, 60);
	/* Every tenth word of it is another one. */
	for (uint32_t i = 0; i < plain.n; i++)
		wrong[i] = i % 10 == 9 ? (plain.ids[i] + 1) % l.shape.vocab : plain.ids[i];
	p.prediction = wrong;
	for (unsigned i = 0; i < TRIES && (i == 0 || guessed.stats.right <= 30 ||
						  guessed.stats.guessed == guessed.stats.right);
		i++) {
		ask(&p, &guessed);
		check_same(&plain, &guessed);
	}
	ck_assert_uint_gt(guessed.stats.right, 30);
	ck_assert_uint_gt(guessed.stats.guessed, guessed.stats.right);
}
END_TEST

START_TEST(no_more_is_guessed_than_there_may_be)
{
	static struct answer plain, guessed;

	for (uint32_t tokens = 1; tokens < 12; tokens++) {
		struct session_params p = params(0, 0, tokens);

		ask(&p, &plain);
		ck_assert_uint_eq(plain.n, tokens);
		p.max_guesses = UINT32_MAX;
		p.prediction = plain.ids;
		p.n_prediction = plain.n;
		ask(&p, &guessed);
		check_same(&plain, &guessed);
		ck_assert_uint_le(guessed.stats.guessed, tokens > 2 ? tokens - 2 : 0);
		p.max_guesses = 1;
		ask(&p, &guessed);
		check_same(&plain, &guessed);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("guess");
	TCase *t = tcase_create("guess");
	const struct local_options o = {.threads = 1, .kv = KV_F16, .max_rows = 24};
	struct err err;
	SRunner *r;
	int failed;

	if (local_open(&l, MODELS "/hearth.gguf", &o, &err) != 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	suite_add_tcase(s, t);
	tcase_add_test(t, text_is_the_same);
	tcase_add_test(t, a_right_prediction_is_followed);
	tcase_add_test(t, no_more_is_guessed_than_there_may_be);
	r = srunner_create(s);
	srunner_set_fork_status(r, CK_NOFORK); /* threads */
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	local_close(&l);
	return failed > 0;
}
