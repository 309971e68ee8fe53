/* A whole request goes through the wall: everything personal out of it, wherever it stands, and back. */
#include "daemon/redact_args.h"
#include "daemon/redact_json.h"
#include "tests/support/planted.h"
#include "tests/support/privacy_texts.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct redact_words *words;
static struct redact *r;
static struct err err;
static char dropped[256];
static json_t *request, *out;

static void
setup(void)
{
	words = redact_words_new(planted_words, planted_n_words, &err);
	r = redact_new(words, NULL);
	ck_assert(words != NULL && r != NULL);
}

static void
cleanup(void)
{
	json_decref(request);
	json_decref(out);
	redact_free(r);
	redact_words_free(words);
}

static json_t *
read_json(const char *body)
{
	json_error_t e;
	json_t *j = json_loads(body, JSON_REJECT_DUPLICATES, &e);

	ck_assert_msg(j != NULL, "%s: %s", e.text, body);
	return j;
}

static void
redact_request(json_t *j)
{
	json_decref(request);
	json_decref(out);
	request = j;
	out = redact_json_request(r, request, 0, dropped, sizeof dropped, &err);
}

/* The request comes back as it was, byte by byte. */
static void
check_round_trip(void)
{
	json_t *back = redact_json_answer(r, out, &err);
	char *was = json_dumps(request, JSON_COMPACT), *is = json_dumps(back, JSON_COMPACT);

	ck_assert_str_eq(is, was);
	free(was);
	free(is);
	json_decref(back);
}

static void
expect(const char *body, const char *want)
{
	char *got;

	redact_request(read_json(body));
	ck_assert_msg(out != NULL, "%s: %s", body, err.msg);
	got = json_dumps(out, JSON_COMPACT);
	ck_assert_str_eq(got, want);
	free(got);
}

static void
expect_refusal(const char *body, const char *why)
{
	redact_request(read_json(body));
	ck_assert_msg(out == NULL, "%s", body);
	ck_assert_msg(strstr(err.msg, why) != NULL, "%s: %s", body, err.msg);
}

START_TEST(every_place_of_a_request)
{
	expect("{\"model\":\"m\",\"stream\":true,\"seed\":1234567890123,\"messages\":["
	       "{\"role\":\"system\",\"content\":\"Jos\xc3\xa9 \xc3\x81lvarez lives here\"},"
	       "{\"role\":\"user\",\"name\":\"grabowski\",\"content\":[{\"type\":\"text\",\"text\":"
	       "\"a@b.de\"},{\"type\":\"text\",\"text\":\"c@d.de\",\"cache_control\":{\"a\":1}}]},"
	       "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\","
	       "\"type\":\"function\",\"function\":{\"name\":\"mail\",\"arguments\":"
	       "\"{ \\\"to\\\": \\\"a@b.de\\\", \\\"n\\\": 5 }\"}}]},"
	       "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"sent from "
	       "10.1.2.3\"}],"
	       "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"mail\",\"description\":"
	       "\"for Grabowski\",\"parameters\":{\"type\":\"object\",\"properties\":{"
	       "\"a@b.de\":{\"enum\":[\"c@d.de\",5]}}}}}],\"stop\":[\"a@b.de\"],"
	       "\"metadata\":{\"birthday\":\"2019-03-12\"}}",
		"{\"model\":\"m\",\"stream\":true,\"seed\":1234567890123,\"messages\":["
		"{\"role\":\"system\",\"content\":\"[WORD_1] lives here\"},"
		"{\"role\":\"user\",\"name\":\"[WORD_2]\",\"content\":[{\"type\":\"text\",\"text\":"
		"\"[EMAIL_1]\"},{\"type\":\"text\",\"text\":\"[EMAIL_2]\"}]},"
		"{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\","
		"\"type\":\"function\",\"function\":{\"name\":\"mail\",\"arguments\":"
		"\"{ \\\"to\\\": \\\"[EMAIL_1]\\\", \\\"n\\\": 5 }\"}}]},"
		"{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"sent from [IP_1]\"}],"
		"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"mail\",\"description\":"
		"\"for [WORD_3]\",\"parameters\":{\"type\":\"object\",\"properties\":{"
		"\"[EMAIL_1]\":{\"enum\":[\"[EMAIL_2]\",5]}}}}}],\"stop\":[\"[EMAIL_1]\"],"
		"\"metadata\":{\"birthday\":\"[BIRTH_1]\"}}");
	ck_assert_str_eq(dropped, "cache_control");
}
END_TEST

START_TEST(who_asks_goes_whole_and_the_unknown_is_left_out)
{
	expect("{\"messages\":[],\"user\":\"u7\",\"safety_identifier\":\"x\",\"prompt_cache_key\":"
	       "\"u7\",\"shoal\":{\"privacy\":\"cloud\"},\"cache_prompt\":true,\"x\":\"a@b.de\"}",
		"{\"messages\":[],\"user\":\"[WORD_1]\",\"safety_identifier\":\"[WORD_2]\","
		"\"prompt_cache_key\":\"[WORD_1]\"}");
	ck_assert_str_eq(dropped, "shoal, cache_prompt, x");
}
END_TEST

#define MESSAGE(m) "{\"messages\":[{\"role\":\"user\"," m "}]}"
#define PART(p)    MESSAGE("\"content\":[" p "]")

static const char *const refusals[][2] = {
	{PART("{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}}"), "image_url"},
	{PART("{\"type\":\"input_audio\",\"input_audio\":{}}"), "input_audio"},
	{PART("{\"type\":\"file\",\"file\":{\"file_data\":\"x\"}}"), "file"},
	{PART("{\"type\":\"text\",\"text\":\"x\",\"file\":{\"a\":1}}"), "file cannot be searched"},
	{PART("{\"image_url\":\"x\"}"), "image_url cannot"},
	{PART("\"a\""), "must be an object"},
	{PART("5"), "must be an object"},
	{PART("{\"type\":5}"), "no type of part"},
	{MESSAGE("\"content\":5"), "content cannot"},
	{MESSAGE("\"content\":{\"text\":\"x\"}"), "content cannot"},
	{MESSAGE("\"audio\":{\"id\":\"x\"}"), "messages: [0]: audio: audio cannot"},
	{MESSAGE("\"thinking_blocks\":[{\"x\":1}]"), "thinking_blocks cannot"},
	{MESSAGE("\"tool_calls\":{\"a\":1}"), "tool_calls cannot"},
	{MESSAGE("\"tool_calls\":[{\"function\":{\"name\":\"a\",\"data\":\"x\"}}]"), "data cannot"},
	{MESSAGE("\"tool_calls\":[{\"x\":\"y\"}]"), "x cannot"},
	{"{\"messages\":[{\"role\":\"critic\",\"content\":\"\"}]}", "critic"},
	{"{\"messages\":[\"hello\"]}", "must be an object"},
	{"{\"messages\":{}}", "must be a list"},
	{"{\"messages\":[],\"audio\":{\"voice\":\"x\"}}", "audio cannot"},
	{"{\"messages\":[],\"logit_bias\":{\"1\":5}}", "logit_bias cannot"},
	{"{\"messages\":[],\"web_search_options\":{\"x\":1}}", "web_search_options"},
	{"{\"messages\":[],\"user\":5}", "user: must be a text"},
	{"{\"messages\":[],\"tools\":[{\"default\":491715551234}]}", "a number looks like"},
	{"{\"messages\":[],\"metadata\":{\"latitude\":52.5211}}", "a number looks like"},
};

START_TEST(what_cannot_be_searched_is_refused)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		expect_refusal(refusals[i][0], refusals[i][1]);
	/* What asks for nothing is no reason. */
	expect(MESSAGE("\"content\":\"x\",\"annotations\":[],\"audio\":null,\"tool_calls\":null"),
		MESSAGE("\"content\":\"x\",\"annotations\":[],\"audio\":null,\"tool_calls\":null"));
}
END_TEST

static void
args(const char *text, const char *want)
{
	struct redact_restore s = {.r = r, .json = true};
	struct buf b, back;

	buf_init(&b, 0);
	buf_init(&back, 0);
	err.msg[0] = '\0';
	ck_assert_msg(redact_args(r, text, strlen(text), &b, &err) == 0, "%s: %s", text, err.msg);
	for (size_t i = 0; i < b.len; i++)
		redact_restore_push(&s, b.data + i, 1, &back);
	redact_restore_end(&s, &back);
	ck_assert_uint_eq(back.len, strlen(text));
	if (back.len > 0)
		ck_assert_mem_eq(back.data, text, back.len);
	buf_u8(&b, 0);
	ck_assert_str_eq((const char *)b.data, want);
	buf_free(&b);
	buf_free(&back);
}

static void
bad_args(const char *text, const char *why)
{
	struct buf b;

	buf_init(&b, 0);
	ck_assert_int_eq(redact_args(r, text, strlen(text), &b, &err), -1);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_msg(strstr(err.msg, why) != NULL, "%s: %s", text, err.msg);
	buf_free(&b);
}

START_TEST(arguments_stay_json)
{
	args("", "");
	args("{}", "{}");
	args(" { \"a\" : [ 1 , -2.50e1, true,null ], \"b\\u00e9\":\"\\/\" } ",
		" { \"a\" : [ 1 , -2.50e1, true,null ], \"b\\u00e9\":\"\\/\" } ");
	args("{\"to\":\"a@b.de\",\"text\":\"Hi\\n\\\"c@d.de\\\"\"}",
		"{\"to\":\"[EMAIL_1]\",\"text\":\"Hi\\n\\\"[EMAIL_2]\\\"\"}");
	/* Escapes that jansson would write otherwise: the whole text. */
	args("{\"n\":\"Jos\\u00e9 \\u00c1lvarez\",\"u\":\"a@b.de\\/\"}",
		"{\"n\":\"[JSON_1]\",\"u\":\"[JSON_2]\"}");
	args("{\"a@b.de\":{\"password\":\"x\",\"token\":null}}",
		"{\"[EMAIL_1]\":{\"password\":\"[KEY_1]\",\"token\":null}}");
	args("{\"key\":\"-----BEGIN K-----\\nAAAA\\n-----END K-----\"}", "{\"key\":\"[KEY_2]\"}");
	args("[\"a@b.de\",[\"[EMAIL_1]\"]]", "[\"[EMAIL_1]\",[\"[MARK_1]\"]]");
	args("{\"birthday\":\"2019-03-12\",\"on\":\"2019-03-12\"}",
		"{\"birthday\":\"[BIRTH_1]\",\"on\":\"2019-03-12\"}");
	/* No JSON: a text. */
	args("{\"to\":\"a@b.de\"", "{\"to\":\"[EMAIL_1]\"");
	args("a@b.de", "[EMAIL_1]");
	bad_args("{\"phone\":491715551234}", "a number in the arguments");
	bad_args("{\"lat\":52.52,\"lon\":13.41}", "more than one value");
	bad_args("{\"password\":1234}", "a number in the arguments");
}
END_TEST

/* In the contents of a message. */
static json_t *
message_with(const char *item, unsigned place)
{
	switch (place) {
	case 0:
		return json_pack("{s:s,s:s}", "role", "system", "content", item);
	case 1:
		return json_pack("{s:s,s:s}", "role", "developer", "content", item);
	case 2:
		return json_pack("{s:s,s:[{s:s,s:s}]}", "role", "user", "content", "type", "text",
			"text", item);
	default:
		return json_pack("{s:s,s:s,s:s}", "role", "assistant", "content", "ok",
			"reasoning_content", item);
	}
}

/* In what a tool is called with and says, with ASCII only or not. */
static json_t *
tool_message_with(const char *item, unsigned place)
{
	json_t *args_json = json_pack("{s:s, s:[s]}", "what", item, "more", "none"), *m;
	char *text = json_dumps(args_json, place % 2 == 0 ? JSON_COMPACT : JSON_ENSURE_ASCII);

	if (place < 6)
		m = json_pack("{s:s,s:n,s:[{s:s,s:{s:s,s:s}}]}", "role", "assistant", "content",
			"tool_calls", "id", "c1", "function", "name", "f", "arguments", text);
	else if (place < 8)
		m = json_pack(
			"{s:s,s:s,s:s}", "role", "tool", "tool_call_id", "c1", "content", text);
	else
		m = json_pack("{s:s,s:s,s:{s:s,s:s}}", "role", "function", "name", item,
			"function_call", "name", item, "arguments", text);
	json_decref(args_json);
	free(text);
	return m;
}

#define PLACES 12

/* One request with an item in one place of it. */
static json_t *
request_with(const char *item, unsigned place)
{
	json_t *m;

	switch (place % PLACES) {
	case 9:
		m = json_pack("{s:[],s:[{s:s,s:{s:s,s:s,s:{s:{s:{s:s}}}}}]}", "messages", "tools",
			"type", "function", "function", "name", "f", "description", "does it",
			"parameters", "properties", "p", "description", item);
		break;
	case 10:
		m = json_pack("{s:[],s:{s:s}}", "messages", "metadata", "file_name", item);
		break;
	case 11:
		m = json_pack("{s:[],s:s,s:{s:i}}", "messages", "user", item, "metadata", item, 1);
		break;
	default:
		m = json_pack("{s:[o]}", "messages",
			place % PLACES < 4 ? message_with(item, place % PLACES)
					   : tool_message_with(item, place % PLACES));
	}
	ck_assert_ptr_nonnull(m);
	return m;
}

START_TEST(nothing_planted_leaks)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < PLANTED_ITEMS; i++) {
		struct planted p;
		const char *leak;
		char *dump;

		planted_make(i, &p);
		redact_request(request_with(p.text, i / PLANTED_KINDS));
		if (out == NULL) {
			refused++;
			continue;
		}
		dump = json_dumps(out, JSON_COMPACT);
		leak = planted_leak(&p, dump, strlen(dump));
		ck_assert_msg(
			leak == NULL, "item %u, '%s' left '%s' in '%s'", i, p.item, leak, dump);
		free(dump);
		check_round_trip();
	}
	printf("planted items: %d, leaks: 0, refused: %u\n", PLANTED_ITEMS, refused);
	ck_assert_uint_le(refused, PLANTED_ITEMS / 50);
}
END_TEST

START_TEST(ordinary_requests_pass)
{
	struct buf b;

	buf_init(&b, 0);
	for (unsigned i = 0; i < 300; i++) {
		char *was, *is;

		buf_clear(&b);
		home_command(i, &b);
		buf_u8(&b, 0);
		redact_request(request_with((const char *)b.data, i % (PLACES - 1)));
		ck_assert_msg(out != NULL, "%s: %s", (const char *)b.data, err.msg);
		was = json_dumps(request, JSON_COMPACT);
		is = json_dumps(out, JSON_COMPACT);
		ck_assert_str_eq(is, was);
		free(was);
		free(is);
	}
	buf_free(&b);
}
END_TEST

/* A text that asks for a looser wall, anywhere, is a text. */
START_TEST(injected_texts_change_nothing)
{
	struct buf b;

	buf_init(&b, 0);
	for (unsigned i = 0; i < INJECTION_TEXTS; i++) {
		char *dump;

		buf_clear(&b);
		injection_text(i, &b);
		buf_str(&b, " jan@example.com");
		buf_u8(&b, 0);
		redact_request(request_with((const char *)b.data, i));
		ck_assert_msg(out != NULL, "%s: %s", (const char *)b.data, err.msg);
		dump = json_dumps(out, JSON_COMPACT);
		ck_assert_ptr_null(strstr(dump, "example.com"));
		free(dump);
		check_round_trip();
	}
	buf_free(&b);
}
END_TEST

static unsigned until_fault;

static int
fault(void *arg)
{
	(void)arg;
	return until_fault-- == 0;
}

/* A request whose text is not UTF-8 cannot be parsed; one that was made can be. */
static json_t *
faulty_request(unsigned sort, uint64_t *s, struct redact_limits *l, size_t *max_bytes)
{
	static const char *const parts[] = {
		"image_url", "input_audio", "file", "video", "", "TEXT"};
	char text[128] = "Please write to jan@example.com and peter@example.org today, will you?";
	json_t *m;

	switch (sort) {
	case 0:
		l->fault = fault;
		until_fault = (unsigned)(texts_next(s) % 300);
		break;
	case 1:
		text[texts_next(s) % 70] = (char)(0x80 | texts_next(s) % 128);
		m = json_pack("{s:[{s:s,s:o}]}", "messages", "role", "user", "content",
			json_stringn_nocheck(text, 70));
		return m;
	case 2:
		l->max_text = 1 + texts_next(s) % 60;
		break;
	case 3:
		m = json_pack("{s:[{s:s,s:[{s:s,s:s},{s:s,s:s}]}]}", "messages", "role", "user",
			"content", "type", "text", "text", text, "type",
			parts[texts_next(s) % (sizeof parts / sizeof *parts)], "url", text);
		return m;
	case 4:
		*max_bytes = 1 + texts_next(s) % 50;
		break;
	default:
		l->max_items = 1;
	}
	return request_with(text, (unsigned)(texts_next(s) % 4));
}

START_TEST(a_thousand_faults_a_thousand_refusals)
{
	uint64_t s = 99;

	for (unsigned i = 0; i < 1000; i++) {
		struct redact_limits l = {0};
		struct redact *bad;
		size_t max_bytes = 0;
		json_t *j = faulty_request(i % 6, &s, &l, &max_bytes), *got;

		ck_assert_ptr_nonnull(j);
		bad = redact_new(NULL, &l);
		err.msg[0] = '\0';
		got = redact_json_request(bad, j, max_bytes, NULL, 0, &err);
		ck_assert_msg(got == NULL, "fault %u of sort %u", i, i % 6);
		ck_assert(err.msg[0] != '\0' && strchr(err.msg, '@') == NULL);
		json_decref(j);
		redact_free(bad);
	}
}
END_TEST

START_TEST(an_answer_gets_its_items_back)
{
	json_t *answer;
	char *dump;

	expect(MESSAGE("\"content\":\"a@b.de \\\"c d\\\"@e.de\""),
		MESSAGE("\"content\":\"[EMAIL_1] [EMAIL_2]\""));
	json_decref(request);
	request = read_json("{\"choices\":[{\"message\":{\"content\":\"To [EMAIL_1], [EMAIL_9]\","
			    "\"tool_calls\":[{\"function\":{\"arguments\":"
			    "\"{\\\"to\\\":\\\"[EMAIL_2]\\\"}\"}}]}}]}");
	answer = redact_json_answer(r, request, &err);
	dump = json_dumps(answer, JSON_COMPACT);
	ck_assert_str_eq(dump, "{\"choices\":[{\"message\":{\"content\":\"To a@b.de, [EMAIL_9]\","
			       "\"tool_calls\":[{\"function\":{\"arguments\":"
			       "\"{\\\"to\\\":\\\"\\\\\\\"c d\\\\\\\"@e.de\\\"}\"}}]}}]}");
	free(dump);
	json_decref(answer);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("redact_json");
	TCase *tc = tcase_create("redact_json");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, cleanup);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_place_of_a_request);
	tcase_add_test(tc, who_asks_goes_whole_and_the_unknown_is_left_out);
	tcase_add_test(tc, what_cannot_be_searched_is_refused);
	tcase_add_test(tc, arguments_stay_json);
	tcase_add_test(tc, nothing_planted_leaks);
	tcase_add_test(tc, ordinary_requests_pass);
	tcase_add_test(tc, injected_texts_change_nothing);
	tcase_add_test(tc, a_thousand_faults_a_thousand_refusals);
	tcase_add_test(tc, an_answer_gets_its_items_back);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
