/* The JSON of `logprobs`, over a vocabulary with bytes, a word and an end. */
#include "daemon/api_logprobs.h"
#include "tests/support/session_vocab.h"

#include <check.h>
#include <stdlib.h>

static struct tokenizer *tokenizer;
static struct api_logprobs l;

static void
setup(void)
{
	tokenizer = session_vocab();
}

static void
teardown(void)
{
	api_logprobs_free(&l);
	tokenizer_free(tokenizer);
}

static void
begin(enum api_kind kind, bool stream)
{
	const struct api_request a = {.kind = kind, .stream = stream, .logprobs = true};

	api_logprobs_init(&l, &a);
	api_logprobs_speaker(&l, tokenizer);
}

/* A token, and one that was likelier. */
static void
take(uint32_t id, uint32_t other)
{
	struct token_odds o = {.picked = {id, -2}, .n = 1, .best = {{other, -0.25f}}};

	api_logprobs_take(&l, &o, 1, false);
}

static void
expect_json(json_t *got, const char *want)
{
	json_t *w = json_loads(want, 0, NULL);
	char *text = json_dumps(got, JSON_COMPACT);

	ck_assert_ptr_nonnull(w);
	ck_assert_msg(json_equal(got, w), "%s instead of %s", text, want);
	free(text);
	json_decref(w);
}

static void
expect_whole(const char *want)
{
	struct buf text = {0};
	json_t *o;

	ck_assert(!api_logprobs_failed(&l));
	ck_assert_int_eq(api_logprobs_text(&l, &text), 0);
	o = json_loadb((const char *)text.data, text.len, 0, NULL);
	ck_assert_msg(o != NULL, "%.*s", (int)text.len, (const char *)text.data);
	expect_json(o, want);
	json_decref(o);
	buf_free(&text);
}

static void
expect_chunk(const char *want)
{
	json_t *choice = json_pack("{s:n}", "logprobs");

	api_logprobs_add(&l, choice);
	expect_json(choice, want);
	json_decref(choice);
}

#define HELLO                                                                                      \
	"{\"token\":\"Hello\",\"logprob\":-2.0,\"bytes\":[72,101,108,108,111],\"top_logprobs\":["  \
	"{\"token\":\"<|end|>\",\"logprob\":-0.25,\"bytes\":null}]}"
#define HALF                                                                                       \
	"{\"token\":\"\xef\xbf\xbd\",\"logprob\":-2.0,\"bytes\":[195],\"top_logprobs\":["          \
	"{\"token\":\"a\",\"logprob\":-0.25,\"bytes\":[97]}]}"

START_TEST(of_a_chat)
{
	begin(API_CHAT, false);
	expect_whole("{\"content\":[],\"refusal\":null}");
	take(WORD, END);
	take(0xc3, 'a');
	expect_whole("{\"content\":[" HELLO "," HALF "],\"refusal\":null}");
}
END_TEST

START_TEST(of_a_streamed_chat)
{
	begin(API_CHAT, true);
	expect_chunk("{\"logprobs\":null}");
	take(WORD, END);
	take(0xc3, 'a');
	expect_chunk("{\"logprobs\":{\"content\":[" HELLO "," HALF "],\"refusal\":null}}");
	expect_chunk("{\"logprobs\":null}");
	take(WORD, END);
	expect_chunk("{\"logprobs\":{\"content\":[" HELLO "],\"refusal\":null}}");
}
END_TEST

/* Offsets are of characters: two bytes are one, and what is broken is U+FFFD. */
START_TEST(of_a_completion)
{
	begin(API_COMPLETION, false);
	take(WORD, 'a');
	take(0xc3, 0xc3);
	take(0xa9, 0xa9);
	take(0xff, 0);
	take('b', 'b');
	expect_whole("{\"tokens\":[\"Hello\",\"bytes:\\\\xc3\",\"bytes:\\\\xa9\",\"bytes:\\\\xff\","
		     "\"b\"],"
		     "\"token_logprobs\":[-2.0,-2.0,-2.0,-2.0,-2.0],"
		     "\"top_logprobs\":[{\"a\":-0.25,\"Hello\":-2.0},{\"bytes:\\\\xc3\":-2.0},"
		     "{\"bytes:\\\\xa9\":-2.0},{\"bytes:\\\\x00\":-0.25,\"bytes:\\\\xff\":-2.0},"
		     "{\"b\":-2.0}],"
		     "\"text_offset\":[0,5,5,6,7]}");
}
END_TEST

START_TEST(of_a_streamed_completion)
{
	begin(API_COMPLETION, true);
	take(WORD, 'a');
	expect_chunk("{\"logprobs\":{\"tokens\":[\"Hello\"],\"token_logprobs\":[-2.0],"
		     "\"top_logprobs\":[{\"a\":-0.25,\"Hello\":-2.0}],\"text_offset\":[0]}}");
	take('b', 'b');
	expect_chunk("{\"logprobs\":{\"tokens\":[\"b\"],\"token_logprobs\":[-2.0],"
		     "\"top_logprobs\":[{\"b\":-2.0}],\"text_offset\":[5]}}");
}
END_TEST

START_TEST(what_is_missing_is_said)
{
	struct token_odds o = {.picked = {'a', -1}};

	begin(API_CHAT, false);
	api_logprobs_take(&l, &o, 1, true);
	ck_assert(api_logprobs_failed(&l));
}
END_TEST

/* 64 MiB of text, and not as many gigabytes of trees. */
START_TEST(long_answers_are_bounded)
{
	struct token_odds o = {.picked = {WORD, -1}, .n = ODDS_MOST};

	for (uint32_t i = 0; i < ODDS_MOST; i++)
		o.best[i] = (struct token_chance){WORD, -1};
	begin(API_CHAT, false);
	for (int i = 0; i < 60000 && !api_logprobs_failed(&l); i++)
		api_logprobs_take(&l, &o, 1, false);
	ck_assert(api_logprobs_failed(&l));
	ck_assert_uint_le(l.texts[0].len, 64u << 20);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("logprobs");
	TCase *tc = tcase_create("logprobs");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, of_a_chat);
	tcase_add_test(tc, of_a_streamed_chat);
	tcase_add_test(tc, of_a_completion);
	tcase_add_test(tc, of_a_streamed_completion);
	tcase_add_test(tc, what_is_missing_is_said);
	tcase_add_test(tc, long_answers_are_bounded);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
