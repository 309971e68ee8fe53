/* The mode `token` of the model `auto` over the API, with scripted models: what a client may say, what it
 * hears of who wrote what, and when it is answered in the other mode. */
#include "tests/support/http_fixture.h"
#include "tests/support/patience.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"

/* The small one doubts its second piece. */
static const struct fake_script small = {
	.pieces = {"one ", "too ", "three "}, .end = SESSION_STOP, .margin = 20, .doubts = 2};
static const struct fake_script large = {
	.pieces = {"One ", "two ", "three "}, .end = SESSION_STOP, .margin = 20};
static struct answer a;

static void
setup(void)
{
	fixture_privacy = "home";
	fixture_start();
	fake_set(&large);
	fake_set_small(&small);
}

static void
teardown(void)
{
	answer_free(&a);
	fixture_stop();
}

static void
say_with(const char *headers, const char *model, const char *more)
{
	char body[1024];

	snprintf(body, sizeof body,
		"{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]%s}",
		model, more);
	answer_free(&a);
	ask("POST", CHAT, headers, body, &a);
}

static void
say(const char *shoal)
{
	char more[512];

	snprintf(more, sizeof more, ",\"shoal\":{\"mode\":\"token\"%s}", shoal);
	say_with("", "auto", more);
}

/* A member of the answer by its path. */
static json_t *
at(const char *path)
{
	json_t *o = a.json;
	char key[64];

	for (; o != NULL && *path != '\0'; path += strspn(path, ".")) {
		size_t len = strcspn(path, ".");

		snprintf(key, sizeof key, "%.*s", (int)len, path);
		o = json_is_array(o) ? json_array_get(o, (size_t)atoi(key))
				     : json_object_get(o, key);
		path += len;
	}
	return o;
}

static void
expect_text(const char *path, const char *want)
{
	const char *s = json_string_value(at(path));

	ck_assert_msg(s != NULL && strcmp(s, want) == 0, "%s is '%s' instead of '%s': %s", path,
		s != NULL ? s : "(none)", want, a.body);
}

static void
expect_number(const char *path, double want)
{
	ck_assert_msg(json_is_number(at(path)), "%s is no number: %s", path, a.body);
	ck_assert_msg(json_number_value(at(path)) == want, "%s is %g instead of %g", path,
		json_number_value(at(path)), want);
}

#define CONTENT "choices.0.message.content"

START_TEST(the_large_model_says_what_the_small_one_doubts)
{
	struct fake_seen seen;

	say("");
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	expect_text(CONTENT, "one two three ");
	expect_text("model", FAKE_MODEL);
	expect_text("shoal.target", "large");
	expect_text("shoal.reason", "by_token");
	expect_text("shoal.mode", "token");
	expect_text("shoal.token.verify", "doubts");
	expect_number("shoal.token.threshold", 0.5);
	expect_number("shoal.token.small_tokens", 3); /* the end, too */
	expect_number("shoal.token.large_tokens", 1);
	expect_number("shoal.token.large_share", 0.25);
	expect_number("shoal.token.large_asked", 1);
	expect_number("usage.completion_tokens", 4);
	expect_number("usage.completion_tokens_details.large_tokens", 1);
	ck_assert_ptr_nonnull(strcasestr(a.head, "x-shoal-large-share: 0.250"));
	fake_get(&seen);
	ck_assert_uint_eq(seen.led, 1);
	ck_assert_uint_eq(seen.running, 0);
}
END_TEST

START_TEST(the_ends_of_the_threshold)
{
	struct fake_seen seen;

	say(",\"token_threshold\":0");
	expect_text(CONTENT, "one too three ");
	expect_number("shoal.token.large_share", 0);
	say(",\"token_threshold\":1");
	expect_text(CONTENT, "One two three ");
	expect_number("shoal.token.large_share", 1);
	fake_get(&seen);
	ck_assert_uint_eq(seen.small, 1); /* where it says nothing it is not there */
}
END_TEST

/* It answers as if it were asked alone, with what is drafted for any request of it. */
START_TEST(the_large_model_says_all)
{
	struct fake_script drafted = large;
	struct fake_seen seen;

	drafted.drafted = 2;
	drafted.accepted = 1;
	fake_set(&drafted);
	say(",\"verify\":\"all\"");
	expect_text(CONTENT, "One two three ");
	expect_text("shoal.reason", "by_token");
	expect_text("shoal.token.verify", "all");
	ck_assert_ptr_null(at("shoal.token.threshold"));
	expect_number("shoal.token.small_tokens", 0);
	expect_number("shoal.token.large_tokens", 3);
	expect_number("shoal.token.large_share", 1);
	expect_number("shoal.token.drafted", 4);
	expect_number("shoal.token.accepted", 2);
	expect_number("shoal.token.large_asked", 1);
	expect_number("usage.completion_tokens_details.large_tokens", 3);
	expect_number("usage.completion_tokens_details.accepted_prediction_tokens", 2);
	expect_number("usage.completion_tokens_details.rejected_prediction_tokens", 2);
	expect_number("timings.draft_n_accepted", 2);
	ck_assert_ptr_nonnull(strcasestr(a.head, "x-shoal-large-share: 1.000"));
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 1);
	ck_assert_uint_eq(seen.small + seen.guides, 0);
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_token_large_total 3\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_token_drafted_total 4\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_token_accepted_total 2\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_token_asked_total 1\n"));
}
END_TEST

START_TEST(who_wants_all_computed_gets_it)
{
	struct fake_seen seen;

	say("");
	fake_get(&seen);
	ck_assert_uint_eq(seen.guides, 2);
	ck_assert_uint_eq(seen.uncached, 0);
	say_with("", "auto", ",\"cache_prompt\":false,\"shoal\":{\"mode\":\"token\"}");
	expect_text(CONTENT, "one two three ");
	fake_get(&seen);
	ck_assert_uint_eq(seen.guides, 4);
	ck_assert_uint_eq(seen.uncached, 2);
}
END_TEST

START_TEST(by_a_header)
{
	say_with("X-Shoal-Mode: token\r\n", "auto", "");
	expect_text(CONTENT, "one two three ");
	say_with("X-Shoal-Mode: token\r\n", "auto:home", "");
	expect_text(CONTENT, "one two three ");
	say_with("X-Shoal-Mode: query\r\n", "auto:home", "");
	expect_text(CONTENT, "One two three ");
	ck_assert_ptr_null(at("shoal.mode"));
	say_with("X-Shoal-Mode: word\r\n", "auto", "");
	ck_assert_int_eq(a.status, 400);
	say_with("X-Shoal-Mode: token\r\n", FAKE_MODEL, "");
	ck_assert_int_eq(a.status, 400);
}
END_TEST

START_TEST(senseless_wishes)
{
	static const char *const wishes[] = {"{\"mode\":\"word\"}", "{\"mode\":1}",
		"{\"mode\":null}", "{\"token_threshold\":0.5}", "{\"verify\":\"all\"}",
		"{\"verify\":\"doubts\"}", "{\"mode\":\"query\",\"verify\":\"all\"}",
		"{\"mode\":\"token\",\"token_threshold\":1.5}",
		"{\"mode\":\"token\",\"token_threshold\":\"all\"}",
		"{\"mode\":\"token\",\"verify\":\"some\"}", "{\"mode\":\"token\",\"verify\":true}",
		"{\"mode\":\"token\",\"verify\":\"all\",\"token_threshold\":0.5}"};
	char more[256];

	for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
		snprintf(more, sizeof more, ",\"shoal\":%s", wishes[i]);
		say_with("", "auto", more);
		ck_assert_msg(a.status == 400, "%s: %d", wishes[i], a.status);
	}
	say_with("", "auto:local", ",\"shoal\":{\"mode\":\"token\"}");
	ck_assert_int_eq(a.status, 400);
	say_with("", "auto:cloud", ",\"shoal\":{\"mode\":\"token\"}");
	ck_assert_int_eq(a.status, 404); /* there is none */
}
END_TEST

/* In the other mode, and said so; the large model's text is the large model's. */
START_TEST(what_cannot_be_written_together)
{
	struct fake_script other = large, away = large, two = large, full = small;

	other.other_vocabulary = true;
	fake_set(&other);
	say("");
	expect_text("shoal.mode", "query");
	expect_text("shoal.not_by_token",
		"their vocabularies differ: token 3 has another text in each");
	expect_text(CONTENT, "one too three ");
	say(",\"verify\":\"all\"");
	expect_text("shoal.mode", "query");
	expect_text(CONTENT, "One two three ");
	away.absent = true;
	fake_set(&away);
	say("");
	expect_text("shoal.not_by_token", "the large model: it is not ready");
	expect_text("shoal.target", "small");
	two.devices = 2;
	fake_set(&two);
	say(",\"privacy\":\"device\"");
	expect_text("shoal.mode", "query");
	expect_text("shoal.target", "small");
	fake_set(&large);
	fake_set_small(NULL);
	say("");
	expect_text("shoal.not_by_token", "the small model: none is configured");
	expect_text(CONTENT, "One two three ");
	full.refuse = 429;
	fake_set_small(&full);
	say("");
	expect_text("shoal.mode", "query");
	expect_text(CONTENT, "One two three ");
	say(",\"verify\":\"all\""); /* drafts are a help, no need */
	expect_text("shoal.mode", "token");
	expect_text(CONTENT, "One two three ");
	full.refuse = 0;
	fake_set_small(&full);
	two.refuse = 429;
	two.devices = 0;
	fake_set(&two);
	say(",\"verify\":\"all\"");
	expect_text("shoal.mode", "query");
	expect_text("shoal.not_by_token", "the queue is full: 64 requests wait");
	expect_text("shoal.target", "small");
	expect_text(CONTENT, "one too three ");
}
END_TEST

/* Before anything was said the small model answers alone; after that it is an error. */
START_TEST(the_large_model_fails)
{
	struct fake_script broken = {.end = SESSION_STOP, .fail_status = 502, .fail = "lost"};
	struct fake_script unsure = small;

	unsure.doubts = 1;
	fake_set(&broken);
	fake_set_small(&unsure);
	say("");
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	expect_text(CONTENT, "one too three ");
	expect_text("shoal.reason", "fell_back");
	say(",\"verify\":\"all\"");
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	expect_text(CONTENT, "one too three ");
	expect_text("shoal.reason", "fell_back");
	fake_set_small(&small);
	say("");
	ck_assert_int_eq(a.status, 502);
	broken.pieces[0] = "One ";
	fake_set(&broken);
	say(",\"verify\":\"all\"");
	ck_assert_int_eq(a.status, 502);
}
END_TEST

START_TEST(the_small_model_fails)
{
	struct fake_script broken = {
		.pieces = {"one "}, .margin = 20, .fail_status = 503, .fail = "lost"};

	fake_set_small(&broken);
	say("");
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	expect_text("shoal.reason", "by_token");
	ck_assert(json_is_true(at("shoal.token.small_failed")));
	expect_text(CONTENT, "One two three ");
}
END_TEST

START_TEST(tokens_are_bounded)
{
	for (int n = 1; n < 4; n++) {
		static const char *const want[] = {"", "one ", "one two ", "one two three "};
		char more[128];

		snprintf(more, sizeof more, ",\"max_tokens\":%d,\"shoal\":{\"mode\":\"token\"}", n);
		say_with("", "auto", more);
		expect_text(CONTENT, want[n]);
		expect_text("choices.0.finish_reason", "length");
		expect_number("usage.completion_tokens", n);
	}
}
END_TEST

START_TEST(the_client_leaves)
{
	static const char *const ways[] = {"", ",\"verify\":\"all\""};
	static const unsigned requests[] = {2, 1};
	struct fake_script slow = _i == 0 ? small : large;
	struct fake_seen seen;
	uint64_t since = 0;
	char body[256], head[512];
	int fd;

	slow.gap_ms = 60000;
	if (_i == 0)
		fake_set_small(&slow);
	else
		fake_set(&slow);
	snprintf(body, sizeof body,
		"{\"model\":\"auto\",\"stream\":true,\"shoal\":{\"mode\":\"token\"%s},"
		"\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
		ways[_i]);
	fd = client_tcp(fixture_port);
	snprintf(head, sizeof head,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	client_send(fd, head, strlen(head));
	do
		fake_get(&seen);
	while (seen.running != requests[_i] && wait_more(&since));
	ck_assert_uint_eq(seen.running, requests[_i]);
	close(fd);
	ck_assert(wait_cancelled(requests[_i]));
}
END_TEST

START_TEST(streams_and_figures)
{
	char id[64] = "", path[128];
	const char *at_id;

	say_with("", "auto",
		",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
		"\"shoal\":{\"mode\":\"token\"}");
	ck_assert_int_eq(a.status, 200);
	ck_assert_ptr_nonnull(strstr(a.body, "\"content\":\"one \""));
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"by_token\""));
	ck_assert_ptr_nonnull(strstr(a.body, "\"large_share\":0.25"));
	ck_assert_ptr_nonnull(strstr(a.body, "[DONE]"));
	at_id = strstr(a.body, "\"id\":\"");
	ck_assert_ptr_nonnull(at_id);
	sscanf(at_id, "\"id\":\"%63[^\"]", id);
	snprintf(path, sizeof path, "/shoal/v1/route/why/%s", id);
	answer_free(&a);
	client_ask(client_unix(fixture_socket), "GET", path, "", NULL, &a);
	expect_number("shoal.token.large_tokens", 1);
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_token_large_total 1\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_token_small_total 3\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "target=\"large\",reason=\"by_token\"} 1\n"));
	/* It is neither model's answer: nothing is to be learned from how right it was. */
	snprintf(path, sizeof path, "{\"id\":\"%s\",\"right\":1}", id);
	answer_free(&a);
	client_ask(client_unix(fixture_socket), "POST", "/shoal/v1/route/feedback", "", path, &a);
	ck_assert_int_eq(a.status, 404);
}
END_TEST

START_TEST(explains_without_asking)
{
	struct fake_seen seen;

	say(",\"explain\":true");
	expect_text("shoal.reason", "by_token");
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router_token");
	TCase *t = tcase_create("router_token");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, the_large_model_says_what_the_small_one_doubts);
	tcase_add_test(t, the_ends_of_the_threshold);
	tcase_add_test(t, the_large_model_says_all);
	tcase_add_test(t, who_wants_all_computed_gets_it);
	tcase_add_test(t, by_a_header);
	tcase_add_test(t, senseless_wishes);
	tcase_add_test(t, what_cannot_be_written_together);
	tcase_add_test(t, the_large_model_fails);
	tcase_add_test(t, the_small_model_fails);
	tcase_add_test(t, tokens_are_bounded);
	tcase_add_loop_test(t, the_client_leaves, 0, 2);
	tcase_add_test(t, streams_and_figures);
	tcase_add_test(t, explains_without_asking);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
