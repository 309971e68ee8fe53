/* What may be spent on clouds. Pure: amounts, numbers of days and of keys in; verdicts out.
 *
 * Money is counted in whole micro-units (millionths of the currency unit that prices are given in),
 * rounded up. The most that a call can cost is reserved before it is sent, and counts as spent until
 * the call is settled: so however many calls are under way at once, what is spent never exceeds a
 * budget - unless an endpoint charges more than its price says; that is settled in full as well, and
 * counted in purse.over, for what was charged cannot be undone by not counting it.
 *
 * Days and months are numbers that the caller makes of its calendar (20261125, 202611). One that goes
 * back, as a clock does that was wrong, gives no new budget. */
#ifndef SCHED_PURSE_H
#define SCHED_PURSE_H

#include <stdbool.h>
#include <stdint.h>

#define PURSE_UNLIMITED UINT64_MAX          /* as a limit */
#define PURSE_UNKNOWN   UINT64_MAX          /* as a price, as an amount: refused */
#define PURSE_MOST      (UINT64_C(1) << 53) /* of one reservation: sums of them do not wrap */
#define PURSE_OPEN      256                 /* reservations at once */
#define PURSE_KEYS      256                 /* API keys that spent in one month */

struct purse_price { /* micro-units for a million tokens */
	uint64_t in, out;
};

struct purse_limits {
	uint64_t day, month;
	uint64_t request;            /* all attempts of one request together */
	uint64_t key_day, key_month; /* of each API key */
};

struct purse_date {
	uint32_t day, month;
};

struct purse_spent {
	uint64_t day, month; /* settled */
	uint64_t reserved;   /* open */
};

struct purse {
	struct purse_limits limits;
	struct purse_date date; /* the latest that was seen */
	struct purse_spent all;
	struct {
		uint64_t key; /* the caller's number of it */
		struct purse_spent spent;
	} keys[PURSE_KEYS];
	uint32_t n_keys;
	struct {
		uint64_t id, key, amount;
	} open[PURSE_OPEN];
	uint32_t n_open;
	uint64_t next_id;
	uint64_t over;       /* charged beyond reservations, ever */
	uint32_t over_calls; /* by so many calls */
};

enum purse_verdict {
	PURSE_OK,
	PURSE_NO_PRICE,
	PURSE_REQUEST,
	PURSE_DAY,
	PURSE_MONTH,
	PURSE_KEY_DAY,
	PURSE_KEY_MONTH,
	PURSE_BUSY,     /* too many reservations or keys */
	PURSE_UNWRITTEN /* said by who writes a journal, not by the purse */
};

struct purse_ask {
	uint64_t key;
	uint64_t amount;       /* the most that the call can cost */
	uint64_t request_used; /* by earlier attempts of the same request, settled or reserved */
	uint64_t
		request_limit; /* the request's own; the smaller one of this and limits.request holds */
};

void purse_init(struct purse *p, const struct purse_limits *limits);

/* What so many tokens cost, rounded up; PURSE_UNKNOWN when a price is, or past 2^64. The worst case of
 * a call is that of an upper bound of its prompt's tokens, for which its bytes will do, and of the
 * most tokens that it may answer. */
uint64_t purse_cost(const struct purse_price *price, uint64_t tokens_in, uint64_t tokens_out);

/* Reserves, or says why not. *id names the reservation, also for who writes a journal; none is 0. */
enum purse_verdict purse_reserve(
	struct purse *p, struct purse_date date, const struct purse_ask *ask, uint64_t *id);
/* What would be said. */
enum purse_verdict purse_check(
	const struct purse *p, struct purse_date date, const struct purse_ask *ask);
/* The call cost so much; PURSE_UNKNOWN: nobody said, so the whole reservation. Returns what was
 * counted; 0 also when there is no such reservation. It counts in the day on which it is settled. */
uint64_t purse_settle(struct purse *p, struct purse_date date, uint64_t id, uint64_t amount);
/* Nothing was sent. */
void purse_release(struct purse *p, struct purse_date date, uint64_t id);
/* All that is open is settled in full: whoever made the calls is gone. */
void purse_settle_all(struct purse *p, struct purse_date date);

/* For who reads a journal: as it was reserved then, whatever the limits are now. False: no room for
 * it, or its id is not a new one. */
bool purse_restore_open(
	struct purse *p, struct purse_date date, uint64_t id, uint64_t key, uint64_t amount);
/* Sums of a key, or with all: true of everything. */
bool purse_restore_sums(struct purse *p, struct purse_date date, bool all, uint64_t key,
	uint64_t day, uint64_t month);

/* "ok", "day", "key_month", ...: the label in metrics. And for people: "the day's budget is spent". */
const char *purse_word(enum purse_verdict verdict);
const char *purse_words(enum purse_verdict verdict);

#endif
