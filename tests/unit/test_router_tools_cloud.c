/* Tools with the model `auto` and a cloud, over the API: what it gets of tools, calls and results, and what comes
 * back of its calls, whole. */
#include "tests/support/patience.h"
#include "tests/support/planted.h"
#include "tests/support/tools_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- a cloud -------------------------------------------------------------------------------------- */

static unsigned
calls(void)
{
	return cloud_server_connections(&cloud) - before;
}

/* The body that the cloud got last. New reference. */
static json_t *
sent(void)
{
	struct buf b;
	const char *at;
	json_t *o;

	buf_init(&b, 1 << 20);
	cloud_server_received(&cloud, before + calls() - 1, &b);
	buf_u8(&b, 0);
	at = strstr((const char *)b.data, "\r\n\r\n");
	ck_assert_ptr_nonnull(at);
	o = json_loads(at + 4, 0, NULL);
	ck_assert_ptr_nonnull(o);
	buf_free(&b);
	return o;
}

START_TEST(a_cloud_calls)
{
	json_t *body, *list;

	start("agent", "cloud");
	json_object_set_new(json_array_get(tools, 0), "shoal_extra", json_true());
	add("user", "the attic, \"please\"");
	say("auto:cloud", ",\"parallel_tool_calls\":false");
	expect_call("cloud", "I look.", "{\"about\": \"the attic, \\\"please\\\"\"}");
	ck_assert_str_eq(json_string_value(json_object_get(call(0), "id")), "cloud-1-0");
	body = sent();
	list = json_object_get(body, "tools");
	json_object_del(json_array_get(tools, 0), "shoal_extra"); /* what is not known stays here */
	ck_assert(json_equal(list, tools));
	ck_assert(json_is_false(json_object_get(body, "parallel_tool_calls")));
	ck_assert_uint_eq(json_array_size(json_object_get(body, "messages")), 1);
	json_decref(body);
	answer_it("21 C");
	json_object_del(json_array_get(messages, 1), "refusal");
	say("auto:cloud", "");
	ck_assert_str_eq(json_string_value(json_object_get(message(), "content")), "It says: 21 C");
	ck_assert_str_eq(finish(), "stop");
	body = sent();
	ck_assert(json_equal(json_object_get(body, "messages"), messages));
	json_decref(body);
}
END_TEST

/* A cloud gets the form of an answer as it came, whatever models at home can be held to. */
START_TEST(a_cloud_is_told_of_forms)
{
	json_t *body, *form = json_loads("{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
					 "\"n\",\"description\":\"d\","
					 "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{"
					 "\"type\":\"string\",\"pattern\":"
					 "\"^x\",\"maxLength\":7}}},\"strict\":true}}",
			      0, NULL);
	char *text = json_dumps(form, 0);
	struct buf more = {0};

	start("agent", "cloud");
	add("user", "u");
	buf_printf(&more,
		",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"lamp\"}},"
		"\"response_format\":%s",
		text);
	buf_u8(&more, 0);
	say("auto:cloud", (char *)more.data);
	ck_assert_int_eq(a.status, 200);
	body = sent();
	ck_assert(json_equal(json_object_get(body, "response_format"), form));
	ck_assert_str_eq(
		json_string_value(json_object_get(
			json_object_get(json_object_get(body, "tool_choice"), "function"), "name")),
		"lamp");
	ck_assert(json_equal(json_object_get(body, "messages"), messages));
	json_decref(body);
	say("auto:cloud", ",\"tool_choice\":\"required\"");
	body = sent();
	ck_assert_str_eq(json_string_value(json_object_get(body, "tool_choice")), "required");
	json_decref(body);
	buf_clear(&more);
	buf_printf(&more, ",\"response_format\":%s", text);
	buf_u8(&more, 0);
	say("auto", (char *)more.data); /* nobody at home can answer */
	ck_assert_str_eq(shoal("target"), "cloud");
	say("auto:home", (char *)more.data);
	ck_assert_int_eq(a.status, 400);
	ck_assert_ptr_nonnull(strstr(a.body, "'pattern'"));
	free(text);
	buf_free(&more);
	json_decref(form);
}
END_TEST

#define FORM(text)                                                                                 \
	",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","          \
	"\"schema\":{\"type\":"                                                                    \
	"\"object\",\"description\":\"" text "\"}}}"

/* A schema is text of the client's: what was said at home stays there, and items are removed. */
START_TEST(forms_are_kept_to_the_policy)
{
	json_t *body;
	char *dump;

	start("agent", "redact");
	add("user", "u");
	say("auto:cloud", FORM("of jane.doe@example.org"));
	ck_assert_int_eq(a.status, 200);
	body = sent();
	dump = json_dumps(body, 0);
	ck_assert_ptr_null(strstr(dump, "jane.doe"));
	ck_assert_ptr_nonnull(strstr(dump, "of [EMAIL_"));
	free(dump);
	json_decref(body);
	json_array_clear(tools);
	add("user", "more");
	say("auto:home", FORM("secret") ",\"shoal\":{\"privacy\":\"home\"}");
	json_array_clear(messages);
	add("user", "another thing");
	say("auto:cloud", FORM("secret"));
	ck_assert_int_eq(a.status, 403);
	ck_assert_ptr_nonnull(strstr(a.body, "tainted"));
}
END_TEST

static const char *const dialects[] = {"agent", "agent~whole", "agent~noindex", "agent~object",
	"agent~crlf~chunked", "agent~noid", "agent~nodone"};

START_TEST(calls_of_a_cloud_in_every_dialect)
{
	start(dialects[_i], "cloud");
	add("user", "u");
	say("auto:cloud", ",\"stream\":true");
	expect_stream("I look.", strstr(dialects[_i], "object") != NULL
					 ? "[0 id lamp|][0 |{\"about\":\"u\"}]"
					 : "[0 id lamp|][0 |{\"about\": \"u\"}]");
	say("auto:cloud", "");
	expect_call("cloud", "I look.",
		strstr(dialects[_i], "object") != NULL ? "{\"about\":\"u\"}"
						       : "{\"about\": \"u\"}");
}
END_TEST

START_TEST(two_calls_of_a_cloud)
{
	start("agent~twice", "cloud");
	add("user", "u");
	say("auto:cloud", ",\"stream\":true");
	expect_stream("I look.", "[0 id lamp|][0 |{\"about\": \"u\"}][1 id lamp|][1 |{\"about\": "
				 "\"u\"}]");
}
END_TEST

/* Whatever the cloud makes of "one at most". */
START_TEST(one_call_of_two)
{
	start("agent~twice", "cloud");
	add("user", "u");
	say("auto:cloud", ",\"stream\":true,\"parallel_tool_calls\":false");
	expect_stream("I look.", "[0 id lamp|][0 |{\"about\": \"u\"}]");
}
END_TEST

/* What nobody has offered is not called: a model at home goes on behind the words. */
START_TEST(a_call_that_was_not_offered)
{
	start("agent~unoffered", "cloud");
	add("user", "u");
	say("auto:cloud", ",\"stream\":true");
	ck_assert_ptr_null(strstr(a.body, "\"rm\""));
	ck_assert_ptr_nonnull(strstr(a.body, "\"end\":\"malformed\""));
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"fell_back\""));
}
END_TEST

/* More than the client could be sent at once: each call is short enough, all together are not. */
START_TEST(calls_that_are_too_long)
{
	static char words[40001];

	memset(words, 'w', sizeof words - 1);
	start("agent~calls-16~whole", "cloud");
	add("user", words);
	say("auto:cloud", "");
	ck_assert_ptr_null(strstr(a.body, "cloud-"));
	ck_assert_int_eq(a.status, 503); /* and what was asked is too long for those at home */
	ck_assert_ptr_nonnull(strstr(a.body, "it was tried and failed"));
}
END_TEST

/* A result goes to the cloud that called, unasked-for; the next turn need not. */
START_TEST(a_result_goes_to_the_cloud_that_called)
{
	start("agent", "cloud");
	add("user", "u");
	say("auto:cloud", "");
	expect_call("cloud", "I look.", "{\"about\": \"u\"}");
	answer_it("fine");
	say("auto", "");
	ck_assert_str_eq(shoal("target"), "cloud");
	ck_assert_str_eq(shoal("reason"), "stays");
	ck_assert_uint_eq(calls(), 2);
}
END_TEST

/* Cut within a call: nobody sees half of it, and a model at home goes on behind the words. */
START_TEST(a_call_that_is_cut)
{
	start("agent~cut-1500", "cloud");
	add("user", "a long story that is cut somewhere within the arguments of the call");
	say("auto:cloud", ",\"stream\":true");
	expect_stream("I look.", "[0 id lamp|][0 |{\"room\":\"cellar\"}]");
	ck_assert_ptr_null(strstr(a.body, "about"));
	ck_assert_ptr_nonnull(strstr(a.body, "\"end\":\"cut\""));
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"fell_back\""));
}
END_TEST

START_TEST(segments_call_nothing)
{
	start("agent", "cloud");
	add("user", "u");
	say("auto:cloud", ",\"shoal\":{\"mode\":\"token\"}");
	expect_call("cloud", "I look.", "{\"about\": \"u\"}");
	ck_assert_str_eq(shoal("mode"), "query");
	ck_assert_ptr_nonnull(strstr(shoal("not_by_token"), "a call of a tool"));
}
END_TEST

/* What was called at home is history of the home. */
START_TEST(calls_at_home_stay_there)
{
	start("agent", "cloud");
	add("user", "light");
	say("auto", ",\"shoal\":{\"privacy\":\"home\"}");
	expect_call("small", "I do.", "{\"room\":\"attic\"}");
	answer_it("done");
	json_object_set_new(json_array_get(messages, 1), "content", json_null());
	json_array_remove(messages, 0); /* the call alone gives it away */
	json_object_set_new(json_object_get(json_array_get(tools, 0), "function"), "description",
		json_string("offered at home never"));
	add("user", "u");
	say("auto:cloud", "");
	ck_assert_int_eq(a.status, 403);
	ck_assert_ptr_nonnull(strstr(a.body, "tainted"));
	say("auto", "");
	ck_assert_str_ne(shoal("target"), "cloud");
	ck_assert_uint_eq(calls(), 0);
}
END_TEST

static void
expect_tainted(const char *text)
{
	if (text != NULL)
		add("user", text);
	say("auto:cloud", "");
	ck_assert_msg(a.status == 403, "%d %s", a.status, a.body);
	ck_assert_ptr_nonnull(strstr(a.body, "tainted"));
}

#define HOME ",\"shoal\":{\"privacy\":\"home\"}"

/* The same of what a model was told, and has said, that was asked by its name. Told under `cloud`, it may go there. */
START_TEST(what_a_named_model_was_told_stays)
{
	start("agent", "cloud");
	json_array_clear(tools);
	add("user", "my holiday");
	say(FAKE_MODEL, "");
	ck_assert_int_eq(a.status, 200);
	say("auto:cloud", "");
	ck_assert_int_eq(a.status, 200);
	json_array_clear(messages);
	add("user", LARGE_CALL); /* what it has said: without tools, words */
	say("auto:cloud", "");
	ck_assert_int_eq(a.status, 200);
	json_array_clear(messages);
	add("user", "my salary");
	say(FAKE_MODEL, _i == 0 ? HOME : HOME ",\"stream\":true");
	ck_assert_int_eq(a.status, 200);
	expect_tainted(NULL);
	expect_tainted("sum that up");
	json_array_clear(messages);
	expect_tainted(LARGE_CALL);
	ck_assert_uint_eq(calls(), 2);
}
END_TEST

/* And a call is known again as one that a cloud may get. */
START_TEST(calls_of_a_named_model_are_known)
{
	start("agent", "cloud");
	add("user", "light");
	say(FAKE_MODEL, "");
	ck_assert_str_eq(called(0, "arguments"), "{\"room\":\"cellar\"}");
	answer_it("done");
	say("auto:cloud", "");
	ck_assert_str_eq(json_string_value(json_object_get(message(), "content")), "It says: done");
	ck_assert_uint_eq(calls(), 1);
}
END_TEST

START_TEST(tools_that_were_offered_at_home_stay_there)
{
	start("agent", "cloud");
	add("user", "light");
	say("auto", ",\"shoal\":{\"privacy\":\"home\"}");
	json_array_clear(messages);
	add("user", "another thing");
	say("auto:cloud", "");
	ck_assert_int_eq(a.status, 403);
	ck_assert_ptr_nonnull(strstr(a.body, "tainted"));
	ck_assert_uint_eq(calls(), 0);
}
END_TEST

/* Under what name each part of a conversation is told of that would leave changed, or may not. */
START_TEST(parts_have_names)
{
	static const char explain[] = ",\"shoal\":{\"explain\":true}";
	json_t *list, *o, *f;

	start("agent", "redact");
	f = json_object_get(json_array_get(tools, 1), "function");
	json_object_set_new(f, "description", json_string("Asks bob.roe@example.net."));
	add("user", "write to jane.doe@example.org");
	say("auto:cloud", "");
	expect_call("cloud", "I look.", "{\"about\": \"write to jane.doe@example.org\"}");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(a.json, "shoal"), "redactions")),
		2);
	answer_it("eve@example.com and 192.168.17.23");
	say("auto:cloud", explain);
	list = json_object_get(
		json_object_get(json_object_get(a.json, "shoal"), "preview"), "redacted");
	o = json_pack("[{s:s,s:{s:i}},{s:s,s:{s:i}},{s:s,s:{s:i,s:i}},{s:s,s:{s:i}}]", "where",
		"messages[0]", "removed", "EMAIL", 1, "where",
		"messages[1], the arguments for 'lamp'", "removed", "EMAIL", 1, "where",
		"messages[2], the result of 'lamp'", "removed", "EMAIL", 1, "IP", 1, "where",
		"tools[1], the schema of 'door'", "removed", "EMAIL", 1);
	ck_assert_msg(json_equal(list, o), "%s", a.body);
	json_decref(o);
	say("auto:cloud", FORM("of eve@example.com") ",\"shoal\":{\"explain\":true}");
	ck_assert_ptr_nonnull(
		strstr(a.body, "{\"where\":\"response_format\",\"removed\":{\"EMAIL\":1}}"));
	json_object_set_new(f, "parameters", json_pack("{s:I}", "x", (json_int_t)4111111111111111));
	say("auto:cloud", explain);
	ck_assert_ptr_nonnull(strstr(a.body, "{\"where\":\"tools[1], the schema of 'door'\","
					     "\"refused\":\"a number looks like personal data"));
	/* What was said at home. */
	json_object_del(f, "parameters");
	say("auto", ",\"shoal\":{\"privacy\":\"home\"}");
	json_array_clear(messages);
	add("user", "u");
	say("auto:cloud", explain);
	ck_assert_ptr_nonnull(strstr(a.body, "\"where\":\"tools[0], the schema of 'lamp'\""));
	say("auto:cloud", FORM("f") ",\"shoal\":{\"explain\":true}"); /* beside a schema, too */
	ck_assert_ptr_nonnull(strstr(a.body, "\"where\":\"tools[0], the schema of 'lamp'\""));
	json_array_clear(tools);
	say("auto", FORM("f") ",\"shoal\":{\"privacy\":\"home\"}");
	json_array_clear(messages);
	add("user", "v");
	say("auto:cloud", FORM("f") ",\"shoal\":{\"explain\":true}");
	ck_assert_ptr_nonnull(strstr(a.body, "\"where\":\"response_format\""));
	answer_free(&a);
	get("/shoal/v1/route/log", &a);
	ck_assert_ptr_null(strstr(a.body, "lamp"));
}
END_TEST

/* The endpoint's own 300 seconds are more than the request has for all that is tried. */
START_TEST(one_deadline_for_all)
{
	uint64_t since = 0;

	fixture_request_timeout = 1;
	start("mute", "cloud");
	add("user", "u");
	say("auto:cloud", ""); /* has no patience for 300 s */
	fixture_request_timeout = 0;
	ck_assert_int_ge(a.status, 500);
	ck_assert_uint_eq(calls(), 1);
	while (!cloud_server_ended(&cloud, before) && wait_more(&since))
		continue;
	ck_assert(cloud_server_ended(&cloud, before));
}
END_TEST

START_TEST(figures_of_a_cloud)
{
	start("agent", "cloud");
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_cloud_calls_total{endpoint=\"sky\"} 0\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_cloud_spent_day 0\n"));
	add("user", "u");
	say("auto:cloud", "");
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_cloud_calls_total{endpoint=\"sky\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_cloud_answers_total{endpoint=\"sky\"} 1\n"));
	ck_assert_ptr_null(strstr(a.body, "\nshoal_cloud_bytes_out_total{endpoint=\"sky\"} 0\n"));
	ck_assert_ptr_null(strstr(a.body, "\nshoal_cloud_spent_day 0\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_cloud_reserved 0\n"));
	ck_assert_ptr_nonnull(
		strstr(a.body, "\nshoal_cloud_breaker{endpoint=\"sky\",state=\"closed\"} 1\n"));
}
END_TEST

/* Forms that cannot be sent, or numbers that cannot be replaced: at home, or a reason. */
START_TEST(what_cannot_leave)
{
	json_t *o;

	start("agent", "redact");
	add("user", "u");
	o = json_object_get(json_object_get(json_array_get(tools, 0), "function"), "parameters");
	json_object_set_new(o, "default", json_integer(4111111111111111));
	say("auto:cloud", "");
	ck_assert_int_eq(a.status, 403);
	ck_assert_ptr_nonnull(strstr(a.body, "unredacted"));
	say("auto", "");
	expect_call("small", "I do.", "{\"room\":\"attic\"}");
	json_object_del(o, "default");
	json_array_append_new(messages, json_pack("{s:s,s:s}", "role", "tool", "content", "r"));
	say("auto:cloud", "");
	ck_assert_int_eq(a.status, 403);
	ck_assert_uint_eq(calls(), 0);
}
END_TEST

/* --- without personal items ------------------------------------------------------------------------ */

/* Where a planted item can stand beside tools. */
enum place { RESULT, ARGUMENTS, DESCRIPTION, SCHEMA, PROPERTY, NAME, ASKED, PLACES };

/* An item is one in its sentence; not all of those may be names. */
static bool
is_name(const char *s)
{
	for (size_t i = 0; s[i] != '\0'; i++)
		if ((unsigned char)s[i] < 0x20)
			return false;
	return strlen(s) <= 128;
}

static void
plant(enum place where, const struct planted *p)
{
	json_t *f = json_object_get(json_array_get(tools, 1), "function");

	switch (where) {
	case DESCRIPTION:
		json_object_set_new(f, "description", json_string(p->text));
		break;
	case SCHEMA:
		json_object_set_new(f, "parameters",
			json_pack("{s:s,s:[s]}", "type", "object", "enum", p->text));
		break;
	case PROPERTY:
		json_object_set_new(
			f, "parameters", json_pack("{s:{s:{}}}", "properties", p->text));
		break;
	case NAME:
		json_object_set_new(f, "name", json_string(is_name(p->text) ? p->text : "x"));
		break;
	default:
		break;
	}
}

/* A request with the item in it, the last of a few. */
static void
send_planted(enum place where, const struct planted *p, bool stream)
{
	const char *more = stream ? ",\"stream\":true" : "";

	json_array_clear(messages);
	json_decref(tools);
	tools = lamp_tools();
	plant(where, p);
	add("user", where == ASKED || where == ARGUMENTS ? p->text : "u");
	if (where != RESULT && where != ARGUMENTS) {
		say("auto:cloud", more);
		return;
	}
	say("auto:cloud", ""); /* its call quotes the user */
	if (a.status != 200)
		return;
	answer_it(where == RESULT ? p->text : "done");
	say("auto:cloud", more);
}

/* 500 planted items beside tools: none leaves, and the call that quotes the user's words comes back whole. */
START_TEST(nothing_planted_leaks)
{
	unsigned refused = 0;

	start("agent", "redact");
	for (unsigned i = 0; i < PLANTED_ITEMS; i++) {
		struct planted p;
		enum place where = i / PLANTED_KINDS % PLACES;
		json_t *body, *arguments;
		const char *leak;
		char *dump;

		planted_make(i, &p);
		send_planted(where, &p, i % 2 != 0);
		if (a.status == 403) {
			refused++;
			continue;
		}
		ck_assert_msg(a.status == 200, "%u: %d %s", i, a.status, a.body);
		body = sent();
		dump = json_dumps(body, JSON_COMPACT);
		leak = planted_leak(&p, dump, strlen(dump));
		ck_assert_msg(
			leak == NULL, "item %u, '%s' left '%s' in '%s'", i, p.item, leak, dump);
		free(dump);
		json_decref(body);
		if (where != ASKED || i % 2 != 0)
			continue;
		arguments = json_loads(called(0, "arguments"), 0, NULL);
		ck_assert_str_eq(json_string_value(json_object_get(arguments, "about")), p.text);
		json_decref(arguments);
	}
	printf("planted items: %d, leaks: 0, refused: %u\n", PLANTED_ITEMS, refused);
	ck_assert_uint_le(refused, PLANTED_ITEMS / 20);
}
END_TEST

/* A call's name and arguments, streamed in pieces that cut every placeholder. */
START_TEST(calls_are_restored)
{
	struct buf out;

	start("agent~twice", "redact");
	json_object_set_new(json_object_get(json_array_get(tools, 0), "function"), "name",
		json_string("mail to jane.doe@example.org"));
	add("user", "card 4111 1111 1111 1111 of jane.doe@example.org, \"quoted\"");
	say("auto:cloud", ",\"stream\":true");
	ck_assert_int_eq(a.status, 200);
	buf_init(&out, 0);
	calls_of(a.body, &out);
	ck_assert_str_eq((const char *)out.data,
		"[0 id mail to jane.doe@example.org|][0 |{\"about\": \"card 4111 1111 1111 1111 of "
		"jane.doe@example.org, \\\"quoted\\\"\"}]"
		"[1 id mail to jane.doe@example.org|][1 |{\"about\": \"card 4111 1111 1111 1111 of "
		"jane.doe@example.org, \\\"quoted\\\"\"}]");
	buf_free(&out);
	answer_free(&a);
	say("auto:cloud", "");
	ck_assert_str_eq(called(1, "name"), "mail to jane.doe@example.org");
	/* The next turn has the same placeholders, and its result comes back. */
	answer_it("sent to jane.doe@example.org");
	say("auto", "");
	ck_assert_str_eq(shoal("target"), "cloud");
	ck_assert_str_eq(json_string_value(json_object_get(message(), "content")),
		"It says: sent to jane.doe@example.org");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router tools, cloud");
	TCase *t = tcase_create("tools");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(t, open_cloud, close_cloud);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_cloud_calls);
	tcase_add_test(t, a_cloud_is_told_of_forms);
	tcase_add_test(t, forms_are_kept_to_the_policy);
	tcase_add_loop_test(
		t, calls_of_a_cloud_in_every_dialect, 0, (int)(sizeof dialects / sizeof *dialects));
	tcase_add_test(t, two_calls_of_a_cloud);
	tcase_add_test(t, a_result_goes_to_the_cloud_that_called);
	tcase_add_test(t, a_call_that_is_cut);
	tcase_add_test(t, segments_call_nothing);
	tcase_add_test(t, calls_at_home_stay_there);
	tcase_add_loop_test(t, what_a_named_model_was_told_stays, 0, 2);
	tcase_add_test(t, calls_of_a_named_model_are_known);
	tcase_add_test(t, tools_that_were_offered_at_home_stay_there);
	tcase_add_test(t, one_call_of_two);
	tcase_add_test(t, a_call_that_was_not_offered);
	tcase_add_test(t, calls_that_are_too_long);
	tcase_add_test(t, parts_have_names);
	tcase_add_test(t, one_deadline_for_all);
	tcase_add_test(t, figures_of_a_cloud);
	tcase_add_test(t, what_cannot_leave);
	tcase_add_test(t, nothing_planted_leaks);
	tcase_add_test(t, calls_are_restored);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
