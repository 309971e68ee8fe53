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
