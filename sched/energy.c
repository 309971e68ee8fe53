#include "sched/energy.h"

static bool
hot(const struct energy *e, float limit, bool was)
{
	return limit > 0 && e->celsius >= limit - (was ? ENERGY_COOLER : 0.0f);
}

static bool
low(const struct energy *e, float limit, bool was)
{
	return limit > 0 && e->on_battery && e->charge >= 0 &&
	       e->charge <= limit + (was ? ENERGY_MORE : 0.0f);
}

enum energy_state
energy_judge(const struct energy *e, const struct energy_limits *l, enum energy_state before)
{
	if (hot(e, l->hot, before == ENERGY_HOT))
		return ENERGY_HOT;
	return low(e, l->low, before == ENERGY_LOW) ? ENERGY_LOW : ENERGY_FINE;
}

const char *
energy_state_name(enum energy_state s)
{
	static const char *const names[] = {
		[ENERGY_FINE] = "fine", [ENERGY_LOW] = "battery_low", [ENERGY_HOT] = "hot"};

	return names[s];
}

/* --- of several devices -------------------------------------------------------------------------- */

double
energy_watts(const struct energy_told *devices, unsigned n)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!devices[i].told || devices[i].watts == 0)
			return 0;
		sum += devices[i].watts;
	}
	return sum;
}

unsigned
energy_strained(const struct energy_told *devices, unsigned n)
{
	unsigned strained = 0;

	for (unsigned i = 0; i < n; i++)
		strained += devices[i].told && devices[i].state != ENERGY_FINE;
	return strained;
}

enum energy_lean
energy_lean(const struct energy_told *devices, unsigned n)
{
	bool first, others;

	if (n < 2)
		return ENERGY_EVEN;
	first = energy_strained(devices, 1) > 0;
	others = energy_strained(devices + 1, n - 1) > 0;
	if (first == others)
		return ENERGY_EVEN;
	return first ? ENERGY_UP : ENERGY_DOWN;
}
