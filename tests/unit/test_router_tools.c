/* Tools with the model `auto` and the models at home, over the API: who calls them, what a client sees of the calls,
 * and who gets the results. */
#include "tests/support/tools_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* --- at home ------------------------------------------------------------------------------------- */

START_TEST(a_model_at_home_calls)
{
	struct fake_seen seen;

	start("ok", "home");
	add("system", "Be kind.");
	add("user", "light in the attic");
	say("auto", "");
	expect_call("small", "I do.", "{\"room\":\"attic\"}");
	fake_get(&seen);
	ck_assert_ptr_nonnull(strstr(seen.prompt, "s:Be kind.\n\nThese functions"));
	ck_assert_ptr_nonnull(strstr(seen.prompt, "<tools>\n{\"name\":\"lamp\",\"description\":"));
	ck_assert_ptr_nonnull(strstr(seen.prompt, "\n{\"name\":\"door\"}\n</tools>"));
	say("auto:home", "");
	expect_call("large", NULL, "{\"room\":\"cellar\"}");
	/* Named, without a router. */
	say(FAKE_SMALL, "");
	ck_assert_str_eq(called(0, "arguments"), "{\"room\":\"attic\"}");
	/* Both write together. */
	fake_set_small(&large);
	say("auto", ",\"shoal\":{\"mode\":\"token\"}");
	expect_call("large", NULL, "{\"room\":\"cellar\"}");
	ck_assert_str_eq(shoal("reason"), "by_token");
	/* Not offered: text. */
	json_array_remove(tools, 0);
	say("auto:home", "");
	ck_assert_str_eq(json_string_value(json_object_get(message(), "content")), LARGE_CALL);
	ck_assert_str_eq(finish(), "stop");
}
END_TEST

START_TEST(what_a_request_says_of_calls)
{
	struct fake_script two = large;
	struct fake_seen seen;

	start("ok", "home");
	add("user", "both");
	two.pieces[1] = "\n" SMALL_CALL;
	fake_set(&two);
	say("auto:home", "");
	ck_assert_uint_eq(json_array_size(json_object_get(message(), "tool_calls")), 2);
	ck_assert_str_eq(called(1, "arguments"), "{\"room\":\"attic\"}");
	say("auto:home", ",\"parallel_tool_calls\":false");
	expect_call("large", NULL, "{\"room\":\"cellar\"}");
	say("auto:home", ",\"tool_choice\":\"none\"");
	ck_assert_ptr_null(json_object_get(message(), "tool_calls"));
	fake_get(&seen);
	ck_assert_ptr_null(strstr(seen.prompt, "<tools>"));
}
END_TEST

/* The model is told of it, and held to it. */
START_TEST(calls_that_are_wanted)
{
	struct fake_seen seen;

	start("ok", "home");
	add("user", "both");
	say("auto:home", ",\"tool_choice\":\"required\"");
	expect_call("large", NULL, "{\"room\":\"cellar\"}");
	fake_get(&seen);
	ck_assert(seen.held);
	ck_assert_ptr_nonnull(strstr(seen.prompt, "Answer with a call."));
	say("auto:home",
		",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"lamp\"}}");
	fake_get(&seen);
	ck_assert(seen.held);
	ck_assert_ptr_nonnull(strstr(seen.prompt, "Answer with a call of lamp."));
	say("auto:home",
		",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"lump\"}}");
	ck_assert_int_eq(a.status, 400);
	ck_assert_ptr_nonnull(strstr(a.body, "\"param\":\"tool_choice\""));
	/* Both together answer in no form. */
	fake_set_small(&large);
	say("auto", ",\"tool_choice\":\"required\",\"shoal\":{\"mode\":\"token\"}");
	ck_assert_str_eq(shoal("mode"), "query");
	ck_assert_str_eq(shoal("not_by_token"), "an answer that has to have a form is one model's");
}
END_TEST

/* At home it can not be promised, and no cloud is asked. */
START_TEST(parameters_that_cannot_be_held)
{
	json_t *f;

	start("ok", "home");
	add("user", "both");
	f = json_object_get(json_array_get(tools, 0), "function");
	json_object_set_new(json_object_get(f, "parameters"), "minProperties", json_integer(1));
	say("auto", ",\"tool_choice\":\"required\"");
	ck_assert_int_eq(a.status, 400);
	ck_assert_ptr_nonnull(strstr(a.body, "\"param\":\"tools\""));
	ck_assert_ptr_nonnull(strstr(a.body, "tools[0].function.parameters: 'minProperties'"));
	json_object_set_new(f, "strict", json_false()); /* then they are any object */
	say("auto", ",\"tool_choice\":\"required\"");
	ck_assert_int_eq(a.status, 200);
}
END_TEST

static void
expect_tokens(unsigned most)
{
	json_t *usage = json_object_get(a.json, "usage");
	unsigned n = (unsigned)json_integer_value(json_object_get(usage, "completion_tokens"));

	ck_assert_msg(n >= 1 && n <= most, "%s", a.body);
}

/* A model that would go on for ever behind its call, which is all that is wanted. */
START_TEST(one_call_is_enough)
{
	static const struct {
		const char *model, *target;
	} ways[] = {{"auto:home", "large"}, {FAKE_MODEL, ""}, {"auto", "small"}};
	struct fake_script talks = large;
	struct fake_seen seen;

	start("ok", "home");
	add("user", "light in the cellar");
	talks.pieces[1] = " And then, ";
	talks.gap_ms = 1;
	talks.endless = true;
	fake_set(&talks);
	fake_set_small(&talks);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		say(ways[i].model, ",\"parallel_tool_calls\":false,\"max_tokens\":5000");
		expect_call(ways[i].target, NULL, "{\"room\":\"cellar\"}");
		expect_tokens(2);
		say(ways[i].model,
			",\"parallel_tool_calls\":false,\"max_tokens\":5000,\"stream\":true");
		expect_stream("", "[0 id lamp|][0 |{\"room\":\"cellar\"}]");
		ck_assert_ptr_nonnull(strstr(a.body, "\"finish_reason\":\"tool_calls\""));
	}
	fake_get(&seen);
	ck_assert_uint_eq(seen.running, 0);
	/* Both write together, token by token. */
	say("auto", ",\"parallel_tool_calls\":false,\"shoal\":{\"mode\":\"token\","
		    "\"token_threshold\":1}");
	expect_call("large", NULL, "{\"room\":\"cellar\"}");
	ck_assert_str_eq(shoal("reason"), "by_token");
	expect_tokens(1);
}
END_TEST

START_TEST(refused_with_reasons)
{
	start("ok", "home");
	add("user", "hello");
	say("auto", ",\"shoal\":{\"mode\":\"document\",\"document\":\"a text\"}");
	ck_assert_int_eq(a.status, 400);
	ck_assert_ptr_nonnull(strstr(a.body, "\"param\":\"tools\""));
	ck_assert_ptr_nonnull(strstr(a.body, "in document mode no tool is called"));
}
END_TEST

START_TEST(calls_in_a_stream)
{
	start("ok", "home");
	add("user", "light in the attic");
	say("auto", ",\"stream\":true");
	expect_stream("I do.", "[0 id lamp|][0 |{\"room\":\"attic\"}]");
}
END_TEST

/* Nobody sees the call of a draft that was thrown away. */
START_TEST(rejected_drafts_call_nothing)
{
	unsigned thrown_away = 0;

	start("ok", "home");
	fake_set_small(&unsure);
	for (int i = 0; i < 100; i++) {
		bool up;

		json_array_clear(messages);
		add("user", i % 2 == 0 ? "light upstairs" : "and now?");
		say("auto", i % 3 == 0 ? "" : ",\"stream\":true");
		up = strstr(a.body, "\"tokens_doubt\"") != NULL;
		thrown_away += up;
		if (i % 3 == 0 && up)
			expect_call("large", NULL, "{\"room\":\"cellar\"}");
		else if (i % 3 == 0)
			expect_call("small", "Is it?", "{\"room\":\"attic\"}");
		else if (up)
			expect_stream("", "[0 id lamp|][0 |{\"room\":\"cellar\"}]");
		else
			expect_stream("Is it?", "[0 id lamp|][0 |{\"room\":\"attic\"}]");
	}
	ck_assert_uint_ge(thrown_away, 20);
}
END_TEST

/* --- turns ---------------------------------------------------------------------------------------- */

START_TEST(a_result_goes_to_who_called)
{
	start("ok", "home");
	add("user", "light in the attic");
	say("auto", "");
	expect_call("small", "I do.", "{\"room\":\"attic\"}");
	fake_set_small(&unsure);
	answer_it("it is dark");
	say("auto", "");
	ck_assert_str_eq(shoal("target"), "small");
	ck_assert_str_eq(shoal("reason"), "stays");
	/* A call with no word beside it is known again, too. */
	json_array_clear(messages);
	add("user", "light in the cellar");
	say("auto", "");
	expect_call("large", NULL, "{\"room\":\"cellar\"}");
	fake_set_small(&sure);
	answer_it("it is damp");
	say("auto", "");
	ck_assert_str_eq(shoal("target"), "large");
	ck_assert_str_eq(shoal("reason"), "stays");
}
END_TEST

/* Twenty turns, each with a loop of calls, of models that are sure of some and not of others. */
START_TEST(twenty_turns)
{
	unsigned moves = 0, in_loops = 0;
	char last = 0;

	start("ok", "home");
	for (int turn = 0; turn < 20; turn++) {
		fake_set_small(turn % 6 == 4 ? &unsure : &sure);
		add("user", turn % 2 == 0 ? "light in the attic" : "and the cellar?");
		for (int i = 0; i <= turn % 3; i++) {
			char now;

			if (i > 0)
				fake_set_small(i % 2 == 1 ? &unsure : &sure);
			say("auto", "");
			ck_assert_int_eq(a.status, 200);
			answer_it("done");
			now = shoal("target")[0];
			moves += last != 0 && now != last;
			in_loops += i > 0 && now != last;
			last = now;
		}
	}
	ck_assert_uint_eq(in_loops, 0);
	ck_assert_uint_ge(moves, 1);
	ck_assert_uint_le(moves, 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router tools");
	TCase *t = tcase_create("tools");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(t, open_cloud, close_cloud);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_model_at_home_calls);
	tcase_add_test(t, what_a_request_says_of_calls);
	tcase_add_test(t, one_call_is_enough);
	tcase_add_test(t, calls_that_are_wanted);
	tcase_add_test(t, parameters_that_cannot_be_held);
	tcase_add_test(t, refused_with_reasons);
	tcase_add_test(t, calls_in_a_stream);
	tcase_add_test(t, rejected_drafts_call_nothing);
	tcase_add_test(t, a_result_goes_to_who_called);
	tcase_add_test(t, twenty_turns);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
