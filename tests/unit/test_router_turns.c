/* Conversations with the model `auto` over the API: loops of tool calls, reminders, system prompts. */
#include "tests/support/http_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"

static const struct fake_script sure = {
	.pieces = {"s", "1"}, .end = SESSION_STOP, .margin = 20, .context = 8192};
static const struct fake_script unsure = {
	.pieces = {"u", "2"}, .end = SESSION_STOP, .margin = 0.01f, .context = 8192};
static const struct fake_script large = {
	.pieces = {"l", "3"}, .end = SESSION_STOP, .margin = 20, .context = 8192};
static char body[32768];
static size_t len;
static struct answer a;

static void
setup(void)
{
	fixture_state_begin();
	fixture_privacy = "home";
	fake_reset();
	fake_set(&large);
	fake_set_small(&sure);
	fixture_start();
	len = (size_t)snprintf(body, sizeof body, "{\"model\":\"auto\",\"messages\":[");
}

static void
teardown(void)
{
	answer_free(&a);
	a = (struct answer){0};
	fixture_stop();
	fixture_state_end();
}

/* Another message of the conversation. */
static void
add(const char *role, const char *content)
{
	len += (size_t)snprintf(body + len, sizeof body - len,
		"%s{\"role\":\"%s\",\"content\":\"%s\"}", body[len - 1] == '[' ? "" : ",", role,
		content);
}

/* Answers it and adds the answer. Whose it is: s, l, ... */
static char
answer(void)
{
	json_t *shoal, *choice;
	const char *text;

	answer_free(&a);
	snprintf(body + len, sizeof body - len, "]}");
	post(CHAT, body, &a);
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	choice = json_array_get(json_object_get(a.json, "choices"), 0);
	text = json_string_value(json_object_get(json_object_get(choice, "message"), "content"));
	add("assistant", text);
	shoal = json_object_get(a.json, "shoal");
	return json_string_value(json_object_get(shoal, "target"))[0];
}

static const char *
reason(void)
{
	return json_string_value(json_object_get(json_object_get(a.json, "shoal"), "reason"));
}

/* The small model called a tool: it gets the result, though it is not sure of what it makes of it. */
START_TEST(a_result_goes_to_who_called)
{
	add("user", "how warm is it?");
	ck_assert_int_eq(answer(), 's');
	fake_set_small(&unsure);
	add("tool", "21 C");
	ck_assert_int_eq(answer(), 's');
	ck_assert_str_eq(reason(), "stays");
	/* Clients without tools write it as the user's message. */
	add("user", "<tool_response>\\n40 C\\n</tool_response>");
	ck_assert_int_eq(answer(), 's');
	/* The next question may go up, and what belongs to it then, too. */
	add("user", "and why?");
	ck_assert_int_eq(answer(), 'l');
	ck_assert_str_eq(reason(), "tokens_doubt");
	fake_set_small(&sure);
	add("tool", "the sun shines");
	ck_assert_int_eq(answer(), 'l');
}
END_TEST

/* Twenty turns with loops of tools; the small model is unsure in some, and of some results. */
START_TEST(twenty_turns)
{
	unsigned moves = 0, in_loops = 0;
	char last = 0;

	for (int turn = 0; turn < 20; turn++) {
		fake_set_small(turn % 6 == 4 ? &unsure : &sure);
		add("user", turn % 2 == 0 ? "go on" : "and then?");
		for (int call = 0; call <= turn % 3; call++) {
			char now;

			if (call > 0) {
				fake_set_small(call % 2 == 1 ? &unsure : &sure);
				add("tool", "done");
			}
			now = answer();
			moves += last != 0 && now != last;
			in_loops += call > 0 && now != last;
			last = now;
		}
	}
	ck_assert_uint_eq(in_loops, 0);
	ck_assert_uint_ge(moves, 1);
	ck_assert_uint_le(moves, 2);
}
END_TEST

/* --- what drives the score ---------------------------------------------------------------------- */

/* Lamps are easy, integrals only the large model's. */
static void
train(void)
{
	static const char *const easy[] = {"turn on the lamp", "close the door", "open the window"};
	static const char *const hard[] = {
		"derive the integral", "prove the theorem by induction", "derive a bound"};
	char rows[8192];
	size_t n = (size_t)snprintf(rows, sizeof rows, "{\"rows\":[");

	for (int i = 0; i < 60; i++)
		n += (size_t)snprintf(rows + n, sizeof rows - n,
			"%s{\"prompt\":\"%s %d\",\"small\":%d,\"large\":1}", i > 0 ? "," : "",
			i % 2 == 0 ? easy[i / 2 % 3] : hard[i / 2 % 3], i, i % 2 == 0);
	snprintf(rows + n, sizeof rows - n, "]}");
	client_ask(client_unix(fixture_socket), "POST", "/shoal/v1/route/train", "", rows, &a);
	ck_assert_msg(a.status == 200, "%s", a.body);
}

static double
gain_of(const char *messages)
{
	char text[2048];

	answer_free(&a);
	snprintf(text, sizeof text,
		"{\"model\":\"auto\",\"messages\":[%s],\"shoal\":{\"explain\":true}}", messages);
	post(CHAT, text, &a);
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	return json_number_value(json_object_get(json_object_get(a.json, "shoal"), "gain"));
}

#define LAMP "{\"role\":\"user\",\"content\":\"turn on the lamp\"}"

START_TEST(only_the_users_words_drive_it)
{
	static const char *const same[] = {
		"{\"role\":\"system\",\"content\":\"derive the integral\"}," LAMP,
		LAMP ",{\"role\":\"system\",\"content\":\"prove the theorem\"}",
		"{\"role\":\"user\",\"content\":\"turn on the lamp"
		"<system-reminder>derive the integral</system-reminder>\"}",
		LAMP ",{\"role\":\"user\",\"content\":\"<reminder>derive it</reminder>\"}",
		LAMP ",{\"role\":\"assistant\",\"content\":\"I see\"},"
		     "{\"role\":\"tool\",\"content\":\"derive the integral\"}"};
	double lamp, hard;

	train();
	lamp = gain_of(LAMP);
	hard = gain_of("{\"role\":\"user\",\"content\":\"derive the integral\"}");
	ck_assert_msg(hard > lamp + 0.2, "%.3f, %.3f", lamp, hard);
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		double gain = gain_of(same[i]);

		ck_assert_msg(
			fabs(gain - lamp) < 1e-6, "%s: %.4f instead of %.4f", same[i], gain, lamp);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router turns");
	TCase *t = tcase_create("turns");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_result_goes_to_who_called);
	tcase_add_test(t, twenty_turns);
	tcase_add_test(t, only_the_users_words_drive_it);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
