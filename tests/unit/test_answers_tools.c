/* Answers with an Idempotency-Key that call tools: called once, under one id, however often they are asked for, also
 * when clients leave and daemons end in between. */
#include "tests/support/patience.h"
#include "tests/support/tools_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "Idempotency-Key: one\r\n"

static const struct fake_script talks = {.pieces = {"I ", "do. ", LARGE_CALL, " Now."},
	.end = SESSION_STOP,
	.margin = 20,
	.context = 8192};

static unsigned
submitted(void)
{
	struct fake_seen s;

	fake_get(&s);
	return s.submitted;
}

/* The id of the only call, in a whole answer. */
static char *
id_of_call(void)
{
	const char *id = json_string_value(json_object_get(call(0), "id"));

	ck_assert_ptr_nonnull(id);
	return strdup(id);
}

static void
expect_id(const char *id)
{
	ck_assert_str_eq(json_string_value(json_object_get(call(0), "id")), id);
}

/* What was answered is answered again to the letter, now and after a restart. */
static void
expect_again(const char *model, const char *more)
{
	char *body = strdup(a.body);
	unsigned n = submitted();

	say_with(KEY, model, more);
	ck_assert_str_eq(a.body, body);
	fixture_stop();
	fixture_start();
	say_with(KEY, model, more);
	ck_assert_str_eq(a.body, body);
	ck_assert_uint_eq(submitted(), n);
	free(body);
}

START_TEST(by_a_named_model)
{
	start("ok", "home");
	fake_set(&talks);
	add("user", "light in the cellar");
	say_with(KEY, FAKE_MODEL, "");
	ck_assert_uint_eq(submitted(), 1);
	expect_call("", "I do. Now.", "{\"room\":\"cellar\"}");
	fixture_stop(); /* its time is not kept, all else is */
	fixture_start();
	say_with(KEY, FAKE_MODEL, "");
	expect_call("", "I do. Now.", "{\"room\":\"cellar\"}");
	ck_assert_uint_eq(submitted(), 1);
	json_array_remove(tools, 1); /* other tools, another request */
	say_with(KEY, FAKE_MODEL, "");
	ck_assert_int_eq(a.status, 422);
}
END_TEST

START_TEST(by_the_router)
{
	start("agent", "cloud");
	add("user", "light in the attic");
	say_with(KEY, "auto", "");
	expect_call("small", "I do.", "{\"room\":\"attic\"}");
	expect_again("auto", "");
}
END_TEST

/* It was paid for: its calls are those of the cloud, with its ids. */
START_TEST(by_a_cloud)
{
	start("agent", "cloud");
	add("user", "the attic");
	say_with(KEY, "auto:cloud", "");
	expect_call("cloud", "I look.", "{\"about\": \"the attic\"}");
	expect_id("cloud-1-0");
	expect_again("auto:cloud", "");
	ck_assert_uint_eq(cloud_server_connections(&cloud) - before, 1);
}
END_TEST

/* Its result goes to who called, as without a key: what was said is in the record. */
START_TEST(the_turn_goes_on)
{
	start("agent", "cloud");
	add("user", "u");
	say_with(KEY, "auto:cloud", "");
	expect_call("cloud", "I look.", "{\"about\": \"u\"}");
	answer_it("fine");
	say_with("Idempotency-Key: two\r\n", "auto", "");
	ck_assert_str_eq(shoal("target"), "cloud");
	ck_assert_str_eq(shoal("reason"), "stays");
}
END_TEST

/* The events of a stream's body from that number on. */
static const char *
behind(const char *body, unsigned event)
{
	char id[32];
	const char *at;

	snprintf(id, sizeof id, "id: %u\n", event);
	at = strstr(body, id);
	ck_assert_msg(at != NULL, "%u %s", event, body);
	return strstr(at, "\n\n") + 2;
}

START_TEST(streams_end_in_the_calls)
{
	static const char *const ways[] = {FAKE_MODEL, "auto:home"};
	char head[96], *body;

	start("ok", "home");
	fake_set(&talks);
	add("user", "light in the cellar");
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		snprintf(head, sizeof head, "Idempotency-Key: way %zu\r\n", i);
		say_with(head, ways[i], ",\"stream\":true");
		expect_stream("I do. Now.", "[0 id lamp|{\"room\":\"cellar\"}]");
		ck_assert_ptr_nonnull(strstr(a.body, "\"finish_reason\":\"tool_calls\""));
		body = strdup(a.body);
		/* 10 bytes of text, then the call and the end. */
		for (unsigned event = 10; event <= 12; event++) {
			snprintf(head, sizeof head,
				"Idempotency-Key: way %zu\r\nLast-Event-ID: %u\r\n", i, event);
			say_with(head, ways[i], ",\"stream\":true");
			ck_assert_str_eq(a.body, behind(body, event));
		}
		snprintf(head, sizeof head, "Idempotency-Key: way %zu\r\nLast-Event-ID: 14\r\n", i);
		say_with(head, ways[i], ",\"stream\":true");
		ck_assert_ptr_nonnull(strstr(a.body, "is not the number of an event"));
		free(body);
	}
}
END_TEST

/* The daemon ends while the model writes, before its call and behind it: the call comes once, under the id that it
 * would have had. */
START_TEST(over_a_restart)
{
	struct fake_script slow = talks;
	char *id;

	start("ok", "home");
	slow.gap_ms = 60;
	fake_set(&slow);
	add("user", "light in the cellar");
	say_with(KEY, FAKE_MODEL, "");
	id = id_of_call();
	for (unsigned tokens = 1; tokens <= 3; tokens += 2) {
		char head[64];
		struct fake_seen s;
		uint64_t since = 0;
		unsigned had;

		snprintf(head, sizeof head, "Idempotency-Key: key %u\r\n", tokens);
		fake_get(&s);
		had = s.tokens;
		leave_with(head, FAKE_MODEL, "");
		while (s.tokens < had + tokens && wait_more(&since))
			fake_get(&s);
		fixture_stop();
		fixture_start();
		say_with(head, FAKE_MODEL, "");
		expect_call("", "I do. Now.", "{\"room\":\"cellar\"}");
		fake_get(&s);
		ck_assert_uint_eq(s.tokens, had + 4); /* none twice */
		ck_assert_str_ne(json_string_value(json_object_get(call(0), "id")), id);
		free(id);
		id = id_of_call();
		say_with(head, FAKE_MODEL, "");
		expect_id(id);
	}
	free(id);
}
END_TEST

START_TEST(one_call_is_enough)
{
	struct fake_script endless = talks;

	start("ok", "home");
	endless.endless = true;
	endless.gap_ms = 1;
	fake_set(&endless);
	add("user", "light in the cellar");
	for (int i = 0; i < 2; i++) {
		say_with(KEY, i == 0 ? FAKE_MODEL : "auto:home",
			",\"parallel_tool_calls\":false,\"max_tokens\":5000");
		if (i > 0) /* the key's answer is another model's */
			ck_assert_int_eq(a.status, 422);
		else
			expect_call("", "I do.", "{\"room\":\"cellar\"}");
	}
	say_with("Idempotency-Key: two\r\n", "auto:home",
		",\"parallel_tool_calls\":false,\"max_tokens\":5000");
	expect_call("large", "I do.", "{\"room\":\"cellar\"}");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("answers with tools");
	TCase *t = tcase_create("calls");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(t, open_cloud, close_cloud);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, by_a_named_model);
	tcase_add_test(t, by_the_router);
	tcase_add_test(t, by_a_cloud);
	tcase_add_test(t, the_turn_goes_on);
	tcase_add_test(t, streams_end_in_the_calls);
	tcase_add_test(t, over_a_restart);
	tcase_add_test(t, one_call_is_enough);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
