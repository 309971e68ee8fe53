#include "daemon/cloud.h"

#include "daemon/cloud_int.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 50 /* how finely the times to the first byte and between bytes are kept */

struct cloud {
	uv_loop_t *loop;
	struct cloud_limits limits;
	struct cloud_net *net;
	uv_timer_t tick; /* runs while there are calls */
	struct cloud_call *first;
	uint32_t n;
};

/* Happy path: sent -> heard -> text, text, ... -> end. Every failure ends in call_fail; whichever way
 * it ends, call_free is the last that is done with it, ahead of the event that says so. */
struct cloud_call {
	struct cloud *cloud;
	struct cloud_call *next;
	struct cloud_events events;
	const struct endpoint *endpoint;
	struct cloud_transfer *transfer;
	struct buf head, body;
	struct buf refusal; /* an error's body, its begin */
	struct cloud_reader reader;
	bool knock;    /* it only connects */
	bool plain;    /* a prompt is answered, not a chat */
	bool heard;    /* the answer has begun */
	bool busy;     /* an event of it is being told: it is freed after that */
	bool dead;     /* cancelled meanwhile */
	uint64_t last; /* when a byte came, or when it was sent */
};

/* --- words --------------------------------------------------------------------------------------- */

const char *cloud_class_word(enum cloud_class class)
{
	static const char *const words[] = {"offline", "timeout", "rate", "auth", "refused",
		"server", "cut", "malformed", "too_large"};

	return words[class];
}

enum breaker_outcome cloud_outcome(enum cloud_class class)
{
	switch (class) {
	case CLOUD_OFFLINE:
		return BREAKER_OFFLINE;
	case CLOUD_RATE:
		return BREAKER_BUSY;
	case CLOUD_AUTH:
		return BREAKER_DENIED;
	case CLOUD_REFUSED:
		return BREAKER_REFUSED;
	case CLOUD_TIMEOUT:
	case CLOUD_SERVER:
	case CLOUD_CUT:
	case CLOUD_MALFORMED:
	case CLOUD_TOO_LARGE:
		break;
	}
	return BREAKER_FAILED;
}

static enum cloud_class
class_of_status(int status)
{
	if (status == 401 || status == 403)
		return CLOUD_AUTH;
	if (status == 429 || status == 402)
		return CLOUD_RATE;
	if (status == 408)
		return CLOUD_TIMEOUT;
	return status >= 400 && status < 500 ? CLOUD_REFUSED : CLOUD_SERVER;
}

static const char *
words_of_status(int status)
{
	switch (status) {
	case 400:
		return "the endpoint refuses the request";
	case 401:
	case 403:
		return "the endpoint does not take the key";
	case 402:
		return "the account at the endpoint is empty";
	case 404:
		return "the endpoint has no such model or path";
	case 408:
		return "the endpoint waited too long for the request";
	case 429:
		return "the endpoint has too many requests";
	default:
		return status < 300   ? "the endpoint gives no answer"
		       : status < 400 ? "the endpoint redirects, which is not followed"
		       : status < 500 ? "the endpoint refuses the request"
				      : "the endpoint has trouble";
	}
}

/* A key must not come back in what is shown. */
static void
scrub(char *text, const char *key)
{
	char *at = text;

	if (key == NULL || key[0] == '\0')
		return;
	while ((at = strstr(at, key)) != NULL)
		memset(at, '*', strlen(key));
}

/* --- ends ---------------------------------------------------------------------------------------- */

static void
call_free(struct cloud_call *call)
{
	struct cloud *c = call->cloud;
	struct cloud_call **at = &c->first;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	if (--c->n == 0)
		uv_timer_stop(&c->tick);
	if (call->transfer != NULL)
		cloud_transfer_stop(call->transfer);
	if (call->body.data != NULL)
		sodium_memzero(call->body.data, call->body.cap);
	if (call->head.data != NULL)
		sodium_memzero(call->head.data, call->head.cap);
	buf_free(&call->body);
	buf_free(&call->head);
	buf_free(&call->refusal);
	cloud_reader_free(&call->reader);
	free(call);
}

static void
call_fail(struct cloud_call *call, enum cloud_class class, const char *words, const char *said)
{
	struct cloud_events events = call->events;
	struct cloud_error e = {
		.class = class,
		.status = cloud_transfer_status(call->transfer),
		.retry_after_ms = cloud_transfer_retry_after(call->transfer),
		.sent = cloud_transfer_sent(call->transfer),
		.usage = call->reader.usage,
	};

	snprintf(e.words, sizeof e.words, "%s", words);
	if (class != CLOUD_AUTH)
		snprintf(e.said, sizeof e.said, "%s", said);
	scrub(e.said, call->endpoint->key);
	call_free(call);
	events.error(events.arg, &e);
}

static void
call_done(struct cloud_call *call)
{
	struct cloud_events events = call->events;
	struct cloud_usage usage = call->reader.usage;
	char finish[sizeof call->reader.finish];

	snprintf(finish, sizeof finish, "%s",
		call->reader.finish[0] != '\0' ? call->reader.finish : "stop");
	call_free(call);
	events.end(events.arg, finish, &usage);
}

/* --- news ---------------------------------------------------------------------------------------- */

/* Tells what begins and what came. False: the call is gone. */
static bool
tell(struct cloud_call *call, bool heard)
{
	struct buf *text = &call->reader.text;
	bool dead;

	call->busy = true;
	if (heard && call->events.heard != NULL)
		call->events.heard(call->events.arg);
	if (!call->dead && text->len > 0)
		call->events.text(call->events.arg, (const char *)text->data, text->len);
	call->busy = false;
	buf_clear(text);
	dead = call->dead;
	if (dead)
		call_free(call);
	return !dead;
}

/* False: the call is gone. */
static bool
tell_calls(struct cloud_call *call)
{
	const struct cloud_calls *calls = &call->reader.calls;
	bool dead;

	call->busy = true;
	for (unsigned i = 0; i < calls->n && !call->dead; i++) {
		const struct cloud_made *m = &calls->made[i];
		const struct cloud_called c = {m->id, (const char *)m->name.data,
			(const char *)m->arguments.data, m->arguments.len};

		call->events.call(call->events.arg, &c);
	}
	call->busy = false;
	dead = call->dead;
	if (dead)
		call_free(call);
	return !dead;
}

/* After bytes were read. */
static void
look(struct cloud_call *call, bool heard)
{
	struct cloud_reader *r = &call->reader;

	if (!tell(call, heard))
		return;
	if (r->failed)
		call_fail(call, r->class, r->words, r->said);
	else if (r->finished && tell_calls(call))
		call_done(call);
}

static void
on_bytes(void *arg, const uint8_t *data, size_t len)
{
	struct cloud_call *call = arg;
	bool first = !call->heard;

	call->last = uv_now(call->cloud->loop);
	if (cloud_transfer_status(call->transfer) != 200) {
		size_t room = CLOUD_MOST_REFUSAL - call->refusal.len;

		buf_append(&call->refusal, data, len < room ? len : room);
		return;
	}
	if (first) {
		cloud_reader_init(&call->reader, cloud_transfer_is_stream(call->transfer));
		call->reader.tools = call->events.call != NULL;
		call->reader.plain = call->plain;
	}
	call->heard = true;
	cloud_reader_feed(&call->reader, data, len);
	look(call, first);
}

static void
on_refused(struct cloud_call *call, int status)
{
	char said[256];

	cloud_reader_refusal(call->refusal.data, call->refusal.len, said);
	call_fail(call, class_of_status(status), words_of_status(status), said);
}

static void
on_over(void *arg, const struct cloud_result *r)
{
	struct cloud_call *call = arg;
	int status = cloud_transfer_status(call->transfer);

	if (r->offline) {
		call_fail(call, CLOUD_OFFLINE, r->words, "");
	} else if (call->knock && r->whole) {
		call_done(call);
	} else if (r->too_large) {
		call_fail(call, CLOUD_TOO_LARGE, "the answer is larger than it may be", "");
	} else if (status != 0 && status != 200) {
		on_refused(call, status); /* whether its body came whole or not */
	} else if (r->timeout) {
		call_fail(call, CLOUD_TIMEOUT, "the answer took too long", "");
	} else if (r->nonsense) {
		call_fail(call, CLOUD_MALFORMED, r->words, "");
	} else if (!r->whole) {
		call_fail(call, CLOUD_CUT, r->words, "");
	} else if (!call->heard) {
		call_fail(call, CLOUD_MALFORMED, "the answer is empty", "");
	} else {
		cloud_reader_end(&call->reader);
		look(call, false);
	}
}

static void
on_tick(uv_timer_t *timer)
{
	struct cloud *c = timer->data;

	for (struct cloud_call *call = c->first; call != NULL;) {
		uint32_t limit = call->heard ? c->limits.idle_ms : c->limits.first_ms;
		/* The clock goes on here: who hears of one that failed may begin another. */
		bool late = uv_now(c->loop) - call->last > limit;

		if (late)
			call_fail(call, CLOUD_TIMEOUT,
				call->heard ? "the answer stopped coming"
					    : "the answer did not begin in time",
				"");
		call = late ? c->first : call->next;
	}
}

/* --- calls --------------------------------------------------------------------------------------- */

struct cloud *
cloud_new(uv_loop_t *loop, const struct cloud_limits *limits, struct err *err)
{
	static const struct cloud_limits usual = {
		CLOUD_CONNECT_MS, CLOUD_FIRST_MS, CLOUD_IDLE_MS, CLOUD_MOST_BYTES};
	static const struct cloud_net_events events = {on_bytes, on_over};
	struct cloud *c = calloc(1, sizeof *c);

	if (c == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	c->loop = loop;
	c->limits = limits != NULL ? *limits : usual;
	c->net = cloud_net_new(loop, &events, err);
	if (c->net == NULL) {
		free(c);
		return NULL;
	}
	uv_timer_init(loop, &c->tick);
	c->tick.data = c;
	return c;
}

static void
on_closed(uv_handle_t *h)
{
	free(h->data);
}

void
cloud_close(struct cloud *c)
{
	struct cloud_call *next;

	for (struct cloud_call *call = c->first; call != NULL; call = next) {
		next = call->next;
		cloud_cancel(call, NULL);
	}
	cloud_net_close(c->net);
	uv_close((uv_handle_t *)&c->tick, on_closed);
}

static struct cloud_call *
call_new(struct cloud *c, const struct endpoint *e, const struct cloud_events *events,
	struct err *err)
{
	struct cloud_call *call = c->n < CLOUD_MOST_CALLS ? calloc(1, sizeof *call) : NULL;

	if (call == NULL) {
		err_set(err, "%u calls to clouds are under way already", c->n);
		return NULL;
	}
	uv_update_time(c->loop); /* what came ahead of this may have taken long */
	call->cloud = c;
	call->next = c->first;
	call->events = *events;
	call->endpoint = e;
	call->last = uv_now(c->loop);
	c->first = call;
	if (c->n++ == 0)
		uv_timer_start(&c->tick, on_tick, TICK_MS, TICK_MS);
	cloud_reader_init(&call->reader, true);
	return call;
}

/* r: its body is the call's own. */
static struct cloud_call *
call_start(
	struct cloud_call *call, const struct cloud_request *r, const char *head, struct err *err)
{
	struct cloud *c = call->cloud;

	call->transfer = cloud_transfer_start(c->net, r, head, &c->limits, call, err);
	if (call->transfer != NULL)
		return call;
	call_free(call);
	return NULL;
}

struct cloud_call *
cloud_send(struct cloud *c, const struct cloud_request *r, const struct cloud_events *events,
	struct err *err)
{
	struct cloud_call *call = call_new(c, r->endpoint, events, err);
	struct cloud_request own = *r;

	if (call == NULL)
		return NULL;
	cloud_head(r, false, &call->head);
	buf_u8(&call->head, 0);
	if (buf_append(&call->body, r->body, r->len) != 0 || call->head.failed) {
		call_free(call);
		err_set(err, "out of memory for a request of %zu bytes", r->len);
		return NULL;
	}
	own.body = call->body.data;
	call->plain = r->plain;
	return call_start(call, &own, (const char *)call->head.data, err);
}

struct cloud_call *
cloud_knock(struct cloud *c, const struct endpoint *e, const struct cloud_events *events,
	struct err *err)
{
	struct cloud_call *call = call_new(c, e, events, err);
	struct cloud_request nothing = {.endpoint = e};

	if (call == NULL)
		return NULL;
	call->knock = true;
	return call_start(call, &nothing, NULL, err);
}

bool
cloud_cancel(struct cloud_call *call, struct cloud_usage *usage)
{
	bool sent = call->transfer != NULL && cloud_transfer_sent(call->transfer);

	if (usage != NULL)
		*usage = call->reader.usage;
	if (!call->busy) {
		call_free(call);
		return sent;
	}
	call->dead = true;
	if (call->transfer != NULL)
		cloud_transfer_stop(call->transfer);
	call->transfer = NULL;
	return sent;
}

uint32_t
cloud_running(const struct cloud *c)
{
	return c->n;
}
