#include "daemon/door.h"

#include "daemon/door_int.h"
#include "daemon/log.h"

#include <stdlib.h>
#include <time.h>

#define MOST_OVER 1000 /* a price may be set for a thousand tokens instead of a million */

struct door_call {
	struct door *door;
	struct door_call *next;
	struct cloud_call *call;
	struct breaker_call leave;
	uint32_t endpoint;
	uint64_t reservation, reserved;
	uint64_t age;
	struct door_events events;
};

/* --- small things -------------------------------------------------------------------------------- */

const char *
door_refusal_word(enum door_refusal why)
{
	static const char *const words[] = {
		"none", "policy", "body", "breaker", "budget", "ticket", "broken"};

	return words[why];
}

uint32_t
door_index(const struct door *d, const struct endpoint *e)
{
	uint32_t i = 0;

	while (i < endpoints_count(d->endpoints) && endpoints_at(d->endpoints, i) != e)
		i++;
	return i < endpoints_count(d->endpoints) ? i : ENDPOINTS_MAX;
}

void *
door_refuse(struct door_no *no, enum door_refusal why, const char *words)
{
	no->why = why;
	err_set(&no->err, "%s", words);
	return NULL;
}

void *
door_closed(const struct door *d, uint32_t endpoint, struct door_no *no)
{
	const struct breaker *b = &d->breakers[endpoint];
	uint64_t now = uv_now(d->loop);

	no->why = DOOR_BREAKER;
	breaker_passes(b, now, &no->wait_ms);
	if (breaker_state(b, now) == BREAKER_OFF)
		err_set(&no->err, "the endpoint is not called for now: it refused the key; mend "
				  "key_file and start shoald again");
	else if (no->wait_ms > 0)
		err_set(&no->err,
			"the endpoint is not called for now: it failed lately, and is tried again "
			"in %llu s",
			(unsigned long long)(no->wait_ms + 999) / 1000);
	else
		err_set(&no->err, "the endpoint is not called for now: it failed lately, and is "
				  "being tried");
	return NULL;
}

bool
door_passes(const struct door *d, const struct endpoint *e, uint64_t *wait_ms)
{
	uint32_t i = door_index(d, e);

	return i < ENDPOINTS_MAX && breaker_passes(&d->breakers[i], uv_now(d->loop), wait_ms);
}

enum breaker_state
door_state(const struct door *d, const struct endpoint *e)
{
	uint32_t i = door_index(d, e);

	return i < ENDPOINTS_MAX ? breaker_state(&d->breakers[i], uv_now(d->loop)) : BREAKER_OFF;
}

const struct door_stats *
door_stats(const struct door *d, const struct endpoint *e)
{
	uint32_t i = door_index(d, e);

	return i < ENDPOINTS_MAX ? &d->stats[i] : NULL;
}

uint32_t
door_running(const struct door *d)
{
	return d->n;
}

struct breaker *
door_breaker(struct door *d, const struct endpoint *e)
{
	return &d->breakers[door_index(d, e)];
}

/* --- the end of a call --------------------------------------------------------------------------- */

/* Where nothing was reserved there is no measure: whatever is said counts. */
static bool
is_believable(const struct endpoint *e, uint64_t reserved, uint64_t cost)
{
	return reserved == 0 || cost / MOST_OVER <= reserved ||
	       cost <= purse_cost(&e->price, e->context, e->context);
}

/* Without figures that cannot be: one slip must not spend the budgets of all endpoints. More than what was asked for
 * can be, as thoughts that nobody sees are charged, but not more than the context has. */
static struct cloud_usage
sensible(const struct door_call *c, const struct endpoint *e, const struct cloud_usage *said)
{
	struct cloud_usage u = *said;
	bool tokens = u.tokens_in <= e->context && u.tokens_out <= e->context,
	     cost = u.cost == PURSE_UNKNOWN || is_believable(e, c->reserved, u.cost);

	if (tokens && cost)
		return u;
	log_warning("%s: its answer says that it used what cannot be: that is not counted, but %s",
		e->name,
		u.cost != PURSE_UNKNOWN && cost ? "the cost it says" : "what was reserved");
	return (struct cloud_usage){.cost = cost ? u.cost : PURSE_UNKNOWN};
}

static uint64_t
cost_of(const struct endpoint *e, const struct cloud_usage *u)
{
	uint64_t by_tokens =
		u->told ? purse_cost(&e->price, u->tokens_in, u->tokens_out) : PURSE_UNKNOWN;

	if (u->cost == PURSE_UNKNOWN || by_tokens == PURSE_UNKNOWN)
		return u->cost == PURSE_UNKNOWN ? by_tokens : u->cost;
	return u->cost > by_tokens ? u->cost : by_tokens;
}

static uint64_t
call_free(struct door_call *c, uint64_t cost)
{
	struct door *d = c->door;
	struct door_call **at = &d->first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	d->n--;
	cost = purse_file_settle(d->purse, time(NULL), c->reservation, cost);
	free(c);
	return cost;
}

static void
end_breaker(struct door_call *c, enum breaker_outcome outcome, uint64_t retry_after_ms)
{
	breaker_end(&c->door->breakers[c->endpoint], &c->leave, outcome, retry_after_ms,
		uv_now(c->door->loop));
}

static void
on_heard(void *arg)
{
	struct door_call *c = arg;

	breaker_heard(&c->door->breakers[c->endpoint], &c->leave);
	if (c->events.heard != NULL)
		c->events.heard(c->events.arg);
}

static void
on_text(void *arg, const char *delta, size_t len)
{
	struct door_call *c = arg;

	c->events.text(c->events.arg, delta, len);
}

static void
on_call(void *arg, const struct cloud_called *called)
{
	struct door_call *c = arg;

	c->events.call(c->events.arg, called);
}

static void
on_end(void *arg, const char *finish, const struct cloud_usage *usage)
{
	struct door_call *c = arg;
	struct door_events events = c->events;
	const struct endpoint *e = endpoints_at(c->door->endpoints, c->endpoint);
	struct cloud_usage used = sensible(c, e, usage);
	uint64_t cost = cost_of(e, &used);

	end_breaker(c, BREAKER_OK, 0);
	c->door->stats[c->endpoint].ends++;
	cost = call_free(c, cost);
	events.end(events.arg, finish, &used, cost);
}

static void
on_error(void *arg, const struct cloud_error *e)
{
	struct door_call *c = arg;
	struct door_events events = c->events;
	bool free_of_charge = !e->sent || (e->status >= 300 && e->status < 500);
	uint64_t cost;

	end_breaker(c, cloud_outcome(e->class), e->retry_after_ms);
	c->door->knocks[c->endpoint].due |= e->class == CLOUD_OFFLINE;
	c->door->stats[c->endpoint].errors[e->class]++;
	cost = call_free(c, free_of_charge ? 0 : PURSE_UNKNOWN);
	events.error(events.arg, e, cost);
}

uint64_t
door_cancel(struct door_call *c)
{
	bool sent = cloud_cancel(c->call, NULL);

	end_breaker(c, BREAKER_DROPPED, 0);
	c->door->stats[c->endpoint].cancels++;
	return call_free(c, sent ? PURSE_UNKNOWN : 0);
}

/* --- the door ------------------------------------------------------------------------------------ */

/* Through the breaker and out. */
static struct door_call *
pass(struct door *d, struct ticket *t, const struct door_request *r, uint32_t timeout_ms,
	const struct door_events *events, struct door_no *no)
{
	struct cloud_request out = {r->endpoint, r->body, r->len, timeout_ms, t->plain};
	struct door_call *c = calloc(1, sizeof *c);
	struct cloud_events own = {
		on_heard, on_text, on_end, on_error, c, events->call != NULL ? on_call : NULL};

	if (c == NULL)
		return door_refuse(no, DOOR_BROKEN, "out of memory");
	*c = (struct door_call){.door = d,
		.next = d->first,
		.endpoint = t->endpoint,
		.reservation = t->reservation,
		.reserved = t->reserved,
		.age = d->age,
		.events = *events};
	if (!breaker_begin(&d->breakers[t->endpoint], uv_now(d->loop), &c->leave)) {
		free(c);
		return door_closed(d, t->endpoint, no);
	}
	c->call = cloud_send(d->cloud, &out, &own, &no->err);
	if (c->call == NULL) {
		end_breaker(c, BREAKER_DROPPED, 0);
		free(c);
		no->why = DOOR_BROKEN;
		return NULL;
	}
	d->first = c;
	d->n++;
	return c;
}

struct door_call *
door_send(struct door *d, struct ticket *t, const struct door_request *r, uint32_t timeout_ms,
	const struct door_events *events, struct door_no *no)
{
	const char *why = ticket_misuse(t, d, r);
	struct door_call *c;

	*no = (struct door_no){0};
	if (t != NULL)
		t->used = true;
	if (why != NULL)
		return door_refuse(no, DOOR_TICKET, why);
	c = pass(d, t, r, timeout_ms, events, no);
	if (c == NULL)
		return NULL;
	t->sent = true;
	d->stats[t->endpoint].calls++;
	d->stats[t->endpoint].bytes_out += r->len;
	return c;
}

static void
revoke_call(struct door_call *c)
{
	struct door_events events = c->events;
	struct cloud_error e = {.class = CLOUD_REFUSED,
		.sent = true,
		.usage.cost = PURSE_UNKNOWN,
		.words = "the policy has changed"};

	events.error(events.arg, &e, door_cancel(c));
}

/* Who hears of it may send anew, with a new ticket: that call is not looked at again. */
void
door_revoke(struct door *d)
{
	d->age++;
	door_stop_knocking(d);
	for (struct door_call *c = d->first; c != NULL;) {
		bool old = c->age != d->age;

		if (old)
			revoke_call(c);
		c = old ? d->first : c->next;
	}
}

int
door_preview(const struct door_request *r, struct buf *out, uint64_t *worst, struct door_no *no)
{
	struct cloud_request request = {r->endpoint, r->body, r->len, 0, false};
	struct door_body body;

	*no = (struct door_no){0};
	if (door_body_check(r, &body, &no->err) != 0) {
		no->why = DOOR_BODY;
		return -1;
	}
	request.plain = body.plain;
	*worst = purse_cost(&r->endpoint->price, body.tokens_in, body.tokens_out);
	cloud_head(&request, true, out);
	buf_append(out, r->body, r->len);
	return out->failed ? -1 : 0;
}

struct door *
door_new(uv_loop_t *loop, const struct endpoints *endpoints, struct purse_file *purse,
	const struct cloud_limits *limits, struct err *err)
{
	struct door *d = calloc(1, sizeof *d);

	if (d == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	*d = (struct door){.loop = loop, .endpoints = endpoints, .purse = purse};
	d->cloud = cloud_new(loop, limits, err);
	if (d->cloud != NULL)
		return d;
	free(d);
	return NULL;
}

void
door_close(struct door *d)
{
	while (d->first != NULL)
		door_cancel(d->first);
	cloud_close(d->cloud);
	free(d);
}
