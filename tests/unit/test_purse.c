/* The purse: budgets hold, however many calls are under way and however they end. */
#include "sched/purse.h"

#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct purse_limits no_limits = {
	PURSE_UNLIMITED, PURSE_UNLIMITED, PURSE_UNLIMITED, PURSE_UNLIMITED, PURSE_UNLIMITED};
static const struct purse_date today = {20261125, 202611}, tomorrow = {20261126, 202611},
			       next_month = {20261201, 202612};

static struct purse_ask
asks(uint64_t key, uint64_t amount)
{
	return (struct purse_ask){.key = key, .amount = amount, .request_limit = PURSE_UNLIMITED};
}

static uint64_t
reserve(struct purse *p, struct purse_date date, uint64_t key, uint64_t amount)
{
	struct purse_ask ask = asks(key, amount);
	uint64_t id;

	ck_assert_str_eq(purse_word(purse_reserve(p, date, &ask, &id)), "ok");
	ck_assert_uint_ne(id, 0);
	return id;
}

static const char *
refused(const struct purse *p, struct purse_date date, uint64_t key, uint64_t amount)
{
	struct purse_ask ask = asks(key, amount);
	struct purse copy = *p, before = *p;
	uint64_t id;
	enum purse_verdict v = purse_reserve(&copy, date, &ask, &id);

	ck_assert_int_eq(v, purse_check(p, date, &ask));
	if (v != PURSE_OK && v != PURSE_BUSY) /* nothing changed */
		ck_assert_mem_eq(&copy, &before, sizeof copy);
	return purse_word(v);
}

START_TEST(costs_are_rounded_up)
{
	static const struct {
		uint64_t in, out, tokens_in, tokens_out, want;
	} rows[] = {
		{0, 0, 1000, 1000, 0},
		{1, 0, 1, 0, 1},                  /* a millionth of a micro-unit is one */
		{150000, 600000, 1000, 500, 450}, /* 0.15 and 0.60 a million */
		{150000, 600000, 1001, 500, 451}, /* 450.15 */
		{10000000, 30000000, 7, 3, 160},
		{PURSE_UNKNOWN, 0, 0, 0, PURSE_UNKNOWN},
		{0, PURSE_UNKNOWN, 0, 0, PURSE_UNKNOWN},
		{UINT64_MAX - 1, 0, 2, 0, PURSE_UNKNOWN},
		{UINT64_MAX - 1, 5, 1, 1, PURSE_UNKNOWN},
		{UINT64_MAX - 1, 0, 1, 0, 18446744073710},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct purse_price price = {rows[i].in, rows[i].out};

		ck_assert_uint_eq(
			purse_cost(&price, rows[i].tokens_in, rows[i].tokens_out), rows[i].want);
	}
}
END_TEST

/* 64 at once, and money for 3: 3 are sent, whatever comes first. */
START_TEST(sixty_four_at_a_budget_for_three)
{
	struct purse_limits limits = no_limits;
	struct purse p;
	uint64_t ids[64];
	int sent = 0;

	limits.day = 3999;
	purse_init(&p, &limits);
	for (int i = 0; i < 64; i++) {
		struct purse_ask ask = asks(1, 1000);
		enum purse_verdict v = purse_reserve(&p, today, &ask, &ids[sent]);

		ck_assert_str_eq(purse_word(v), i < 3 ? "ok" : "day");
		sent += v == PURSE_OK;
	}
	ck_assert_int_eq(sent, 3);
	ck_assert_uint_eq(p.all.reserved, 3000);
	/* One was cheaper: now there is room for one more. */
	ck_assert_uint_eq(purse_settle(&p, today, ids[0], 1), 1);
	reserve(&p, today, 1, 1000);
	ck_assert_str_eq(refused(&p, today, 1, 1000), "day");
	/* One was not sent, one never said what it cost. */
	purse_release(&p, today, ids[1]);
	ck_assert_uint_eq(purse_settle(&p, today, ids[2], PURSE_UNKNOWN), 1000);
	ck_assert_uint_eq(p.all.day, 1001);
	ck_assert_uint_eq(p.all.reserved, 1000);
}
END_TEST

START_TEST(every_limit_has_its_name)
{
	static const struct {
		size_t at;
		const char *word;
	} rows[] = {
		{offsetof(struct purse_limits, day), "day"},
		{offsetof(struct purse_limits, month), "month"},
		{offsetof(struct purse_limits, request), "request"},
		{offsetof(struct purse_limits, key_day), "key_day"},
		{offsetof(struct purse_limits, key_month), "key_month"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct purse_limits limits = no_limits;
		uint64_t limit = 100;
		struct purse p;

		memcpy((char *)&limits + rows[i].at, &limit, sizeof limit);
		purse_init(&p, &limits);
		ck_assert_str_eq(refused(&p, today, 1, 101), rows[i].word);
		ck_assert_str_eq(refused(&p, today, 1, 100), "ok");
		if (i != 2) {
			purse_settle(&p, today, reserve(&p, today, 1, 60), 60);
			ck_assert_str_eq(refused(&p, today, 1, 41), rows[i].word);
			ck_assert_str_eq(refused(&p, today, 1, 40), "ok");
		}
		limit = 0;
		memcpy((char *)&limits + rows[i].at, &limit, sizeof limit);
		purse_init(&p, &limits);
		ck_assert_str_eq(refused(&p, today, 1, 1), rows[i].word);
		ck_assert_str_eq(refused(&p, today, 1, 0), "ok");
		ck_assert_uint_gt(strlen(purse_words(PURSE_DAY)), 8);
	}
}
END_TEST

START_TEST(one_request_with_many_attempts)
{
	struct purse_limits limits = no_limits;
	struct purse p;
	struct purse_ask ask = asks(1, 40);

	limits.request = 100;
	purse_init(&p, &limits);
	ask.request_used = 60;
	ck_assert_str_eq(purse_word(purse_check(&p, today, &ask)), "ok");
	ask.request_used = 61;
	ck_assert_str_eq(purse_word(purse_check(&p, today, &ask)), "request");
	ask.request_used = 0;
	ask.request_limit = 39; /* the request's own is stricter */
	ck_assert_str_eq(purse_word(purse_check(&p, today, &ask)), "request");
	ask.request_limit = 1000; /* and cannot be laxer */
	ask.amount = 101;
	ck_assert_str_eq(purse_word(purse_check(&p, today, &ask)), "request");
	ask.request_used = UINT64_MAX;
	ask.amount = 1;
	ck_assert_str_eq(purse_word(purse_check(&p, today, &ask)), "request");
}
END_TEST

START_TEST(unknown_prices_and_absurd_ones)
{
	struct purse p;

	purse_init(&p, &no_limits);
	ck_assert_str_eq(refused(&p, today, 1, PURSE_UNKNOWN), "no_price");
	ck_assert_str_eq(refused(&p, today, 1, PURSE_MOST + 1), "request");
	ck_assert_str_eq(refused(&p, today, 1, PURSE_MOST), "ok");
}
END_TEST

/* Prices have changed: what was charged is counted, and said. */
START_TEST(dearer_than_it_said)
{
	struct purse_limits limits = no_limits;
	struct purse p;

	limits.day = 100;
	purse_init(&p, &limits);
	ck_assert_uint_eq(purse_settle(&p, today, reserve(&p, today, 1, 60), 250), 250);
	ck_assert_uint_eq(p.over, 190);
	ck_assert_uint_eq(p.over_calls, 1);
	ck_assert_uint_eq(p.all.day, 250);
	ck_assert_str_eq(refused(&p, today, 1, 0), "day");
	ck_assert_str_eq(refused(&p, tomorrow, 1, 100), "ok");
	/* Even what no sum can hold. */
	purse_init(&p, &no_limits);
	for (int i = 0; i < 3; i++)
		purse_settle(&p, today, reserve(&p, today, 1, 1), UINT64_MAX - 1);
	ck_assert_uint_eq(p.all.day, UINT64_MAX);
	ck_assert_uint_eq(p.all.reserved, 0);
}
END_TEST

START_TEST(a_reservation_ends_once)
{
	struct purse p;
	uint64_t id;

	purse_init(&p, &no_limits);
	id = reserve(&p, today, 1, 10);
	ck_assert_uint_eq(purse_settle(&p, today, id, 7), 7);
	ck_assert_uint_eq(purse_settle(&p, today, id, 7), 0);
	purse_release(&p, today, id);
	ck_assert_uint_eq(purse_settle(&p, today, 12345, PURSE_UNKNOWN), 0);
	ck_assert_uint_eq(p.all.day, 7);
	ck_assert_uint_eq(p.all.month, 7);
}
END_TEST

START_TEST(days_and_months)
{
	struct purse_limits limits = no_limits;
	struct purse p;
	uint64_t over_midnight;

	limits.day = 100;
	limits.month = 150;
	limits.key_day = 90;
	purse_init(&p, &limits);
	purse_settle(&p, today, reserve(&p, today, 1, 50), 50);
	over_midnight = reserve(&p, today, 1, 40);
	ck_assert_str_eq(refused(&p, today, 1, 1), "key_day");
	ck_assert_str_eq(refused(&p, today, 2, 11), "day");
	/* What is reserved counts in the new day, where it will be settled. */
	ck_assert_str_eq(refused(&p, tomorrow, 2, 61), "day");
	purse_settle(&p, tomorrow, over_midnight, 40);
	ck_assert_uint_eq(p.all.day, 40);
	ck_assert_uint_eq(p.all.month, 90);
	ck_assert_str_eq(refused(&p, tomorrow, 2, 61), "day");
	purse_settle(&p, tomorrow, reserve(&p, tomorrow, 2, 60), 60);
	/* A clock that goes back gives nothing. */
	ck_assert_str_eq(refused(&p, today, 3, 1), "day");
	ck_assert_str_eq(refused(&p, next_month, 2, 100), "key_day");
	ck_assert_str_eq(refused(&p, next_month, 2, 90), "ok");
	purse_settle(&p, next_month, reserve(&p, next_month, 2, 90), 90);
	ck_assert_uint_eq(p.all.month, 90);
	ck_assert_str_eq(refused(&p, today, 2, 1), "key_day");
	ck_assert_uint_eq(p.n_keys, 1); /* those that spent this month */
}
END_TEST

START_TEST(so_many_and_no_more)
{
	struct purse p;
	uint64_t ids[PURSE_OPEN];

	purse_init(&p, &no_limits);
	for (int i = 0; i < PURSE_OPEN; i++)
		ids[i] = reserve(&p, today, 1, 1);
	ck_assert_str_eq(refused(&p, today, 1, 1), "busy");
	purse_release(&p, today, ids[100]);
	ck_assert_str_eq(refused(&p, today, 1, 1), "ok");
	purse_settle_all(&p, today);
	ck_assert_uint_eq(p.all.day, PURSE_OPEN - 1);
	for (uint64_t key = 2; key <= PURSE_KEYS; key++)
		purse_settle(&p, today, reserve(&p, today, key, 1), 1);
	ck_assert_str_eq(refused(&p, today, 9999, 1), "busy");
	ck_assert_str_eq(refused(&p, today, 7, 1), "ok");
	ck_assert_str_eq(refused(&p, tomorrow, 9999, 1), "busy");
	ck_assert_str_eq(refused(&p, next_month, 9999, 1), "ok");
}
END_TEST

/* --- ten thousand operations, and what must hold after each ---------------------------------------- */

static uint32_t seed = 20261125;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)seed * below) >> 32);
}

/* Everything that ever happened, kept the simple way. */
static struct call {
	uint64_t id, key, amount, cost;
	bool open;
	struct purse_date settled;
} calls[10000];
static uint32_t n_calls;

static void
sum_up(uint64_t key, bool all, struct purse_date date, struct purse_spent *s)
{
	*s = (struct purse_spent){0};
	for (uint32_t i = 0; i < n_calls; i++) {
		if (!all && calls[i].key != key)
			continue;
		s->reserved += calls[i].open ? calls[i].amount : 0;
		s->day += !calls[i].open && calls[i].settled.day == date.day ? calls[i].cost : 0;
		s->month +=
			!calls[i].open && calls[i].settled.month == date.month ? calls[i].cost : 0;
	}
}

static void
compare(const struct purse *p, struct purse_date date)
{
	struct purse_spent s;

	sum_up(0, true, date, &s);
	if (p->all.day != s.day || p->all.month != s.month || p->all.reserved != s.reserved)
		ck_abort_msg("after %u calls the sums differ", n_calls);
	if (s.day + s.reserved > p->limits.day || s.month + s.reserved > p->limits.month)
		ck_abort_msg("after %u calls a budget is exceeded", n_calls);
	for (uint32_t i = 0; i < p->n_keys; i++) {
		sum_up(p->keys[i].key, false, date, &s);
		if (p->keys[i].spent.day != s.day || p->keys[i].spent.month != s.month ||
			p->keys[i].spent.reserved != s.reserved)
			ck_abort_msg("after %u calls key %u differs", n_calls, i);
		if (s.day + s.reserved > p->limits.key_day ||
			s.month + s.reserved > p->limits.key_month)
			ck_abort_msg("after %u calls a key's budget is exceeded", n_calls);
	}
}

static void
end_one(struct purse *p, struct purse_date date)
{
	struct call *c = &calls[rnd(n_calls)];
	uint32_t how = rnd(3);

	if (!c->open)
		return;
	c->open = false;
	c->settled = date;
	c->cost = how == 0 ? 0 : how == 1 ? c->amount : rnd((uint32_t)c->amount + 1);
	if (how == 0)
		purse_release(p, date, c->id);
	else
		purse_settle(p, date, c->id, how == 1 ? PURSE_UNKNOWN : c->cost);
}

START_TEST(ten_thousand_operations)
{
	struct purse_limits limits = {20000, 150000, 900, 9000, 60000};
	struct purse_date date = {20261101, 202611};
	uint32_t refusals = 0, days = 0;
	struct purse p;

	purse_init(&p, &limits);
	for (int i = 0; i < 10000; i++) {
		struct purse_ask ask = asks(rnd(6), rnd(1000));
		struct call *c = &calls[n_calls];

		if (rnd(300) == 0) {
			date.day++;
			if (++days % 10 == 0)
				date = (struct purse_date){
					(date.month + 1) * 100 + 1, date.month + 1};
		}
		if (n_calls > 0 && rnd(2) == 0) {
			for (int j = 0; j < 4; j++)
				end_one(&p, date);
		} else if (purse_reserve(&p, date, &ask, &c->id) == PURSE_OK) {
			*c = (struct call){c->id, ask.key, ask.amount, 0, true, {0, 0}};
			n_calls++;
		} else {
			refusals++;
			continue; /* the page turns when something changes */
		}
		if (i % 8 == 0 && p.date.day == date.day)
			compare(&p, date);
	}
	ck_assert_uint_gt(n_calls, 1000);
	ck_assert_uint_gt(refusals, 500);
	ck_assert_uint_gt(days, 20);
	purse_settle_all(&p, date);
	ck_assert_uint_eq(p.all.reserved, 0);
	ck_assert_uint_le(p.all.day, limits.day);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("purse");
	TCase *t = tcase_create("purse");
	SRunner *r;
	int failed;

	tcase_add_test(t, costs_are_rounded_up);
	tcase_add_test(t, sixty_four_at_a_budget_for_three);
	tcase_add_test(t, every_limit_has_its_name);
	tcase_add_test(t, one_request_with_many_attempts);
	tcase_add_test(t, unknown_prices_and_absurd_ones);
	tcase_add_test(t, dearer_than_it_said);
	tcase_add_test(t, a_reservation_ends_once);
	tcase_add_test(t, days_and_months);
	tcase_add_test(t, so_many_and_no_more);
	tcase_add_test(t, ten_thousand_operations);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
