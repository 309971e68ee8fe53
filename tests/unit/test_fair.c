#include "sched/fair.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The waiting as letters, one client each, oldest first; serves `steps` of them and says whom. */
static void
serve(struct fair *f, char *waiting, unsigned steps, char *out)
{
	while (steps-- > 0) {
		uint64_t clients[256];
		size_t n = strlen(waiting);
		uint32_t i;

		for (size_t k = 0; k < n; k++)
			clients[k] = (uint8_t)waiting[k];
		i = fair_next(f, clients, (uint32_t)n);
		if (i == FAIR_NONE)
			break;
		ck_assert_uint_lt(i, n);
		fair_served(f, clients[i]);
		*out++ = waiting[i];
		memmove(waiting + i, waiting + i + 1, n - i);
	}
	*out = '\0';
}

static void
expect(const char *waiting, const char *want)
{
	struct fair f = {0};
	char left[256], got[256];

	strcpy(left, waiting);
	serve(&f, left, 255, got);
	ck_assert_str_eq(got, want);
	ck_assert_str_eq(left, "");
}

START_TEST(in_turn)
{
	expect("", "");
	expect("a", "a");
	expect("aaaa", "aaaa");
	expect("abc", "abc");
	expect("aaaaab", "abaaaa");
	expect("aaabbbc", "abcabab");
	expect("cbaabc", "cbacba");
}
END_TEST

/* Who comes later is not behind those who have been served already, nor before those who have not. */
START_TEST(who_comes_later)
{
	struct fair f = {0};
	char waiting[16] = "aaa", got[16];

	serve(&f, waiting, 1, got);
	ck_assert_str_eq(got, "a");
	strcat(waiting, "b");
	serve(&f, waiting, 1, got);
	ck_assert_str_eq(got, "b");
	strcat(waiting, "cb");
	serve(&f, waiting, 4, got);
	ck_assert_str_eq(got, "caba");
	strcpy(waiting, "ac"); /* c was served before b, but before a, too */
	serve(&f, waiting, 2, got);
	ck_assert_str_eq(got, "ca");
}
END_TEST

/* With clients that always wait, in any number that is remembered, each is served in every round. */
START_TEST(nobody_starves)
{
	struct fair f = {0};
	uint64_t waiting[3 * FAIR_CLIENTS];
	unsigned served[FAIR_CLIENTS] = {0};
	uint32_t x = 1;

	for (uint32_t i = 0; i < 3 * FAIR_CLIENTS; i++)
		waiting[i] = i < FAIR_CLIENTS ? i : 0; /* client 0 has far more */
	for (unsigned step = 0; step < 100 * FAIR_CLIENTS; step++) {
		uint32_t i = fair_next(&f, waiting, 3 * FAIR_CLIENTS);
		uint64_t client = waiting[i];

		fair_served(&f, client);
		served[client]++;
		ck_assert_uint_eq(served[client], step / FAIR_CLIENTS + 1);
		/* Its next one comes last, or somewhere: where it stands changes nothing. */
		x = x * 1664525u + 1013904223u;
		memmove(waiting + i, waiting + i + 1, (3 * FAIR_CLIENTS - 1 - i) * sizeof *waiting);
		i = x >> 8 & 1 ? 3 * FAIR_CLIENTS - 1 : (x >> 9) % (3 * FAIR_CLIENTS);
		memmove(waiting + i + 1, waiting + i, (3 * FAIR_CLIENTS - 1 - i) * sizeof *waiting);
		waiting[i] = client;
	}
}
END_TEST

/* More clients than are remembered: the memory is bounded, and still each gets its turn. */
START_TEST(more_clients_than_are_remembered)
{
	enum { N = 3 * FAIR_CLIENTS };
	struct fair f = {0};
	uint64_t waiting[N];
	unsigned served[N] = {0};

	for (uint32_t i = 0; i < N; i++)
		waiting[i] = i;
	for (unsigned step = 0; step < 10 * N; step++) {
		uint32_t i = fair_next(&f, waiting, N);
		uint64_t client = waiting[i];

		fair_served(&f, client);
		served[client]++;
		memmove(waiting + i, waiting + i + 1, (N - 1 - i) * sizeof *waiting);
		waiting[N - 1] = client;
		ck_assert_uint_le(f.n, FAIR_CLIENTS);
	}
	for (uint32_t i = 0; i < N; i++)
		ck_assert_uint_eq(served[i], 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fair");
	TCase *tc = tcase_create("fair");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, in_turn);
	tcase_add_test(tc, who_comes_later);
	tcase_add_test(tc, nobody_starves);
	tcase_add_test(tc, more_clients_than_are_remembered);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
