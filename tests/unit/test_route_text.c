/* A prompt's features: what counts as the same, what as different, and that no text is too odd. */
#include "sched/route_text.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct route_text f, g;

static bool
has(const struct route_text *t, uint16_t bucket)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->bucket[i] == bucket)
			return true;
	return false;
}

/* How many features of `of` are in `in` as well. */
static uint32_t
shared(const struct route_text *of, const struct route_text *in)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < of->n; i++)
		n += has(in, of->bucket[i]);
	return n;
}

static bool
has_name(const struct route_text *t, const char *text, const char *name)
{
	char got[ROUTE_NAME];

	for (uint32_t i = 0; i < t->n; i++) {
		route_text_name(t, i, text, strlen(text), got);
		if (strcmp(got, name) == 0)
			return true;
	}
	return false;
}

static void
read_text(struct route_text *t, const char *text)
{
	route_text(t, text, strlen(text));
}

START_TEST(words_pairs_and_shapes)
{
	const char *text = "Make it two degrees, two degrees warmer";

	read_text(&f, text);
	ck_assert(has_name(&f, text, "Make"));
	ck_assert(has_name(&f, text, "two degrees"));
	ck_assert(has_name(&f, text, "degrees, two")); /* skips over the comma */
	ck_assert(has_name(&f, text, ","));
	ck_assert(has_name(&f, text, "at least 8 words"));
	ck_assert(!has_name(&f, text, "at least 9 words"));
	ck_assert(has_name(&f, text, "at least 1 capitals"));
	ck_assert(!has_name(&f, text, "at least 1 numbers"));
	for (uint32_t i = 0; i < f.n; i++)
		ck_assert_int_eq(f.bucket[i] >= ROUTE_PAIRS, f.where[i].kind == ROUTE_WORD_PAIR);
}
END_TEST

START_TEST(digits_and_capitals_do_not_count)
{
	read_text(&f, "set it to 18 degrees");
	read_text(&g, "set it to 23 degrees");
	ck_assert_uint_eq(f.n, g.n);
	ck_assert_uint_eq(shared(&f, &g), f.n);
	read_text(&g, "set it to 230 degrees");
	ck_assert_uint_lt(shared(&f, &g), f.n);
	read_text(&g, "SET it to 18 degrees");
	ck_assert_uint_eq(shared(&f, &g), f.n);
	ck_assert_uint_gt(g.n, f.n); /* but that there are capitals does */
}
END_TEST

START_TEST(each_bucket_once_and_repeats_seen)
{
	read_text(&f, "on");
	read_text(&g, "on on on on on on on");
	/* The word four times, its pair once; f has more bytes and words. */
	ck_assert_uint_eq(shared(&f, &g), f.n);
	ck_assert_uint_ge(g.n, f.n + 4);
	for (uint32_t i = 0; i < g.n; i++)
		for (uint32_t k = 0; k < i; k++)
			ck_assert_uint_ne(g.bucket[i], g.bucket[k]);
}
END_TEST

/* A long text keeps the same features as its beginning would, as far as both keep them. */
START_TEST(long_texts_are_thinned_alike)
{
	static char text[3 * ROUTE_READ];
	size_t len = 0;
	uint32_t both;

	for (unsigned i = 0; len + 16 < ROUTE_READ; i++)
		len += (size_t)sprintf(
			text + len, "%c%c%c ", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676 % 26);
	route_text(&f, text, len / 2);
	route_text(&g, text, len);
	ck_assert_uint_gt(f.n, ROUTE_FEATURES / 4);
	ck_assert_uint_gt(g.n, ROUTE_FEATURES / 4);
	ck_assert_uint_le(g.n, ROUTE_FEATURES);
	both = shared(&g, &f);
	ck_assert_uint_gt(both, g.n / 3); /* half, were the second half all new words */
}
END_TEST

START_TEST(the_middle_of_a_very_long_text_is_not_read)
{
	static char text[3 * ROUTE_READ];
	char name[ROUTE_NAME];

	memset(text, ' ', sizeof text);
	memcpy(text, "begin", 5);
	memcpy(text + sizeof text / 2, "middle", 6);
	memcpy(text + sizeof text - 4, "end.", 4);
	route_text(&f, text, sizeof text);
	for (uint32_t i = 0; i < f.n; i++) {
		route_text_name(&f, i, text, sizeof text, name);
		ck_assert_str_ne(name, "middle");
		if (i == 0)
			ck_assert_str_eq(name, "begin");
		if (i == 1)
			ck_assert_str_eq(name, "end");
	}
}
END_TEST

START_TEST(scripts_without_blanks)
{
	const char *text = "\xe7\x81\xaf\xe3\x82\x92\xe6\xb6\x88\xe3\x81\x97";

	read_text(&f, text);
	ck_assert(has_name(&f, text, "\xe7\x81\xaf"));
	ck_assert(has_name(&f, text, "\xe7\x81\xaf\xe3\x82\x92"));
	ck_assert(has_name(&f, text, "at least 4 words"));
}
END_TEST

/* Any bytes, of any length, right up to the end of their memory. */
START_TEST(odd_bytes)
{
	uint64_t random = 1;

	for (size_t len = 0; len < 600; len += 7) {
		char *text = malloc(len + 1), name[ROUTE_NAME];

		for (size_t i = 0; i < len; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			text[i] = (char)(random >> 56);
		}
		text = realloc(text, len > 0 ? len : 1);
		route_text(&f, text, len);
		ck_assert_uint_le(f.n, ROUTE_FEATURES);
		for (uint32_t i = 0; i < f.n; i++) {
			route_text_name(&f, i, text, len, name);
			ck_assert_uint_lt(strlen(name), ROUTE_NAME);
			for (const char *c = name; *c != '\0'; c++)
				ck_assert((unsigned char)*c >= 0x20);
		}
		free(text);
	}
	route_text(&f, "", 0);
	ck_assert_uint_eq(f.n, 0);
}
END_TEST

/* Written down once: what is on disk must mean the same after an update. */
START_TEST(buckets_stay)
{
	read_text(&f, "turn on");
	ck_assert_uint_eq(f.n, 8);
	ck_assert_uint_eq(f.bucket[0], 19879);
	ck_assert_uint_eq(f.bucket[1], 25773);
	ck_assert_uint_eq(f.bucket[2], 44107);
}
END_TEST

/* The same of all that there is: capitals, digits, marks, lone characters, words longer than are read,
 * words that come more often than counts, and so many that they are thinned out. */
START_TEST(all_buckets_stay)
{
	static char text[ROUTE_READ];
	uint32_t sum = 2166136261u, n = 0;
	size_t len = 0;

	while (len + 100 < sizeof text) {
		len += (size_t)snprintf(text + len, sizeof text - len,
			"The %c%uth lamp,\tor \xe3\x83\xa9\xf0\x9f\x92\xa1 - %.*s_%c%cx\n",
			(char)('A' + n % 26), n * n, (int)(n % 40),
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", (char)('a' + n % 26),
			(char)('a' + n / 26 % 26));
		n++;
	}
	route_text(&f, text, len);
	ck_assert_uint_gt(f.n, ROUTE_FEATURES / 2 - 1);
	for (uint32_t i = 0; i < f.n; i++) {
		sum = (sum ^ f.bucket[i]) * 16777619u;
		sum = (sum ^ f.where[i].at) * 16777619u;
		sum = (sum ^ f.where[i].len) * 16777619u;
		sum = (sum ^ f.where[i].kind) * 16777619u;
	}
	ck_assert_uint_eq(f.n, 267);
	ck_assert_uint_eq(sum, 1493028654u);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("route text");
	TCase *t = tcase_create("route text");
	SRunner *r;
	int failed;

	tcase_add_test(t, words_pairs_and_shapes);
	tcase_add_test(t, digits_and_capitals_do_not_count);
	tcase_add_test(t, each_bucket_once_and_repeats_seen);
	tcase_add_test(t, long_texts_are_thinned_alike);
	tcase_add_test(t, the_middle_of_a_very_long_text_is_not_read);
	tcase_add_test(t, scripts_without_blanks);
	tcase_add_test(t, odd_bytes);
	tcase_add_test(t, buckets_stay);
	tcase_add_test(t, all_buckets_stay);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
