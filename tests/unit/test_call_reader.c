/* Calls of tools in text: however it is cut, the same comes out; and JSON as text. */
#include "daemon/call_reader.h"
#include "daemon/json_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static json_t *tools;
static struct buf out; /* what was heard: texts as they are, calls as {name arguments} */

static void
setup(void)
{
	tools = json_loads("[{\"type\":\"function\",\"function\":{\"name\":\"lamp\"}},"
			   "{\"type\":\"function\",\"function\":{\"name\":\"a \\\"b\\\"\"}}]",
		0, NULL);
	buf_init(&out, 0);
}

static void
teardown(void)
{
	json_decref(tools);
	buf_free(&out);
}

static void
on_text(void *arg, const char *text, size_t len)
{
	(void)arg;
	ck_assert_uint_gt(len, 0);
	buf_append(&out, text, len);
}

static void
on_call(void *arg, const char *name, const char *arguments, size_t len)
{
	(void)arg;
	buf_printf(&out, "{%s %.*s}", name, (int)len, arguments);
}

/* In pieces of so many bytes, the first one of another length. */
static const char *
heard_of(bool as_wanted, const char *text, size_t len, size_t first, size_t piece, bool one)
{
	const struct call_events events = {on_text, on_call, NULL};
	struct call_reader r;

	buf_clear(&out);
	call_reader_init(&r, tools, one, &events);
	r.as_wanted = as_wanted;
	call_reader_push(&r, text, first);
	for (size_t at = first; at < len; at += piece)
		call_reader_push(&r, text + at, piece < len - at ? piece : len - at);
	call_reader_end(&r);
	ck_assert(!r.failed);
	call_reader_free(&r);
	buf_u8(&out, 0);
	return (const char *)out.data;
}

static const char *
heard(const char *text, size_t len, size_t first, size_t piece, bool one)
{
	return heard_of(false, text, len, first, piece, one);
}

#define CALL(json) "<tool_call>\n" json "\n</tool_call>"
#define LAMP       "{\"name\": \"lamp\", \"arguments\": {\"on\": true}}"

static const struct {
	const char *text, *heard;
} rows[] = {
	{"", ""},
	{"Hello there. ", "Hello there. "},
	{CALL(LAMP), "{lamp {\"on\":true}}"},
	{"I do.\n\n" CALL(LAMP) "\n", "I do.{lamp {\"on\":true}}"},
	{CALL(LAMP) "\n" CALL(LAMP) " Done.", "{lamp {\"on\":true}}{lamp {\"on\":true}} Done."},
	{"<tool_call>" LAMP "</tool_call>", "{lamp {\"on\":true}}"},
	{"<tool_call>" LAMP, "{lamp {\"on\":true}}"}, /* it stopped there */
	/* Numbers and texts as they were written. */
	{CALL("{\"arguments\":{\"x\": 1.10, \"big\": 123456789012345678, \"t\": \"a  \\u00e9 "
	      "\\\"}\"}, \"name\":\"a \\\"b\\\"\"}"),
		"{a \"b\" {\"x\":1.10,\"big\":123456789012345678,\"t\":\"a  \\u00e9 \\\"}\"}}"},
	{CALL("{\"name\":\"lamp\",\"arguments\":\"{\\\"on\\\": 1}\"}"), "{lamp {\"on\":1}}"},
	{CALL("{\"name\":\"lamp\"}"), "{lamp {}}"},
	{CALL("{\"name\":\"lamp\",\"arguments\":null}"), "{lamp {}}"},
	/* A tag in a string is the string's, as far as the line goes. */
	{CALL("{\"name\":\"lamp\",\"arguments\":{\"t\":\"\\\\ \\\"</tool_call> </tool_call>\"}}"),
		"{lamp {\"t\":\"\\\\ \\\"</tool_call> </tool_call>\"}}"},
	{CALL("{\"name\": \"lamp") "x" CALL(LAMP),
		CALL("{\"name\": \"lamp") "x{lamp {\"on\":true}}"},
	/* What is no call is text. */
	{"<tool_cal", "<tool_cal"},
	{"a <b> <tool_ call>", "a <b> <tool_ call>"},
	{"< <tool_call", "< <tool_call"},
	{"<tool_call>\n{\"name\": \"lamp\", \"arg", "<tool_call>\n{\"name\": \"lamp\", \"arg"},
	{"<tool_call>", "<tool_call>"},
	{CALL("{\"name\":\"rm\",\"arguments\":{}}"), CALL("{\"name\":\"rm\",\"arguments\":{}}")},
	{CALL("lamp"), CALL("lamp")},
	{"So \n" CALL("lamp") "\n" CALL(LAMP), "So \n" CALL("lamp") "{lamp {\"on\":true}}"},
	{CALL("{\"name\":\"lamp\",\"arguments\":\"\"}"), "{lamp {}}"},
	{CALL("{\"name\":\"lamp\",\"arguments\":[]}"),
		CALL("{\"name\":\"lamp\",\"arguments\":[]}")},
	{CALL("{\"name\":\"lamp\",\"arguments\":\"on\"}"),
		CALL("{\"name\":\"lamp\",\"arguments\":\"on\"}")},
	{CALL("{\"name\":7}") "x" CALL(LAMP), CALL("{\"name\":7}") "x{lamp {\"on\":true}}"},
	{"</tool_call>", "</tool_call>"},
};

START_TEST(split_at_every_byte)
{
	const char *text = rows[_i].text;
	size_t len = strlen(text);

	for (size_t at = 0; at <= len; at++)
		ck_assert_str_eq(heard(text, len, at, len + 1, false), rows[_i].heard);
	for (size_t piece = 1; piece < 5; piece++)
		ck_assert_str_eq(heard(text, len, 0, piece, false), rows[_i].heard);
}
END_TEST

/* Of a model that was held to calls, also one that says a name twice; and nothing but whole calls. */
START_TEST(calls_that_are_wanted)
{
	static const char cut[] = CALL(LAMP) "\n<tool_call>\n{\"name\": \"lamp\", \"arg";
	static const char twice[] =
		"<tool_call>\n{\"name\": \"lamp\", \"arguments\": {\"a\":1,\"a\":2}}\n"
		"</tool_call>";

	ck_assert_str_eq(heard(twice, strlen(twice), 0, 1, false), twice);
	ck_assert_str_eq(
		heard_of(true, twice, strlen(twice), 0, 1, false), "{lamp {\"a\":1,\"a\":2}}");
	ck_assert_str_eq(heard_of(true, cut, strlen(cut), 0, 1, false), "{lamp {\"on\":true}}");
	ck_assert_str_eq(heard_of(true, cut, 5, 0, 1, false), "");
}
END_TEST

START_TEST(one_call_at_most)
{
	static const char two[] = "So." CALL(LAMP) "\n" CALL(LAMP) " and so on";

	ck_assert_str_eq(heard(two, strlen(two), 0, 1, true), "So.{lamp {\"on\":true}}");
}
END_TEST

/* Text is not held for longer than it must be. */
START_TEST(text_goes_on_at_once)
{
	const struct call_events events = {on_text, on_call, NULL};
	struct call_reader r;

	call_reader_init(&r, tools, false, &events);
	call_reader_push(&r, "a b <tool", 9);
	ck_assert_uint_eq(out.len, 3);
	call_reader_push(&r, "box>", 4);
	ck_assert_uint_eq(out.len, 13);
	call_reader_push(&r, "\n\n", 2);
	ck_assert_uint_eq(out.len, 13);
	call_reader_push(&r, "c", 1);
	ck_assert_uint_eq(out.len, 16);
	call_reader_free(&r);
}
END_TEST

/* What never ends is text, in bounded memory; blanks without end, too. */
START_TEST(bounds)
{
	const struct call_events events = {on_text, on_call, NULL};
	struct call_reader r;
	static char much[8192];
	size_t pushed = 0;

	call_reader_init(&r, tools, false, &events);
	memset(much, 'x', sizeof much);
	call_reader_push(&r, CALL_OPEN, strlen(CALL_OPEN));
	while (pushed < 3 * CALL_MOST) {
		call_reader_push(&r, much, sizeof much);
		pushed += sizeof much;
		ck_assert_uint_le(r.held.len, CALL_MOST + 4096);
	}
	memset(much, ' ', sizeof much);
	call_reader_push(&r, much, sizeof much);
	ck_assert_uint_le(r.held.len, 4096);
	call_reader_end(&r);
	ck_assert_uint_eq(out.len, strlen(CALL_OPEN) + pushed + sizeof much);
	ck_assert(!r.failed && r.calls == 0);
	call_reader_free(&r);
}
END_TEST

START_TEST(json_as_text)
{
	static const char o[] = " { \"a\" : [ 1 , {\"b\": 2} ] , \"b\" : \"x } \\\" y\" ,\n"
				"\"c\":-1.50e3,\"d\": { } }";
	size_t at, n;

	ck_assert_int_eq(json_text_minify(o, strlen(o), &out), 0);
	buf_u8(&out, 0);
	ck_assert_str_eq((const char *)out.data,
		"{\"a\":[1,{\"b\":2}],\"b\":\"x } \\\" y\",\"c\":-1.50e3,\"d\":{}}");
	ck_assert(json_text_member(o, strlen(o), "b", &at, &n));
	ck_assert_mem_eq(o + at, "\"x } \\\" y\"", n);
	ck_assert(json_text_member(o, strlen(o), "c", &at, &n) && n == 7);
	ck_assert(json_text_member(o, strlen(o), "a", &at, &n) && n == 16);
	ck_assert(json_text_member(o, strlen(o), "d", &at, &n) && n == 3);
	ck_assert(!json_text_member(o, strlen(o), "e", &at, &n));
	/* Whatever it is, it ends. */
	for (size_t len = 0; len < strlen(o); len++) {
		buf_clear(&out);
		json_text_minify(o, len, &out);
		if (json_text_member(o, len, "d", &at, &n))
			ck_assert_uint_le(at + n, len);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("call reader");
	TCase *t = tcase_create("calls");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, split_at_every_byte, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, calls_that_are_wanted);
	tcase_add_test(t, one_call_at_most);
	tcase_add_test(t, text_goes_on_at_once);
	tcase_add_test(t, bounds);
	tcase_add_test(t, json_as_text);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
