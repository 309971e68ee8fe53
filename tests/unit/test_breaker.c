/* The breaker: stories one by one, and random ones beside a plain account of the rules. */
#include "sched/breaker.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* --- stories as tables --------------------------------------------------------------------------- */

enum step_kind { END, CALL, BEGIN, HEARD, ENDS, RESET, LOOK };

struct step {
	uint64_t at;
	enum step_kind kind; /* CALL: begins and ends at once; BEGIN, HEARD, ENDS: of call `slot` */
	int slot;
	enum breaker_outcome outcome;
	uint64_t retry_after;
	enum breaker_state state; /* after it */
	bool passes; /* BEGIN, CALL: whether leave was given; else: whether it would be */
};

struct story {
	const char *name;
	struct step steps[24];
};

#define C BREAKER_CLOSED
#define O BREAKER_OPEN
#define H BREAKER_HALF_OPEN
#define X BREAKER_OFF

static const struct story stories[] = {
	{"three in a row open it, a probe closes it",
		{{0, CALL, 0, BREAKER_FAILED, 0, C, true}, {1, CALL, 0, BREAKER_FAILED, 0, C, true},
			{2, CALL, 0, BREAKER_FAILED, 0, O, true},
			{3, LOOK, .state = O, .passes = false},
			{5001, LOOK, .state = O, .passes = false},
			{5002, LOOK, .state = H, .passes = true},
			{5002, BEGIN, 1, .state = H, .passes = true},
			{5003, BEGIN, 2, .state = H, .passes = false},
			{5004, ENDS, 1, BREAKER_OK, 0, C, true}}},
	{"a success between failures counts anew",
		{{0, CALL, 0, BREAKER_FAILED, 0, C, true}, {1, CALL, 0, BREAKER_FAILED, 0, C, true},
			{2, CALL, 0, BREAKER_OK, 0, C, true},
			{3, CALL, 0, BREAKER_FAILED, 0, C, true},
			{4, CALL, 0, BREAKER_FAILED, 0, C, true}}},
	{"who is offline is not tried again at once",
		{{0, CALL, 0, BREAKER_OFFLINE, 0, O, true},
			{4999, LOOK, .state = O, .passes = false},
			{5000, CALL, 0, BREAKER_OFFLINE, 0, O, true},
			{14999, LOOK, .state = O, .passes = false},
			{15000, CALL, 0, BREAKER_OFFLINE, 0, O, true},
			{34999, LOOK, .state = O, .passes = false},
			{35000, CALL, 0, BREAKER_OK, 0, C, true},
			{35001, CALL, 0, BREAKER_OFFLINE, 0, O, true},
			{40001, LOOK, .state = H, .passes = true}}},
	{"Retry-After is kept", {{0, CALL, 0, BREAKER_BUSY, 90000, O, true},
					{89999, LOOK, .state = O, .passes = false},
					{90000, CALL, 0, BREAKER_BUSY, 700, O, true},
					{90699, LOOK, .state = O, .passes = false},
					{90700, CALL, 0, BREAKER_OK, 0, C, true}}},
	{"of Retry-After that comes late too", {{0, BEGIN, 1, .state = C, .passes = true},
						       {0, BEGIN, 2, .state = C, .passes = true},
						       {1, CALL, 0, BREAKER_OFFLINE, 0, O, true},
						       {2, ENDS, 1, BREAKER_BUSY, 60000, O, false},
						       {3, ENDS, 2, BREAKER_BUSY, 1000, O, false},
						       {60001, LOOK, .state = O, .passes = false},
						       {60002, LOOK, .state = H, .passes = true}}},
	{"but not for ever", {{0, CALL, 0, BREAKER_BUSY, UINT64_MAX, O, true},
				     {BREAKER_RETRY_MAX_MS, LOOK, .state = H, .passes = true}}},
	{"too many requests without a time are failures",
		{{0, CALL, 0, BREAKER_BUSY, 0, C, true}, {0, CALL, 0, BREAKER_BUSY, 0, C, true},
			{0, CALL, 0, BREAKER_BUSY, 0, O, true}}},
	{"a refused key is off until the configuration changes",
		{{0, BEGIN, 1, .state = C, .passes = true},
			{0, CALL, 0, BREAKER_DENIED, 0, X, true},
			{1u << 30, LOOK, .state = X, .passes = false},
			{1u << 30, RESET, .state = C, .passes = true},
			{1u << 30, ENDS, 1, BREAKER_DENIED, 0, C, true}, /* of the old key */
			{1u << 30, CALL, 0, BREAKER_OK, 0, C, true}}},
	{"a refused key counts however late it is told",
		{{0, BEGIN, 1, .state = C, .passes = true},
			{1, CALL, 0, BREAKER_OFFLINE, 0, O, true},
			{2, ENDS, 1, BREAKER_DENIED, 0, X, false},
			{3, RESET, .state = C, .passes = true}}},
	{"a refused request is the request's fault",
		{{0, CALL, 0, BREAKER_FAILED, 0, C, true}, {0, CALL, 0, BREAKER_FAILED, 0, C, true},
			{0, CALL, 0, BREAKER_REFUSED, 5000, C, true},
			{0, CALL, 0, BREAKER_FAILED, 0, C, true},
			{0, CALL, 0, BREAKER_FAILED, 0, C, true},
			{0, CALL, 0, BREAKER_FAILED, 0, O, true},
			{5000, CALL, 0, BREAKER_REFUSED, 0, C, true}}},
	{"a dropped call says nothing, and makes room for another probe",
		{{0, CALL, 0, BREAKER_FAILED, 0, C, true}, {0, CALL, 0, BREAKER_FAILED, 0, C, true},
			{0, CALL, 0, BREAKER_DROPPED, 0, C, true},
			{0, CALL, 0, BREAKER_FAILED, 0, O, true},
			{5000, BEGIN, 1, .state = H, .passes = true},
			{5001, LOOK, .state = H, .passes = false},
			{5002, ENDS, 1, BREAKER_DROPPED, 0, H, true},
			{5003, CALL, 0, BREAKER_OK, 0, C, true}}},
	{"a probe whose answer begins lets others follow, and may fail yet",
		{{0, CALL, 0, BREAKER_OFFLINE, 0, O, true},
			{5000, BEGIN, 1, .state = H, .passes = true},
			{5100, HEARD, 1, .state = C, .passes = true},
			{5200, CALL, 0, BREAKER_FAILED, 0, C, true},
			{5300, CALL, 0, BREAKER_FAILED, 0, C, true},
			{5400, ENDS, 1, BREAKER_FAILED, 0, O, false}}},
	{"late ends do not speak for the present",
		{{0, BEGIN, 1, .state = C, .passes = true},
			{0, BEGIN, 2, .state = C, .passes = true},
			{0, BEGIN, 3, .state = C, .passes = true},
			{1, CALL, 0, BREAKER_OFFLINE, 0, O, true},
			{2, ENDS, 1, BREAKER_OK, 0, O, false},
			{5001, CALL, 0, BREAKER_OK, 0, C, true},
			{5002, CALL, 0, BREAKER_FAILED, 0, C, true},
			{5002, CALL, 0, BREAKER_FAILED, 0, C, true},
			{5003, ENDS, 2, BREAKER_FAILED, 0, C, true},
			{5004, ENDS, 3, BREAKER_OFFLINE, 0, C, true}}},
};

static void
play(const struct story *story)
{
	struct breaker_call calls[8] = {0};
	struct breaker b = {0};

	for (size_t i = 0; story->steps[i].kind != END; i++) {
		const struct step *s = &story->steps[i];
		struct breaker_call *call = &calls[s->slot];
		bool passes = s->kind == CALL || s->kind == BEGIN ? breaker_begin(&b, s->at, call)
								  : false;

		if (s->kind == CALL || s->kind == ENDS)
			breaker_end(&b, call, s->outcome, s->retry_after, s->at);
		if (s->kind == HEARD)
			breaker_heard(&b, call);
		if (s->kind == RESET)
			breaker_reset(&b);
		if (s->kind != CALL && s->kind != BEGIN)
			passes = breaker_passes(&b, s->at, NULL);
		ck_assert_msg(
			passes == s->passes, "%s, step %zu: passes %d", story->name, i, passes);
		ck_assert_msg(breaker_state(&b, s->at) == s->state, "%s, step %zu: %s", story->name,
			i, breaker_word(breaker_state(&b, s->at)));
	}
}

START_TEST(every_story)
{
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
		play(&stories[i]);
}
END_TEST

/* Half of ten within 30 s; what is older does not count. */
START_TEST(half_of_ten)
{
	struct breaker b = {0};
	struct breaker_call call;

	for (uint64_t i = 0; i < 9; i++) {
		ck_assert(breaker_begin(&b, i, &call));
		breaker_end(&b, &call, i % 2 == 0 ? BREAKER_FAILED : BREAKER_OK, 0, i);
		ck_assert_int_eq(breaker_state(&b, i), BREAKER_CLOSED);
	}
	struct breaker later = b;

	breaker_end(&b, &call, BREAKER_OK, 0, 29999); /* ten, five of them failed */
	ck_assert_int_eq(breaker_state(&b, 29999), BREAKER_OPEN);
	breaker_end(&later, &call, BREAKER_OK, 0, 30000); /* the first is too old */
	ck_assert_int_eq(breaker_state(&later, 30000), BREAKER_CLOSED);
}
END_TEST

START_TEST(it_says_how_long)
{
	struct breaker b = {0};
	struct breaker_call call;
	uint64_t wait = 7;

	ck_assert(breaker_passes(&b, 100, &wait));
	ck_assert_uint_eq(wait, 0);
	breaker_begin(&b, 100, &call);
	breaker_end(&b, &call, BREAKER_BUSY, 2500, 100);
	ck_assert(!breaker_passes(&b, 600, &wait));
	ck_assert_uint_eq(wait, 2000);
	ck_assert(breaker_retryable(BREAKER_FAILED) && breaker_retryable(BREAKER_OFFLINE) &&
		  breaker_retryable(BREAKER_BUSY));
	ck_assert(!breaker_retryable(BREAKER_OK) && !breaker_retryable(BREAKER_REFUSED) &&
		  !breaker_retryable(BREAKER_DENIED) && !breaker_retryable(BREAKER_DROPPED));
}
END_TEST

/* --- random stories ------------------------------------------------------------------------------ */

/* All that ended since the last change of state, and the rules read aloud over it. */
struct account {
	enum breaker_state state;
	uint64_t until, guess;
	uint64_t at[4096];
	bool failed[4096];
	uint32_t n, changes;
	bool probing;
};

static uint32_t seed;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)seed * below) >> 32);
}

static void
change(struct account *a, enum breaker_state state)
{
	a->state = state;
	a->n = 0;
	a->probing = false;
	a->changes++;
}

static void
account_open(struct account *a, uint64_t retry, uint64_t now)
{
	if (retry == 0)
		a->guess = a->guess == 0 ? 5000 : a->guess * 2 > 60000 ? 60000 : a->guess * 2;
	a->until = now + (retry == 0 ? a->guess : retry);
	change(a, BREAKER_OPEN);
}

static void
account_end(struct account *a, bool current, bool probe, enum breaker_outcome o, uint64_t retry,
	uint64_t now)
{
	bool bad = o == BREAKER_FAILED || o == BREAKER_OFFLINE || o == BREAKER_BUSY;
	uint32_t row = 0, recent = 0, recent_bad = 0;

	retry = bad ? retry : 0;
	if (o == BREAKER_DENIED) {
		change(a, BREAKER_OFF);
	} else if (!current && a->state == BREAKER_OPEN && retry > 0) {
		a->until = a->until > now + retry ? a->until : now + retry;
	} else if (!current && a->state == BREAKER_CLOSED && retry > 0) {
		account_open(a, retry, now);
	} else if (!current) {
		return;
	} else if (o == BREAKER_DROPPED) {
		a->probing &= !probe;
	} else if (probe && !bad) {
		a->guess = 0;
		change(a, BREAKER_CLOSED);
	} else if (probe) {
		account_open(a, retry, now);
	} else {
		a->at[a->n] = now;
		a->failed[a->n++] = bad;
		for (uint32_t i = 0; i < a->n; i++) {
			row = a->failed[i] ? row + 1 : 0;
			if (a->at[i] + 30000 > now && i + BREAKER_WINDOW >= a->n) {
				recent++;
				recent_bad += a->failed[i];
			}
		}
		if (o == BREAKER_OFFLINE || retry > 0 || row >= 3 ||
			(recent >= 10 && recent_bad * 2 >= recent))
			account_open(a, retry, now);
	}
}

static void
one_random_story(struct account *a)
{
	static const enum breaker_outcome lots[] = {BREAKER_OK, BREAKER_OK, BREAKER_OK, BREAKER_OK,
		BREAKER_OK, BREAKER_OK, BREAKER_FAILED, BREAKER_FAILED, BREAKER_FAILED,
		BREAKER_BUSY, BREAKER_REFUSED, BREAKER_DROPPED};
	struct {
		struct breaker_call call;
		uint32_t changes;
		bool probe;
	} open[8];
	struct breaker b = {0};
	uint32_t n = 0;
	uint64_t now = rnd(1000);

	*a = (struct account){0};
	for (int step = 0; step < 400; step++) {
		bool half, may;

		now += rnd(4) == 0 ? rnd(9000) : rnd(300);
		half = a->state == BREAKER_OPEN && now >= a->until;
		may = a->state == BREAKER_CLOSED || (half && !a->probing);
		/* An assertion that holds is a system call of libcheck's: too slow in here. */
		if (breaker_state(&b, now) != (half ? BREAKER_HALF_OPEN : a->state) ||
			breaker_passes(&b, now, NULL) != may)
			ck_abort_msg("step %d at %llu: %s", step, (unsigned long long)now,
				breaker_word(breaker_state(&b, now)));
		if (n < 8 && rnd(2) == 0) {
			if (breaker_begin(&b, now, &open[n].call) != may)
				ck_abort_msg("step %d: leave", step);
			open[n].changes = a->changes;
			open[n].probe = half;
			a->probing |= may && half;
			n += may;
		} else if (n > 0) {
			uint32_t i = rnd(n);
			enum breaker_outcome o = rnd(40) == 0 ? BREAKER_OFFLINE
						 : rnd(400) == 0
							 ? BREAKER_DENIED
							 : lots[rnd(sizeof lots / sizeof *lots)];
			uint64_t retry = rnd(4) == 0 ? rnd(20000) : 0;

			breaker_end(&b, &open[i].call, o, retry, now);
			account_end(a, open[i].changes == a->changes, open[i].probe, o, retry, now);
			open[i] = open[--n];
		}
	}
}

START_TEST(random_stories)
{
	static struct account a;

	for (uint32_t i = 1; i <= 1000; i++) {
		seed = i * 2654435761u;
		one_random_story(&a);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("breaker");
	TCase *t = tcase_create("breaker");
	SRunner *r;
	int failed;

	tcase_add_test(t, every_story);
	tcase_add_test(t, half_of_ten);
	tcase_add_test(t, it_says_how_long);
	tcase_add_test(t, random_stories);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
