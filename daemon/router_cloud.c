/* The legs of a routed request that leave the house. */
#include "daemon/router_int.h"

#include "daemon/api_tools.h"
#include "daemon/log.h"

#include <stdlib.h>
#include <time.h>

/* --- who could be asked ------------------------------------------------------------------------- */

uint32_t
routed_most_tokens(const struct routed *q, const struct endpoint *e)
{
	return q->a.max_tokens < e->max_tokens ? q->a.max_tokens : e->max_tokens;
}

/* What a call has to reserve, before its body is there: each byte of text a token, as the door counts it,
 * which adds what JSON takes. */
static uint64_t
price_of(const struct routed *q, const struct endpoint *e)
{
	uint64_t prompt = q->a.text_bytes + (q->a.tools != NULL ? DOOR_TOOLS_TOKENS : 0);

	return purse_cost(
		&e->price, prompt < e->context ? prompt : e->context, routed_most_tokens(q, e));
}

static enum route_refusal
refusal(const struct routed *q, const struct endpoint *e)
{
	uint64_t price = price_of(q, e);
	const struct purse_ask ask = {.key = q->client,
		.amount = price,
		.request_used = q->spent,
		.request_limit = q->said.budget};
	struct router *r = q->router;

	if (q->a.kind != API_CHAT && !e->completions)
		return ROUTE_ABSENT;
	if (q->a.logprobs)
		return ROUTE_LOGPROBS;
	if (q->verdict.asked < PRIVACY_REDACT)
		return ROUTE_PRIVACY;
	if (q->verdict.policy < PRIVACY_REDACT)
		return ROUTE_TAINTED;
	if (q->a.kind != API_CHAT && q->verdict.policy != PRIVACY_CLOUD)
		return ROUTE_UNREDACTED; /* wall_body says why */
	if (price == PURSE_UNKNOWN)
		return ROUTE_PRICE;
	if (purse_check(purse_file_purse(r->purse), purse_file_date(time(NULL)), &ask) != PURSE_OK)
		return ROUTE_BUDGET;
	return door_passes(r->door, e, NULL) ? ROUTE_USABLE : ROUTE_BREAKER;
}

void
routed_add_clouds(struct routed *q)
{
	const struct endpoints *all = q->router->endpoints;

	for (uint32_t i = 0; i < endpoints_count(all) && q->query.n < ROUTE_MAX_CANDIDATES; i++) {
		const struct endpoint *e = endpoints_at(all, i);
		struct route_candidate *c = &q->query.candidates[q->query.n];

		*c = (struct route_candidate){.kind = ROUTE_CLOUD,
			.quality = e->quality > 0 ? (double)e->quality : 0,
			.seconds = routed_seconds_in_cloud(q, i),
			.joules = ROUTE_UNKNOWN,
			.refusal = refusal(q, e)};
		q->names[q->query.n++] = e->name;
	}
}

const struct endpoint *
routed_endpoint(const struct routed *q)
{
	return endpoints_find(q->router->endpoints, q->names[q->choice.candidate]);
}

/* --- a leg --------------------------------------------------------------------------------------- */

static void
stop_cloud(struct routed *q, int status, const char *end)
{
	q->spent += door_cancel(q->call);
	q->call = NULL;
	q->status = status;
	routed_failed(q, end);
}

/* A piece that is missing in the middle would not be noticed: better no more of it. */
static void
give_up(struct routed *q)
{
	snprintf(q->why, sizeof q->why, "there is not enough memory to put removed items back");
	stop_cloud(q, 503, "not restored");
}

static void
on_text(void *arg, const char *delta, size_t len)
{
	struct routed *q = arg;
	struct buf plain;

	if (q->restore.r == NULL) {
		routed_text(q, delta, len);
		return;
	}
	buf_init(&plain, CLOUD_MOST_BYTES);
	if (redact_restore_push(&q->restore, delta, len, &plain) != 0)
		give_up(q);
	else if (plain.len > 0)
		routed_text(q, (const char *)plain.data, plain.len);
	buf_free(&plain);
}

/* Its answer has ended. Of one that was cut what is held stays unsaid: the begin of a placeholder is no text. */
static void
end_restoring(struct routed *q)
{
	struct buf rest;

	if (q->restore.r == NULL)
		return;
	buf_init(&rest, 4096);
	if (redact_restore_end(&q->restore, &rest) == 0 && rest.len > 0)
		routed_text(q, (const char *)rest.data, rest.len);
	buf_free(&rest);
}

/* All of it is there: arguments are JSON, in which items are escaped. */
static int
restored(const struct routed *q, const char *s, size_t len, bool json, struct buf *out)
{
	struct redact_restore back = {.r = q->restore.r, .json = json};

	if (back.r == NULL)
		return buf_append(out, s, len);
	redact_restore_push(&back, s, len, out);
	return redact_restore_end(&back, out);
}

/* Keeps a call, with what was removed put back. What is too long for the client is not held either. */
static const char *
keep_call(struct routed *q, const struct cloud_called *c, const char *name)
{
	struct buf arguments;
	const char *wrong = "calls with too long arguments";

	if (q->calls_bytes >= API_MOST_CALLS)
		return wrong;
	buf_init(&arguments, API_MOST_CALLS - q->calls_bytes);
	if (q->calls == NULL)
		q->calls = json_array();
	if (restored(q, c->arguments, c->len, true, &arguments) == 0 &&
		json_array_append_new(q->calls,
			json_pack("{s:s,s:s,s:s%}", "id", c->id, "name", name, "arguments",
				(const char *)arguments.data, arguments.len)) == 0)
		wrong = NULL;
	q->calls_bytes += arguments.len;
	buf_free(&arguments);
	return wrong;
}

static void
drop_calls(struct routed *q)
{
	json_array_clear(q->calls);
	q->calls_bytes = 0;
}

static void
on_call(void *arg, const struct cloud_called *c)
{
	struct routed *q = arg;
	struct buf name;
	const char *wrong;

	buf_init(&name, 0);
	if (restored(q, c->name, strlen(c->name), false, &name) != 0 || buf_u8(&name, 0) != 0)
		wrong = "a call without a name";
	else if (!api_has_tool(q->a.tools, (const char *)name.data))
		wrong = "a call of a function that was not offered";
	else
		wrong = keep_call(q, c, (const char *)name.data);
	buf_free(&name);
	if (wrong == NULL)
		return;
	drop_calls(q);
	snprintf(q->why, sizeof q->why, "%s: its answer has %s", q->names[q->choice.candidate],
		wrong);
	stop_cloud(q, 502, "malformed");
}

static void
tell_calls(struct routed *q)
{
	json_t *call, *arguments;
	size_t i;

	json_array_foreach(q->calls, i, call)
	{
		arguments = json_object_get(call, "arguments");
		q->begun = true;
		api_answer_call(&q->answer, json_string_value(json_object_get(call, "id")),
			json_string_value(json_object_get(call, "name")),
			json_string_value(arguments), json_string_length(arguments));
	}
	drop_calls(q);
}

static void
on_end(void *arg, const char *finish_reason, const struct cloud_usage *told, uint64_t cost)
{
	struct routed *q = arg;
	struct usage u = {.prompt_tokens = (uint32_t)told->tokens_in,
		.new_tokens = (uint32_t)told->tokens_out,
		.new_seconds = routed_seconds(q)};

	q->call = NULL;
	q->spent += cost;
	end_restoring(q);
	for (uint32_t i = 0; i < endpoints_count(q->router->endpoints); i++)
		if (endpoints_at(q->router->endpoints, i) == routed_endpoint(q))
			router_saw_cloud(q->router, i, u.new_seconds, u.new_tokens);
	tell_calls(q);
	routed_finish(q, finish_reason != NULL ? finish_reason : "stop", &u);
}

static void
rule_out_clouds(struct routed *q)
{
	for (unsigned i = 0; i < q->query.n; i++)
		if (q->query.candidates[i].kind == ROUTE_CLOUD &&
			q->query.candidates[i].refusal == ROUTE_USABLE)
			q->query.candidates[i].refusal = ROUTE_FAILED;
}

static void
on_error(void *arg, const struct cloud_error *e, uint64_t cost)
{
	struct routed *q = arg;
	bool refused = e->class == CLOUD_REFUSED;

	q->call = NULL;
	q->spent += cost;
	log_warning("%s: %s: %s", q->id, q->names[q->choice.candidate], e->words);
	snprintf(q->why, sizeof q->why, "%s: %s", q->names[q->choice.candidate],
		refused && e->said[0] != '\0' ? e->said : e->words);
	if (refused) /* the same request does no better at another one */
		rule_out_clouds(q);
	q->status = refused ? 400 : e->class == CLOUD_RATE ? 429 : 502;
	routed_failed(q, cloud_class_word(e->class));
}

/* Until when all of the request has to have ended. */
static uint32_t
time_left(const struct routed *q)
{
	uint64_t now = uv_now(q->router->loop), by = q->end_by;

	if (by == 0)
		return 0;
	return by > now ? (uint32_t)(by - now) : 1;
}

static enum route_refusal
refused_by_door(const struct door_no *no)
{
	switch (no->why) {
	case DOOR_POLICY:
		return ROUTE_PRIVACY;
	case DOOR_BODY:
		return ROUTE_UNREDACTED;
	case DOOR_BUDGET:
		return no->purse == PURSE_NO_PRICE ? ROUTE_PRICE : ROUTE_BUDGET;
	case DOOR_BREAKER:
		return ROUTE_BREAKER;
	default:
		return ROUTE_FAILED;
	}
}

bool
routed_send(struct routed *q, const struct endpoint *e, const struct buf *body,
	const struct door_events *events, struct door_no *no)
{
	const struct door_request request = {e, body->data, body->len};
	const struct ticket_ask ask = {.request = request,
		.policy = q->verdict.policy,
		.redacted = q->restore.r != NULL,
		.key = q->client,
		.request_used = q->spent,
		.request_limit = q->said.budget};
	struct ticket *t = ticket_issue(q->router->door, &ask, no);

	if (t == NULL)
		return false;
	q->call = door_send(q->router->door, t, &request, time_left(q), events, no);
	ticket_free(t);
	if (q->call == NULL)
		return false;
	q->bytes_out += body->len;
	return true;
}

bool
routed_begin_cloud(struct routed *q)
{
	struct route_candidate *c = &q->query.candidates[q->choice.candidate];
	const struct endpoint *e = routed_endpoint(q);
	const struct door_events events = {
		NULL, on_text, on_end, on_error, q, q->a.tools != NULL ? on_call : NULL};
	struct door_no no = {.why = DOOR_BROKEN};
	struct err err = {""};
	uint64_t removed;
	struct buf body;
	bool sent = false;

	q->restore = (struct redact_restore){0};
	buf_init(&body, DOOR_MOST_BODY);
	removed = wall_removed(&q->verdict);
	if (wall_body(q->router->wall, &q->verdict, &q->a, e->model, routed_most_tokens(q, e),
		    &body, &err) != 0) {
		c->refusal = ROUTE_UNREDACTED;
		snprintf(q->why, sizeof q->why, "%s", err.msg);
	} else {
		if (q->verdict.policy == PRIVACY_REDACT)
			q->restore = (struct redact_restore){
				.r = wall_items(&q->verdict), .json = q->a.response_format != NULL};
		sent = routed_send(q, e, &body, &events, &no);
		if (sent) {
			wall_sent(&q->verdict);
			q->redactions += wall_removed(&q->verdict) - removed;
		} else {
			c->refusal = refused_by_door(&no);
			snprintf(q->why, sizeof q->why, "%s", no.err.msg);
		}
	}
	buf_free(&body);
	if (!sent)
		log_info("%s: %s: %s", q->id, e->name, q->why);
	return sent;
}

/* The very bytes, for `explain`. */
json_t *
routed_preview(struct routed *q)
{
	const struct endpoint *e = routed_endpoint(q);
	struct door_request request = {.endpoint = e};
	struct door_no no;
	struct err err = {""};
	struct buf body, bytes;
	uint64_t worst = 0;
	json_t *o = NULL;

	if (routed_segments(q))
		return json_pack("{s:s,s:s}", "endpoint", e->name, "refused",
			"what a cloud gets of a segment ends in text that is not written yet");
	buf_init(&body, DOOR_MOST_BODY);
	buf_init(&bytes, 0);
	if (wall_body(q->router->wall, &q->verdict, &q->a, e->model, routed_most_tokens(q, e),
		    &body, &err) == 0) {
		request.body = body.data;
		request.len = body.len;
		if (door_preview(&request, &bytes, &worst, &no) == 0)
			o = json_pack("{s:s,s:f,s:o}", "endpoint", e->name, "worst_price",
				worst != PURSE_UNKNOWN ? (double)worst / 1e6 : -1.0, "bytes",
				json_stringn((const char *)bytes.data, bytes.len));
		else
			err = no.err;
	}
	if (o == NULL)
		o = json_pack("{s:s,s:s}", "endpoint", e->name, "refused", err.msg);
	if (q->verdict.policy == PRIVACY_REDACT)
		json_object_set_new(o, "redacted", wall_parts(q->router->wall, &q->verdict, &q->a));
	buf_free(&body);
	buf_free(&bytes);
	return o;
}

/* --- status -------------------------------------------------------------------------------------- */

static json_t *
cloud_status(const struct router *r, const struct endpoint *e)
{
	const struct door_stats *st = door_stats(r->door, e);
	json_t *errors = json_object();

	for (int i = 0; i <= CLOUD_TOO_LARGE; i++)
		if (st->errors[i] > 0)
			json_object_set_new(errors, cloud_class_word((enum cloud_class)i),
				json_integer((json_int_t)st->errors[i]));
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:o}", "name", e->name, "model", e->model,
		"breaker", breaker_word(door_state(r->door, e)), "calls", (json_int_t)st->calls,
		"bytes_out", (json_int_t)st->bytes_out, "answers", (json_int_t)st->ends, "errors",
		errors);
}

static json_t *
money(uint64_t micro)
{
	return micro == PURSE_UNLIMITED ? json_null() : json_real((double)micro / 1e6);
}

json_t *
router_clouds(const struct router *r)
{
	const struct purse *p = purse_file_purse(r->purse);
	json_t *list = json_array();

	for (uint32_t i = 0; i < endpoints_count(r->endpoints); i++)
		json_array_append_new(list, cloud_status(r, endpoints_at(r->endpoints, i)));
	return json_pack("{s:o,s:{s:o,s:o,s:o,s:o,s:o}}", "endpoints", list, "spent", "day",
		money(p->all.day), "month", money(p->all.month), "reserved", money(p->all.reserved),
		"day_limit", money(p->limits.day), "month_limit", money(p->limits.month));
}
