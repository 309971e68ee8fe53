/* A generation that is led picks what a session would have picked, however it was led there. */
#include "model/guide.h"

#include "model/session.h"
#include "model/token_signal.h"
#include "tests/support/vocab_make.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { END = 256, VOCAB, CONTEXT = 64, NEW = 40 };
static const char *const extra[] = {"<|end|>"};
static const int32_t types[] = {3};
static const uint32_t prompt[] = {'a', 'b', 'c'};

static struct tokenizer *tokenizer;

static void
setup(void)
{
	struct err err;

	tokenizer = vocab_with_end(extra, types, 1, &err);
	ck_assert_msg(tokenizer != NULL, "%s", err.msg);
}

static void
teardown(void)
{
	tokenizer_free(tokenizer);
}

/* Logits behind some ids: a hash of them. */
static void
compute(const uint32_t *ids, size_t n, float logits[VOCAB])
{
	uint64_t h = 1;

	for (size_t i = 0; i < n; i++)
		h = (h ^ ids[i]) * 0x9e3779b97f4a7c15u + 1;
	for (uint32_t i = 0; i < VOCAB; i++) {
		h = h * 6364136223846793005u + 1442695040888963407u;
		logits[i] = 6 * (float)(h >> 40) / (float)(1 << 24);
	}
	logits[END] = -20;
}

static struct sampler_params
sampler(int kind)
{
	struct sampler_params p = sampler_defaults();

	p.seed = 77;
	if (kind == 0)
		p.temperature = 0;
	if (kind == 2) {
		p.repeat_penalty = 1.3f;
		p.frequency_penalty = 0.5f;
		p.penalty_last = 8;
	}
	if (kind == 3) {
		p.temperature = 0;
		p.presence_penalty = 2;
		p.penalty_last = 4;
	}
	return p;
}

/* What a session says. */
static void
by_session(int kind, uint32_t out[NEW])
{
	struct session_params p = {.sampler = sampler(kind), .max_tokens = NEW, .context = CONTEXT};
	float logits[VOCAB];
	struct buf text = {0};
	struct err err;
	struct session *s = session_new(tokenizer, &p, prompt, 3, &err);
	const uint32_t *ids;
	size_t n;

	ck_assert_ptr_nonnull(s);
	for (int i = 0; i < NEW; i++) {
		ids = session_ids(s, &n);
		compute(ids, n, logits);
		session_next(s, logits, &text);
	}
	ids = session_ids(s, &n);
	memcpy(out, ids + 3, NEW * sizeof *out);
	session_free(s);
	buf_free(&text);
}

static struct guide *
start(int kind)
{
	struct guide_params p = {.sampler = sampler(kind), .context = CONTEXT, .margins = true};
	struct err err;
	struct guide *g = guide_new(tokenizer, &p, prompt, 3, &err);

	ck_assert_msg(g != NULL, "%s", err.msg);
	ck_assert(guide_rests(g));
	return g;
}

/* Leads it and gives it what it waits for; returns its choices. best: by the best tokens where they
 * are enough. */
static size_t
run(struct guide *g, const struct guide_run *r, bool best, struct guide_choice *c)
{
	float logits[VOCAB];
	struct best b;
	struct err err = {""};
	const uint32_t *ids;
	size_t n, k = 0;

	ck_assert_msg(guide_lead(g, r, &err) == 0, "%s", err.msg);
	while (!guide_rests(g)) {
		ids = guide_ids(g, &n);
		compute(ids, n, logits);
		best_of(&b, logits, VOCAB, 0, true);
		if (!best || guide_needs(g) == SAMPLER_ALL || !guide_take_best(g, &b, &c[k]))
			guide_take(g, logits, &c[k]);
		k++;
	}
	return k;
}

/* By itself as far as a run goes, then led on. */
START_TEST(goes_on_as_a_session)
{
	uint32_t want[NEW], got[NEW + GUIDE_MOST];
	struct guide_choice c[GUIDE_MOST];
	struct guide *g = start(_i);
	size_t n = 0;

	by_session(_i, want);
	while (n < NEW) {
		struct guide_run r = {.keep = n == 0 ? 3 : 3 + n - 1,
			.ids = &got[n == 0 ? 0 : n - 1],
			.n = n > 0,
			.more = 6,
			.margin = -1};
		size_t k = run(g, &r, n % 2 == 0, c);

		ck_assert_uint_eq(k, 7);
		for (size_t i = 0; i < k; i++)
			got[n++] = c[i].id;
	}
	ck_assert_mem_eq(got, want, sizeof want);
	guide_free(g);
}
END_TEST

START_TEST(margins_stop_it)
{
	struct guide_choice c[GUIDE_MOST];
	struct guide *g = start(0);
	struct guide_run r = {.keep = 3, .more = 20, .margin = -1};
	size_t n = run(g, &r, false, c), stop = 0;
	float logits[VOCAB], least = INFINITY;
	struct token_signal s;

	ck_assert_uint_eq(n, 21);
	compute(prompt, 3, logits);
	token_signal_of(&s, logits, VOCAB, 0);
	ck_assert_float_eq(c[0].margin, s.margin);
	for (size_t i = 0; i < 10; i++)
		if (c[i].margin < least) {
			least = c[i].margin;
			stop = i;
		}
	r.margin = least;
	ck_assert_uint_eq(run(g, &r, true, c), stop + 1);
	ck_assert_float_eq(c[stop].margin, least);
	guide_free(g);
}
END_TEST

START_TEST(ends_stop_it_and_so_does_the_context)
{
	struct guide_params p = {.sampler = sampler(0), .context = CONTEXT};
	struct guide_run r = {.keep = 3, .more = 5, .margin = -1};
	struct guide_choice c;
	float logits[VOCAB] = {[END] = 1};
	struct err err;
	struct guide *g = guide_new(tokenizer, &p, prompt, 3, &err);

	ck_assert_int_eq(guide_lead(g, &r, &err), 0);
	guide_take(g, logits, &c);
	ck_assert_uint_eq(c.id, END);
	ck_assert(guide_rests(g));
	guide_free(g);
	p.context = 5;
	g = guide_new(tokenizer, &p, prompt, 3, &err);
	ck_assert_uint_eq(run(g, &r, false, (struct guide_choice[GUIDE_MOST]){0}), 3);
	guide_free(g);
	p.ignore_end = true;
	p.context = 20;
	g = guide_new(tokenizer, &p, prompt, 3, &err);
	ck_assert_int_eq(guide_lead(g, &r, &err), 0);
	logits[END] = 1;
	guide_take(g, logits, &c);
	ck_assert(!guide_rests(g));
	guide_free(g);
}
END_TEST

/* Rows that have to be computed again are said once for each run. */
START_TEST(stale_rows)
{
	struct guide_choice c[GUIDE_MOST];
	struct guide *g = start(0);

	ck_assert_uint_eq(guide_stale(g), SIZE_MAX);
	run(g, &(struct guide_run){.keep = 3, .more = 4, .margin = -1}, false, c);
	ck_assert_uint_eq(guide_stale(g), 2); /* the choice behind the prompt's last id */
	ck_assert_uint_eq(guide_stale(g), SIZE_MAX);
	run(g, &(struct guide_run){.keep = 5, .ids = (uint32_t[]){'x', 'y'}, .n = 2}, false, c);
	ck_assert_uint_eq(guide_stale(g), 5);
	run(g, &(struct guide_run){.keep = 4}, false, c);
	ck_assert_uint_eq(guide_stale(g), 3);
	guide_free(g);
}
END_TEST

START_TEST(what_is_refused)
{
	const uint32_t ids[CONTEXT] = {'x'}, beyond[] = {VOCAB};
	const struct guide_run bad[] = {{.keep = 2}, {.keep = 4}, {.keep = 3, .more = GUIDE_MOST},
		{.keep = 3, .ids = ids, .n = CONTEXT - 2}, {.keep = 3, .ids = beyond, .n = 1},
		{.keep = SIZE_MAX}, {.keep = 3, .n = SIZE_MAX}};
	struct guide_params p = {.sampler = sampler(0), .context = CONTEXT};
	struct guide *g = start(0);
	struct err err;
	size_t n;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_int_eq(guide_lead(g, &bad[i], &err), -1);
		ck_assert(guide_rests(g));
	}
	guide_ids(g, &n);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(guide_lead(g, &(struct guide_run){.keep = 3}, &err), 0);
	ck_assert_int_eq(guide_lead(g, &(struct guide_run){.keep = 3}, &err), -1);
	guide_free(g);
	ck_assert_ptr_null(guide_new(tokenizer, &p, prompt, 0, &err));
	p.context = 3;
	ck_assert_ptr_null(guide_new(tokenizer, &p, prompt, 3, &err));
	ck_assert_ptr_null(guide_new(tokenizer, &p, beyond, 1, &err));
}
END_TEST

/* --- one vocabulary ----------------------------------------------------------------------------- */

static struct tokenizer *
vocabulary(const char *pre, const char *const *words, const int32_t *kinds, size_t n, uint32_t eos)
{
	struct vocab_make v = {0};
	struct tokenizer *t;
	struct err err;

	vocab_bytes(&v, pre, words, kinds, n, NULL, 0);
	vocab_u32(&v, "tokenizer.ggml.eos_token_id", eos);
	t = vocab_tokenizer(&v, &err);
	ck_assert_msg(t != NULL, "%s", err.msg);
	vocab_make_free(&v);
	return t;
}

START_TEST(vocabularies_are_compared)
{
	static const char *const words[] = {"<|end|>", "<|other|>", "pad"}, *const others[] = {
										    "<|end|>",
										    "<|else|>",
										    "pad"};
	static const int32_t plain[] = {3, 3, 1}, unused[] = {3, 3, 5}, user[] = {3, 4, 1};
	const struct {
		const char *pre;
		const char *const *words;
		const int32_t *kinds;
		size_t n;
		uint32_t eos;
		const char *why; /* NULL: they are one */
	} cases[] = {
		{"gpt-2", words, plain, 2, END, NULL},
		{"gpt-2", words, unused, 3, END, NULL}, /* rows that fill up */
		{"gpt-2", words, plain, 3, END, "tokens, the other"},
		{"gpt-2", others, plain, 2, END, "token 257 has another text"},
		{"gpt-2", words, user, 2, END, "token 257 is of type"},
		{"gpt-2", words, plain, 2, END + 1, "ends an answer of one only"},
		{"llama-bpe", words, plain, 2, END, "one is bpe"},
	};
	struct tokenizer *a = vocabulary("gpt-2", words, plain, 2, END), *b;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = {""};
		int rc;

		b = vocabulary(
			cases[i].pre, cases[i].words, cases[i].kinds, cases[i].n, cases[i].eos);
		rc = tokenizer_same(a, b, &err);
		ck_assert_msg((rc == 0) == (cases[i].why == NULL), "%zu: %s", i, err.msg);
		ck_assert_int_eq(tokenizer_same(b, a, &err), rc);
		if (cases[i].why != NULL)
			ck_assert_msg(strstr(err.msg, cases[i].why) != NULL, "%s", err.msg);
		tokenizer_free(b);
	}
	tokenizer_free(a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("guide");
	TCase *t = tcase_create("guide");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, goes_on_as_a_session, 0, 4);
	tcase_add_test(t, margins_stop_it);
	tcase_add_test(t, ends_stop_it_and_so_does_the_context);
	tcase_add_test(t, stale_rows);
	tcase_add_test(t, what_is_refused);
	tcase_add_test(t, vocabularies_are_compared);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
