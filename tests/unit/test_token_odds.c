/* What the model gave the tokens that a session picked: beside the softmax of all logits, however they were picked; and
 * which tokens belong to the text that was said. */
#include "model/json_schema.h"
#include "model/session.h"
#include "tests/support/session_vocab.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static struct tokenizer *tokenizer;
static struct buf text, odds;

static void
setup(void)
{
	tokenizer = session_vocab();
	text = odds = (struct buf){0};
}

static void
teardown(void)
{
	tokenizer_free(tokenizer);
	buf_free(&text);
	buf_free(&odds);
}

static struct session_params
greedy(void)
{
	struct session_params p = session_vocab_params();

	p.odds = true;
	p.n_odds = ODDS_MOST;
	return p;
}

static struct session *
start(const struct session_params *p)
{
	return session_vocab_start(tokenizer, p);
}

static uint32_t rng;

static float
draw(void)
{
	rng = rng * 1664525u + 1013904223u;
	return (float)(rng >> 8) / (float)(1u << 24);
}

static void
make_logits(float logits[VOCAB])
{
	for (int i = 0; i < VOCAB; i++)
		logits[i] = 12 * draw() - 4;
}

static double
log_softmax(const float logits[VOCAB], uint32_t id)
{
	double sum = 0;

	for (int i = 0; i < VOCAB; i++)
		sum += exp((double)logits[i]);
	return (double)logits[id] - log(sum);
}

static size_t
n_odds(void)
{
	return odds.len / sizeof(struct token_odds);
}

static struct token_odds
at(size_t i)
{
	struct token_odds o;

	ck_assert_uint_lt(i, n_odds());
	memcpy(&o, odds.data + i * sizeof o, sizeof o);
	return o;
}

static void
check_values(const struct token_odds *o, const float logits[VOCAB], uint32_t picked, uint32_t most)
{
	ck_assert_uint_eq(o->picked.id, picked);
	ck_assert_double_eq_tol((double)o->picked.logp, log_softmax(logits, picked), 1e-5);
	ck_assert_uint_eq(o->n, most);
	for (uint32_t i = 0; i < o->n; i++) {
		uint32_t better = 0;

		ck_assert_double_eq_tol(
			(double)o->best[i].logp, log_softmax(logits, o->best[i].id), 1e-5);
		for (int k = 0; k < VOCAB; k++)
			better += logits[k] > logits[o->best[i].id];
		ck_assert_uint_eq(better, i);
	}
}

/* --- values -------------------------------------------------------------------------------------- */

static const struct way {
	struct sampler_params sampler;
	bool form;
	uint32_t most;
} ways[] = {
	{{.top_p = 1, .repeat_penalty = 1}, .most = 20},
	{{.top_p = 1, .repeat_penalty = 1}, .most = 0},
	{{.temperature = 1, .top_k = 40, .top_p = 1, .repeat_penalty = 1, .seed = 1}, .most = 5},
	{{.temperature = 0.3f, .top_p = 0.4f, .repeat_penalty = 1, .seed = 2}, .most = 20},
	{{.temperature = 2, .top_p = 1, .repeat_penalty = 1, .seed = 3}, .most = 20},
	{{.temperature = 1,
		 .top_p = 1,
		 .repeat_penalty = 1.5f,
		 .frequency_penalty = 1,
		 .presence_penalty = 1,
		 .penalty_last = 64,
		 .seed = 4},
		.most = 20},
	{{.top_p = 1, .repeat_penalty = 1}, .form = true, .most = 20},
	{{.temperature = 1, .top_k = 5, .top_p = 1, .repeat_penalty = 1, .seed = 5}, .form = true,
		.most = 3},
};

/* Takes the next token as an engine does: from the best, where they are enough. */
static void
step(struct session *s, const float logits[VOCAB], bool by_best)
{
	enum sampler_needs needs = session_needs(s);
	enum session_end end;
	float work[VOCAB];
	struct best best;

	ck_assert_int_ne(needs, SAMPLER_BEST); /* the sum is always needed */
	best_of(&best, logits, VOCAB, 0, true);
	if (by_best && needs != SAMPLER_ALL && session_next_best(s, &best, &text, &end))
		return;
	memcpy(work, logits, sizeof work);
	session_next(s, work, &text);
}

START_TEST(values_are_the_softmax_of_all_logits)
{
	const struct way *w = &ways[_i / 2];
	struct session_params p = greedy();
	struct err err;
	struct session *s;
	json_t *schema = json_object();
	size_t n = 0;

	p.sampler = w->sampler;
	p.n_odds = w->most;
	p.grammar = w->form ? json_schema_grammar(schema, &err) : NULL;
	p.ignore_end = !w->form;
	s = start(&p);
	rng = (uint32_t)_i;
	while (n < 30 && session_state(s) == SESSION_RUNNING) {
		float logits[VOCAB];
		struct token_odds o;

		make_logits(logits);
		step(s, logits, _i % 2 == 0);
		n++;
		ck_assert_int_eq(session_take_odds(s, true, &odds), 0);
		if (n_odds() < n) /* it ended, or could not go on */
			break;
		o = at(n - 1);
		check_values(&o, logits, session_last(s), w->most);
	}
	ck_assert_uint_gt(n_odds(), 0);
	session_free(s);
	grammar_unref(p.grammar);
	json_decref(schema);
}
END_TEST

/* A penalty, or a form, lets another one be picked than the most probable; what it costs is told. */
START_TEST(the_picked_one_may_be_improbable)
{
	struct session_params p = greedy();
	struct err err;
	struct session *s;
	float logits[VOCAB] = {0}, before[VOCAB];
	json_t *schema = json_pack("{s:s}", "type", "object");
	struct token_odds o;

	p.grammar = json_schema_grammar(schema, &err);
	s = start(&p);
	logits[WORD] = 30;
	logits['{'] = -10;
	memcpy(before, logits, sizeof logits);
	logits[' '] = logits['\n'] = logits['\t'] = logits['\r'] = before[' '] = before['\n'] =
		before['\t'] = before['\r'] = -20;
	session_next(s, logits, &text);
	session_take_odds(s, true, &odds);
	o = at(0);
	ck_assert_uint_eq(o.picked.id, '{');
	ck_assert_double_eq_tol((double)o.picked.logp, log_softmax(before, '{'), 1e-4);
	ck_assert_uint_eq(o.best[0].id, WORD);
	session_free(s);
	grammar_unref(p.grammar);
	json_decref(schema);
}
END_TEST

START_TEST(broken_logits_are_numbers)
{
	struct session_params p = greedy();
	struct session *s = start(&p);
	float logits[VOCAB] = {0};
	struct token_odds o;

	for (int i = 0; i < VOCAB; i++)
		logits[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
	session_next(s, logits, &text);
	session_take_odds(s, true, &odds);
	o = at(0);
	ck_assert(o.picked.logp <= 0 && o.picked.logp >= ODDS_LEAST);
	for (uint32_t i = 0; i < o.n; i++)
		ck_assert(o.best[i].logp <= 0 && o.best[i].logp >= ODDS_LEAST);
	session_free(s);
}
END_TEST

START_TEST(without_the_sum_nothing_is_picked)
{
	struct session_params p = greedy();
	struct session *s = start(&p);
	enum session_end end;
	float logits[VOCAB] = {0};
	struct best best;

	best_of(&best, logits, VOCAB, 0, false);
	ck_assert(!session_next_best(s, &best, &text, &end));
	ck_assert_int_eq(session_needs(s), SAMPLER_BEST_AND_SUM);
	session_free(s);
	p.odds = false;
	s = start(&p);
	ck_assert_int_eq(session_needs(s), SAMPLER_BEST);
	ck_assert(session_next_best(s, &best, &text, &end));
	ck_assert_int_eq(session_take_odds(s, true, &odds), 0);
	ck_assert_uint_eq(n_odds(), 0);
	session_free(s);
}
END_TEST

/* --- which tokens belong to what was said ----------------------------------------------------------- */

/* Says the tokens one by one; `seen`: the tokens that came with each, as bytes, with a bar between. */
static void
expect_flow(const struct session_params *p, const uint32_t *ids, size_t n, const char *seen)
{
	struct session *s = start(p);
	char flow[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		float logits[VOCAB] = {0};
		size_t before = n_odds();

		logits[ids[i]] = 1;
		session_next(s, logits, &text);
		ck_assert_int_eq(session_take_odds(s, false, &odds), 0);
		if (i > 0)
			flow[len++] = '|';
		for (size_t k = before; k < n_odds(); k++)
			flow[len++] = at(k).picked.id < 128    ? (char)at(k).picked.id
				      : at(k).picked.id == END ? '$'
							       : '*';
		flow[len] = '\0';
	}
	ck_assert_str_eq(flow, seen);
	session_free(s);
	buf_clear(&odds);
}

static void
expect_bytes(const struct session_params *p, const char *in, const char *seen)
{
	uint32_t ids[64];
	size_t n = strlen(in);

	for (size_t i = 0; i < n; i++)
		ids[i] = in[i] == '$' ? END : (uint8_t)in[i];
	expect_flow(p, ids, n, seen);
}

START_TEST(tokens_come_with_their_text)
{
	struct session_params p = greedy();
	const char *stop[] = {"xyz"};

	expect_bytes(&p, "ab", "a|b");
	p.stops = stop;
	p.n_stops = 1;
	expect_bytes(&p, "axyq", "a|||xyq");
	expect_bytes(&p, "axyxy", "a|||xy|");
	/* What is held is said at the end. */
	expect_bytes(&p, "axy$", "a|||xy");
	p.max_tokens = 3;
	expect_bytes(&p, "axy", "a||xy");
}
END_TEST

START_TEST(a_stop_text_takes_its_tokens_away)
{
	struct session_params p = greedy();
	const char *stop[] = {"xyz"}, *inside[] = {"ell"}, *late[] = {"ox"};
	const uint32_t word[] = {WORD}, behind[] = {'a', WORD, 'x'};

	p.stops = stop;
	p.n_stops = 1;
	expect_bytes(&p, "axyz", "a|||");
	p.stops = inside; /* a part of it is said: "H" */
	expect_flow(&p, word, 1, "*");
	p.stops = late; /* "Hell" is said at once, and "o" is cut off */
	expect_flow(&p, behind, 3, "a||*");
}
END_TEST

START_TEST(end_tokens_are_none)
{
	struct session_params p = greedy();

	expect_bytes(&p, "a$", "a|");
	p.ignore_end = true; /* then it is a token like any other, though it says nothing */
	expect_bytes(&p, "a$b", "a|$|b");
}
END_TEST

START_TEST(characters_bring_all_their_tokens)
{
	struct session_params p = greedy();
	const char *stop[] = {"\xc3\xa9"};

	expect_bytes(&p, "a\xc3\xa9z", "a||**|z");
	expect_bytes(&p, "\xf0\x9f\x98\x80", "|||****");
	expect_bytes(&p, "\xc3z", "|*z");
	expect_bytes(&p, "\xc3$", "|*"); /* U+FFFD is its text */
	p.stops = stop;
	p.n_stops = 1;
	expect_bytes(&p, "a\xc3\xa9", "a||");
	p.n_stops = 0;
	p.max_tokens = 2;
	expect_bytes(&p, "a\xc3", "a|*");
}
END_TEST

/* Whoever ends a session early gets what was said until then, and no more. */
START_TEST(an_early_end)
{
	struct session_params p = greedy();
	const char *stop[] = {"lox"};
	struct session *s;
	float logits[VOCAB] = {0};

	p.stops = stop;
	p.n_stops = 1;
	s = start(&p);
	logits[WORD] = 1; /* "Hel" is said, "lo" is held */
	session_next(s, logits, &text);
	session_take_odds(s, false, &odds);
	ck_assert_uint_eq(n_odds(), 0);
	ck_assert(session_holds_odds(s));
	session_take_odds(s, true, &odds);
	ck_assert_uint_eq(n_odds(), 1);
	ck_assert(!session_holds_odds(s));
	session_take_odds(s, true, &odds);
	ck_assert_uint_eq(n_odds(), 1);
	session_free(s);
}
END_TEST

START_TEST(what_is_repeated_has_none)
{
	struct session_params p = greedy();
	struct session *s = start(&p);
	float logits[VOCAB] = {0};

	session_repeat(s, 'a', &text);
	logits['b'] = 1;
	session_next(s, logits, &text);
	session_take_odds(s, false, &odds);
	ck_assert_uint_eq(n_odds(), 1);
	ck_assert_uint_eq(at(0).picked.id, 'b');
	session_free(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("token_odds");
	TCase *tc = tcase_create("token_odds");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
		tc, values_are_the_softmax_of_all_logits, 0, 2 * sizeof ways / sizeof *ways);
	tcase_add_test(tc, the_picked_one_may_be_improbable);
	tcase_add_test(tc, broken_logits_are_numbers);
	tcase_add_test(tc, without_the_sum_nothing_is_picked);
	tcase_add_test(tc, tokens_come_with_their_text);
	tcase_add_test(tc, a_stop_text_takes_its_tokens_away);
	tcase_add_test(tc, end_tokens_are_none);
	tcase_add_test(tc, characters_bring_all_their_tokens);
	tcase_add_test(tc, an_early_end);
	tcase_add_test(tc, what_is_repeated_has_none);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
