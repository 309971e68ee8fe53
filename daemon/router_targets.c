/* The registry of whom the router can ask: what each is expected to take for a query, and what is known of
 * it. Nothing of it is configured twice: speeds are measured, quality is learned or said in the file of
 * endpoints, prices stand there too, and power is what the owner says that the devices draw. */
#include "daemon/router_int.h"

#include "daemon/energy_message.h"

#include <math.h>
#include <time.h>

#define TOKENS_GUESS 128 /* of an answer, before there was any */

/* --- what a query would take ---------------------------------------------------------------------- */

double
routed_expected_tokens(const struct routed *q)
{
	double mean = q->router->mean_answer, most = (double)q->a.max_tokens;

	if (mean > 0 && mean <= most)
		return mean;
	return fmin(most, TOKENS_GUESS);
}

/* Of a model at home, by how fast it was with the requests that it has finished. */
static double
seconds_at_home(const struct routed *q, bool small)
{
	struct serve_pace pace;

	if (!serve_pace(q->router->serve, small, &pace))
		return ROUTE_UNKNOWN;
	return (double)q->a.text_bytes / ROUTED_TOKEN_BYTES / pace.prompt_tokens_per_s +
	       routed_expected_tokens(q) / pace.new_tokens_per_s;
}

static double
watts(const struct router *r, bool small)
{
	struct energy_told devices[SERVE_DEVICES];

	if (small)
		return r->small_watts;
	return energy_watts(devices, serve_energy(r->serve, devices));
}

static void
add_home(struct routed *q, enum route_target t)
{
	struct route_candidate *c = &q->query.candidates[q->query.n];
	const struct served_model *m = routed_model(q, t);
	bool small = t == ROUTE_SMALL;
	double drawn = watts(q->router, small);

	*c = (struct route_candidate){
		.kind = t, .seconds = seconds_at_home(q, small), .joules = ROUTE_UNKNOWN};
	if (c->seconds >= 0 && drawn > 0)
		c->joules = c->seconds * drawn;
	q->names[q->query.n++] = m != NULL ? m->id : "";
	if (m == NULL)
		c->refusal =
			serve_configured(q->router->serve, small) ? ROUTE_NOT_READY : ROUTE_ABSENT;
	else if (q->verdict.policy == PRIVACY_DEVICE && m->devices > 1)
		c->refusal = ROUTE_PRIVACY;
	else if (q->a.no_form.status != 0)
		c->refusal = ROUTE_FORM;
}

enum energy_lean
router_lean(struct router *r)
{
	struct energy_told devices[SERVE_DEVICES];

	return energy_lean(devices, serve_energy(r->serve, devices));
}

void
routed_add_home(struct routed *q)
{
	add_home(q, ROUTE_SMALL);
	add_home(q, ROUTE_LARGE);
	q->query.lean = router_lean(q->router);
}

/* Mean of the calls until now, the later ones more. */
void
router_saw_cloud(struct router *r, uint32_t endpoint, double seconds, uint32_t tokens)
{
	struct cloud_pace *p = &r->cloud_paces[endpoint];

	if (tokens == 0)
		return;
	*p = p->tokens <= 0 ? (struct cloud_pace){seconds, tokens}
			    : (struct cloud_pace){0.8 * p->seconds + 0.2 * seconds,
				      0.8 * p->tokens + 0.2 * tokens};
}

double
routed_seconds_in_cloud(const struct routed *q, uint32_t endpoint)
{
	const struct cloud_pace *p = &q->router->cloud_paces[endpoint];

	return p->tokens > 0 ? routed_expected_tokens(q) * p->seconds / p->tokens : ROUTE_UNKNOWN;
}

void
routed_set_limits(struct routed *q)
{
	q->query.max_seconds =
		q->said.max_latency_ms > 0 ? (double)q->said.max_latency_ms / 1e3 : ROUTE_UNKNOWN;
	q->query.max_joules = q->said.max_joules > 0 ? q->said.max_joules : ROUTE_UNKNOWN;
	route_limit(&q->query);
}

/* --- in words ------------------------------------------------------------------------------------ */

/* Of the model that the swarm serves: the swarm knows what it waits for. */
static void
words_of_absence(const struct routed *q, enum route_refusal r, char *out, size_t size)
{
	struct err why;

	if (serve_model(q->router->serve, &why) != NULL) /* by now */
		snprintf(out, size, "%s", route_refusal_words(r));
	else if (r == ROUTE_NOT_READY)
		snprintf(out, size, "%s: %s", route_refusal_words(r), why.msg);
	else
		snprintf(out, size, "%s", why.msg);
}

void
routed_refusal_words(const struct routed *q, unsigned i, char *out, size_t size)
{
	const struct route_candidate *c = &q->query.candidates[i];
	bool away = c->refusal == ROUTE_ABSENT || c->refusal == ROUTE_NOT_READY;

	if (c->refusal == ROUTE_SLOW)
		snprintf(out, size, "it would take about %.0f ms, and max_latency_ms is %.0f",
			c->seconds * 1e3, q->query.max_seconds * 1e3);
	else if (c->refusal == ROUTE_FORM)
		snprintf(out, size, "%s", q->a.no_form.message);
	else if (c->refusal == ROUTE_JOULES)
		snprintf(out, size, "it would take about %.3g J, and max_joules is %.3g", c->joules,
			q->query.max_joules);
	else if (away && c->kind == ROUTE_LARGE)
		words_of_absence(q, c->refusal, out, size);
	else if (c->refusal == ROUTE_ABSENT && c->kind == ROUTE_CLOUD)
		snprintf(out, size, "it takes chats only ('completions' in its section)");
	else if (c->refusal == ROUTE_UNREDACTED && q->a.kind == API_COMPLETION)
		snprintf(out, size,
			"a prompt may end within a personal item: it needs privacy 'cloud'");
	else
		snprintf(out, size, "%s", route_refusal_words(c->refusal));
}

/* The request's member that stands in the way; else it is the model that was asked for. */
const char *
routed_binding_param(const struct routed *q, enum route_refusal r)
{
	return r == ROUTE_SLOW       ? "shoal.max_latency_ms"
	       : r == ROUTE_JOULES   ? "shoal.max_joules"
	       : r == ROUTE_BUDGET   ? "shoal.budget"
	       : r == ROUTE_FORM     ? q->a.no_form.param
	       : r == ROUTE_LOGPROBS ? "logprobs"
	       : r == ROUTE_CONTEXT  ? api_prompt_param(&q->a)
				     : "model";
}

static void
add_expected(json_t *o, const char *key, double v)
{
	if (v >= 0)
		json_object_set_new(o, key, json_real(v));
}

json_t *
routed_expected(const struct routed *q, unsigned i)
{
	const struct route_candidate *c = &q->query.candidates[i];
	const float *p = q->before.estimate.p;
	json_t *o = json_object();

	add_expected(o, "seconds", c->seconds);
	add_expected(o, "joules", c->joules);
	if (c->kind == ROUTE_CLOUD)
		add_expected(o, "quality", c->quality > 0 ? c->quality : ROUTE_UNKNOWN);
	else if (q->before.known)
		add_expected(
			o, "quality", (double)p[c->kind == ROUTE_SMALL ? GAIN_SMALL : GAIN_LARGE]);
	return o;
}

/* --- the registry -------------------------------------------------------------------------------- */

/* Mean quality of the labelled prompts; below 0: there are none. */
static json_t *
home_target(struct router *r, bool small)
{
	const struct served_model *m =
		small ? serve_small(r->serve, NULL) : serve_model(r->serve, NULL);
	double quality = route_book_quality(r->book, small ? GAIN_SMALL : GAIN_LARGE);
	double drawn = watts(r, small);
	struct serve_pace pace;
	json_t *o;

	if (m == NULL)
		return NULL;
	o = json_pack("{s:s,s:s,s:i,s:I}", "target", small ? "small" : "large", "model", m->id,
		"devices", (int)m->devices, "context", (json_int_t)m->context);
	if (serve_pace(r->serve, small, &pace)) {
		add_expected(o, "prompt_tokens_per_s", pace.prompt_tokens_per_s);
		add_expected(o, "tokens_per_s", pace.new_tokens_per_s);
		if (drawn > 0)
			add_expected(o, "joules_per_token", drawn / pace.new_tokens_per_s);
	}
	add_expected(o, "quality", quality);
	add_expected(o, "price_in", 0);
	add_expected(o, "price_out", 0);
	return o;
}

static json_t *
cloud_target(const struct router *r, uint32_t i)
{
	const struct endpoint *e = endpoints_at(r->endpoints, i);
	const struct cloud_pace *p = &r->cloud_paces[i];
	json_t *o = json_pack("{s:s,s:s,s:I}", "target", "cloud", "model", e->name, "context",
		(json_int_t)e->context);

	if (p->tokens > 0)
		add_expected(o, "tokens_per_s", p->tokens / p->seconds);
	add_expected(o, "quality", (double)e->quality);
	if (e->price.in != PURSE_UNKNOWN && e->price.out != PURSE_UNKNOWN) {
		add_expected(o, "price_in", (double)e->price.in / 1e6);
		add_expected(o, "price_out", (double)e->price.out / 1e6);
	}
	return o;
}

json_t *
router_targets(struct router *r)
{
	json_t *list = json_array();

	for (int small = 1; small >= 0; small--) {
		json_t *o = home_target(r, small != 0);

		if (o != NULL)
			json_array_append_new(list, o);
	}
	for (uint32_t i = 0; i < endpoints_count(r->endpoints); i++)
		json_array_append_new(list, cloud_target(r, i));
	return list;
}

json_t *
router_energy(struct router *r)
{
	struct energy_told devices[SERVE_DEVICES];
	uint32_t n = serve_energy(r->serve, devices);
	json_t *o = energy_json(&devices[0]);

	json_object_set_new(o, "spared", json_boolean(energy_strained(devices, 1) > 0));
	json_object_set_new(
		o, "members_spared", json_integer((json_int_t)energy_strained(devices + 1, n - 1)));
	return o;
}
