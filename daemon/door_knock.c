/* Finding out whether who was offline is there again, without a byte of anybody's. */
#include "daemon/door_int.h"

static void
knock_over(struct knock *k, enum breaker_outcome outcome)
{
	struct door *d = k->door;

	k->call = NULL;
	breaker_end(&d->breakers[k - d->knocks], &k->leave, outcome, 0, uv_now(d->loop));
}

/* Somebody is there: the next call is the breaker's probe. */
static void
on_opened(void *arg, const char *finish, const struct cloud_usage *usage)
{
	struct knock *k = arg;

	(void)finish;
	(void)usage;
	k->due = false;
	knock_over(k, BREAKER_DROPPED);
}

static void
on_silence(void *arg, const struct cloud_error *e)
{
	(void)e;
	knock_over(arg, BREAKER_OFFLINE);
}

void
door_knock(struct door *d, uint32_t i)
{
	struct knock *k = &d->knocks[i];
	struct cloud_events events = {NULL, NULL, on_opened, on_silence, k};
	struct err ignored;

	k->door = d;
	if (!breaker_begin(&d->breakers[i], uv_now(d->loop), &k->leave))
		return;
	k->call = cloud_knock(d->cloud, endpoints_at(d->endpoints, i), &events, &ignored);
	if (k->call == NULL)
		knock_over(k, BREAKER_DROPPED);
}

void
door_stop_knocking(struct door *d)
{
	for (struct knock *k = d->knocks; k < d->knocks + ENDPOINTS_MAX; k++) {
		if (k->call == NULL)
			continue;
		cloud_cancel(k->call, NULL);
		knock_over(k, BREAKER_DROPPED);
	}
}
