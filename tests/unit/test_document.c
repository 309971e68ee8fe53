/* Documents in parts, plans as data, quotes that are true. */
#include "daemon/document_plan.h"
#include "daemon/document_reply.h"
#include "daemon/document_text.h"
#include "sched/document.h"
#include "tests/support/privacy_texts.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct document_part parts[DOCUMENT_PARTS_MAX];
static size_t n;
static struct err err;

static void
cut(const char *text, size_t max, size_t overlap)
{
	ck_assert_msg(document_cut(text, strlen(text), max, overlap, parts, DOCUMENT_PARTS_MAX, &n,
			      &err) == 0,
		"%s", err.msg);
}

static void
expect_part(const char *text, size_t i, const char *begin, const char *end)
{
	const char *s = text + parts[i].at;

	ck_assert_int_eq(strncmp(s, begin, strlen(begin)), 0);
	ck_assert_int_eq(strncmp(s + parts[i].len - strlen(end), end, strlen(end)), 0);
}

START_TEST(cut_where_a_reader_would)
{
	static const char text[] =
		"The first paragraph is about the roof. It is of slate and old.\n\n"
		"The second one is about the cellar. It is dry. Nobody goes there.\n"
		"A line of its own.\nThe end of it all is a very long sentence without any mark";

	cut(text, 1000, 100);
	ck_assert_uint_eq(n, 1);
	cut(text, 100, 0);
	ck_assert_uint_eq(n, 3);
	expect_part(text, 0, "The first", "old.\n\n");
	expect_part(text, 1, "The second", "own.\n");
	expect_part(text, 2, "The end", "mark");
	cut(text, 100, 25);
	expect_part(text, 0, "The first", "old.\n\n");
	expect_part(text, 1, "It is of slate", "there.\n"); /* a sentence again */
}
END_TEST

START_TEST(cut_where_nothing_invites_to)
{
	char text[1001];

	for (size_t i = 0; i < 1000; i += 2)
		memcpy(text + i, "\303\244", 2); /* no cut within */
	text[1000] = '\0';
	cut(text, 65, 3);
	for (size_t i = 0; i < n; i++)
		ck_assert(parts[i].at % 2 == 0 && parts[i].len % 2 == 0 && parts[i].len <= 65);
	memset(text, 0x80, 1000); /* no UTF-8 at all */
	cut(text, 64, 16);
	ck_assert_uint_ge(n, 16);
}
END_TEST

static size_t
random_text(uint64_t *s, char *text, size_t room)
{
	static const char *const pieces[] = {"word ", "a ", ". ", ".\n", "\n\n", "\r\n\r\n", "! ",
		"\343\200\202", "\303\274ber ", "longerwordwithoutend", "\t", "? "};
	size_t len = 0, want = 1 + texts_next(s) % (room - 32);

	while (len < want) {
		const char *p = pieces[texts_next(s) % (sizeof pieces / sizeof *pieces)];

		memcpy(text + len, p, strlen(p));
		len += strlen(p);
	}
	return len;
}

START_TEST(every_byte_is_in_a_part)
{
	static char text[20000];
	uint64_t s = 3;

	for (unsigned round = 0; round < 500; round++) {
		size_t len = random_text(&s, text, sizeof text), end = 0;
		size_t max = 64 + texts_next(&s) % 1000, overlap = texts_next(&s) % (max / 4 + 1);

		ck_assert_int_eq(
			document_cut(text, len, max, overlap, parts, DOCUMENT_PARTS_MAX, &n, &err),
			0);
		for (size_t i = 0; i < n; i++) {
			ck_assert(parts[i].len > 0 && parts[i].len <= max);
			ck_assert(parts[i].at <= end && end - parts[i].at <= overlap);
			ck_assert_uint_gt(parts[i].at + parts[i].len, end);
			ck_assert(((unsigned char)text[parts[i].at] & 0xc0) != 0x80);
			end = parts[i].at + parts[i].len;
		}
		ck_assert_uint_eq(end, len);
	}
}
END_TEST

START_TEST(sizes_that_make_no_sense)
{
	char text[1000];

	memset(text, 'a', sizeof text);
	ck_assert_int_eq(document_cut(text, 0, 100, 0, parts, 9, &n, &err), -1);
	ck_assert_int_eq(document_cut(text, 9, 63, 0, parts, 9, &n, &err), -1);
	ck_assert_int_eq(document_cut(text, 9, 100, 26, parts, 9, &n, &err), -1);
	ck_assert_int_eq(document_cut(text, 1000, 100, 25, parts, 9, &n, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "parts of 448 bytes would do"));
	ck_assert_int_eq(document_cut(text, 1000, 448, 112, parts, 9, &n, &err), 0);
}
END_TEST

static const char house[] = "The roof  is of\n\tslate, from 1911.\nDas Dach\302\240ist dicht. "
			    "aaaaaaaaaaaab The roof is of slat.";

static bool
quoted(const char *quote)
{
	return document_quote_find(house, sizeof house - 1, quote, strlen(quote), NULL);
}

START_TEST(quotes_are_word_for_word)
{
	struct document_part p;

	ck_assert(quoted("The roof is of slate, from 1911."));
	ck_assert(quoted("  The  roof\n"));
	ck_assert(quoted("Das Dach ist dicht."));
	ck_assert(quoted("aaaab"));
	ck_assert(quoted("The roof is of slat."));
	ck_assert(!quoted("the roof is of slate"));
	ck_assert(!quoted("The roof is of slate from 1911"));
	ck_assert(!quoted("Theroof"));
	ck_assert(!quoted("The roof is of copper"));
	ck_assert(!quoted(""));
	ck_assert(!quoted(" a \n b c")); /* three characters are no quote */
	ck_assert(document_quote_find(house, sizeof house - 1, "roof is of slate", 16, &p));
	ck_assert_uint_eq(p.at, 4);
	ck_assert_int_eq(strncmp(house + p.at, "roof  is of\n\tslate", p.len), 0);
	ck_assert_uint_eq(p.len, 18);
	ck_assert(document_quote_find(house, sizeof house - 1, "Dach ist dicht", 14, &p));
	ck_assert_int_eq(strncmp(house + p.at, "Dach\302\240ist dicht", p.len), 0);
}
END_TEST

START_TEST(quotes_take_linear_time)
{
	enum { SIZE = 1 << 20 };
	char *text = malloc(SIZE), quote[DOCUMENT_QUOTE_MAX];

	memset(text, 'a', SIZE);
	memset(quote, 'a', sizeof quote);
	quote[sizeof quote - 1] = 'b';
	ck_assert(!document_quote_find(text, SIZE, quote, sizeof quote, NULL));
	text[SIZE - 1] = 'b';
	ck_assert(document_quote_find(text, SIZE, quote, sizeof quote, NULL));
	free(text);
}
END_TEST

static const struct document_limits limits = {.parts = 4, .max_requests = 10, .max_rounds = 2};

static void
good_plan(const char *text, size_t n_requests, size_t n_quotes)
{
	struct document_plan p;

	ck_assert_msg(document_plan_parse(text, strlen(text), &limits, 1, &p, &err) == 0, "%s: %s",
		text, err.msg);
	ck_assert_uint_eq(p.n_requests, n_requests);
	ck_assert_uint_eq(p.n_quotes, n_quotes);
	ck_assert(n_requests > 0 ? p.answer == NULL : p.answer != NULL);
	document_plan_free(&p);
}

static void
bad_plan(const char *text, uint32_t round, const char *why)
{
	struct document_plan p;

	ck_assert_int_eq(document_plan_parse(text, strlen(text), &limits, round, &p, &err), -1);
	ck_assert_msg(strstr(err.msg, why) != NULL, "%s: %s", text, err.msg);
	document_plan_free(&p);
}

#define JOB(job) "{\"jobs\":[" job "]}"

START_TEST(plans_are_data)
{
	struct document_plan p;
	static const char two[] = JOB("{\"instruction\":\"x\",\"parts\":[2,1]},"
				      "{\"instruction\":\"y\",\"parts\":\"all\"}");
	static const char answer[] = "{\"answer\":\"x\",\"quotes\":[\"abcd\",\"efgh\"]}";

	good_plan(two, 6, 0);
	good_plan("Sure!\n```json\n{\"answer\":\"x\"}\n```", 0, 0);
	good_plan(answer, 0, 2);
	ck_assert_int_eq(document_plan_parse(two, sizeof two - 1, &limits, 0, &p, &err), 0);
	ck_assert_uint_eq(p.requests[0].part, 1);
	ck_assert_str_eq(p.requests[5].instruction, "y");
	ck_assert_uint_eq(p.requests[5].part, 3);
	document_plan_free(&p);
	bad_plan(two, 2, "rounds are over");
	ck_assert_int_eq(document_plan_parse(answer, sizeof answer - 1, &limits, 2, &p, &err), 0);
	document_plan_free(&p);
}
END_TEST

START_TEST(plans_that_break_the_schema)
{
	char longest[DOCUMENT_INSTRUCTION_MAX + 100];

	bad_plan("", 0, "no JSON object");
	bad_plan("import os; os.system('id')", 0, "no JSON object");
	bad_plan("{\"jobs\":", 0, "no JSON object");
	bad_plan("{\"jobs\":}", 0, "not valid JSON");
	bad_plan("{}", 0, "answer must be");
	bad_plan("{\"answer\":5}", 0, "answer must be");
	bad_plan("{\"answer\":\"\"}", 0, "answer must be");
	bad_plan("{\"answer\":\"x\",\"code\":\"print(1)\"}", 0, "'code' that is not known");
	bad_plan("{\"answer\":\"x\",\"quotes\":\"x\"}", 0, "quotes must be a list");
	bad_plan("{\"answer\":\"x\",\"quotes\":[5]}", 0, "a quote must be");
	bad_plan("{\"jobs\":[],\"answer\":\"x\"}", 0, "'answer' that is not known");
	bad_plan("{\"jobs\":[]}", 0, "at least one");
	bad_plan("{\"jobs\":{}}", 0, "at least one");
	bad_plan(JOB("5"), 0, "must be an object");
	bad_plan(JOB("{\"instruction\":\"x\",\"parts\":[1],\"exec\":1}"), 0, "job 1: a job has");
	bad_plan(JOB("{\"instruction\":\"x\",\"parts\":[5]}"), 0, "no part 5");
	bad_plan(JOB("{\"instruction\":\"x\",\"parts\":[0]}"), 0, "no part 0");
	bad_plan(JOB("{\"instruction\":\"x\",\"parts\":[1.5]}"), 0, "list of numbers");
	bad_plan(JOB("{\"instruction\":\"x\",\"parts\":\"some\"}"), 0, "parts must be");
	bad_plan(JOB("{\"instruction\":\"x\"}"), 0, "parts must be");
	bad_plan(JOB("{\"instruction\":\"\",\"parts\":[1]}"), 0, "instruction must be");
	bad_plan(JOB("{\"parts\":[1]}"), 0, "instruction must be");
	bad_plan(JOB("{\"instruction\":\"x\",\"parts\":[1,1,1,1,1,1,1,1,1,1,1]}"), 0,
		"more than 10 requests");
	snprintf(longest, sizeof longest, "{\"jobs\":[{\"parts\":[1],\"instruction\":\"%0*d\"}]}",
		DOCUMENT_INSTRUCTION_MAX + 1, 1);
	bad_plan(longest, 0, "instruction must be");
}
END_TEST

static const char part_text[] = "The boiler was serviced in May. It costs 90 euros a year.";

static enum document_state
reply(const char *text, struct document_reply *r)
{
	document_reply_read(text, strlen(text), part_text, sizeof part_text - 1, r, &err);
	return r->state;
}

START_TEST(replies_are_judged_one_by_one)
{
	static const struct {
		const char *text;
		enum document_state state;
	} cases[] = {{"{\"answer\":\"May\",\"quotes\":[\"serviced in  May\"]}", DOCUMENT_SAID},
		{"{\"answer\":\"May\"}", DOCUMENT_SAID}, {"{\"answer\":null}", DOCUMENT_NOTHING},
		{"{\"answer\":\"\"}", DOCUMENT_NOTHING}, {"{}", DOCUMENT_BAD},
		{"May", DOCUMENT_BAD}, {"", DOCUMENT_BAD}, {"{\"answer\":{}}", DOCUMENT_BAD},
		{"{\"answer\":5,\"actions\":[]}", DOCUMENT_SAID},
		{"{\"answer\":[\"hall\",2,true]}", DOCUMENT_SAID},
		{"{\"answer\":[[]]}", DOCUMENT_BAD}, {"{\"answer\":[]}", DOCUMENT_NOTHING},
		{"{\"answer\":\"June\",\"quotes\":[\"serviced in June\"]}", DOCUMENT_BAD},
		{"{\"answer\":\"x\",\"quotes\":{}}", DOCUMENT_BAD},
		{"Here: {\"answer\":\"May\",\"quotes\":[]} Bye", DOCUMENT_SAID}};
	struct document_reply r;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_msg(reply(cases[i].text, &r) == cases[i].state, "%s", cases[i].text);
		document_reply_free(&r);
	}
	reply("{\"answer\":\"x\",\"quotes\":[\"in June\",\"90 euros\",\"a month\"]}", &r);
	ck_assert_uint_eq(r.n_quotes, 1);
	ck_assert_uint_eq(r.n_dropped, 2);
	ck_assert_str_eq(r.quotes[0], "90 euros");
	document_reply_free(&r);
}
END_TEST

/* Of models that write no JSON: what is quoted must be true all the same. */
START_TEST(plain_replies)
{
	static const struct {
		const char *text;
		enum document_state state;
		size_t quotes, dropped;
	} cases[] = {{"serviced in May", DOCUMENT_SAID, 1, 0}, {"In May.", DOCUMENT_SAID, 0, 0},
		{"It \"was serviced in May\" by \"a plumber\"", DOCUMENT_SAID, 1, 1},
		{"one \" alone", DOCUMENT_SAID, 0, 0}, {" None.\n", DOCUMENT_NOTHING, 0, 0},
		{"\xff\xfe bytes", DOCUMENT_BAD, 0, 0}, {"", DOCUMENT_BAD, 0, 0},
		{"{\"answer\": \"cut off", DOCUMENT_BAD, 0, 0}};
	struct document_reply r;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		document_reply_judge(cases[i].text, strlen(cases[i].text), part_text,
			sizeof part_text - 1, &r, &err);
		ck_assert_msg(r.state == cases[i].state, "%s", cases[i].text);
		ck_assert_uint_eq(r.n_quotes, cases[i].quotes);
		ck_assert_uint_eq(r.n_dropped, cases[i].dropped);
		document_reply_free(&r);
	}
	reply("{\"answer\":[\"hall\",2.5,true]}", &r);
	ck_assert_str_eq(r.answer, "hall, 2.5, true");
	document_reply_free(&r);
}
END_TEST

/* Several documents, their parts numbered through, and what stands where. */
START_TEST(places_in_documents)
{
	struct document_texts t = {.text = {"one\ntwo\n", house},
		.len = {8, sizeof house - 1},
		.n = 2,
		.bytes = sizeof house + 7};
	struct document_place p;
	size_t len;

	ck_assert_int_eq(document_texts_cut(&t, 64, 0, 10, &err), 0);
	ck_assert_uint_eq(t.n_parts, 3);
	ck_assert_int_eq(strncmp(document_texts_part(&t, 0, &len), "one", 3), 0);
	ck_assert_uint_eq(len, 8);
	document_texts_place(&t, 0, &p);
	ck_assert(p.document == 0 && p.line == 1 && p.last_line == 2);
	ck_assert(document_texts_find(&t, "slate, from 1911", 16, &p));
	ck_assert(p.document == 1 && p.line == 2 && p.last_line == 2 && p.part == 1);
	ck_assert_int_eq(strncmp(house + p.at, "slate", 5), 0);
	ck_assert(document_texts_find(&t, "of slate, from", 14, &p));
	ck_assert(p.line == 1 && p.last_line == 2);
	ck_assert(document_texts_find(&t, "roof is of slat.", 16, &p));
	ck_assert_uint_eq(p.part, 2);
	ck_assert_uint_eq(p.line, 3);
	ck_assert(!document_texts_find(&t, "two The roof", 12, &p));
	ck_assert_int_eq(document_texts_cut(&t, 64, 0, 2, &err), -1);
	ck_assert_int_eq(document_texts_whole(&t), 0);
	ck_assert_uint_eq(t.n_parts, 2);
	document_texts_free(&t);
}
END_TEST

/* Whatever comes for one of them, the others are there, in order. */
START_TEST(one_bad_reply_costs_one_job)
{
	struct document_reply r[5] = {{DOCUMENT_MISSING}};
	static const uint32_t whose[5] = {0, 1, 2, 3, 2};
	size_t left_out;
	json_t *all;
	char *dump;

	reply("{\"answer\":\"May\",\"quotes\":[\"serviced in May\"]}", &r[1]);
	reply("{\"answer\":\"broken", &r[2]);
	reply("{\"answer\":null}", &r[3]);
	reply("{\"answer\":\"90\"}", &r[4]);
	all = document_merge(r, whose, 5, 1000, &left_out);
	dump = json_dumps(all, JSON_COMPACT);
	ck_assert_str_eq(dump, "[{\"part\":2,\"answer\":\"May\",\"quotes\":[\"serviced in May\"]},"
			       "{\"part\":3,\"answer\":\"90\",\"quotes\":[]}]");
	ck_assert_uint_eq(left_out, 0);
	free(dump);
	json_decref(all);
	all = document_merge(r, whose, 5, 10, &left_out);
	ck_assert_uint_eq(json_array_size(all), 1);
	ck_assert_uint_eq(left_out, 1);
	json_decref(all);
	for (size_t i = 0; i < 5; i++)
		document_reply_free(&r[i]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("document");
	TCase *tc = tcase_create("document");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, cut_where_a_reader_would);
	tcase_add_test(tc, cut_where_nothing_invites_to);
	tcase_add_test(tc, every_byte_is_in_a_part);
	tcase_add_test(tc, sizes_that_make_no_sense);
	tcase_add_test(tc, quotes_are_word_for_word);
	tcase_add_test(tc, quotes_take_linear_time);
	tcase_add_test(tc, plans_are_data);
	tcase_add_test(tc, plans_that_break_the_schema);
	tcase_add_test(tc, replies_are_judged_one_by_one);
	tcase_add_test(tc, plain_replies);
	tcase_add_test(tc, places_in_documents);
	tcase_add_test(tc, one_bad_reply_costs_one_job);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
