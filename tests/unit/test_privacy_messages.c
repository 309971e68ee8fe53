/* Conversations as clients send them, against the record of what was said. */
#include "daemon/privacy_messages.h"
#include "tests/support/privacy_texts.h"

#include <check.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t key[PRIVACY_KEY_LEN] = {1, 2, 3};
static struct privacy_messages m;
static struct err err;

static void
cleanup(void)
{
	privacy_messages_free(&m);
}

static void
read_messages(const char *list)
{
	json_t *j = json_loads(list, 0, NULL);

	ck_assert_msg(j != NULL, "%s", list);
	privacy_messages_free(&m);
	ck_assert_int_eq(privacy_messages_read(key, j, &m, &err), 0);
	json_decref(j);
}

/* Both lists have one hash, the same or not. */
static void
compare(const char *a, const char *b, bool same)
{
	struct privacy_hash first;

	read_messages(a);
	ck_assert_uint_eq(m.n, 1);
	first = m.hash[0];
	read_messages(b);
	ck_assert_uint_eq(m.n, 1);
	ck_assert_msg((memcmp(&first, &m.hash[0], sizeof first) == 0) == same, "%s %s", a, b);
}

#define USER(content) "[{\"role\":\"user\",\"content\":" content "}]"

START_TEST(a_text_is_known_again)
{
	compare(USER("\"a b\""), USER("\" a \\n\\tb \""), true);
	compare(USER("\"a b\""), "[{\"role\":\"assistant\",\"content\":\"a b\"}]", true);
	compare(USER("\"a b\""), USER("[{\"type\":\"text\",\"text\":\"a \"},{\"text\":\"b\"}]"),
		true);
	compare(USER("\"a b\""), USER("\"ab\""), false);
	compare(USER("\"a b\""), USER("\"A b\""), false);
	compare(USER("[{\"type\":\"image_url\",\"url\":\"x\"}]"),
		USER("[{\"url\":\"x\",\"type\":\"image_url\"}]"), true);
	compare(USER("[{\"type\":\"image_url\",\"url\":\"x\"}]"),
		USER("[{\"url\":\"y\",\"type\":\"image_url\"}]"), false);
	compare("[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":"
		"\"f\","
		"\"arguments\":\"{}\"}}]}]",
		"[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"2\","
		"\"function\":"
		"{\"name\":\"f\",\"arguments\":\" { }\"}}]}]",
		true); /* who reads JSON and writes it again spaces it anew */
	compare("[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
		"\"arguments\":\"{\\\"a\\\":\\\"b c\\\"}\"}}]}]",
		"[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
		"\"arguments\":{\"a\":\"bc\"}}}]}]",
		false);
}
END_TEST

START_TEST(history_is_what_was_answered)
{
	read_messages(
		"[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a\"},"
		"{\"role\":\"assistant\",\"content\":\"b\",\"reasoning_content\":\"r\"},"
		"{\"role\":\"user\",\"content\":\"c\"}]");
	ck_assert_uint_eq(m.n, 5);
	ck_assert_uint_eq(m.n_old, 3);
	ck_assert_uint_eq(m.message[0], 1);
	ck_assert_uint_eq(m.message[2], 2);
	ck_assert_uint_eq(m.message[3], 0); /* the system prompt is said anew */
	ck_assert_uint_eq(m.message[4], 3);
	read_messages("[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{"
		      "\"name\":\"f\"}},{\"custom\":{\"input\":\"x\"}}]},"
		      "{\"role\":\"tool\",\"content\":\"r\"}]");
	ck_assert_uint_eq(m.n, 3);
	ck_assert_uint_eq(m.n_old, 2);
	read_messages("[{\"role\":\"user\",\"content\":\" \"},{\"role\":\"user\"},{}]");
	ck_assert_uint_eq(m.n, 0);
}
END_TEST

START_TEST(a_prompt_and_its_begins)
{
	static const uint32_t ends[] = {3, 5, 7, 9};
	struct privacy_hash whole, other;

	ck_assert_int_eq(privacy_messages_read_prompt(key, " ab \n cd  e", ends, 4, &m), 0);
	ck_assert_uint_eq(m.length, 7);
	ck_assert_uint_eq(m.n_begins, 2);
	ck_assert_uint_eq(m.n, 3);
	ck_assert_uint_eq(m.n_old, 0);
	ck_assert(privacy_hash_text(key, "ab cd", 5, &whole));
	ck_assert(privacy_hash_text(key, "ab cd e", 7, &other));
	ck_assert_mem_eq(&m.hash[1], &whole, sizeof whole);
	ck_assert_mem_eq(&m.hash[2], &other, sizeof other);
	privacy_messages_free(&m);
	ck_assert_int_eq(privacy_messages_read_prompt(key, " ", ends, 4, &m), 0);
	ck_assert_uint_eq(m.n, 0);
}
END_TEST

START_TEST(what_is_no_list_of_messages)
{
	static const char *const bad[] = {"{}", "[5]", "[{},\"x\"]"};

	for (size_t i = 0; i < 3; i++) {
		json_t *j = json_loads(bad[i], 0, NULL);

		privacy_messages_free(&m);
		ck_assert_int_eq(privacy_messages_read(key, j, &m, &err), -1);
		ck_assert_ptr_null(m.hash);
		json_decref(j);
	}
}
END_TEST

/* A whole conversation: the private turn is known again from the client's own list, also when the
 * client sends it as one text, shortened, or under another role; no text of it helps. */
START_TEST(a_private_turn_is_known_again)
{
	struct privacy_taint *t = privacy_taint_new(100, PRIVACY_HOME);
	struct privacy_hash answer;
	struct buf b;

	read_messages(USER("\"My salary is 5\""));
	ck_assert_int_eq(privacy_taint_judge(t, m.hash, m.n, m.n_old, PRIVACY_HOME, NULL, NULL),
		PRIVACY_HOME);
	privacy_taint_made(t, m.hash, m.n, m.n_old, PRIVACY_HOME);
	ck_assert(privacy_hash_text(key, "I see.\n", 7, &answer));
	privacy_taint_made(t, &answer, 1, 0, PRIVACY_HOME);
	buf_init(&b, 0);
	for (unsigned i = 0; i < INJECTION_TEXTS; i++) {
		json_t *list = json_pack("[{s:s,s:s},{s:s,s:s}]", "role", "assistant", "content",
			"I see.", "role", "user", "content", "x");

		buf_clear(&b);
		injection_text(i, &b);
		json_object_set_new(json_array_get(list, 1), "content",
			json_stringn((const char *)b.data, b.len));
		if (i % 2 == 0) /* without the answer's own role */
			json_object_set_new(json_array_get(list, 0), "role", json_string("user"));
		privacy_messages_free(&m);
		ck_assert_int_eq(privacy_messages_read(key, list, &m, &err), 0);
		ck_assert_int_eq(
			privacy_taint_judge(t, m.hash, m.n, m.n_old, PRIVACY_CLOUD, NULL, NULL),
			PRIVACY_HOME);
		json_decref(list);
	}
	buf_free(&b);
	privacy_taint_free(t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("privacy_messages");
	TCase *tc = tcase_create("privacy_messages");
	SRunner *sr;
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	sr = srunner_create(s);
	tcase_add_checked_fixture(tc, NULL, cleanup);
	tcase_add_test(tc, a_text_is_known_again);
	tcase_add_test(tc, history_is_what_was_answered);
	tcase_add_test(tc, a_prompt_and_its_begins);
	tcase_add_test(tc, what_is_no_list_of_messages);
	tcase_add_test(tc, a_private_turn_is_known_again);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
