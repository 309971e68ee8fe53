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
