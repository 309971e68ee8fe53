/* What comes next, guessed from what is there; and how many guesses pay. */
#include "model/lookup.h"
#include "sched/guess.h"

#include <check.h>
#include <stdlib.h>

static uint64_t seed;

static uint32_t
below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % n;
}

/* --- guesses ------------------------------------------------------------------------------------ */

static struct lookup *
text(const uint32_t *ids, size_t n)
{
	struct lookup *l = lookup_new(n + 8);

	ck_assert(l != NULL);
	lookup_add(l, ids, n);
	return l;
}

START_TEST(what_followed_before)
{
	static const uint32_t ids[] = {7, 1, 2, 3, 4, 5, 9, 1, 2};
	struct lookup *l = text(ids, 9);
	uint32_t out[8], matched = 0;

	ck_assert_uint_eq(lookup_guess(l, out, 3, &matched), 3);
	ck_assert_uint_eq(matched, 2);
	ck_assert_mem_eq(out, ((const uint32_t[]){3, 4, 5}), 12);
	lookup_add(l, (const uint32_t[]){3}, 1);
	ck_assert_uint_eq(lookup_guess(l, out, 1, &matched), 1);
	ck_assert_uint_eq(matched, 3);
	ck_assert_uint_eq(out[0], 4);
	lookup_add(l, (const uint32_t[]){8}, 1); /* 3 8 was never there */
	ck_assert_uint_eq(lookup_guess(l, out, 8, &matched), 0);
	lookup_free(l);
}
END_TEST

START_TEST(nobody_knows_what_follows_one_token)
{
	static const uint32_t ids[] = {1, 1, 2};
	struct lookup *l = text(ids, 0);
	uint32_t out[8], matched;

	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(lookup_guess(l, out, 8, &matched), 0);
		lookup_add(l, ids + i, 1);
	}
	ck_assert_uint_eq(lookup_guess(l, out, 8, &matched), 0);
	lookup_free(l);
}
END_TEST

START_TEST(what_repeats_itself_goes_on_so)
{
	static const uint32_t ids[] = {5, 6, 7, 5, 6, 7, 5, 6};
	struct lookup *l = text(ids, 8);
	uint32_t out[8], matched;

	ck_assert_uint_eq(lookup_guess(l, out, 8, &matched), 8);
	ck_assert_uint_eq(matched, 5);
	ck_assert_mem_eq(out, ((const uint32_t[]){7, 5, 6, 7, 5, 6, 7, 5}), sizeof out);
	lookup_free(l);
}
END_TEST

START_TEST(no_guess_reaches_over_a_cut)
{
	static const uint32_t before[] = {1, 2, 3, 4}, behind[] = {9, 3, 4}, more[] = {1, 2};
	struct lookup *l = text(before, 4);
	uint32_t out[8], matched;

	lookup_cut(l);
	lookup_add(l, behind, 3);
	ck_assert_uint_eq(lookup_guess(l, out, 8, &matched), 0);
	lookup_add(l, more, 2);
	ck_assert_uint_eq(lookup_guess(l, out, 8, &matched), 2);
	ck_assert_mem_eq(out, before + 2, 8);
	lookup_free(l);
}
END_TEST

START_TEST(what_is_too_much_is_left_out)
{
	struct lookup *l = lookup_new(5);
	uint32_t out[8], matched;

	lookup_add(l, (const uint32_t[]){1, 2, 3, 1, 2, 4, 5, 6}, 8);
	ck_assert_uint_eq(lookup_guess(l, out, 1, &matched), 1);
	ck_assert_uint_eq(out[0], 3);
	lookup_free(l);
}
END_TEST

/* The longest match of all places, the latest of equals, by looking at each. */
static uint32_t
longest(const uint32_t *ids, uint32_t n, uint32_t *from)
{
	uint32_t best = 0;

	for (uint32_t at = n - 1; at-- > 0;) {
		uint32_t m = 0;

		while (m <= at && m < LOOKUP_MOST && ids[at - m] == ids[n - 1 - m])
			m++;
		if (m > best) {
			best = m;
			*from = at + 1;
		}
	}
	return best;
}

START_TEST(the_longest_match_counts)
{
	uint32_t ids[120], guesses = 0;

	seed = 5;
	for (uint32_t story = 0; story < 300; story++) {
		uint32_t letters = 5 + below(20);
		struct lookup *l = lookup_new(120);

		for (uint32_t n = 1; n <= 120; n++) {
			uint32_t out[4], matched = 0, from = 0, best, got;

			ids[n - 1] = n > 40 && below(3) > 0 ? ids[n - 31] : below(letters);
			lookup_add(l, &ids[n - 1], 1);
			best = n > 1 ? longest(ids, n, &from) : 0;
			got = lookup_guess(l, out, 4, &matched);
			ck_assert_uint_eq(got, n > LOOKUP_LEAST && best >= LOOKUP_LEAST ? 4 : 0);
			if (got == 0)
				continue;
			guesses++;
			ck_assert_uint_eq(matched, best);
			for (uint32_t i = 0; i < 4 && from + i < n; i++)
				ck_assert_uint_eq(out[i], ids[from + i]);
		}
		lookup_free(l);
	}
	ck_assert_uint_gt(guesses, 1000);
}
END_TEST

/* --- how many pay ------------------------------------------------------------------------------- */

/* What is guessed of a step and comes true with this chance, when a step takes 1 and each row more `row`. Returns the
 * mean guess of the last tries. */
static double
settle(struct guess_pace *p, double chance, double row)
{
	double sum = 0;

	for (int i = 0; i < 600; i++) {
		uint32_t n = guess_length(p, 6, 1, GUESS_MOST), right = 0;

		ck_assert_uint_le(n, GUESS_MOST);
		while (right < n && below(1000) < chance * 1000)
			right++;
		guess_checked(p, 6, right < n ? right + 1 : right, right);
		guess_step(p, 1 + n, 0.01 * (1 + row * n));
		sum += i >= 300 ? n : 0;
	}
	return sum / 300;
}

START_TEST(as_many_as_pay)
{
	struct guess_pace cheap = {0}, dear = {0}, wrong = {0}, bound = {0};

	seed = 9;
	ck_assert_double_gt(settle(&cheap, 0.95, 0.02), 7);
	ck_assert_double_lt(settle(&dear, 0.5, 0.9), 0.2);
	ck_assert_double_lt(settle(&wrong, 0.02, 0.1), 0.2);
	/* Twice what a guess yields at a row's price of a third: a few. */
	ck_assert_double_ge(settle(&bound, 0.8, 0.3), 1);
	ck_assert_double_le(settle(&bound, 0.8, 0.3), 5);
}
END_TEST

START_TEST(what_has_changed_is_seen)
{
	struct guess_pace p = {0};

	seed = 11;
	ck_assert_double_gt(settle(&p, 0.95, 0.05), 7);
	ck_assert_double_lt(settle(&p, 0.05, 0.05), 1);
	settle(&p, 0.95, 0.05);
	ck_assert_double_gt(settle(&p, 0.95, 0.05), 5);
	ck_assert_double_lt(settle(&p, 0.3, 1), 0.3);
}
END_TEST

START_TEST(steps_have_room_for_so_many_rows)
{
	struct guess_pace p = {0};

	for (uint32_t rows = 1; rows <= 2 * GUESS_ROWS; rows++)
		for (uint32_t most = 0; most <= 2 * GUESS_MOST; most++) {
			uint32_t n = guess_length(&p, 40, rows, most);

			ck_assert(
				n <= most && n <= GUESS_MOST && (n == 0 || rows + n <= GUESS_ROWS));
		}
	guess_step(&p, 0, 1);
	guess_step(&p, GUESS_ROWS + 1, 1);
	guess_step(&p, 1, 0);
	ck_assert_uint_eq(p.steps, 0);
	ck_assert_double_eq_tol(guess_yield(0.5, 2), 1.75, 1e-9);
	ck_assert_double_eq_tol(guess_yield(1, 3), 4, 1e-9);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lookup");
	TCase *t = tcase_create("lookup");
	SRunner *r;
	int failed;

	suite_add_tcase(s, t);
	tcase_add_test(t, what_followed_before);
	tcase_add_test(t, nobody_knows_what_follows_one_token);
	tcase_add_test(t, what_repeats_itself_goes_on_so);
	tcase_add_test(t, no_guess_reaches_over_a_cut);
	tcase_add_test(t, what_is_too_much_is_left_out);
	tcase_add_test(t, the_longest_match_counts);
	tcase_add_test(t, as_many_as_pay);
	tcase_add_test(t, what_has_changed_is_seen);
	tcase_add_test(t, steps_have_room_for_so_many_rows);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
