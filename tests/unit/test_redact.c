/* Placeholders and back: what is taken comes back as it was, and a text that cannot be searched is
 * refused. */
#include "tests/support/planted.h"
#include "tests/support/privacy_texts.h"
#include "tests/support/redact_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(one_of_each_kind)
{
	expect("Write to jan@example.com.", "Write to [EMAIL_1].");
	expect("Call +49 171 5551234 or 030/5551234!", "Call [PHONE_1] or [PHONE_2]!");
	expect("DE89 3704 0044 0532 0130 00", "[IBAN_1]");
	expect("card 4111 1111 1111 1111, 12/28", "card [CARD_1], 12/28");
	expect("key sk-abcdEFGH1234ijklMNOP", "key [KEY_1]");
	expect("ping 192.168.178.20", "ping [IP_1]");
	expect("ping fe80::1ff:fe23:4567:890a", "ping [IP_2]");
	expect("00:1A:2b:3c:4D:5e", "[MAC_1]");
	expect("at 52.5200, 13.4050 now", "at [PLACE_1] now");
	expect("born 3/12/2015", "born [BIRTH_1]");
	expect("for Grabowski's sake", "for [WORD_1]'s sake");
	expect("[EMAIL_1] is a text", "[MARK_1] is a text");
	for (unsigned k = 0; k < REDACT_KINDS; k++)
		ck_assert_uint_ge(k == REDACT_JSON ? 1 : redact_count(r, (enum redact_kind)k), 1);
}
END_TEST

START_TEST(the_same_item_has_the_same_placeholder)
{
	expect("a@b.de, c@d.de, a@b.de", "[EMAIL_1], [EMAIL_2], [EMAIL_1]");
	expect("again c@d.de", "again [EMAIL_2]");
	expect("A@b.de is written another way", "[EMAIL_3] is written another way");
	ck_assert_uint_eq(redact_count(r, REDACT_EMAIL), 5);
}
END_TEST

/* Texts that hold placeholders already, true, false and half ones. */
START_TEST(placeholders_in_texts)
{
	redacted("a@b.de");
	expect("[EMAIL_1]", "[MARK_1]");
	expect("[MARK_1]", "[MARK_2]");
	expect("[EMAIL_1", "[EMAIL_1");
	expect("[EMAIL_a@b.de]", "[[EMAIL_2]]");
	expect("[[EMAIL_1]]", "[[MARK_1]]");
	expect("[EMAIL_][EMAIL_x][email_1][]", "[EMAIL_][EMAIL_x][email_1][]");
	expect("[[[[a@b.de", "[[[[[EMAIL_1]");
	expect("[PHONE_99999999999999999999999999]", "[PHONE_[PHONE_1]]");
	/* What a model makes up stays. */
	buf_clear(&out);
	buf_str(&out, "[EMAIL_77] [EMAIL_01] [EMAIL_0] [IP_1] [EMAIL_4294967297]");
	restore(SIZE_MAX);
	ck_assert_uint_eq(back.len, out.len);
	ck_assert_mem_eq(back.data, out.data, out.len);
}
END_TEST

START_TEST(members_say_what_their_value_is)
{
	static const struct {
		const char *name, *value, *want;
	} cases[] = {{"password", "hunter2", "[KEY_1]"}, {"apiKey", "x", "[KEY_2]"},
		{"birthday", "2019-03-12", "[BIRTH_1]"}, {"date", "2019-03-12", "2019-03-12"},
		{"phone", "55512", "[PHONE_1]"}, {"count", "55512", "55512"},
		{"max_tokens", "100", "100"}, {"email", "a@b.de", "[EMAIL_1]"},
		{"latitude", "52.521", "[PLACE_1]"}, {"", "plain", "plain"},
		{"\xff", "a@b.de", "[EMAIL_1]"}, {"token", "", ""}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_clear(&out);
		ck_assert_int_eq(redact_member(r, cases[i].name, cases[i].value,
					 strlen(cases[i].value), &out, &err),
			0);
		buf_u8(&out, 0);
		ck_assert_str_eq((const char *)out.data, cases[i].want);
	}
}
END_TEST

START_TEST(restored_at_every_split)
{
	struct buf text;

	buf_init(&text, 0);
	for (unsigned i = 0; i < 10 * PLANTED_KINDS; i += 11) {
		struct planted p;

		planted_make(i, &p);
		buf_str(&text, p.text);
		buf_str(&text, " [[EMAIL_1] [PHON");
	}
	buf_u8(&text, 0);
	redacted((const char *)text.data);
	for (size_t cut = 0; cut <= out.len; cut++) {
		restore(cut);
		ck_assert_uint_eq(back.len, text.len - 1);
		ck_assert_mem_eq(back.data, text.data, back.len);
	}
	buf_free(&text);
}
END_TEST

/* As if they had never been there: of all kinds, in every chain. */
START_TEST(items_are_forgotten)
{
	char text[64], again[64];
	uint32_t n;

	redacted("a@b.de and 192.168.17.23");
	n = redact_n_items(r);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof text, "u%d@e.org 10.0.%d.%d", i, i / 250, i % 250);
		redacted(text);
	}
	redact_forget(r, n);
	ck_assert_uint_eq(redact_n_items(r), n);
	ck_assert_str_eq(redacted("[EMAIL_2] a@b.de 192.168.17.23"), "[MARK_1] [EMAIL_1] [IP_1]");
	for (int i = 1000; i-- > 0;) {
		snprintf(text, sizeof text, "u%d@e.org 10.0.%d.%d", i, i / 250, i % 250);
		snprintf(again, sizeof again, "[EMAIL_%d] [IP_%d]", 1001 - i, 1001 - i);
		ck_assert_str_eq(redacted(text), again);
		restore(0);
		buf_u8(&back, 0);
		ck_assert_str_eq((const char *)back.data, text);
	}
}
END_TEST

/* Only what can still become a placeholder waits. */
START_TEST(text_is_not_held_back)
{
	struct redact_restore s = {.r = r};

	redact_restore_push(&s, "Hello [", 7, &back);
	ck_assert_uint_eq(back.len, 6);
	redact_restore_push(&s, "1]", 2, &back);
	ck_assert_uint_eq(back.len, 9);
	redact_restore_push(&s, "[EMAIL_12", 9, &back);
	ck_assert_uint_eq(back.len, 9);
	redact_restore_push(&s, "x", 1, &back);
	ck_assert_uint_eq(back.len, 19);
}
END_TEST

START_TEST(restored_into_json)
{
	static const char text[] = "-----BEGIN KEY-----\nAB\\nCD\tEF\n-----END KEY-----";
	struct redact_restore s = {.r = r, .json = true};

	ck_assert_str_eq(redacted(text), "[KEY_1]");
	redact_restore_push(&s, "{\"k\":\"[KEY_1]\"}", 15, &back);
	buf_u8(&back, 0);
	ck_assert_str_eq((const char *)back.data, "{\"k\":\"-----BEGIN KEY-----\\nAB\\\\nCD\\tEF\\n"
						  "-----END KEY-----\"}");
}
END_TEST

static unsigned until_fault;

static int
fault(void *arg)
{
	(void)arg;
	return until_fault-- == 0;
}

static void
refused(struct redact *with, const char *text, size_t len, size_t bound)
{
	struct buf b;

	buf_init(&b, bound);
	buf_str(&b, "begin");
	err.msg[0] = '\0';
	ck_assert_int_eq(redact_text(with, text, len, &b, &err), -1);
	ck_assert_uint_eq(b.len, 5); /* nothing of it, redacted or raw */
	ck_assert(err.msg[0] != '\0');
	ck_assert_ptr_null(strstr(err.msg, "@"));
	buf_free(&b);
}

/* 1,000 faults of five sorts, in texts with an address in them: always refused. */
START_TEST(faults_are_refusals)
{
	uint64_t s = 7;

	for (unsigned i = 0; i < 1000; i++) {
		struct redact_limits l = {0};
		char text[256];
		struct redact *bad;
		size_t len = 40 + texts_next(&s) % 200, bound = 0;

		memset(text, 'x', len);
		memcpy(text + len / 2, " a@b.de c@d.de ", 15);
		until_fault = (unsigned)(texts_next(&s) % (len * 10));
		switch (i % 5) {
		case 0:
			l.fault = fault;
			break;
		case 1: /* overlong, lone and cut sequences */
			text[texts_next(&s) % len] = (char)(0x80 | texts_next(&s) % 128);
			break;
		case 2:
			l.max_text = 1 + texts_next(&s) % (len - 1);
			break;
		case 3:
			bound = 6 + texts_next(&s) % 30;
			break;
		default:
			if (i % 2 == 0)
				l.max_items = 1;
			else
				l.max_bytes = 1 + texts_next(&s) % 11;
		}
		bad = redact_new(NULL, &l);
		refused(bad, text, len, bound);
		redact_free(bad);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("redact");
	TCase *tc = tcase_create("redact");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, redact_setup, redact_cleanup);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, one_of_each_kind);
	tcase_add_test(tc, the_same_item_has_the_same_placeholder);
	tcase_add_test(tc, placeholders_in_texts);
	tcase_add_test(tc, members_say_what_their_value_is);
	tcase_add_test(tc, restored_at_every_split);
	tcase_add_test(tc, items_are_forgotten);
	tcase_add_test(tc, text_is_not_held_back);
	tcase_add_test(tc, restored_into_json);
	tcase_add_test(tc, faults_are_refusals);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
