#include "sched/purse.h"

#include <stddef.h>

#define TOKENS_OF_PRICE 1000000u

/* Sums that would wrap stay at the top: too much, and never too little. */
static uint64_t
add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static bool
fits(uint64_t limit, uint64_t used, uint64_t reserved, uint64_t more)
{
	uint64_t sum;

	if (limit == PURSE_UNLIMITED)
		return true;
	return !__builtin_add_overflow(used, reserved, &sum) &&
	       !__builtin_add_overflow(sum, more, &sum) && sum <= limit;
}

void
purse_init(struct purse *p, const struct purse_limits *limits)
{
	*p = (struct purse){.limits = *limits, .next_id = 1};
}

uint64_t
purse_cost(const struct purse_price *price, uint64_t tokens_in, uint64_t tokens_out)
{
	uint64_t in, out, sum;

	if (price->in == PURSE_UNKNOWN || price->out == PURSE_UNKNOWN ||
		__builtin_mul_overflow(price->in, tokens_in, &in) ||
		__builtin_mul_overflow(price->out, tokens_out, &out) ||
		__builtin_add_overflow(in, out, &sum))
		return PURSE_UNKNOWN;
	return sum / TOKENS_OF_PRICE + (sum % TOKENS_OF_PRICE != 0);
}

/* --- days ---------------------------------------------------------------------------------------- */

/* Of a new day nothing is spent yet; what is reserved stays so. */
static struct purse_spent
spent_on(const struct purse *p, const struct purse_spent *s, struct purse_date date)
{
	struct purse_spent now = *s;

	if (date.month > p->date.month)
		now.month = 0;
	if (date.day > p->date.day)
		now.day = 0;
	return now;
}

static void
turn_page(struct purse *p, struct purse_date date)
{
	bool month = date.month > p->date.month;
	uint32_t kept = 0;

	if (!month && date.day <= p->date.day)
		return;
	p->all = spent_on(p, &p->all, date);
	for (uint32_t i = 0; i < p->n_keys; i++) {
		struct purse_spent s = spent_on(p, &p->keys[i].spent, date);

		if (month && s.reserved == 0 && s.day == 0)
			continue;
		p->keys[kept].key = p->keys[i].key;
		p->keys[kept++].spent = s;
	}
	p->n_keys = kept;
	if (month)
		p->date.month = date.month;
	if (date.day > p->date.day)
		p->date.day = date.day;
}

/* --- keys and reservations ----------------------------------------------------------------------- */

static struct purse_spent *
find_key(struct purse *p, uint64_t key)
{
	for (uint32_t i = 0; i < p->n_keys; i++)
		if (p->keys[i].key == key)
			return &p->keys[i].spent;
	return NULL;
}

static struct purse_spent *
make_key(struct purse *p, uint64_t key)
{
	struct purse_spent *s = find_key(p, key);

	if (s != NULL || p->n_keys == PURSE_KEYS)
		return s;
	p->keys[p->n_keys].key = key;
	p->keys[p->n_keys].spent = (struct purse_spent){0};
	return &p->keys[p->n_keys++].spent;
}

static uint32_t
find_open(const struct purse *p, uint64_t id)
{
	uint32_t i = 0;

	while (i < p->n_open && p->open[i].id != id)
		i++;
	return i;
}

enum purse_verdict
purse_check(const struct purse *p, struct purse_date date, const struct purse_ask *ask)
{
	const struct purse_limits *l = &p->limits;
	struct purse_spent all = spent_on(p, &p->all, date), key = {0};
	bool known = false;

	for (uint32_t i = 0; i < p->n_keys && !known; i++) {
		known = p->keys[i].key == ask->key;
		if (known)
			key = spent_on(p, &p->keys[i].spent, date);
	}
	if (ask->amount == PURSE_UNKNOWN)
		return PURSE_NO_PRICE;
	if (ask->amount > PURSE_MOST || !fits(l->request, ask->request_used, 0, ask->amount) ||
		!fits(ask->request_limit, ask->request_used, 0, ask->amount))
		return PURSE_REQUEST;
	if (!fits(l->key_day, key.day, key.reserved, ask->amount))
		return PURSE_KEY_DAY;
	if (!fits(l->key_month, key.month, key.reserved, ask->amount))
		return PURSE_KEY_MONTH;
	if (!fits(l->day, all.day, all.reserved, ask->amount))
		return PURSE_DAY;
	if (!fits(l->month, all.month, all.reserved, ask->amount))
		return PURSE_MONTH;
	if (p->n_open == PURSE_OPEN)
		return PURSE_BUSY;
	return known || p->n_keys < PURSE_KEYS || date.month > p->date.month ? PURSE_OK
									     : PURSE_BUSY;
}

bool
purse_restore_open(
	struct purse *p, struct purse_date date, uint64_t id, uint64_t key, uint64_t amount)
{
	struct purse_spent *s;

	turn_page(p, date);
	if (id < p->next_id || id == UINT64_MAX || amount > PURSE_MOST || p->n_open == PURSE_OPEN)
		return false;
	s = make_key(p, key);
	if (s == NULL)
		return false;
	p->open[p->n_open].id = id;
	p->open[p->n_open].key = key;
	p->open[p->n_open++].amount = amount;
	p->next_id = id + 1;
	p->all.reserved = add(p->all.reserved, amount);
	s->reserved = add(s->reserved, amount);
	return true;
}

enum purse_verdict
purse_reserve(struct purse *p, struct purse_date date, const struct purse_ask *ask, uint64_t *id)
{
	enum purse_verdict verdict = purse_check(p, date, ask);

	*id = 0;
	if (verdict != PURSE_OK)
		return verdict;
	if (!purse_restore_open(p, date, p->next_id, ask->key, ask->amount))
		return PURSE_BUSY;
	*id = p->next_id - 1;
	return PURSE_OK;
}

/* Takes a reservation away and counts what it cost. */
static void
close_open(struct purse *p, uint32_t i, uint64_t amount)
{
	struct purse_spent *s = find_key(p, p->open[i].key);
	uint64_t reserved = p->open[i].amount;

	p->all.reserved -= reserved;
	p->all.day = add(p->all.day, amount);
	p->all.month = add(p->all.month, amount);
	if (s != NULL) { /* it is: a key with reservations stays */
		s->reserved -= reserved;
		s->day = add(s->day, amount);
		s->month = add(s->month, amount);
	}
	if (amount > reserved) {
		p->over = add(p->over, amount - reserved);
		p->over_calls++;
	}
	p->open[i] = p->open[--p->n_open];
}

uint64_t
purse_settle(struct purse *p, struct purse_date date, uint64_t id, uint64_t amount)
{
	uint32_t i = find_open(p, id);

	turn_page(p, date);
	if (i == p->n_open)
		return 0;
	if (amount == PURSE_UNKNOWN)
		amount = p->open[i].amount;
	close_open(p, i, amount);
	return amount;
}

void
purse_release(struct purse *p, struct purse_date date, uint64_t id)
{
	purse_settle(p, date, id, 0);
}

void
purse_settle_all(struct purse *p, struct purse_date date)
{
	turn_page(p, date);
	while (p->n_open > 0)
		close_open(p, 0, p->open[0].amount);
}

bool
purse_restore_sums(struct purse *p, struct purse_date date, bool all, uint64_t key, uint64_t day,
	uint64_t month)
{
	struct purse_spent *s;

	turn_page(p, date);
	s = all ? &p->all : make_key(p, key);
	if (s == NULL)
		return false;
	s->day = day;
	s->month = month;
	return true;
}

/* --- words --------------------------------------------------------------------------------------- */

const char *
purse_word(enum purse_verdict verdict)
{
	static const char *const words[] = {"ok", "no_price", "request", "day", "month", "key_day",
		"key_month", "busy", "unwritten"};

	return words[verdict];
}

const char *
purse_words(enum purse_verdict verdict)
{
	static const char *const words[] = {"within the budget", "its price is not known",
		"it could cost more than a request may",
		"what is left of the day's budget is too little",
		"what is left of the month's budget is too little",
		"what is left of this API key's budget for the day is too little",
		"what is left of this API key's budget for the month is too little",
		"too many calls are under way", "what it may cost could not be written down"};

	return words[verdict];
}
