/* Personal items that were removed from what a cloud gets, and come back in what it says: those of the request and no
 * others, whole, and in the form that the answer has. */
#include "tests/support/tools_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ODD "\"x y\"@example.org" /* an address that JSON has to escape */

static const struct fake_script words_only = {
	.pieces = {"It is so."}, .end = SESSION_STOP, .margin = 20, .context = 8192};

/* Without tools. */
static void
start_words(const char *faults)
{
	start(faults, "redact");
	fake_set(&words_only);
	fake_set_small(NULL);
	json_array_clear(tools);
}

static const char *
words(void)
{
	const char *s = json_string_value(json_object_get(message(), "content"));

	ck_assert_msg(a.status == 200 && s != NULL, "%d %s", a.status, a.body);
	return s;
}

static void
ask_anew(const char *text, const char *more)
{
	json_array_clear(messages);
	add("user", text);
	say("auto:cloud", more);
}

/* A page, or the cloud itself, that asks for what another conversation of the same client has told. */
START_TEST(other_conversations_keep_their_items)
{
	start("agent~asks", "redact");
	ask_anew("password: hunter2-bank, mail a@example.org", "");
	ck_assert_str_eq(
		called(0, "arguments"), "{\"about\": \"a@example.org [EMAIL_2] hunter2-bank\"}");
	ask_anew("Sum up the page", "");
	ck_assert_str_eq(called(0, "arguments"), "{\"about\": \"[EMAIL_1] [EMAIL_2] [KEY_1]\"}");
	json_array_clear(tools);
	ask_anew("Sum up the page, b@example.org", "");
	ck_assert_str_eq(words(), "b@example.org [EMAIL_2] [KEY_1]");
}
END_TEST

/* A cloud's answer ends within a placeholder: who goes on behind it does so behind the words before it. */
START_TEST(a_cut_within_a_placeholder)
{
	static const char *const said[] = {"a@example.orgIt is so.", "a@example.org It is so.",
		"a@example.org b@example.orgIt is so.", "a@example.org b@example.org It is so."};
	unsigned nothing = 0, seen[4] = {0};

	open_cloud();
	for (int cut = 260; cut < 1300; cut += 80) {
		char faults[64];
		int i = 0;

		snprintf(faults, sizeof faults, "agent~asks~cut-%d", cut);
		start_words(faults);
		ask_anew("From a@example.org to b@example.org", "");
		if (a.status == 502) { /* the client has seen nothing of it */
			nothing++;
		} else {
			while (i < 4 && strcmp(words(), said[i]) != 0)
				i++;
			ck_assert_msg(i < 4, "%d: %s", cut, words());
			ck_assert_str_eq(shoal("reason"), "fell_back");
			seen[i]++;
		}
		teardown();
	}
	close_cloud();
	ck_assert_uint_gt(nothing, 1);
	ck_assert_uint_gt(seen[1], 1);
}
END_TEST

START_TEST(items_in_json_are_escaped)
{
	start_words("agent~asks");
	ask_anew("Mail " ODD, "");
	ck_assert_str_eq(words(), ODD " [EMAIL_2] [KEY_1]");
	ask_anew("Mail " ODD, ",\"response_format\":{\"type\":\"json_object\"}");
	ck_assert_str_eq(words(), "\\\"x y\\\"@example.org [EMAIL_2] [KEY_1]");
	ask_anew("Mail " ODD, ",\"response_format\":{\"type\":\"text\"}");
	ck_assert_str_eq(words(), ODD " [EMAIL_2] [KEY_1]");
}
END_TEST

/* Behind ,"shoal":; a supervisor is asked about so long a document. */
static void
ask_of_document(const char *question)
{
	static char more[32768];
	size_t len = (size_t)snprintf(
		more, sizeof more, ",\"shoal\":{\"mode\":\"document\",\"document\":\"");

	for (int i = 0; i < 600; i++)
		len += (size_t)snprintf(
			more + len, sizeof more - len, "This is line %d of a long text.\\n", i);
	snprintf(more + len, sizeof more - len, "\"}");
	ask_anew(question, more);
}

/* A supervisor answers in JSON, or in words. */
START_TEST(items_of_a_document)
{
	start_words("agent~asks");
	ask_of_document("What of " ODD "?");
	ck_assert_str_eq(words(), ODD " [EMAIL_2] [KEY_1]");
	teardown();
	start_words("supervise");
	ask_of_document("What of " ODD "?");
	ck_assert_ptr_nonnull(strstr(words(), "The parts say: "));
}
END_TEST

/* --- what small models say of a document ------------------------------------------------------------ */

#define IBAN_LINE  "The plumber has DE89 3704 0044 0532 0130 00 for an account."
#define MAIL_LINE  "Write to jan.kellner@example.org when it leaks."
#define KEY_LINE   "The password: hunter2-bank, and nobody knows it."
#define PHONE_LINE "In the evening call me at 55512 or so."
#define BIRTH_LINE "Anna, born 12.03.2015, has the key."

static char said[1000]; /* by who reads the part with these lines */

static void
reader(const char *prompt, char *out, size_t size)
{
	snprintf(out, size, "%s",
		strstr(prompt, "nobody knows it.") != NULL ? said : "{\"answer\":null}");
}

static void
start_reading(const char *privacy)
{
	struct fake_script s = {.reply = reader, .end = SESSION_STOP, .context = 4096};

	start_words("supervise");
	if (strcmp(privacy, "redact") != 0) {
		teardown();
		start("supervise", privacy);
		json_array_clear(tools);
	}
	fake_set(&s);
	fake_set_small(&s);
}

/* With these lines in the middle of it; JSON, as all that comes behind them in the body. */
static void
ask_of_lines(const char *model, const char *question, const char *lines)
{
	static char more[400000];
	size_t len = (size_t)snprintf(
		more, sizeof more, ",\"shoal\":{\"mode\":\"document\",\"document\":\"");

	for (int i = 0; i < 600; i++)
		len += (size_t)snprintf(more + len, sizeof more - len,
			"%sThis is line %d of a long text.\\n", i == 300 ? lines : "", i);
	snprintf(more + len, sizeof more - len, "\"}");
	json_array_clear(messages);
	add("user", question);
	say(model, more);
}

/* All that left for the cloud since the daemon was started. */
static const char *
left(void)
{
	static struct buf all;

	buf_free(&all);
	buf_init(&all, 0);
	for (unsigned i = before; i < cloud_server_connections(&cloud); i++) {
		struct buf one;

		buf_init(&one, 0);
		cloud_server_received(&cloud, i, &one);
		buf_append(&all, one.data, one.len);
		buf_free(&one);
	}
	buf_u8(&all, 0);
	return (const char *)all.data;
}

static void
read_lines(const char *reply)
{
	snprintf(said, sizeof said, "%s", reply);
	start_reading("redact");
	ask_of_lines("auto:cloud", "Who comes, and how?",
		IBAN_LINE "\\n" MAIL_LINE "\\n" KEY_LINE "\\n" PHONE_LINE "\\n" BIRTH_LINE "\\n");
	ck_assert_ptr_nonnull(strstr(words(), "The parts say: "));
}

/* What a reader says, what must not leave of it, what leaves in its place, and what the client gets. */
static const struct {
	const char *said, *not, *instead, *answer;
} findings[] = {
	/* A quote that ends, begins, and does both within an item. */
	{"{\"answer\":\"a plumber\",\"quotes\":[\"The plumber has DE89 3704 00\"]}", "DE89",
		"[\\\"The plumber has [IBAN_1]\\\"]", "say: a plumber"},
	{"{\"answer\":\"a plumber\",\"quotes\":[\"0130 00 for an account\"]}", "0130",
		"[\\\"[IBAN_1] for an account\\\"]", "say: a plumber"},
	{"{\"answer\":\"a plumber\",\"quotes\":[\"0044 0532\"]}", "0044 0532", "[\\\"[IBAN_1]\\\"]",
		"say: a plumber"},
	{"{\"answer\":\"him\",\"quotes\":[\"Write to jan.kellner\"]}", "kellner",
		"[\\\"Write to [EMAIL_1]\\\"]", "say: him"},
	/* An answer and a quote without the words that give an item away. */
	{"{\"answer\":\"hunter2-bank\",\"quotes\":[\"hunter2-bank, and nobody knows\"]}", "hunter2",
		"[\\\"[KEY_1], and nobody knows\\\"]", "say: hunter2-bank"},
	{"{\"answer\":\"Well, 55512 it is\"}", "55512", "Well, [PHONE_1] it is",
		"say: Well, 55512 it is"},
	{"{\"answer\":\"In spring (12.03.2015) it was\"}", "12.03", "spring ([BIRTH_1]) it was",
		"say: In spring (12.03.2015) it was"},
	{"{\"answer\":\"PIN: \\\"hunter2-bank\\\"\\nhe says\"}", "hunter2", "PIN: \\\\\\\"[KEY_1]",
		"say: PIN: \"hunter2-bank\"\nhe says"},
	/* An answer that was cut, one that begins so, and one that quotes a part. */
	{"It has DE89 3704 00", "DE89", "It has ", "say: It has "},
	{"Write, if you must, to jan.kell...", "jan", "if you must, to ", "if you must, to "},
	{"ter2-bank is how it ends", "ter2", " is how it ends", "say:  is how it ends"},
	{"It has DE89 3704 0044 05", "DE", "It has ", "say: It has "},
	{"One says \"jan.kell\" of it", "jan", "One says \\\\\\\"\\\\\\\" of it",
		"say: One says \"\" of it"},
};

START_TEST(findings_lose_what_the_document_gives_away)
{
	const char *bytes;

	read_lines(findings[_i].said);
	bytes = left();
	ck_assert_ptr_nonnull(strstr(bytes, "Findings of"));
	ck_assert_msg(strstr(bytes, findings[_i].not ) == NULL, "%s", bytes);
	ck_assert_msg(strstr(bytes, findings[_i].instead) != NULL, "%s", bytes);
	ck_assert_msg(strstr(words(), findings[_i].answer) != NULL, "%s", words());
}
END_TEST

START_TEST(a_question_has_items_of_the_document)
{
	strcpy(said, "{\"answer\":\"a door\"}");
	start_reading("redact");
	ask_of_lines("auto:cloud", "What does hunter2-bank open?", KEY_LINE);
	ck_assert_str_eq(words(), "The parts say: a door");
	ck_assert_ptr_null(strstr(left(), "hunter2"));
	ck_assert_ptr_nonnull(strstr(left(), "What does [KEY_1] open?"));
}
END_TEST

/* Who may have all of it gets it as it is. */
START_TEST(findings_as_they_are)
{
	strcpy(said, "{\"answer\":\"hunter2-bank\",\"quotes\":[\"hunter2-bank, and\"]}");
	start_reading("cloud");
	ask_of_lines("auto:cloud", "What does it open?", KEY_LINE);
	ck_assert_str_eq(words(), "The parts say: hunter2-bank");
	ck_assert_ptr_nonnull(strstr(left(), "[\\\"hunter2-bank, and\\\"]"));
}
END_TEST

/* More items than can be looked for: nothing leaves, and who demanded it is told. */
START_TEST(too_many_items_stay_at_home)
{
	static char lines[390000];
	size_t len = (size_t)snprintf(lines, sizeof lines, KEY_LINE);

	for (int i = 0; i < 17000; i++)
		len += (size_t)snprintf(lines + len, sizeof lines - len, "a%d@example.org\\n", i);
	strcpy(said, "{\"answer\":\"a door\"}");
	start_reading("redact");
	ask_of_lines("auto", "What does it open?", lines);
	ck_assert_str_eq(words(), "a door");
	ck_assert_msg(
		strstr(shoal("no_cloud"), "more personal items") != NULL, "%s", shoal("no_cloud"));
	ck_assert_str_eq(left(), "");
	ask_of_lines("auto:cloud", "What does it open?", lines);
	ck_assert_int_eq(a.status, 403);
	ck_assert_str_eq(left(), "");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router items");
	TCase *t = tcase_create("items");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(t, open_cloud, close_cloud);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, other_conversations_keep_their_items);
	tcase_add_test(t, items_in_json_are_escaped);
	tcase_add_test(t, items_of_a_document);
	tcase_add_loop_test(t, findings_lose_what_the_document_gives_away, 0,
		sizeof findings / sizeof *findings);
	tcase_add_test(t, a_question_has_items_of_the_document);
	tcase_add_test(t, findings_as_they_are);
	tcase_add_test(t, too_many_items_stay_at_home);
	suite_add_tcase(s, t);
	t = tcase_create("cuts");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_cut_within_a_placeholder);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
