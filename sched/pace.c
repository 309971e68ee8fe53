#include "sched/pace.h"

#include <math.h>

static bool
is_over(const struct pace *p, double now)
{
	return now - p->at > p->hold;
}

double
pace_factor(const struct pace *p, double measured, double now)
{
	if (!(p->factor > 0) || p->measured != measured || is_over(p, now))
		return 1;
	return p->factor;
}

void
pace_seen(struct pace *p, double seen, double measured, double now)
{
	if (!(seen > 0) || !(measured > 0))
		return;
	p->factor = fmin(fmax(seen / measured, PACE_LEAST), PACE_MOST);
	p->measured = measured;
	p->at = now;
	if (p->factor < PACE_SLOW && p->tried)
		p->hold = fmin(2 * p->hold, PACE_HOLD_MAX);
	else if (p->factor >= PACE_SLOW || p->hold < PACE_HOLD)
		p->hold = PACE_HOLD;
	p->tried = false;
}

void
pace_holds(struct pace *p, double now)
{
	if (p->factor > 0 && is_over(p, now)) {
		p->factor = 1;
		p->tried = true;
	}
	p->at = now;
}
