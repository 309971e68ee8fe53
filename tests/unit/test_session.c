#include "model/session.h"
#include "tests/support/session_vocab.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct tokenizer *tokenizer;

static void
setup(void)
{
	tokenizer = session_vocab();
}

static void
teardown(void)
{
	tokenizer_free(tokenizer);
}

static struct session_params
params(const char *const *stops, uint32_t n_stops)
{
	struct session_params p = session_vocab_params();

	p.stops = stops;
	p.n_stops = n_stops;
	return p;
}

static struct session *
start(const struct session_params *p)
{
	return session_vocab_start(tokenizer, p);
}

/* Makes the session take a token; appends what it says. */
static enum session_end
say(struct session *s, uint32_t id, struct buf *text)
{
	float logits[VOCAB] = {0};
	size_t before, after;
	enum session_end end;

	session_ids(s, &before);
	logits[id] = 1.0f;
	end = session_next(s, logits, text);
	session_ids(s, &after);
	ck_assert_uint_eq(after, before + 1);
	ck_assert_uint_eq(session_last(s), id);
	return end;
}

static void
expect_text(const struct buf *text, const char *want)
{
	const char *got = text->len > 0 ? (const char *)text->data : "";

	ck_assert_msg(text->len == strlen(want) && memcmp(got, want, text->len) == 0,
		"\"%.*s\", not \"%s\"", (int)text->len, got, want);
}

/* Says the bytes of `in` one by one; `seen` is what has been shown after each, with a bar between,
 * and `last` how it stood at the end. */
static void
expect_flow(const char *const *stops, uint32_t n_stops, const char *in, const char *seen,
	enum session_end last)
{
	struct session_params p = params(stops, n_stops);
	struct session *s = start(&p);
	struct buf flow = {0};
	enum session_end end = SESSION_RUNNING;

	for (const char *c = in; *c != '\0'; c++) {
		ck_assert_int_eq(end, SESSION_RUNNING);
		if (c != in)
			buf_str(&flow, "|");
		end = say(s, (uint8_t)*c, &flow);
	}
	ck_assert_int_eq(end, last);
	expect_text(&flow, seen);
	buf_free(&flow);
	session_free(s);
}

/* --- stop texts --------------------------------------------------------------------------------- */

START_TEST(without_stops_all_is_shown_at_once)
{
	expect_flow(NULL, 0, "abc", "a|b|c", SESSION_RUNNING);
}
END_TEST

START_TEST(a_stop_text_ends_and_is_not_shown)
{
	const char *stop[] = {"xyz"};

	expect_flow(stop, 1, "abxyz", "a|b|||", SESSION_STOP);
	expect_flow(stop, 1, "abxyq", "a|b|||xyq", SESSION_RUNNING);
	expect_flow(stop, 1, "xyxyz", "||xy||", SESSION_STOP);
}
END_TEST

START_TEST(a_stop_text_may_begin_within_itself)
{
	const char *aab[] = {"aab"}, *abab[] = {"abab"};

	expect_flow(aab, 1, "aaab", "||a|", SESSION_STOP);
	expect_flow(abab, 1, "abcabab", "||abc||||", SESSION_STOP);
	expect_flow(abab, 1, "abaabab", "|||aba|||", SESSION_STOP);
}
END_TEST

START_TEST(the_first_of_several_stop_texts_ends)
{
	const char *both[] = {"abc", "b"}, *nested[] = {"lo", "Hello"};

	expect_flow(both, 2, "xab", "x||a", SESSION_STOP);
	/* Both are complete at the same byte: the longer one began earlier. */
	expect_flow(nested, 2, "Hello", "||||", SESSION_STOP);
}
END_TEST

START_TEST(stop_texts_lie_across_and_within_tokens)
{
	const char *stop[] = {"lo w"}, *inside[] = {"ell"};
	struct session_params p = params(stop, 1);
	struct session *s = start(&p);
	struct buf text = {0};

	ck_assert_int_eq(say(s, WORD, &text), SESSION_RUNNING);
	expect_text(&text, "Hel");
	ck_assert_int_eq(say(s, ' ', &text), SESSION_RUNNING);
	ck_assert_int_eq(say(s, 'w', &text), SESSION_STOP);
	expect_text(&text, "Hel");
	session_free(s);
	p = params(inside, 1);
	s = start(&p);
	buf_clear(&text);
	ck_assert_int_eq(say(s, WORD, &text), SESSION_STOP);
	expect_text(&text, "H");
	session_free(s);
	buf_free(&text);
}
END_TEST

/* Random texts over two letters, which make many near misses, against a search in the whole. */
START_TEST(no_text_holds_a_stop_and_none_is_lost)
{
	uint32_t rng = (uint32_t)_i * 2654435761u + 1;

	for (int round = 0; round < 40; round++) {
		char stops[3][8], in[65] = {0};
		const char *list[3] = {stops[0], stops[1], stops[2]}, *cut = NULL;
		struct session_params p = params(list, 3);
		struct session *s;
		struct buf text = {0};
		enum session_end end = SESSION_RUNNING;
		size_t said = 0, want = 64;

		for (size_t i = 0; i < 3; i++) {
			size_t len = 2 + (rng = rng * 1664525u + 1013904223u) % 977 % 6;

			for (size_t k = 0; k < len; k++)
				stops[i][k] = "ab"[(rng = rng * 1664525u + 1013904223u) >> 31];
			stops[i][len] = '\0';
		}
		for (size_t k = 0; k < 64; k++)
			in[k] = "ab"[(rng = rng * 1664525u + 1013904223u) >> 31];
		/* The first byte at which one is complete; then the longest one. */
		for (size_t k = 1; k <= 64 && cut == NULL; k++)
			for (size_t i = 0; i < 3; i++) {
				size_t len = strlen(stops[i]);

				if (len <= k && memcmp(in + k - len, stops[i], len) == 0 &&
					(cut == NULL || in + k - len < cut))
					cut = in + k - len;
			}
		if (cut != NULL)
			want = (size_t)(cut - in);
		p.max_tokens = 64;
		s = start(&p);
		while (end == SESSION_RUNNING)
			end = say(s, (uint8_t)in[said++], &text);
		ck_assert_int_eq(end, cut != NULL ? SESSION_STOP : SESSION_LENGTH);
		in[want] = '\0';
		expect_text(&text, in);
		buf_free(&text);
		session_free(s);
	}
}
END_TEST

START_TEST(stop_texts_that_cannot_be_are_refused)
{
	static char longest[5000];
	const char *empty[] = {"ok", ""}, *inside[] = {"\x80"}, *large[] = {longest};
	const char *many[SESSION_MAX_STOPS + 1];
	const uint32_t prompt[] = {'a'};
	struct session_params p;
	struct err err;

	p = params(empty, 2);
	ck_assert_ptr_null(session_new(tokenizer, &p, prompt, 1, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "stop text 2 is empty"));
	p = params(inside, 1);
	ck_assert_ptr_null(session_new(tokenizer, &p, prompt, 1, &err));
	memset(longest, 'x', sizeof longest - 1);
	p = params(large, 1);
	ck_assert_ptr_null(session_new(tokenizer, &p, prompt, 1, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "4999 bytes"));
	for (size_t i = 0; i <= SESSION_MAX_STOPS; i++)
		many[i] = "x";
	p = params(many, SESSION_MAX_STOPS + 1);
	ck_assert_ptr_null(session_new(tokenizer, &p, prompt, 1, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "17 stop texts"));
}
END_TEST

/* --- ends --------------------------------------------------------------------------------------- */

START_TEST(an_end_token_ends_and_shows_what_was_held)
{
	const char *stop[] = {"xyz"};
	struct session_params p = params(stop, 1);
	struct session *s = start(&p);
	struct buf text = {0};
	float logits[VOCAB] = {0};
	size_t n;

	say(s, 'x', &text);
	say(s, 'y', &text);
	expect_text(&text, "");
	ck_assert_int_eq(say(s, END, &text), SESSION_STOP);
	expect_text(&text, "xy");
	/* Over is over. */
	ck_assert_int_eq(session_next(s, logits, &text), SESSION_STOP);
	session_ids(s, &n);
	ck_assert_uint_eq(n, 6);
	ck_assert_uint_eq(session_n_prompt(s), 3);
	expect_text(&text, "xy");
	buf_free(&text);
	session_free(s);
}
END_TEST

START_TEST(end_tokens_can_be_ignored)
{
	struct session_params p = params(NULL, 0);
	struct session *s;
	struct buf text = {0};

	p.ignore_end = true;
	p.special = true;
	s = start(&p);
	ck_assert_int_eq(say(s, END, &text), SESSION_RUNNING);
	ck_assert_int_eq(say(s, '!', &text), SESSION_RUNNING);
	expect_text(&text, "<|end|>!");
	buf_free(&text);
	session_free(s);
}
END_TEST

START_TEST(the_number_of_tokens_is_kept)
{
	const char *stop[] = {"bz"};
	struct session_params p = params(stop, 1);
	struct session *s;
	struct buf text = {0};

	p.max_tokens = 2;
	s = start(&p);
	ck_assert_int_eq(say(s, 'a', &text), SESSION_RUNNING);
	ck_assert_int_eq(say(s, 'b', &text), SESSION_LENGTH);
	expect_text(&text, "ab");
	ck_assert_str_eq(session_end_name(SESSION_LENGTH), "length");
	session_free(s);
	/* What ends in the last token ends by it. */
	buf_clear(&text);
	s = start(&p);
	say(s, 'b', &text);
	ck_assert_int_eq(say(s, 'z', &text), SESSION_STOP);
	expect_text(&text, "");
	session_free(s);
	buf_free(&text);
}
END_TEST

START_TEST(the_context_is_an_end)
{
	struct session_params p = params(NULL, 0);
	struct session *s;
	struct buf text = {0};
	const uint32_t prompt[] = {'a', 'b', 'c', 'd', 'e'};
	struct err err;

	p.context = 5;
	s = start(&p);
	ck_assert_int_eq(say(s, 'd', &text), SESSION_RUNNING);
	ck_assert_int_eq(say(s, 'e', &text), SESSION_CONTEXT);
	ck_assert_str_eq(session_end_name(SESSION_CONTEXT), "length");
	session_free(s);
	buf_free(&text);
	ck_assert_ptr_null(session_new(tokenizer, &p, prompt, 5, &err));
	ck_assert_msg(strstr(err.msg, "5 tokens") != NULL, "%s", err.msg);
}
END_TEST

START_TEST(prompts_that_cannot_be_are_refused)
{
	struct session_params p = params(NULL, 0);
	const uint32_t bad[] = {1, VOCAB};
	struct err err;

	ck_assert_ptr_null(session_new(tokenizer, &p, bad, 0, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "no tokens"));
	ck_assert_ptr_null(session_new(tokenizer, &p, bad, 2, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "token 1 of the prompt is 259"));
	p.max_tokens = 0;
	ck_assert_ptr_null(session_new(tokenizer, &p, bad, 1, &err));
	p.max_tokens = 1;
	p.sampler.top_p = NAN;
	ck_assert_ptr_null(session_new(tokenizer, &p, bad, 1, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "top_p"));
}
END_TEST

/* --- characters --------------------------------------------------------------------------------- */

START_TEST(characters_are_whole)
{
	struct session_params p = params(NULL, 0);
	struct session *s;
	struct buf text = {0};

	p.max_tokens = 5;
	s = start(&p);
	say(s, 0xc3, &text);
	expect_text(&text, "");
	say(s, 0xa4, &text);
	expect_text(&text, "ä");
	say(s, 0xe2, &text);
	say(s, 0x82, &text);
	expect_text(&text, "ä");
	/* Cut off by the number of tokens. */
	ck_assert_int_eq(say(s, 0xe2, &text), SESSION_LENGTH);
	ck_assert_uint_ge(text.len, 5);
	ck_assert_int_eq(memcmp(text.data + text.len - 3, "\xef\xbf\xbd", 3), 0);
	buf_free(&text);
	session_free(s);
}
END_TEST

START_TEST(penalties_see_the_prompt)
{
	struct session_params p = params(NULL, 0);
	float logits[VOCAB] = {0};
	struct buf text = {0};
	struct session *s;

	p.sampler.frequency_penalty = 1.0f;
	p.sampler.penalty_last = 64;
	s = start(&p);
	logits['a'] = 1.5f;
	logits['q'] = 1.0f;
	session_next(s, logits, &text);
	expect_text(&text, "q");
	buf_free(&text);
	session_free(s);
}
END_TEST

/* --- as bytes ----------------------------------------------------------------------------------- */

#define STEPS 40

/* The logits of step i of a made-up model: they prefer no token much. */
static void
step_logits(uint32_t i, float logits[VOCAB])
{
	uint32_t x = i * 2654435761u + 12345;

	for (uint32_t k = 0; k < VOCAB; k++) {
		x = x * 1664525u + 1013904223u;
		logits[k] =
			k >= 'a' && k < 'e' ? 2.0f + (float)(x >> 28) / 8 : (float)(x >> 28) / 16;
	}
}

static enum session_end
run(struct session *s, uint32_t from, uint32_t to, struct buf *text)
{
	enum session_end end = SESSION_RUNNING;
	float logits[VOCAB];

	for (uint32_t i = from; i < to && end == SESSION_RUNNING; i++) {
		step_logits(i, logits);
		end = session_next(s, logits, text);
	}
	return end;
}

static const char *const some_stops[] = {"abca", "bbbb", "dcd"};
static const uint32_t some_prediction[] = {'d', 'a', WORD, 'b'};
static const struct session_params kept[] = {
	{.sampler = {.top_p = 1, .repeat_penalty = 1}, .max_tokens = 30, .context = 100},
	{.sampler = {.temperature = 0.9f,
		 .top_k = 40,
		 .top_p = 0.95f,
		 .min_p = 0.05f,
		 .repeat_penalty = 1,
		 .seed = 7},
		.max_tokens = UINT32_MAX,
		.context = 43,
		.stops = some_stops,
		.n_stops = 3,
		.uncached = true,
		.max_guesses = 3,
		.prediction = some_prediction,
		.n_prediction = 4},
	{.sampler = {.temperature = 1.3f,
		 .top_p = 1,
		 .repeat_penalty = 1.1f,
		 .frequency_penalty = 0.3f,
		 .presence_penalty = 0.2f,
		 .penalty_last = 8,
		 .seed = UINT64_MAX},
		.max_tokens = 35,
		.context = 100,
		.stops = some_stops + 1,
		.n_stops = 1,
		.ignore_end = true,
		.max_guesses = UINT32_MAX},
};

static void
expect_same(const struct buf *got, const struct buf *want, uint32_t cut)
{
	ck_assert_msg(got->len == want->len && memcmp(got->data, want->data, want->len) == 0,
		"cut after %u: \"%.*s\", not \"%.*s\"", cut, (int)got->len, (const char *)got->data,
		(int)want->len, (const char *)want->data);
}

/* Wherever it is cut, written and read, a session goes on as the one that was not. */
START_TEST(a_session_goes_on_from_bytes)
{
	const struct session_params *p = &kept[_i];
	struct session *whole = start(p);
	struct buf want = {0};
	enum session_end last = run(whole, 0, STEPS, &want);
	size_t n_want, n_got;
	const uint32_t *want_ids = session_ids(whole, &n_want);

	ck_assert_uint_gt(want.len, 5);
	for (uint32_t cut = 0; cut <= n_want - 3; cut++) {
		struct session *s = start(p), *again;
		struct buf said = {0}, bytes = {0}, text = {0};
		struct err err;
		enum session_end end;

		run(s, 0, cut, &said);
		ck_assert_int_eq(session_write(s, &bytes), 0);
		again = session_read(tokenizer, bytes.data, bytes.len, &text, &err);
		ck_assert_msg(again != NULL, "%s", err.msg);
		ck_assert_uint_eq(text.len, said.len);
		end = session_state(again);
		if (end == SESSION_RUNNING)
			end = run(again, cut, STEPS, &text);
		ck_assert_int_eq(end, last);
		expect_same(&text, &want, cut);
		ck_assert_mem_eq(session_ids(again, &n_got), want_ids, n_want * sizeof *want_ids);
		ck_assert_uint_eq(n_got, n_want);
		buf_free(&said);
		buf_free(&bytes);
		buf_free(&text);
		session_free(s);
		session_free(again);
	}
	buf_free(&want);
	session_free(whole);
}
END_TEST

/* What a session is computed with, beside what it says. */
static void
expect_helps(const struct session *s, const struct session_params *want)
{
	struct session_params p;

	session_describe(s, &p);
	ck_assert_int_eq(p.uncached, want->uncached);
	ck_assert_uint_eq(p.max_guesses, want->max_guesses);
	ck_assert_uint_eq(p.n_prediction, want->n_prediction);
	for (size_t i = 0; i < p.n_prediction; i++)
		ck_assert_uint_eq(p.prediction[i], want->prediction[i]);
}

START_TEST(bytes_keep_how_it_is_computed)
{
	struct session *s = start(&kept[_i]), *again;
	struct buf bytes = {0}, text = {0};
	struct err err;

	ck_assert_int_eq(session_write(s, &bytes), 0);
	again = session_read(tokenizer, bytes.data, bytes.len, &text, &err);
	ck_assert_msg(again != NULL, "%s", err.msg);
	expect_helps(again, &kept[_i]);
	buf_free(&bytes);
	session_free(s);
	session_free(again);
}
END_TEST

/* Version 1 ended its parameters with the stop texts: guesses were as they paid. No later one is known. */
START_TEST(bytes_of_another_version)
{
	const struct session_params *p = &kept[0], old = {.max_guesses = UINT32_MAX};
	const size_t params = 2 + 2 * 4 + 8 * 4 + 8 + 1, guesses = 2 * 4;
	struct session *s = start(p), *again;
	struct buf bytes = {0}, text = {0}, said = {0};
	struct err err;

	run(s, 0, 12, &said);
	ck_assert_int_eq(session_write(s, &bytes), 0);
	bytes.data[0]++;
	ck_assert_ptr_null(session_read(tokenizer, bytes.data, bytes.len, &text, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "another version"));
	bytes.data[0] = 1;
	memmove(bytes.data + params, bytes.data + params + guesses, bytes.len - params - guesses);
	again = session_read(tokenizer, bytes.data, bytes.len - guesses, &text, &err);
	ck_assert_msg(again != NULL, "%s", err.msg);
	expect_helps(again, &old);
	expect_same(&text, &said, 12);
	ck_assert_int_eq(run(again, 12, STEPS, &text), run(s, 12, STEPS, &said));
	expect_same(&text, &said, 12);
	buf_free(&bytes);
	buf_free(&text);
	buf_free(&said);
	session_free(s);
	session_free(again);
}
END_TEST

/* Guesses are computed as they are: none may be of another vocabulary. */
START_TEST(a_prediction_of_another_vocabulary)
{
	static const uint32_t beyond[] = {'a', VOCAB};
	struct session_params p = kept[0];
	struct buf bytes = {0}, text = {0};
	struct session *s;
	struct err err;

	p.max_guesses = 1;
	p.prediction = beyond;
	p.n_prediction = 2;
	s = start(&p);
	ck_assert_int_eq(session_write(s, &bytes), 0);
	ck_assert_ptr_null(session_read(tokenizer, bytes.data, bytes.len, &text, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "damaged"));
	buf_free(&bytes);
	session_free(s);
}
END_TEST

/* Bytes that are missing or changed are refused, or make another session: never harm. */
START_TEST(damaged_bytes_do_no_harm)
{
	struct session *s = start(&kept[1]);
	struct buf bytes = {0}, text = {0};
	struct err err;

	run(s, 0, 12, &text);
	ck_assert_int_eq(session_write(s, &bytes), 0);
	session_free(s);
	for (size_t n = 0; n < bytes.len; n++)
		ck_assert_ptr_null(session_read(tokenizer, bytes.data, n, &text, &err));
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		session_free(session_read(tokenizer, bytes.data, bytes.len, &text, &err));
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_u8(&bytes, 0);
	ck_assert_ptr_null(session_read(tokenizer, bytes.data, bytes.len, &text, &err));
	buf_free(&bytes);
	buf_free(&text);
}
END_TEST

/* One id is there, and the two numbers of ids give 1 where their sum has 32 bits only. */
START_TEST(numbers_of_ids_do_not_wrap)
{
	struct session *s = start(&kept[0]);
	struct buf bytes = {0}, text = {0};
	struct err err;
	size_t n;

	session_ids(s, &n);
	ck_assert_int_eq(session_write(s, &bytes), 0);
	session_free(s);
	bytes.len -= (n + 2) * 4;
	buf_u32(&bytes, 16000000);
	buf_u32(&bytes, UINT32_MAX - 16000000 + 2);
	buf_u32(&bytes, 'a');
	ck_assert_ptr_null(session_read(tokenizer, bytes.data, bytes.len, &text, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "not all there"));
	buf_free(&bytes);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("session");
	TCase *tc = tcase_create("session");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, without_stops_all_is_shown_at_once);
	tcase_add_test(tc, a_stop_text_ends_and_is_not_shown);
	tcase_add_test(tc, a_stop_text_may_begin_within_itself);
	tcase_add_test(tc, the_first_of_several_stop_texts_ends);
	tcase_add_test(tc, stop_texts_lie_across_and_within_tokens);
	tcase_add_loop_test(tc, no_text_holds_a_stop_and_none_is_lost, 0, 20);
	tcase_add_test(tc, stop_texts_that_cannot_be_are_refused);
	tcase_add_test(tc, an_end_token_ends_and_shows_what_was_held);
	tcase_add_test(tc, end_tokens_can_be_ignored);
	tcase_add_test(tc, the_number_of_tokens_is_kept);
	tcase_add_test(tc, the_context_is_an_end);
	tcase_add_test(tc, prompts_that_cannot_be_are_refused);
	tcase_add_test(tc, characters_are_whole);
	tcase_add_test(tc, penalties_see_the_prompt);
	tcase_add_loop_test(tc, a_session_goes_on_from_bytes, 0, sizeof kept / sizeof *kept);
	tcase_add_loop_test(tc, bytes_keep_how_it_is_computed, 0, sizeof kept / sizeof *kept);
	tcase_add_test(tc, bytes_of_another_version);
	tcase_add_test(tc, a_prediction_of_another_vocabulary);
	tcase_add_test(tc, damaged_bytes_do_no_harm);
	tcase_add_test(tc, numbers_of_ids_do_not_wrap);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
