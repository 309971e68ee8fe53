/* The mode `token` of `auto:cloud`: the small model of this device and a cloud that can go on with a text
 * write the answer together (segment_run.h), to a chat or to a plain prompt. Every segment is a call of its
 * own, with a ticket of the policy for its very bytes and a reservation of what it may cost. */
#include "daemon/router_int.h"

#include "daemon/log.h"
#include "sched/segments.h"

/* --- whether they can --------------------------------------------------------------------------- */

bool
routed_segments(const struct routed *q)
{
	return q->choice.reason == ROUTE_BY_TOKEN &&
	       q->query.candidates[q->choice.candidate].kind == ROUTE_CLOUD;
}

static bool
goes_on(const struct routed *q, const struct endpoint *e)
{
	return q->a.kind == API_COMPLETION ? e->completions
					   : e->continues != ENDPOINT_CONTINUES_NOT;
}

/* The first cloud that can be asked and goes on with texts. */
static int
find_cloud(const struct routed *q, struct err *why)
{
	err_set(why,
		"no cloud that can be asked goes on with a text ('continues' in its section, for "
		"prompts 'completions')");
	for (unsigned i = 0; i < q->query.n; i++) {
		const struct route_candidate *c = &q->query.candidates[i];

		if (c->kind == ROUTE_CLOUD && c->refusal == ROUTE_USABLE &&
			goes_on(q, endpoints_find(q->router->endpoints, q->names[i])))
			return (int)i;
	}
	return -1;
}

int
routed_check_segments(struct routed *q, struct route_choice *c, struct err *why)
{
	*c = (struct route_choice){.candidate = find_cloud(q, why), .reason = ROUTE_BY_TOKEN};
	if (c->candidate < 0)
		return -1;
	if (q->a.tools != NULL)
		return err_set(why,
			"a cloud goes on with a text, and a call of a tool that it would "
			"end within is none");
	if (q->verdict.policy != PRIVACY_CLOUD)
		return err_set(why,
			"privacy is '%s', and a text that ends anywhere may end within a personal "
			"item: segments need 'cloud'",
			privacy_name(q->verdict.policy));
	for (unsigned i = 0; i < q->query.n; i++) {
		const struct route_candidate *of = &q->query.candidates[i];

		if (of->kind == ROUTE_SMALL && of->refusal != ROUTE_USABLE)
			return err_set(
				why, "the small model: %s", route_refusal_words(of->refusal));
	}
	return 0;
}

/* --- a segment ----------------------------------------------------------------------------------- */

static void
on_cloud_text(void *arg, const char *delta, size_t len)
{
	struct routed *q = arg;

	segment_run_heard(q->segments, delta, len);
}

static void
on_cloud_end(void *arg, const char *finish, const struct cloud_usage *usage, uint64_t cost)
{
	struct routed *q = arg;

	(void)usage;
	q->call = NULL;
	q->spent += cost;
	segment_run_segment_end(q->segments, finish != NULL ? finish : "stop");
}

static void
no_more(struct routed *q, const char *why)
{
	snprintf(q->no_segment, sizeof q->no_segment, "%s", why);
	log_info("%s: %s: no more segments: %s", q->id, q->names[q->choice.candidate], why);
}

static void
on_cloud_error(void *arg, const struct cloud_error *e, uint64_t cost)
{
	struct routed *q = arg;

	q->call = NULL;
	q->spent += cost;
	no_more(q, e->words);
	segment_run_lost(q->segments);
}

/* How many tokens the cloud may say now; 0: it is not asked. */
static uint32_t
tokens_of_next(
	const struct routed *q, const struct endpoint *e, uint32_t said, uint32_t most, bool all)
{
	uint32_t at_once = routed_most_tokens(q, e);
	struct segment_query g = {.price = e->price,
		.prompt = (uint32_t)((double)q->a.text_bytes / ROUTED_TOKEN_BYTES),
		.expected = (uint32_t)routed_expected_tokens(q),
		.said = said,
		.most = most < at_once ? most : at_once,
		.asked = q->segment.asked,
		.spent = q->spent};

	if (all && segment_forecast(&g, g.most) <= segment_whole(&g))
		return g.most;
	return all ? 0 : segment_next(&g);
}

static bool
on_ask(void *arg, const char *said, size_t len, uint32_t tokens, uint32_t most, bool all)
{
	const struct door_events events = {NULL, on_cloud_text, on_cloud_end, on_cloud_error, arg};
	struct routed *q = arg;
	const struct endpoint *e = routed_endpoint(q);
	uint32_t n = tokens_of_next(q, e, tokens, most, all);
	struct door_no no = {.why = DOOR_BROKEN};
	struct buf body;
	bool sent = false;

	if (n == 0) {
		no_more(q, most < SEGMENT_LEAST
				   ? "too little of the answer is left"
				   : "asking for all of it at once would have cost less");
		return false;
	}
	buf_init(&body, DOOR_MOST_BODY);
	if (wall_segment_body(&q->verdict, &q->a, e, said, len, n, &body, &no.err) == 0)
		sent = routed_send(q, e, &body, &events, &no);
	buf_free(&body);
	if (sent)
		q->segment.asked++;
	else
		no_more(q, no.err.msg);
	return sent;
}

static void
on_enough(void *arg)
{
	struct routed *q = arg;

	q->spent += door_cancel(q->call);
	q->call = NULL;
}

/* --- the answer ---------------------------------------------------------------------------------- */

static void
on_text(void *arg, const char *text, size_t len)
{
	routed_text(arg, text, len);
}

static void
on_end(void *arg, const char *reason, const struct usage *u, const struct segment_figures *f)
{
	struct routed *q = arg;

	q->segments = NULL;
	q->segment = *f;
	routed_finish(q, reason, u);
}

static void
on_error(void *arg, int status, const char *what)
{
	struct routed *q = arg;

	q->segments = NULL;
	log_warning("%s: %s: %s", q->id, q->names[q->choice.candidate], what);
	q->status = status;
	snprintf(q->why, sizeof q->why, "%s", what);
	routed_failed(q, "failed");
}

bool
routed_begin_segments(struct routed *q)
{
	static const struct segment_events events = {on_text, on_end, on_error, on_ask, on_enough};
	struct route_candidate *c = &q->query.candidates[q->choice.candidate];
	const struct served_model *small = routed_model(q, ROUTE_SMALL);
	struct err err = {"the prompt is too long for the small model"};
	struct session *s = NULL;

	if (small != NULL)
		s = routed_session(q, small, false, &err);
	c->refusal = ROUTE_USABLE; /* whatever the small model cannot take, the cloud may */
	q->restore = (struct redact_restore){0};
	if (s != NULL)
		q->segments = segment_run_begin(small, s, token_mode_margin(routed_threshold(q)),
			q->client, &events, q, &q->status, &err);
	if (q->segments == NULL)
		routed_not_by_token(q, err.msg);
	return q->segments != NULL;
}

void
routed_say_segments(const struct routed *q, json_t *o)
{
	const struct segment_figures *f = &q->segment;
	double all = (double)f->small + f->cloud;
	json_t *t = json_pack("{s:I,s:I,s:f,s:I,s:f}", "small_tokens", (json_int_t)f->small,
		"cloud_tokens", (json_int_t)f->cloud, "cloud_share", all > 0 ? f->cloud / all : 0.0,
		"segments", (json_int_t)f->asked, "threshold", (double)routed_threshold(q));

	if (q->no_segment[0] != '\0')
		json_object_set_new(t, "no_more", json_string(q->no_segment));
	json_object_set_new(o, "token", t);
}
