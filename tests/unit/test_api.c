/* Generations over the API, whole and streamed, by sockets, with a scripted model. */
#include "tests/support/http_fixture.h"
#include "tests/support/patience.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHAT   "/v1/chat/completions"
#define COMPL  "/v1/completions"
#define HI     "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define STREAM "\"stream\":true"

static struct answer a;

static void
setup(void)
{
	fixture_start();
}

static void
teardown(void)
{
	answer_free(&a);
	fixture_stop();
}

static json_t *
choice(json_t *o)
{
	return json_array_get(json_object_get(o, "choices"), 0);
}

static const char *
text_of(json_t *o, const char *outer, const char *key)
{
	return json_string_value(json_object_get(json_object_get(o, outer), key));
}

/* The n-th event of a stream's body: comments are skipped. "[DONE]" gives NULL and *done. */
static json_t *
event(const struct answer *an, int n, bool *done)
{
	const char *p = an->body;

	*done = false;
	while ((p = strstr(p, "data: ")) != NULL) {
		const char *end = strstr(p, "\n\n");

		ck_assert_ptr_nonnull(end);
		p += 6;
		if (n-- == 0) {
			*done = strncmp(p, "[DONE]\n\n", 8) == 0;
			return *done ? NULL : json_loadb(p, (size_t)(end - p), 0, NULL);
		}
	}
	return NULL;
}

START_TEST(chat_whole)
{
	post(CHAT, "{" HI ",\"model\":\"fake-1b\"}", &a);
	ck_assert_int_eq(a.status, 200);
	ck_assert_ptr_nonnull(strcasestr(a.head, "x-request-id: req_"));
	ck_assert_ptr_nonnull(strcasestr(a.head, "content-type: application/json"));
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "object")), "chat.completion");
	ck_assert_str_eq(text_of(choice(a.json), "message", "content"), "Hello world");
	ck_assert_str_eq(text_of(choice(a.json), "message", "role"), "assistant");
	ck_assert_str_eq(
		json_string_value(json_object_get(choice(a.json), "finish_reason")), "stop");
	ck_assert_int_eq(json_integer_value(
				 json_object_get(json_object_get(a.json, "usage"), "total_tokens")),
		5 + 2);
	ck_assert_int_eq(json_integer_value(json_object_get(
				 json_object_get(a.json, "timings"), "predicted_n")),
		2);
	ck_assert_ptr_null(json_object_get(a.json, "tokens"));
}
END_TEST

static void
check_event(int n, const char *role, const char *content, const char *reason)
{
	bool done;
	json_t *o = event(&a, n, &done), *c = choice(o);
	const char *finish = json_string_value(json_object_get(c, "finish_reason"));

	ck_assert_msg(o != NULL, "no event %d in %s", n, a.body);
	ck_assert_str_eq(json_string_value(json_object_get(o, "object")), "chat.completion.chunk");
	ck_assert_pstr_eq(text_of(c, "delta", "role"), role);
	ck_assert_pstr_eq(text_of(c, "delta", "content"), content);
	ck_assert_pstr_eq(finish, reason);
	ck_assert_ptr_null(json_object_get(o, "usage"));
	json_decref(o);
}

START_TEST(chat_stream)
{
	bool done;
	json_t *first, *last;

	post(CHAT, "{" HI "," STREAM "}", &a);
	ck_assert_int_eq(a.status, 200);
	ck_assert(a.whole);
	ck_assert_ptr_nonnull(strcasestr(a.head, "content-type: text/event-stream"));
	check_event(0, "assistant", "", NULL);
	check_event(1, NULL, "Hello", NULL);
	check_event(2, NULL, " world", NULL);
	check_event(3, NULL, NULL, "stop");
	ck_assert_ptr_null(event(&a, 4, &done));
	ck_assert(done);
	ck_assert_ptr_null(event(&a, 5, &done));
	ck_assert(!done);
	first = event(&a, 0, &done);
	last = event(&a, 3, &done);
	ck_assert(json_equal(json_object_get(first, "id"), json_object_get(last, "id")));
	ck_assert(json_equal(json_object_get(first, "created"), json_object_get(last, "created")));
	json_decref(first);
	json_decref(last);
}
END_TEST

START_TEST(usage_comes_only_when_asked)
{
	bool done;
	json_t *o;

	post(CHAT, "{" HI "," STREAM ",\"stream_options\":{\"include_usage\":true}}", &a);
	o = event(&a, 4, &done);
	ck_assert_uint_eq(json_array_size(json_object_get(o, "choices")), 0);
	ck_assert(json_is_array(json_object_get(o, "choices")));
	ck_assert_int_eq(json_integer_value(
				 json_object_get(json_object_get(o, "usage"), "completion_tokens")),
		2);
	json_decref(o);
	ck_assert_ptr_null(event(&a, 5, &done));
	ck_assert(done);
}
END_TEST

START_TEST(completion_with_echo_tokens_and_timings)
{
	post(COMPL, "{\"prompt\":[72,105],\"echo\":true,\"return_tokens\":true}", &a);
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(
		json_string_value(json_object_get(choice(a.json), "text")), "HiHello world");
	ck_assert_int_eq(
		json_integer_value(json_array_get(json_object_get(a.json, "tokens"), 1)), 8);
	ck_assert_uint_eq(json_array_size(json_object_get(a.json, "tokens")), 2);
	ck_assert_double_eq_tol(json_number_value(json_object_get(
					json_object_get(a.json, "timings"), "prompt_per_second")),
		4, 1e-9);
}
END_TEST

START_TEST(completion_stream)
{
	bool done;
	json_t *o;

	post(COMPL, "{\"prompt\":\"Hi\",\"echo\":true,\"return_tokens\":true," STREAM "}", &a);
	o = event(&a, 0, &done);
	ck_assert_str_eq(json_string_value(json_object_get(choice(o), "text")), "Hi");
	json_decref(o);
	o = event(&a, 3, &done);
	ck_assert_str_eq(json_string_value(json_object_get(choice(o), "text")), "");
	ck_assert_str_eq(json_string_value(json_object_get(choice(o), "finish_reason")), "stop");
	ck_assert_uint_eq(json_array_size(json_object_get(o, "tokens")), 2);
	ck_assert_ptr_nonnull(json_object_get(o, "timings"));
	json_decref(o);
	ck_assert_ptr_null(event(&a, 4, &done));
	ck_assert(done);
}
END_TEST

START_TEST(settings_reach_the_model)
{
	struct fake_seen seen;

	post(CHAT,
		"{" HI ",\"stop\":[\"END\",\"\\n\"],\"seed\":42,\"temperature\":0,\"max_tokens\":9,"
		"\"repeat_last_n\":-1,\"ignore_eos\":true}",
		&a);
	ck_assert_int_eq(a.status, 200);
	fake_get(&seen);
	ck_assert_str_eq(seen.prompt, "u:Hi\n");
	ck_assert_uint_eq(seen.n_stops, 2);
	ck_assert_str_eq(seen.stops[0], "END");
	ck_assert_uint_eq(seen.sampler.seed, 42);
	ck_assert_float_eq(seen.sampler.temperature, 0);
	ck_assert_uint_eq(seen.sampler.penalty_last, FAKE_CONTEXT);
	ck_assert_uint_eq(seen.max_tokens, 9);
	ck_assert(seen.ignore_end);
}
END_TEST

#define SCHEMA(more)                                                                               \
	"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","           \
	"\"strict\":true,"                                                                         \
	"\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"" more "}}}}}"

/* The model is told of it, and held to it. */
START_TEST(answers_have_a_form)
{
	struct fake_seen seen;

	post(CHAT, "{" HI "," SCHEMA("") "}", &a);
	ck_assert_int_eq(a.status, 200);
	fake_get(&seen);
	ck_assert(seen.held);
	ck_assert_str_eq(seen.prompt,
		"s:Answer with JSON, and nothing else. It has this schema:\n{\"type\":\"object\","
		"\"properties\":{\"a\":{\"type\":\"string\"}}}\nu:Hi\n");
	answer_free(&a);
	post(CHAT, "{" HI ",\"response_format\":{\"type\":\"json_object\"}}", &a);
	fake_get(&seen);
	ck_assert(seen.held);
	ck_assert_str_eq(seen.prompt, "s:Answer with a JSON object, and nothing else.\nu:Hi\n");
	answer_free(&a);
	post(CHAT, "{" HI ",\"response_format\":{\"type\":\"text\"}}", &a);
	fake_get(&seen);
	ck_assert(!seen.held);
	answer_free(&a);
	post("/v1/completions", "{\"prompt\":\"Hi\"," SCHEMA("") "}", &a);
	ck_assert_int_eq(a.status, 200);
	fake_get(&seen);
	ck_assert(seen.held);
	ck_assert_str_eq(seen.prompt, "Hi");
}
END_TEST

START_TEST(forms_that_cannot_be_held_say_why)
{
	post(CHAT, "{" HI "," SCHEMA(",\"pattern\":\"x\"") "}", &a);
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "param"), "response_format");
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "properties.a: 'pattern'"));
	answer_free(&a);
	ask("POST", CHAT, "Idempotency-Key: one\r\n", "{" HI "," SCHEMA("") "}", &a);
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "param"), "Idempotency-Key");
}
END_TEST

/* Characters that the engine cuts in two, and bytes that are none. */
START_TEST(characters_stay_whole)
{
	struct fake_script s = {
		.pieces = {"a\xe2\x82", "\xac\xf0\x9f", "\x90\x8b\xff", "b\xc3", NULL},
		.end = SESSION_LENGTH};

	fake_set(&s);
	post(CHAT, "{" HI "}", &a);
	ck_assert_str_eq(text_of(choice(a.json), "message", "content"),
		"a\xe2\x82\xac\xf0\x9f\x90\x8b\xef\xbf\xbd"
		"b\xef\xbf\xbd");
	answer_free(&a);
	post(CHAT, "{" HI "," STREAM "}", &a);
	check_event(1, NULL, "a", NULL);
	check_event(2, NULL, "\xe2\x82\xac", NULL);
	check_event(3, NULL, "\xf0\x9f\x90\x8b\xef\xbf\xbd", NULL);
	check_event(4, NULL, "b", NULL);
	check_event(5, NULL, "\xef\xbf\xbd", NULL);
	check_event(6, NULL, NULL, "length");
}
END_TEST

START_TEST(a_failed_stream_ends_with_an_error_event)
{
	struct fake_script s = {
		.pieces = {"Hello", NULL}, .fail_status = 503, .fail = "peer amber-otter was lost"};
	bool done;
	json_t *o;

	fake_set(&s);
	post(CHAT, "{" HI "," STREAM "}", &a);
	ck_assert_int_eq(a.status, 200);
	check_event(1, NULL, "Hello", NULL);
	o = event(&a, 2, &done);
	ck_assert_str_eq(text_of(o, "error", "message"), "peer amber-otter was lost");
	ck_assert_uint_eq(json_object_size(json_object_get(o, "error")), 4);
	json_decref(o);
	ck_assert_ptr_null(event(&a, 3, &done));
	ck_assert_ptr_null(strstr(a.body, "[DONE]"));
	ck_assert_ptr_null(strstr(a.body, "\"stop\""));
}
END_TEST

START_TEST(a_failed_answer_has_its_status)
{
	struct fake_script s = {.pieces = {"Hello", NULL}, .fail_status = 503, .fail = "lost"};

	fake_set(&s);
	post(CHAT, "{" HI "}", &a);
	ck_assert_int_eq(a.status, 503);
	ck_assert_str_eq(answer_error(&a, "type"), "unavailable_error");
	ck_assert_ptr_nonnull(strcasestr(a.head, "retry-after:"));
}
END_TEST

START_TEST(a_full_queue_is_429)
{
	struct fake_script s = {.refuse = 429};

	fake_set(&s);
	for (int i = 0; i < 2; i++) {
		post(CHAT, i == 0 ? "{" HI "}" : "{" HI "," STREAM "}", &a);
		ck_assert_int_eq(a.status, 429);
		ck_assert_str_eq(answer_error(&a, "type"), "rate_limit_error");
		ck_assert_ptr_nonnull(strcasestr(a.head, "retry-after:"));
		answer_free(&a);
	}
}
END_TEST

START_TEST(no_model_is_503)
{
	struct fake_script s = {.absent = true};

	fake_set(&s);
	post(CHAT, "{" HI "}", &a);
	ck_assert_int_eq(a.status, 503);
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "shoal load"));
	answer_free(&a);
	get("/health", &a);
	ck_assert_int_eq(a.status, 503);
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "shoal load"));
	answer_free(&a);
	get("/v1/models", &a);
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(a.json, "data")), 0);
	answer_free(&a);
	get("/v1/models/fake-1b", &a);
	ck_assert_int_eq(a.status, 404);
}
END_TEST

START_TEST(another_model_is_404)
{
	post(CHAT, "{" HI ",\"model\":\"gpt-4o\"}", &a);
	ck_assert_int_eq(a.status, 404);
	ck_assert_str_eq(answer_error(&a, "code"), "model_not_found");
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), FAKE_MODEL));
}
END_TEST

static void
long_prompt(size_t n)
{
	struct buf b;

	buf_init(&b, 0);
	buf_str(&b, "{\"prompt\":\"");
	for (size_t i = 0; i < n; i++)
		buf_str(&b, "x");
	buf_str(&b, "\"}");
	buf_u8(&b, 0);
	answer_free(&a);
	post(COMPL, (const char *)b.data, &a);
	buf_free(&b);
}

START_TEST(a_long_prompt_says_how_long)
{
	json_t *err;

	long_prompt(FAKE_CONTEXT);
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "code"), "context_length_exceeded");
	err = json_object_get(a.json, "error");
	ck_assert_int_eq(json_integer_value(json_object_get(err, "n_prompt_tokens")), FAKE_CONTEXT);
	ck_assert_int_eq(json_integer_value(json_object_get(err, "n_ctx")), FAKE_CONTEXT);
	long_prompt(FAKE_CONTEXT - 1);
	ck_assert_int_eq(a.status, 200);
	long_prompt(2000000);
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "code"), "context_length_exceeded");
}
END_TEST

START_TEST(token_ids_beyond_the_vocabulary)
{
	post(COMPL, "{\"prompt\":[1,256]}", &a);
	ck_assert_int_eq(a.status, 400);
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "prompt[1]"));
}
END_TEST

/* A stream that has nothing to say for a while says a comment each second. */
START_TEST(silence_has_a_beat)
{
	struct fake_script s = {.pieces = {"late", NULL}, .first_ms = 2700};
	const char *text, *beat;

	fake_set(&s);
	post(CHAT, "{" HI "," STREAM "}", &a);
	beat = strstr(a.body, "\n\n:\n\n");
	text = strstr(a.body, "late");
	ck_assert_ptr_nonnull(beat);
	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(strstr(beat + 2, ":\n\n:\n\n"));
	ck_assert(beat < text);
}
END_TEST

static struct fake_seen
seen(void)
{
	struct fake_seen s;

	fake_get(&s);
	return s;
}

/* Until so many requests were made of the model. */
static void
wait_submitted(unsigned n)
{
	uint64_t since = 0;

	while (seen().submitted < n && wait_more(&since))
		continue;
	ck_assert_uint_eq(seen().submitted, n);
}

/* When that has come of its answer; NULL: when the model has the request. */
static void
leave_after(const char *body, const char *until)
{
	unsigned had = seen().submitted;
	struct buf b;
	char chunk[512];
	int fd = client_tcp(fixture_port);
	ssize_t n;

	buf_init(&b, 0);
	buf_printf(&b, "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	client_send(fd, (const char *)b.data, b.len);
	buf_clear(&b);
	while (until != NULL && (b.len == 0 || strstr((char *)b.data, until) == NULL)) {
		n = recv(fd, chunk, sizeof chunk, 0);
		ck_assert_int_gt(n, 0);
		b.len -= b.len > 0;
		buf_append(&b, chunk, (size_t)n);
		buf_u8(&b, 0);
	}
	wait_submitted(had + 1);
	close(fd);
	buf_free(&b);
}

/* In the middle of the text, in a long prompt, and without a stream. */
START_TEST(a_client_that_leaves_frees_its_session)
{
	struct fake_script busy = {.pieces = {"x", NULL}, .gap_ms = 5, .endless = true};
	struct fake_script silent = {.pieces = {"x", NULL}, .first_ms = 60000};
	unsigned tokens;

	fake_set(&busy);
	leave_after("{" HI "," STREAM "}", "\"content\":\"x\"");
	tokens = seen().tokens;
	ck_assert(wait_cancelled(1));
	ck_assert_uint_lt(
		seen().tokens - tokens, 100); /* half a second of the server's own clock */
	fake_set(&silent);
	leave_after("{" HI "," STREAM "}", "assistant");
	ck_assert(wait_cancelled(2));
	leave_after("{" HI "}", NULL);
	ck_assert(wait_cancelled(3));
	ck_assert_uint_eq(seen().submitted, 3);
	ck_assert_uint_eq(seen().ended, 0);
	fake_reset();
	post(CHAT, "{" HI "}", &a);
	ck_assert_int_eq(a.status, 200);
}
END_TEST

/* A client that reads nothing while text comes costs a bounded amount, and is cut. */
START_TEST(a_client_that_does_not_read_is_cut)
{
	static char big[60001];
	struct fake_script s = {.pieces = {big, NULL}, .gap_ms = 1, .endless = true};
	const char *body = "{" HI "," STREAM "}";
	char head[256];
	int fd = client_tcp(fixture_port);

	memset(big, 'y', sizeof big - 1);
	fake_set(&s);
	snprintf(head, sizeof head,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	client_send(fd, head, strlen(head));
	ck_assert(wait_cancelled(1));
	close(fd);
}
END_TEST

START_TEST(a_hundred_streams_are_told_that_it_stops)
{
	enum { N = 100 };
	struct fake_script s = {.pieces = {"x", NULL}, .first_ms = 60000};
	const char *body = "{" HI "," STREAM "}";
	struct buf rest;
	char head[256];
	int fds[N], waiting = client_tcp(fixture_port);

	fake_set(&s);
	snprintf(head, sizeof head,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	for (int i = 0; i < N; i++) {
		fds[i] = client_tcp(fixture_port);
		client_send(fds[i], head, strlen(head));
		ck_assert_int_eq(recv(fds[i], &(char){0}, 1, 0), 1); /* its headers are here */
	}
	snprintf(head, sizeof head,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		strlen("{" HI "}"), "{" HI "}");
	client_send(waiting, head, strlen(head));
	wait_submitted(N + 1);
	fixture_close_http();
	ck_assert(wait_cancelled(N + 1));
	for (int i = 0; i < N; i++) {
		buf_init(&rest, 0);
		buf_str(&rest, "H"); /* read above */
		client_read(fds[i], &rest, &a);
		ck_assert(a.whole);
		ck_assert_ptr_nonnull(strstr(a.body, "data: {\"error\":"));
		ck_assert_ptr_null(strstr(a.body, "[DONE]"));
		answer_free(&a);
		buf_free(&rest);
		close(fds[i]);
	}
	buf_init(&rest, 0);
	client_read(waiting, &rest, &a);
	ck_assert_int_eq(a.status, 503);
	buf_free(&rest);
	close(waiting);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("api");
	TCase *t = tcase_create("generations");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, chat_whole);
	tcase_add_test(t, chat_stream);
	tcase_add_test(t, usage_comes_only_when_asked);
	tcase_add_test(t, completion_with_echo_tokens_and_timings);
	tcase_add_test(t, completion_stream);
	tcase_add_test(t, settings_reach_the_model);
	tcase_add_test(t, answers_have_a_form);
	tcase_add_test(t, forms_that_cannot_be_held_say_why);
	tcase_add_test(t, characters_stay_whole);
	tcase_add_test(t, a_failed_stream_ends_with_an_error_event);
	tcase_add_test(t, a_failed_answer_has_its_status);
	tcase_add_test(t, a_full_queue_is_429);
	tcase_add_test(t, no_model_is_503);
	tcase_add_test(t, another_model_is_404);
	tcase_add_test(t, a_long_prompt_says_how_long);
	tcase_add_test(t, token_ids_beyond_the_vocabulary);
	tcase_add_test(t, silence_has_a_beat);
	tcase_add_test(t, a_client_that_leaves_frees_its_session);
	tcase_add_test(t, a_client_that_does_not_read_is_cut);
	tcase_add_test(t, a_hundred_streams_are_told_that_it_stops);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
