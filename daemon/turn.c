#include "daemon/turn.h"

static void
on_due(uv_timer_t *t)
{
	bool *woken = t->data;

	if (woken != NULL)
		*woken = true;
	uv_stop(t->loop); /* a loop that is to stop does not sleep */
}

void
turn_wake_in(uv_timer_t *t, uint64_t ms, bool *woken)
{
	uv_update_time(t->loop); /* it may have been turned long ago */
	t->data = woken;
	uv_timer_start(t, on_due, ms, 0);
}
