/* Which sets of slices are believed to be on disks, and which are not tried again. */
#include "sched/stock_book.h"

#include <check.h>
#include <stdlib.h>

#define DEVICES 5
#define GB      (1ull << 30)

static uint64_t
device(uint32_t i)
{
	return 1000 + i;
}

static struct stock_book b;

static void
setup(void)
{
	b = (struct stock_book){.keep = 3};
}

/* The set of that number, of the devices whose bits are set. */
static const struct book_set *
set_of(uint64_t number, unsigned bits)
{
	static struct book_set s;

	s = (struct book_set){.set = number};
	for (unsigned i = 0; i < DEVICES; i++)
		if (bits >> i & 1)
			s.devices[s.n++] = (struct book_device){device(i), GB};
	return &s;
}

START_TEST(who_comes_back_may_come_without)
{
	book_served(&b, set_of(1, 7));
	book_note(&b, set_of(2, 3));
	book_note(&b, set_of(3, 5));
	ck_assert(book_has(&b, 1) && book_has(&b, 2) && book_has(&b, 3) && !book_has(&b, 4));
	book_came(&b, device(2));
	ck_assert(!book_has(&b, 1) && book_has(&b, 2) && !book_has(&b, 3));
	book_note(&b, set_of(1, 7));
	ck_assert(book_has(&b, 1));
}
END_TEST

START_TEST(disks_keep_only_so_many)
{
	book_note(&b, set_of(1, 3));
	book_note(&b, set_of(2, 12));
	for (uint64_t i = 3; i < 6; i++)
		book_note(&b, set_of(i, 1));
	book_note(&b, set_of(3, 1));
	ck_assert(book_has(&b, 1) && book_has(&b, 2));
	book_note(&b, set_of(6, 17)); /* the fourth on the first one's disk since */
	ck_assert(!book_has(&b, 1) && book_has(&b, 2) && book_has(&b, 3));
	for (uint64_t i = 10; i < 100; i++)
		book_note(&b, set_of(i, 1u << i % DEVICES));
	ck_assert_uint_le(b.n_sets, BOOK_SETS);
	ck_assert(book_has(&b, 99) && !book_has(&b, 10));
}
END_TEST

START_TEST(what_cannot_be_made_is_not_tried_again)
{
	book_note(&b, set_of(1, 7));
	ck_assert(!book_spoilt(&b, 1, 0));
	book_failed(&b, set_of(1, 7), false, false, 100);
	ck_assert(book_spoilt(&b, 1, 100) && !book_spoilt(&b, 2, 100));
	/* It is looked at again, and was no reason. */
	ck_assert(!book_has(&b, 1));
	book_note(&b, set_of(1, 7));
	ck_assert(book_has(&b, 1) && book_spoilt(&b, 1, 200));
	book_came(&b, device(3));
	book_memory(&b, device(2), GB);
	ck_assert(book_spoilt(&b, 1, 99 + BOOK_SPOILT));
	ck_assert(!book_spoilt(&b, 1, 100 + BOOK_SPOILT));
}
END_TEST

START_TEST(what_has_changed_is_tried_again)
{
	book_failed(&b, set_of(1, 7), false, false, 100);
	book_came(&b, device(2));
	ck_assert(!book_spoilt(&b, 1, 100));
	book_failed(&b, set_of(1, 7), false, false, 100);
	book_memory(&b, device(1), 2 * GB);
	ck_assert(!book_spoilt(&b, 1, 100));
	/* Room has come for what had none. */
	book_failed(&b, set_of(1, 7), false, true, 100);
	book_note(&b, set_of(1, 7));
	ck_assert(!book_spoilt(&b, 1, 100));
	book_failed(&b, set_of(1, 7), false, false, 100);
	book_missing(&b, 1);
	ck_assert(book_spoilt(&b, 1, 100));
	book_note(&b, set_of(1, 7));
	ck_assert(!book_spoilt(&b, 1, 100));
	for (uint64_t i = 1; i <= 3 * BOOK_MARKS; i++)
		book_failed(&b, set_of(i, 3), false, false, i);
	ck_assert(book_spoilt(&b, 3 * BOOK_MARKS, 100) && !book_spoilt(&b, 1, 100));
}
END_TEST

START_TEST(links_may_fail_a_few_times)
{
	book_note(&b, set_of(1, 7));
	for (unsigned i = 1; i < BOOK_LINKINGS; i++)
		book_failed(&b, set_of(1, 7), true, false, i);
	ck_assert(book_has(&b, 1) && !book_spoilt(&b, 1, 10));
	book_failed(&b, set_of(1, 7), true, false, 10);
	ck_assert(book_spoilt(&b, 1, 10));
	book_served(&b, set_of(1, 7));
	ck_assert(!book_spoilt(&b, 1, 10));
	book_failed(&b, set_of(1, 7), true, false, 20);
	ck_assert(!book_spoilt(&b, 1, 20));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stock_book");
	TCase *t = tcase_create("stock_book");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, who_comes_back_may_come_without);
	tcase_add_test(t, disks_keep_only_so_many);
	tcase_add_test(t, what_cannot_be_made_is_not_tried_again);
	tcase_add_test(t, what_has_changed_is_tried_again);
	tcase_add_test(t, links_may_fail_a_few_times);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
