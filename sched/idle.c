#include "sched/idle.h"

#include <stdlib.h>
#include <string.h>

/* A number of one or two digits up to 23, and what stands behind it. */
static bool
take_hour(const char **text, uint8_t *hour)
{
	const char *s = *text;
	unsigned v = 0, n = 0;

	for (; n < 2 && s[n] >= '0' && s[n] <= '9'; n++)
		v = v * 10 + (unsigned)(s[n] - '0');
	*text = s + n;
	*hour = (uint8_t)v;
	return n > 0 && v < 24;
}

int
idle_hours_parse(const char *text, struct idle_hours *h, struct err *err)
{
	const char *at = text;

	*h = (struct idle_hours){0};
	if (strcmp(text, "any") == 0)
		return 0;
	if (take_hour(&at, &h->from) && *at++ == '-' && take_hour(&at, &h->to) && *at == '\0')
		return 0;
	return err_set(err, "'%.32s' is neither any nor two hours, as 22-6", text);
}

bool
idle_hours_hold(const struct idle_hours *h, unsigned hour)
{
	if (h->from == h->to)
		return true;
	if (h->from < h->to)
		return hour >= h->from && hour < h->to;
	return hour >= h->from || hour < h->to;
}

enum idle_hold
idle_may(const struct idle_rules *r, const struct idle_facts *f)
{
	if (f->requests > 0)
		return IDLE_BUSY;
	if (f->quiet_ms < r->quiet_ms)
		return IDLE_RECENT;
	if (!idle_hours_hold(&r->hours, f->hour))
		return IDLE_HOURS;
	if (f->energy.on_battery)
		return IDLE_BATTERY;
	if (f->state == ENERGY_HOT)
		return IDLE_HOT;
	return f->models ? IDLE_GO : IDLE_MODELS;
}

const char *
idle_hold_name(enum idle_hold h)
{
	static const char *const names[IDLE_HOLDS] = {[IDLE_GO] = "go",
		[IDLE_BUSY] = "busy",
		[IDLE_RECENT] = "recent",
		[IDLE_HOURS] = "hours",
		[IDLE_BATTERY] = "battery",
		[IDLE_HOT] = "hot",
		[IDLE_MODELS] = "models"};

	return names[h];
}
