/* What the bytes of a cloud's answer say: however they are cut, and whatever they are. */
#include "daemon/cloud_int.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct cloud_reader r;

static void
setup(void)
{
	cloud_reader_init(&r, true);
}

static void
teardown(void)
{
	cloud_reader_free(&r);
}

static void
again(bool stream)
{
	cloud_reader_free(&r);
	cloud_reader_init(&r, stream);
}

static void
feed(const char *s)
{
	cloud_reader_feed(&r, s, strlen(s));
}

static void
expect_text(const char *want)
{
	ck_assert_uint_eq(r.text.len, strlen(want));
	if (want[0] != '\0')
		ck_assert_mem_eq(r.text.data, want, r.text.len);
}

static void
expect_failed(enum cloud_class class, const char *words)
{
	ck_assert(r.failed);
	ck_assert_str_eq(cloud_class_word(r.class), cloud_class_word(class));
	ck_assert_msg(strstr(r.words, words) != NULL, "%s", r.words);
}

static const char stream[] =
	": hello\r\n\r\n"
	"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
	"id: 7\nevent: x\ndata:{\"choices\":[{\"delta\":{\"content\":\"Gr\xc3\xbc\xc3\x9f "
	"\"}}]}\n\n"
	"data: {\"choices\":\r\ndata: [{\"delta\":{\"content\":\"Gott\"}}]}\r\n\r\n"
	"data: {\"choices\":[{\"delta\":{\"content\":null}}]}\r\r"
	"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	"data: "
	"{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"cost\":2e-5}}\n\n"
	"data: [DONE]\n\n";
#define TEXT "Gr\xc3\xbc\xc3\x9f Gott"

static void
expect_whole(void)
{
	ck_assert(r.finished && !r.failed);
	expect_text(TEXT);
	ck_assert_str_eq(r.finish, "stop");
	ck_assert(r.usage.told);
	ck_assert_uint_eq(r.usage.tokens_in, 3);
	ck_assert_uint_eq(r.usage.tokens_out, 4);
	ck_assert_uint_eq(r.usage.cost, 20);
}

START_TEST(split_at_every_byte)
{
	size_t len = sizeof stream - 1;

	for (size_t at = 0; at <= len; at++) {
		again(true);
		cloud_reader_feed(&r, stream, at);
		cloud_reader_feed(&r, stream + at, len - at);
		expect_whole();
	}
	again(true);
	for (size_t at = 0; at < len; at++)
		cloud_reader_feed(&r, stream + at, 1);
	expect_whole();
	feed("data: {nonsense\n\n"); /* what follows is not looked at */
	expect_whole();
}
END_TEST

/* A begin of it is a begin of the text, and good only once its end was said. */
START_TEST(cut_at_every_byte)
{
	const char *end = strstr(stream, "\"stop\"}]}\n\n") + 11;

	for (size_t at = 0; at < sizeof stream; at++) {
		again(true);
		cloud_reader_feed(&r, stream, at);
		cloud_reader_end(&r);
		ck_assert_uint_le(r.text.len, strlen(TEXT));
		if (r.text.len > 0)
			ck_assert_mem_eq(r.text.data, TEXT, r.text.len);
		ck_assert_int_eq(r.finished, stream + at >= end);
		if (!r.finished)
			expect_failed(CLOUD_CUT, "ahead of the answer's end");
	}
}
END_TEST

/* Of a plain prompt. */
START_TEST(texts)
{
	r.plain = true;
	feed("data: {\"choices\":[{\"text\":\"a \",\"delta\":{\"content\":\"no\"}}]}\n\n"
	     "data: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"length\"}]}\n\n"
	     "data: [DONE]\n\n");
	ck_assert(r.finished);
	expect_text("a b");
	ck_assert_str_eq(r.finish, "length");
	again(false);
	r.plain = true;
	feed("{\"choices\":[{\"text\":\"a b\",\"finish_reason\":\"stop\"}]}");
	cloud_reader_end(&r);
	ck_assert(r.finished);
	expect_text("a b");
	again(true);
	r.plain = true;
	feed("data: {\"choices\":[{\"text\":5}]}\n\n");
	expect_failed(CLOUD_MALFORMED, "no text");
}
END_TEST

START_TEST(one_json_text)
{
	static const char whole[] = "{\"choices\":[{\"message\":{\"content\":\"a\\u0000b\"},"
				    "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,"
				    "\"completion_tokens\":2}}";

	for (size_t at = 0; at < sizeof whole - 1; at++) {
		again(false);
		cloud_reader_feed(&r, whole, at);
		cloud_reader_end(&r);
		expect_failed(CLOUD_MALFORMED, "no JSON object");
	}
	again(false);
	feed(whole);
	cloud_reader_end(&r);
	ck_assert(r.finished);
	ck_assert_uint_eq(r.text.len, 3);
	ck_assert_mem_eq(r.text.data, "a\0b", 3);
	ck_assert_str_eq(r.finish, "length");
	ck_assert(r.usage.told && r.usage.cost == PURSE_UNKNOWN);
}
END_TEST

/* --- nonsense ------------------------------------------------------------------------------------ */

START_TEST(events_that_are_none)
{
	static const struct {
		const char *event;
		enum cloud_class class;
		const char *words;
	} rows[] = {
		{"{", CLOUD_MALFORMED, "no JSON object"},
		{"[]", CLOUD_MALFORMED, "no JSON object"},
		{"5", CLOUD_MALFORMED, "no JSON object"},
		{"{}", CLOUD_MALFORMED, "no choices"},
		{"{\"choices\":{}}", CLOUD_MALFORMED, "no choices"},
		{"{\"choices\":[{\"delta\":{\"content\":[]}}]}", CLOUD_MALFORMED, "no text"},
		{"{\"choices\":[{\"delta\":{\"content\":5}}]}", CLOUD_MALFORMED, "no text"},
		{"{\"choices\":[{\"delta\":{\"tool_calls\":[{}]}}]}", CLOUD_MALFORMED, "a tool"},
		{"{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}", CLOUD_MALFORMED, "JSON"},
		{"{\"error\":{\"message\":\"no\"}}", CLOUD_SERVER, "with an error"},
		{"{\"error\":\"no\",\"choices\":[]}", CLOUD_SERVER, "with an error"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		again(true);
		feed("data: ");
		feed(rows[i].event);
		ck_assert(!r.failed);
		feed("\n\n");
		expect_failed(rows[i].class, rows[i].words);
		if (rows[i].class == CLOUD_SERVER)
			ck_assert_str_eq(r.said, "no");
	}
}
END_TEST

/* --- calls of tools ------------------------------------------------------------------------------- */

#define DELTA(calls) "data: {\"choices\":[{\"delta\":{\"tool_calls\":[" calls "]}}]}\n\n"
#define ENDED                                                                                      \
	"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: "          \
	"[DONE]\n\n"
#define F(members) "\"function\":{" members "}"

/* "id name arguments;" of each, or what is wrong. */
static const struct {
	const char *stream, *calls;
} called[] = {
	{DELTA("{\"index\":0,\"id\":\"c1\",\"type\":\"function\"," F("\"name\":\"f\",\"arguments\":"
								     "\"\"") "}")
			DELTA("{\"index\":0," F("\"arguments\":\"{\\\"a\\\":\"") "}")
				DELTA("{\"index\":0," F("\"arguments\":\"1}\"") "}") ENDED,
		"c1 f {\"a\":1};"},
	/* Two that come in turns. */
	{DELTA("{\"index\":0,\"id\":\"a\"," F("\"name\":\"f\"") "},{\"index\":1,\"id\":\"b\"," F(
		 "\"name\":\"g\"") "}") DELTA("{\"index\":1," F("\"arguments\":\"{}\"") "}")
			DELTA("{\"index\":0," F("\"arguments\":\"[1]\"") "}") ENDED,
		"a f [1];b g {};"},
	/* Without an index: another id is another call, none goes on. */
	{DELTA("{\"id\":\"a\"," F("\"name\":\"f\",\"arguments\":\"{\"") "}")
			DELTA("{" F("\"arguments\":\"}\"") "}") DELTA("{\"id\":\"b\"," F(
				"\"name\":\"g\",\"arguments\":{\"x\":[]}") "}") ENDED,
		"a f {};b g {\"x\":[]};"},
	/* A name that comes again, no arguments, an id that is none. */
	{DELTA("{\"index\":3,\"id\":\"a b\"," F("\"name\":\"f\"") "}")
			DELTA("{\"index\":3," F("\"name\":\"f\",\"arguments\":null") "}") ENDED,
		" f {};"},
	{DELTA("{\"index\":0," F("\"arguments\":\"{}\"") "}") ENDED, "without a name"},
	{DELTA("{\"type\":\"custom\"," F("\"name\":\"f\"") "}"), "no function"},
	{DELTA("5"), "no function"},
	{DELTA("{" F("\"name\":\"f\",\"arguments\":[]") "}"), "no object"},
};

START_TEST(calls_in_pieces)
{
	const char *text = called[_i].stream;
	size_t len = strlen(text);
	struct buf out;

	for (size_t at = 0; at <= len; at++) {
		again(true);
		r.tools = true;
		cloud_reader_feed(&r, text, at);
		cloud_reader_feed(&r, text + at, len - at);
		if (r.failed) {
			expect_failed(CLOUD_MALFORMED, called[_i].calls);
			continue;
		}
		ck_assert(r.finished);
		buf_init(&out, 0);
		for (unsigned i = 0; i < r.calls.n; i++)
			buf_printf(&out, "%s %s %.*s;", r.calls.made[i].id,
				(const char *)r.calls.made[i].name.data,
				(int)r.calls.made[i].arguments.len,
				(const char *)r.calls.made[i].arguments.data);
		buf_u8(&out, 0);
		ck_assert_str_eq((const char *)out.data, called[_i].calls);
		buf_free(&out);
	}
}
END_TEST

START_TEST(calls_have_bounds)
{
	char event[128];

	again(true);
	r.tools = true;
	for (int i = 0; i <= CLOUD_MOST_CALLED; i++) {
		ck_assert(!r.failed);
		snprintf(event, sizeof event, DELTA("{\"index\":%d," F("\"name\":\"f\"") "}"), i);
		feed(event);
	}
	expect_failed(CLOUD_MALFORMED, "too many");
}
END_TEST

START_TEST(usage_that_is_none)
{
	static const char *const rows[] = {"5", "{}", "{\"prompt_tokens\":1}",
		"{\"prompt_tokens\":-1,\"completion_tokens\":1}",
		"{\"prompt_tokens\":1.5,\"completion_tokens\":1}",
		"{\"prompt_tokens\":\"1\",\"completion_tokens\":1}",
		"{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":-1}",
		"{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":1e300}"};
	char event[200];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		again(true);
		snprintf(event, sizeof event, "data: {\"choices\":[],\"usage\":%s}\n\n", rows[i]);
		feed(event);
		ck_assert_msg(!r.failed && !r.usage.told, "%s", rows[i]);
		ck_assert(r.usage.cost == PURSE_UNKNOWN);
	}
	again(true);
	feed("data: {\"choices\":[],\"usage\":{\"cost\":0.0000001}}\n\n"); /* rounded up */
	ck_assert_uint_eq(r.usage.cost, 1);
}
END_TEST

START_TEST(errors_are_cleaned)
{
	char text[1200], said[256];

	strcpy(text, "{\"error\":{\"message\":\"a\\u001b[2Jb\\nc\"}}");
	cloud_reader_refusal(text, strlen(text), said);
	ck_assert_str_eq(said, "a?[2Jb?c");
	/* Cut between characters. */
	strcpy(text, "{\"error\":\"x");
	for (int i = 0; i < 300; i++)
		strcat(text, "\xc3\xbc");
	strcat(text, "\"}");
	cloud_reader_refusal(text, strlen(text), said);
	ck_assert_uint_eq(strlen(said), 255);
	strcpy(text, "{\"message\":\"");
	for (int i = 0; i < 300; i++)
		strcat(text, "\xc3\xbc");
	strcat(text, "\"}");
	cloud_reader_refusal(text, strlen(text), said);
	ck_assert_uint_eq(strlen(said), 254);
	cloud_reader_refusal("<html>", 6, said);
	ck_assert_str_eq(said, "");
	cloud_reader_refusal("", 0, said);
	ck_assert_str_eq(said, "");
}
END_TEST

/* --- bounds -------------------------------------------------------------------------------------- */

START_TEST(lines_events_and_answers_are_bounded)
{
	static char megabyte[1 << 20];

	memset(megabyte, 'x', sizeof megabyte);
	feed("data: ");
	cloud_reader_feed(&r, megabyte, sizeof megabyte);
	expect_failed(CLOUD_TOO_LARGE, "line");
	again(true); /* also of a comment */
	feed(":");
	cloud_reader_feed(&r, megabyte, sizeof megabyte);
	expect_failed(CLOUD_TOO_LARGE, "line");
	again(true); /* many lines, one event */
	for (int i = 0; i < 20 && !r.failed; i++) {
		feed("data: ");
		cloud_reader_feed(&r, megabyte, sizeof megabyte / 8);
		feed("\n");
	}
	expect_failed(CLOUD_TOO_LARGE, "event");
	again(false);
	for (int i = 0; i < 9; i++)
		cloud_reader_feed(&r, megabyte, sizeof megabyte);
	expect_failed(CLOUD_TOO_LARGE, "answer");
	ck_assert_uint_le(r.line.cap, CLOUD_MOST_WHOLE);
	again(true); /* deep in brackets */
	memset(megabyte, '[', 500000);
	feed("data: ");
	cloud_reader_feed(&r, megabyte, 500000);
	feed("\n\n");
	expect_failed(CLOUD_MALFORMED, "JSON");
}
END_TEST

/* Any pieces in any order. */
START_TEST(random_streams)
{
	static const char *const pieces[] = {"data: ", "data:", "\n", "\n\n", "\r", "\r\n", ":",
		"{", "}", "[DONE]", "\"choices\"", "[", "]", "{\"choices\":[]}", "\"usage\":{}",
		"\xff", "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", "data", " ", "0", ",",
		"\"", "\xc3"};
	uint32_t seed = 3;

	for (int i = 0; i < 5000; i++) {
		again(i % 4 != 0);
		for (int n = 0; n < 30; n++) {
			seed = seed * 1664525u + 1013904223u;
			feed(pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
		}
		cloud_reader_end(&r);
		if (r.finished == r.failed) /* one of the two */
			ck_abort_msg("neither: %d", i);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cloud answers");
	TCase *t = tcase_create("cloud answers");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, split_at_every_byte);
	tcase_add_test(t, cut_at_every_byte);
	tcase_add_test(t, texts);
	tcase_add_test(t, one_json_text);
	tcase_add_test(t, events_that_are_none);
	tcase_add_loop_test(t, calls_in_pieces, 0, (int)(sizeof called / sizeof *called));
	tcase_add_test(t, calls_have_bounds);
	tcase_add_test(t, usage_that_is_none);
	tcase_add_test(t, errors_are_cleaned);
	tcase_add_test(t, lines_events_and_answers_are_bounded);
	tcase_add_test(t, random_streams);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
