/* Items that are known from a text, in others that were made of it: whole ones, parts of them at the borders, and
 * the time that it takes to find them. */
#include "sched/redact_known.h"
#include "tests/support/planted.h"
#include "tests/support/redact_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct redact_known *known;

static void
setup(void)
{
	redact_setup();
	known = redact_known_new(words);
}

static void
teardown(void)
{
	redact_known_free(known);
	redact_cleanup();
}

static void
know(const char *text)
{
	ck_assert_msg(redact_known_search(known, text, strlen(text), &err) == 0, "%s", err.msg);
}

static const char *
shown(const char *text, size_t len)
{
	buf_clear(&out);
	ck_assert_int_eq(redact_text_known(r, known, text, len, &out, &err), 0);
	buf_u8(&out, 0);
	out.len--;
	return (const char *)out.data;
}

static void
expect_shown(const char *text, const char *want)
{
	ck_assert_str_eq(shown(text, strlen(text)), want);
	restore(SIZE_MAX);
	ck_assert_uint_eq(back.len, strlen(text));
	ck_assert_mem_eq(back.data, text, back.len);
}

static void
expect_clipped(const char *text, const char *want)
{
	const char *piece = text;
	size_t len = strlen(text);

	redact_known_clip(known, &piece, &len);
	ck_assert_msg(len == strlen(want) && memcmp(piece, want, len) == 0, "'%s': '%.*s'", text,
		(int)len, piece);
}

START_TEST(items_without_their_words)
{
	know("My password: hunter2-bank and the PIN code: 47. Born 12.03.2015.");
	know("password: \"correct  horse staple\"");
	expect_shown("It is hunter2-bank", "It is [KEY_1]");
	expect_shown("xhunter2-bankx", "x[KEY_1]x");
	expect_shown("on 12.03.2015, on 12.03.2016", "on [BIRTH_1], on 12.03.2016");
	expect_shown("say correct horse staple", "say [KEY_2]");
	expect_shown("say correct\302\240horse \t staple.", "say [KEY_3].");
	expect_shown("hunter2-ban, hunter", "hunter2-ban, hunter");
	know("[KEY_1] is no item of ours; a word: Grabowski");
	expect_shown("[KEY_1] Grabowski hunter2-bank", "[MARK_1] [WORD_1] [KEY_1]");
}
END_TEST

START_TEST(short_ones_stand_alone)
{
	know("password: ab1");
	expect_shown("ab1 (ab1) ab12 cab1 \303\251ab1", "[KEY_1] ([KEY_1]) ab12 cab1 \303\251ab1");
	expect_clipped("not a", "not a");
	expect_clipped("not ab", "not ");
}
END_TEST

START_TEST(parts_at_the_borders)
{
	know("IBAN DE89 3704 0044 0532 0130 00, password: hunter2-bank, mail jan@example.org");
	expect_clipped("It is hunt", "It is ");
	expect_clipped("It is hunt... ", "It is ");
	expect_clipped("It is hu", "It is hu");
	expect_clipped("2-bank it is", " it is");
	expect_clipped("...2-bank it is", " it is");
	expect_clipped("example.org", "");
	expect_clipped("DE89\t3704\n 00", "");
	expect_clipped("0130  00 it is DE8", " it is ");
	expect_clipped("hunter2-bank", "hunter2-bank");
	expect_clipped("nothing of it", "nothing of it");
	expect_clipped("", "");
	expect_clipped(" .. ", " .. ");
}
END_TEST

START_TEST(widened_to_borders)
{
	static const char text[] = "a hunter2-bank, DE89 3704 0044 0532 0130 00 b";
	size_t at = 20, end = 24;

	know("nothing");
	know("password: hunter2-bank");
	know(text);
	redact_known_widen(known, 2, &at, &end);
	ck_assert_uint_eq(at, 16);
	ck_assert_uint_eq(end, strlen(text) - 2);
	redact_known_widen(known, 2, &at, &end);
	ck_assert_uint_eq(end - at, strlen(text) - 18);
	at = 10;
	end = 16; /* up to it, and no further */
	redact_known_widen(known, 1, &at, &end);
	ck_assert_uint_eq(at, 10);
	ck_assert_uint_eq(end, 22);
	redact_known_widen(known, 0, &at, &end);
	ck_assert_uint_eq(at, 10);
}
END_TEST

/* The first and the last n bytes of an item, if these are characters. */
static void
expect_parts_clipped(const char *item, size_t len, size_t n)
{
	char text[64];

	snprintf(text, sizeof text, "It is: %.*s", (int)n, item);
	if (((unsigned char)item[n] & 0xc0) != 0x80)
		expect_clipped(text, "It is: ");
	snprintf(text, sizeof text, "%.*s, it is", (int)n, item + len - n);
	if (((unsigned char)item[len - n] & 0xc0) != 0x80)
		expect_clipped(text, ", it is");
}

/* Every planted one is found again beside other words; every begin of it is cut off, and every end. */
START_TEST(planted_ones)
{
	char text[5000];

	for (unsigned i = 0; i < PLANTED_ITEMS; i++) {
		struct planted p;
		size_t at, end;
		const char *leak;

		redact_known_free(known);
		known = redact_known_new(words);
		planted_make(i, &p);
		know(p.text);
		at = p.at;
		end = at + strlen(p.item);
		redact_known_widen(known, 0, &at, &end);
		snprintf(
			text, sizeof text, "It is: %.*s and no more", (int)(end - at), p.text + at);
		leak = planted_leak(&p, shown(text, strlen(text)), out.len);
		ck_assert_msg(leak == NULL, "'%s' left '%s'", text, (char *)out.data);
		end = p.at + strlen(p.item); /* where it has several items, the last */
		at = end - 1;
		redact_known_widen(known, 0, &at, &end);
		for (size_t n = 6; n < 20 && at + n < end; n++)
			expect_parts_clipped(p.text + at, end - at, n);
	}
}
END_TEST

/* A long one goes by its pieces, whole or not, whatever its characters. */
START_TEST(long_ones)
{
	char text[1000] = "password: \"", key[600];
	size_t len = 0;

	for (int i = 0; i < 60; i++)
		len += (size_t)snprintf(
			key + len, sizeof key - len, i % 3 == 0 ? "\303\251 %d" : "k%d-", i);
	strcat(strcat(text, key), "\"");
	know(text);
	shown(key, len);
	ck_assert_ptr_null(strstr((char *)out.data, "k"));
	ck_assert_ptr_null(strstr((char *)out.data, "\303"));
	restore(SIZE_MAX);
	ck_assert_mem_eq(back.data, key, len);
}
END_TEST

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Whatever is known, a text takes a bounded time for each byte. */
START_TEST(in_linear_time)
{
	size_t len = 1u << 20;
	char *text = malloc(len + 1), line[200];
	struct buf all;
	double since;

	buf_init(&all, 0);
	for (int i = 0; i < 3000; i++) {
		memset(line, 'a', 60);
		snprintf(line + 60, sizeof line - 60, "%d", i);
		buf_printf(&all, "password: %s\n", line);
	}
	buf_u8(&all, 0);
	know((char *)all.data);
	buf_free(&all);
	memset(text, 'a', len);
	since = now();
	shown(text, len / 2);
	ck_assert_double_lt(now() - since, 10);
	memset(text, ' ', len);
	since = now();
	shown(text, len);
	ck_assert_double_lt(now() - since, 10);
	printf("a MiB of blanks: %.3f s\n", now() - since);
	free(text);
}
END_TEST

START_TEST(too_many)
{
	struct buf all;

	buf_init(&all, 0);
	for (int i = 0; i < 2; i++) { /* the same ones twice */
		for (int k = 0; k < REDACT_KNOWN_ITEMS; k++)
			buf_printf(&all, "a%d@example.org\n", k);
	}
	ck_assert_int_eq(redact_known_search(known, (char *)all.data, all.len, &err), 0);
	buf_printf(&all, "b@example.org\n");
	ck_assert_int_eq(redact_known_search(known, (char *)all.data, all.len, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "more personal items"));
	ck_assert_int_eq(redact_known_search(known, "\xff", 1, &err), -1);
	buf_free(&all);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("redact_known");
	TCase *t = tcase_create("redact_known");
	SRunner *run = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, items_without_their_words);
	tcase_add_test(t, short_ones_stand_alone);
	tcase_add_test(t, parts_at_the_borders);
	tcase_add_test(t, widened_to_borders);
	tcase_add_test(t, planted_ones);
	tcase_add_test(t, long_ones);
	tcase_add_test(t, in_linear_time);
	tcase_add_test(t, too_many);
	suite_add_tcase(s, t);
	srunner_run_all(run, CK_ENV);
	failed = srunner_ntests_failed(run);
	srunner_free(run);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
