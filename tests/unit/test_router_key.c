/* The model `auto` with an Idempotency-Key: answered, and paid for, once. */
#include "tests/support/http_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHAT   "/v1/chat/completions"
#define HI     "\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define WHOLE  "{" HI "}"
#define STREAM "{" HI ",\"stream\":true}"
#define KEY    "Idempotency-Key: one\r\n"

static const struct fake_script sure = {
	.pieces = {"sm\xc3\xa4", "ll"}, .end = SESSION_STOP, .margin = 20};
static const struct fake_script unsure = {
	.pieces = {"draft"}, .end = SESSION_STOP, .margin = 0.01f};
static const struct fake_script large = {
	.pieces = {"large", " knows", " it"}, .end = SESSION_STOP, .margin = 20};
static struct answer a, b;

static void
setup(void)
{
	fixture_state_begin();
	fixture_privacy = "home";
	fake_reset();
	fake_set(&large);
	fake_set_small(&sure);
	fixture_start();
}

static void
teardown(void)
{
	answer_free(&a);
	answer_free(&b);
	a = b = (struct answer){0};
	fixture_stop();
	fixture_state_end();
}

static unsigned
submitted(void)
{
	struct fake_seen s;

	fake_get(&s);
	return s.submitted;
}

static const char *
text(const struct answer *an)
{
	json_t *c = json_array_get(json_object_get(an->json, "choices"), 0);
	const char *s =
		json_string_value(json_object_get(json_object_get(c, "message"), "content"));

	return s != NULL ? s : "";
}

static const char *
target(const struct answer *an)
{
	const char *s =
		json_string_value(json_object_get(json_object_get(an->json, "shoal"), "target"));

	return s != NULL ? s : "";
}

static void
again(const char *body, struct answer *an)
{
	answer_free(an);
	ask("POST", CHAT, KEY, body, an);
}

/* --- whole answers ------------------------------------------------------------------------------ */

START_TEST(the_same_answer_again)
{
	fake_set_small(&unsure);
	again(WHOLE, &a);
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	ck_assert_str_eq(text(&a), "large knows it");
	ck_assert_str_eq(target(&a), "large");
	ck_assert_ptr_nonnull(strcasestr(a.head, "x-shoal-target: large"));
	fake_set_small(&sure); /* now it would be answered otherwise */
	again(WHOLE, &b);
	ck_assert_str_eq(a.body, b.body);
	ck_assert_ptr_nonnull(strcasestr(b.head, "x-shoal-reason: tokens_doubt"));
	ck_assert_uint_eq(submitted(), 2);
	again("{" HI ",\"seed\":1}", &b);
	ck_assert_int_eq(b.status, 422);
	ck_assert_uint_eq(submitted(), 2);
}
END_TEST

/* It has cost the same, too, and each of two models that wrote it has its part. */
START_TEST(after_a_restart)
{
	static const char *const bodies[] = {WHOLE, "{" HI ",\"shoal\":{\"mode\":\"token\"}}"};
	unsigned before;

	fake_set_small(&unsure);
	again(bodies[_i], &a);
	ck_assert_int_eq(a.status, 200);
	ck_assert_int_eq(strstr(a.body, "rejected_prediction_tokens") != NULL, _i);
	before = submitted();
	fixture_stop();
	fixture_start();
	again(bodies[_i], &b);
	ck_assert_msg(b.status == 200, "%d %s", b.status, b.body);
	ck_assert_str_eq(a.body, b.body);
	ck_assert_uint_eq(submitted(), before);
}
END_TEST

/* What failed is not kept: it is answered when it is asked for again. */
START_TEST(after_a_failure)
{
	struct fake_script broken = {.end = SESSION_STOP, .fail_status = 502, .fail = "lost"};

	fake_set(&broken);
	fake_set_small(&broken);
	again(WHOLE, &a);
	ck_assert_int_eq(a.status, 502);
	fake_set_small(&sure);
	again(WHOLE, &a);
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	ck_assert_str_eq(target(&a), "small");
}
END_TEST

START_TEST(what_is_not_kept)
{
	again("{" HI ",\"shoal\":{\"mode\":\"document\",\"document\":\"A lamp.\"}}", &a);
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "param"), "Idempotency-Key");
	again("{" HI ",\"shoal\":{\"explain\":true}}", &a);
	ck_assert_int_eq(a.status, 200);
	again(WHOLE, &a); /* the key is free */
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(target(&a), "small");
}
END_TEST

/* --- streams ------------------------------------------------------------------------------------ */

/* The last number of an event. */
static unsigned long
last_event(const char *body)
{
	unsigned long event = 0;

	for (const char *p = body; (p = strstr(p, "id: ")) != NULL; p += 4)
		event = strtoul(p + 4, NULL, 10);
	return event;
}

/* Sends a request, reads until `until` is there, and goes away. */
static void
leave_at(const char *body, const char *until)
{
	char chunk[512];
	struct buf got;
	int fd = client_tcp(fixture_port);

	buf_init(&got, 0);
	buf_printf(&got,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\n" KEY "Content-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	client_send(fd, (const char *)got.data, got.len);
	buf_clear(&got);
	while (got.len == 0 || strstr((char *)got.data, until) == NULL) {
		ssize_t n = recv(fd, chunk, sizeof chunk, 0);

		ck_assert_int_gt(n, 0);
		got.len -= got.len > 0;
		buf_append(&got, chunk, (size_t)n);
		buf_u8(&got, 0);
	}
	buf_free(&got);
	close(fd);
}

/* Clients that leave do not end it; who comes back reads on, and sees no draft. */
START_TEST(who_comes_back_reads_on)
{
	struct fake_script slow = large;
	char said[256];

	slow.gap_ms = 60;
	fake_set(&slow);
	fake_set_small(&unsure);
	leave_at(STREAM, "large");
	answer_free(&a);
	ask("POST", CHAT, KEY "Last-Event-ID: 5\r\n", STREAM, &a);
	ck_assert_msg(a.status == 200 && a.whole, "%d: %s", a.status, a.body);
	stream_words(a.body, said);
	ck_assert_str_eq(said, " knows it");
	ck_assert_ptr_nonnull(strstr(a.body, "\"shoal\""));
	ck_assert_ptr_nonnull(strstr(a.body, "data: [DONE]\n\n"));
	again(STREAM, &a);
	stream_words(a.body, said);
	ck_assert_str_eq(said, "large knows it");
	ck_assert_uint_eq(last_event(a.body), strlen(said) + 1);
	ck_assert_ptr_null(strstr(a.body, "draft"));
	ck_assert_uint_eq(submitted(), 2);
}
END_TEST

/* Nobody comes back: after a while it ends. */
START_TEST(nobody_comes_back)
{
	struct fake_script endless = large;

	endless.endless = true;
	endless.gap_ms = 5;
	fake_set(&endless);
	fixture_grace_ms(300);
	leave_at("{" HI ",\"stream\":true,\"shoal\":{\"quality\":1}}", "knows");
	ck_assert(wait_cancelled(1));
}
END_TEST

/* The daemon ends while it runs. It is not in the journal, and begins anew. */
START_TEST(a_restart_in_its_middle)
{
	struct fake_script slow = large;

	slow.gap_ms = 50;
	fake_set(&slow);
	leave_at("{" HI ",\"stream\":true,\"shoal\":{\"quality\":1}}", "large");
	fixture_stop();
	fake_set(&large);
	fixture_start();
	ask("POST", CHAT, KEY "Last-Event-ID: 5\r\n",
		"{" HI ",\"stream\":true,\"shoal\":{\"quality\":1}}", &a);
	ck_assert_int_eq(a.status, 410);
	again("{" HI ",\"stream\":true,\"shoal\":{\"quality\":1}}", &a);
	ck_assert_int_eq(a.status, 200);
	ck_assert_ptr_nonnull(strstr(a.body, "data: [DONE]\n\n"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router key");
	TCase *t = tcase_create("key");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, the_same_answer_again);
	tcase_add_loop_test(t, after_a_restart, 0, 2);
	tcase_add_test(t, after_a_failure);
	tcase_add_test(t, what_is_not_kept);
	tcase_add_test(t, who_comes_back_reads_on);
	tcase_add_test(t, nobody_comes_back);
	tcase_add_test(t, a_restart_in_its_middle);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
