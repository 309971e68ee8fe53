/* Whether a daemon may work for itself now: nobody waits, and its owner allows it at this hour, on
 * this power, at this temperature. Pure: the clock and the device's figures are arguments. */
#ifndef SCHED_IDLE_H
#define SCHED_IDLE_H

#include "base/err.h"
#include "sched/energy.h"

#include <stdbool.h>
#include <stdint.h>

/* Whole hours of the device's clock: from the beginning of `from` to that of `to`, which may be on the next
 * day. Equal: all day. */
struct idle_hours {
	uint8_t from, to; /* 0 to 23 */
};
/* "22-6", "any". -1: it is neither. */
int idle_hours_parse(const char *text, struct idle_hours *h, struct err *err);
bool idle_hours_hold(const struct idle_hours *h, unsigned hour);

struct idle_rules {
	uint64_t quiet_ms; /* that must have passed since the last request had its answer */
	struct idle_hours hours;
};

struct idle_facts {
	unsigned requests; /* of others, that run or wait */
	bool models;       /* those that it needs are there */
	uint64_t quiet_ms; /* since the last one's end */
	unsigned hour;     /* 0 to 23 */
	struct energy energy;
	enum energy_state state; /* energy_judge's word */
};

enum idle_hold {
	IDLE_GO,
	IDLE_BUSY,    /* somebody is being answered */
	IDLE_RECENT,  /* somebody was, a moment ago */
	IDLE_HOURS,   /* not at this hour */
	IDLE_BATTERY, /* it lives on its battery */
	IDLE_HOT,
	IDLE_MODELS, /* a model that it needs is not there */
	IDLE_HOLDS
};

/* What stands in the way, the first of the list. */
enum idle_hold idle_may(const struct idle_rules *r, const struct idle_facts *f);
const char *idle_hold_name(enum idle_hold h); /* "go", "busy", "recent", ... */

#endif
