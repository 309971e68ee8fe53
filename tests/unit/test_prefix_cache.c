#include "sched/prefix_cache.h"

#include <check.h>
#include <stdlib.h>

#define SLOTS   3
#define CONTEXT 64
#define ME      7

static struct prefix_cache *c;
static bool free_slots[SLOTS];

static void
setup(void)
{
	c = prefix_cache_new(SLOTS, CONTEXT);
	ck_assert_ptr_nonnull(c);
	for (uint32_t i = 0; i < SLOTS; i++) {
		free_slots[i] = true;
		prefix_cache_take(c, i, ME);
	}
}

static void
teardown(void)
{
	prefix_cache_free(c);
}

/* first, first + 1, ...: so many ids. */
static const uint32_t *
ids_from(uint32_t first, uint32_t n)
{
	static uint32_t ids[CONTEXT];

	for (uint32_t i = 0; i < n; i++)
		ids[i] = first + i;
	return ids;
}

static void
compute(uint32_t slot, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		prefix_cache_put(c, slot, i, first + i);
}

START_TEST(rows_are_those_that_begin_alike)
{
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(5, 10), 10), 0);
	compute(0, 5, 20);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(5, 10), 10), 10);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(5, 30), 30), 20);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(6, 10), 10), 0);
	ck_assert_uint_eq(prefix_cache_rows(c, 1, ME, ids_from(5, 10), 10), 0);
	prefix_cache_put(c, 0, 8, 99); /* another id: what follows it is of no use */
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(5, 10), 10), 8);
	prefix_cache_put(c, 0, 8, 13);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(5, 10), 10), 9);
	prefix_cache_put(c, 0, 12, 17); /* a gap: nothing is known any more */
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(5, 10), 10), 0);
}
END_TEST

START_TEST(the_slot_that_spares_most_is_chosen)
{
	compute(0, 5, 10);
	compute(1, 5, 30);
	compute(2, 100, 10);
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, ids_from(5, 40), 40), 1);
	free_slots[1] = false;
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, ids_from(5, 40), 40), 0);
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, ids_from(100, 12), 12), 2);
}
END_TEST

/* The same first ids, then others. */
static const uint32_t *
branch(uint32_t first, uint32_t same, uint32_t n)
{
	static uint32_t ids[CONTEXT];

	for (uint32_t i = 0; i < n; i++)
		ids[i] = i < same ? first + i : 1000 + first + i;
	return ids;
}

START_TEST(who_finds_little_takes_the_oldest)
{
	compute(1, 5, 40);
	compute(0, 100, 10);
	ck_assert_uint_eq(
		prefix_cache_choose(c, free_slots, ME, ids_from(200, 9), 9), 2); /* empty */
	compute(2, 200, 9);
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, ids_from(300, 9), 9), 1);
	compute(1, 5, 40);
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, ids_from(300, 9), 9), 0);
	/* Of 40 rows it would need 10: somebody else's are not given up for that. */
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, branch(5, 10, 30), 30), 0);
	/* The same prompt again, which had a longer answer. */
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, ids_from(5, 10), 10), 1);
	/* Its end is another one. */
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, branch(5, 30, 34), 34), 1);
	free_slots[0] = free_slots[2] = false; /* if there is no other, what is there is taken */
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, branch(5, 10, 30), 30), 1);
	ck_assert_uint_eq(prefix_cache_rows(c, 1, ME, branch(5, 10, 30), 30), 10);
}
END_TEST

/* Two chats with the same long instructions: each gets a slot, and keeps it. */
START_TEST(those_that_begin_alike_do_not_take_turns)
{
	const uint32_t *other = branch(5, 30, 32);

	compute(0, 5, 40);
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, other, 32), 1);
	for (uint32_t i = 0; i < 32; i++)
		prefix_cache_put(c, 1, i, other[i]);
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, branch(5, 30, 40), 40), 1);
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, ids_from(5, 45), 45), 0);
	/* A third one: of those that spare it as much the one that holds less. */
	compute(2, 300, 5);
	ck_assert_uint_eq(prefix_cache_choose(c, free_slots, ME, ids_from(5, 30), 30), 1);
}
END_TEST

START_TEST(nobody_finds_the_rows_of_others)
{
	compute(0, 5, 30);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME + 1, ids_from(5, 40), 40), 0);
	ck_assert_uint_ne(prefix_cache_choose(c, free_slots, ME + 1, ids_from(5, 40), 40), 0);
	prefix_cache_take(c, 0, ME);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(5, 40), 40), 30);
	prefix_cache_take(c, 0, ME + 1);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME + 1, ids_from(5, 40), 40), 0);
	prefix_cache_take(c, 0, ME);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(5, 40), 40), 0);
}
END_TEST

START_TEST(all_of_a_context_can_be_held)
{
	compute(0, 1, CONTEXT);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(1, CONTEXT), CONTEXT), CONTEXT);
	prefix_cache_put(c, 0, CONTEXT, 1);
	ck_assert_uint_eq(prefix_cache_rows(c, 0, ME, ids_from(1, CONTEXT), CONTEXT), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("prefix_cache");
	TCase *t = tcase_create("rules");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, rows_are_those_that_begin_alike);
	tcase_add_test(t, the_slot_that_spares_most_is_chosen);
	tcase_add_test(t, who_finds_little_takes_the_oldest);
	tcase_add_test(t, those_that_begin_alike_do_not_take_turns);
	tcase_add_test(t, nobody_finds_the_rows_of_others);
	tcase_add_test(t, all_of_a_context_can_be_held);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
