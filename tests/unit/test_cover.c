/* Whether the slices on several disks make a model, and what is said to be missing. */
#include "sched/cover.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct model_shape shape = {
	.layers = 4, .kv_heads = 4, .ffn = 1024, .vocab = 300, .heads = 8, .col_block = 256};

/* Layers, heads, columns, vocabulary rows: the first one and how many. */
static struct slice
part(uint32_t l0, uint32_t l, uint32_t h0, uint32_t h, uint32_t f0, uint32_t f, uint32_t v0,
	uint32_t v)
{
	return (struct slice){0, 1, l0, l, h0, h, f0, f, v0, v};
}

static void
check_lacks(const struct slice *s, uint32_t n, const char *want)
{
	char words[256];

	cover_words(&shape, s, n, words, sizeof words);
	ck_assert_str_eq(words, want);
	ck_assert_int_eq(cover_is_whole(&shape, s, n), want[0] == '\0');
}

START_TEST(parts_that_meet_are_whole)
{
	struct slice s[] = {part(0, 4, 2, 2, 512, 512, 100, 200), part(0, 4, 0, 2, 0, 512, 0, 100)};

	check_lacks(s, 2, "");
}
END_TEST

START_TEST(parts_that_overlap_are_whole)
{
	struct slice s[] = {part(0, 4, 1, 3, 256, 512, 0, 0), part(0, 4, 0, 2, 0, 512, 50, 250),
		part(0, 4, 3, 1, 512, 512, 0, 60)};

	check_lacks(s, 3, "");
}
END_TEST

START_TEST(stages_are_whole_together)
{
	struct slice s[] = {part(0, 1, 0, 4, 0, 1024, 0, 0), part(1, 3, 0, 2, 0, 512, 0, 150),
		part(1, 3, 2, 2, 512, 512, 150, 150)};

	check_lacks(s, 3, "");
	check_lacks(s, 2,
		"layers 1-3: KV heads 2-3, feed-forward columns 512-1023; "
		"vocabulary rows 150-299");
	check_lacks(s + 1, 2, "layers 0-0: KV heads 0-3, feed-forward columns 0-1023");
}
END_TEST

START_TEST(gaps_in_the_middle_are_found)
{
	struct slice s[] = {part(0, 4, 0, 4, 0, 256, 0, 300), part(0, 2, 0, 0, 256, 768, 0, 0),
		part(2, 2, 0, 0, 512, 512, 0, 0)};

	check_lacks(s, 3, "layers 2-3: feed-forward columns 256-511");
}
END_TEST

START_TEST(nothing_is_all_that_lacks)
{
	check_lacks(NULL, 0,
		"layers 0-3: KV heads 0-3, feed-forward columns 0-1023; "
		"vocabulary rows 0-299");
}
END_TEST

START_TEST(words_are_cut_to_size)
{
	char words[30];

	memset(words, 'x', sizeof words);
	cover_words(&shape, NULL, 0, words, 20);
	ck_assert_uint_eq(strlen(words), 19);
	ck_assert_int_eq(words[20], 'x');
}
END_TEST

/* Against a model of it that marks every unit: a thousand heaps of random slices. */
START_TEST(it_agrees_with_counting)
{
	unsigned whole = 0;

	srand(7);
	for (int round = 0; round < 1000; round++) {
		struct slice s[24];
		bool heads[4][4] = {{false}}, cols[4][4] = {{false}}, rows[3] = {false}, all = true;

		for (int i = 0; i < 24; i++) {
			uint32_t l0 = rand() % 4, h0 = rand() % 4, f0 = rand() % 4, v0 = rand() % 3;

			s[i] = part(l0, 1 + rand() % (4 - l0), h0, rand() % (5 - h0), f0 * 256,
				rand() % (5 - f0) * 256, v0 * 100, rand() % (4 - v0) * 100);
			for (uint32_t l = l0; l < l0 + s[i].layers; l++) {
				for (uint32_t h = h0; h < h0 + s[i].kv_heads; h++)
					heads[l][h] = true;
				for (uint32_t f = f0; f < f0 + s[i].ffn / 256; f++)
					cols[l][f] = true;
			}
			for (uint32_t v = v0; v < v0 + s[i].vocab / 100; v++)
				rows[v] = true;
		}
		for (int i = 0; i < 16; i++)
			all = all && heads[i / 4][i % 4] && cols[i / 4][i % 4] && rows[i % 3];
		ck_assert_int_eq(cover_is_whole(&shape, s, 24), all);
		whole += all;
	}
	ck_assert_uint_gt(whole, 100); /* both happen */
	ck_assert_uint_lt(whole, 900);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cover");
	TCase *t = tcase_create("cover");
	SRunner *r;
	int failed;

	tcase_add_test(t, parts_that_meet_are_whole);
	tcase_add_test(t, parts_that_overlap_are_whole);
	tcase_add_test(t, stages_are_whole_together);
	tcase_add_test(t, gaps_in_the_middle_are_found);
	tcase_add_test(t, nothing_is_all_that_lacks);
	tcase_add_test(t, words_are_cut_to_size);
	tcase_add_test(t, it_agrees_with_counting);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
