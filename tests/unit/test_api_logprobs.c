/* `logprobs` over the API, with scripted models: whole and streamed, of a model by its name and of `auto`; and where
 * they are refused. */
#include "tests/support/http_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CHAT  "/v1/chat/completions"
#define COMPL "/v1/completions"
#define HI    "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define TWO   "\"logprobs\":true,\"top_logprobs\":2"

static const struct fake_script sure = {
	.pieces = {"small", " says", " so"}, .end = SESSION_STOP, .margin = 20};
static const struct fake_script unsure = {
	.pieces = {"small", " may", " be"}, .end = SESSION_STOP, .margin = 0.01f};
static struct answer a;

static void
setup(void)
{
	fixture_privacy = "home";
	fixture_start();
}

static void
teardown(void)
{
	answer_free(&a);
	fixture_stop();
}

static void
say(const char *path, const char *body)
{
	answer_free(&a);
	post(path, body, &a);
}

static json_t *
choice(json_t *o)
{
	return json_array_get(json_object_get(o, "choices"), 0);
}

/* Appends what a choice has of the list `key`. */
static void
add_list(json_t *o, const char *key, json_t *sum)
{
	json_t *l = json_object_get(choice(o), "logprobs");

	if (json_is_object(l))
		json_array_extend(sum, json_object_get(l, key));
}

/* The list `key` of all chunks. Each has a token for its text, and none without. */
static json_t *
streamed(const char *key)
{
	json_t *sum = json_array();

	for (const char *p = a.body; (p = strstr(p, "data: {")) != NULL; p++) {
		const char *end = strstr(p, "\n\n");
		json_t *o = json_loadb(p + 6, (size_t)(end - p - 6), 0, NULL), *c = choice(o),
		       *text;

		text = json_object_get(json_object_get(c, "delta"), "content");
		text = text != NULL ? text : json_object_get(c, "text");
		ck_assert_int_eq(json_string_length(text) > 0,
			json_is_object(json_object_get(c, "logprobs")));
		add_list(o, key, sum);
		json_decref(o);
	}
	return sum;
}

static void
expect(json_t *got, const char *want)
{
	json_t *w = json_loads(want, 0, NULL);

	ck_assert_ptr_nonnull(w);
	ck_assert_msg(json_equal(got, w), "%s: %s", want, a.body);
	json_decref(w);
	json_decref(got);
}

static json_t *
whole(const char *key)
{
	json_t *sum = json_array();

	ck_assert_msg(a.status == 200 && a.json != NULL, "%d %s", a.status, a.body);
	add_list(a.json, key, sum);
	return sum;
}

#define TOKEN(name, bytes, p) "\"token\":\"" name "\",\"logprob\":" p ",\"bytes\":[" bytes "]"
#define ALL_OF_IT                                                                                  \
	"[{" TOKEN("Hello", "72,101,108,108,111", "-0.25") ",\"top_logprobs\":[{" TOKEN(           \
		"Hello", "72,101,108,108,111", "-0.25") "},{" TOKEN("A", "65",                     \
		"-9.0") "}]},"                                                                     \
			"{" TOKEN(" world", "32,119,111,114,108,100",                              \
				"-0.5") ",\"top_logprobs\":[{" TOKEN(" world",                     \
				"32,119,111,114,108,100",                                          \
				"-0.5") "},{" TOKEN("A", "65", "-9.0") "}]}]"

START_TEST(chats_whole_and_streamed)
{
	say(CHAT, "{" HI "," TWO "}");
	ck_assert(json_is_null(
		json_object_get(json_object_get(choice(a.json), "logprobs"), "refusal")));
	expect(whole("content"), ALL_OF_IT);
	ck_assert_str_eq(json_string_value(json_object_get(
				 json_object_get(choice(a.json), "message"), "content")),
		"Hello world");
	say(CHAT, "{" HI "," TWO ",\"stream\":true}");
	expect(streamed("content"), ALL_OF_IT);
}
END_TEST

START_TEST(none_where_none_were_asked_for)
{
	say(CHAT, "{" HI "}");
	ck_assert(json_is_null(json_object_get(choice(a.json), "logprobs")));
	say(CHAT, "{" HI ",\"logprobs\":false,\"top_logprobs\":0}");
	ck_assert(json_is_null(json_object_get(choice(a.json), "logprobs")));
	say(COMPL, "{\"prompt\":\"Hi\",\"logprobs\":null}");
	ck_assert(json_is_null(json_object_get(choice(a.json), "logprobs")));
}
END_TEST

START_TEST(so_many_alternatives)
{
	static const unsigned n[] = {0, 1, 20};
	json_t *all;
	char body[256];

	for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
		snprintf(body, sizeof body, "{" HI ",\"logprobs\":true,\"top_logprobs\":%u}", n[i]);
		say(CHAT, body);
		all = whole("content");
		ck_assert_uint_eq(json_array_size(all), 2);
		ck_assert_uint_eq(
			json_array_size(json_object_get(json_array_get(all, 0), "top_logprobs")),
			n[i]);
		json_decref(all);
	}
	say(CHAT, "{" HI ",\"logprobs\":true,\"top_logprobs\":21}");
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "param"), "top_logprobs");
}
END_TEST

START_TEST(completions_whole_and_streamed)
{
	static const char *const keys[] = {
		"tokens", "token_logprobs", "top_logprobs", "text_offset"};
	static const char *const want[] = {"[\"Hello\",\" world\"]", "[-0.25,-0.5]",
		"[{\"Hello\":-0.25,\"A\":-9.0},{\" world\":-0.5,\"A\":-9.0}]", "[0,5]"};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		say(COMPL, "{\"prompt\":\"Hi\",\"logprobs\":2}");
		expect(whole(keys[i]), want[i]);
		say(COMPL, "{\"prompt\":\"Hi\",\"logprobs\":2,\"stream\":true}");
		expect(streamed(keys[i]), want[i]);
	}
	say(COMPL, "{\"prompt\":\"Hi\",\"logprobs\":0}");
	expect(whole("top_logprobs"), "[{\"Hello\":-0.25},{\" world\":-0.5}]");
}
END_TEST

/* Tokens without a text do not wait for one: an event of all of them might be more than may wait for a client. */
START_TEST(what_says_nothing_goes_in_parts)
{
	static const struct fake_script late = {
		.pieces = {"Hello", " world"}, .end = SESSION_STOP, .silent = 200};
	size_t all = 0, chunks = 0;

	fake_set(&late);
	say(CHAT, "{" HI "," TWO ",\"stream\":true}");
	for (const char *p = a.body; (p = strstr(p, "data: {")) != NULL; p++) {
		json_t *o = json_loadb(p + 6, (size_t)(strstr(p, "\n\n") - p - 6), 0, NULL),
		       *l = json_object_get(choice(o), "logprobs");
		size_t n = json_array_size(json_object_get(l, "content"));

		ck_assert_uint_le(n, 64);
		all += n;
		chunks += n > 0;
		json_decref(o);
	}
	ck_assert_uint_eq(all, 202);
	ck_assert_uint_eq(chunks, 5);
	ck_assert_ptr_nonnull(strstr(a.body, "data: [DONE]"));
	say(CHAT, "{" HI "," TWO "}");
	ck_assert_uint_eq(json_array_size(json_object_get(
				  json_object_get(choice(a.json), "logprobs"), "content")),
		202);
}
END_TEST

START_TEST(they_are_not_kept)
{
	ask("POST", CHAT, "Idempotency-Key: \"k\"\r\n", "{" HI "," TWO "}", &a);
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "param"), "Idempotency-Key");
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "logprobs"));
}
END_TEST

/* --- the model auto ------------------------------------------------------------------------------ */

static void
expect_tokens(json_t *all, const char *first, size_t n)
{
	ck_assert_msg(json_array_size(all) == n, "%s", a.body);
	ck_assert_str_eq(
		json_string_value(json_object_get(json_array_get(all, 0), "token")), first);
	json_decref(all);
}

/* The small model's draft is held until it is judged: its figures come with it, or go with it. By turns, as the knob
 * sends one half up. */
START_TEST(drafts_bring_their_own)
{
	fake_set_small(&sure);
	say(CHAT, "{\"model\":\"auto\"," HI "," TWO "}");
	expect_tokens(whole("content"), "small", 3);
	fake_set_small(&unsure);
	say(CHAT, "{\"model\":\"auto\"," HI "," TWO "}");
	expect(whole("content"), ALL_OF_IT);
	fake_set_small(&sure);
	say(CHAT, "{\"model\":\"auto\"," HI "," TWO ",\"stream\":true}");
	ck_assert_msg(strstr(a.body, "small says so") != NULL, "%s", a.body);
	expect_tokens(streamed("content"), "small", 3);
	fake_set_small(&unsure);
	say(CHAT, "{\"model\":\"auto\"," HI "," TWO ",\"stream\":true}");
	expect(streamed("content"), ALL_OF_IT);
}
END_TEST

START_TEST(one_model_writes_all)
{
	fake_set_small(&sure);
	say(CHAT, "{\"model\":\"auto\"," HI "," TWO ",\"shoal\":{\"mode\":\"token\"}}");
	expect_tokens(whole("content"), "small", 3);
	ck_assert_ptr_nonnull(strstr(a.body, "logprobs are of one model's tokens"));
	say(CHAT, "{\"model\":\"auto\"," HI "," TWO
		  ",\"shoal\":{\"mode\":\"document\",\"document\":\"It is so.\"}}");
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "param"), "logprobs");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("api_logprobs");
	TCase *t = tcase_create("api_logprobs");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, chats_whole_and_streamed);
	tcase_add_test(t, none_where_none_were_asked_for);
	tcase_add_test(t, so_many_alternatives);
	tcase_add_test(t, completions_whole_and_streamed);
	tcase_add_test(t, what_says_nothing_goes_in_parts);
	tcase_add_test(t, they_are_not_kept);
	tcase_add_test(t, drafts_bring_their_own);
	tcase_add_test(t, one_model_writes_all);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
