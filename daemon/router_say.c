/* What the router says of what it did: to the client, to the log, and in figures. No text of a query
 * is in any of it, but for the features of a decision, which only its client sees. */
#include "daemon/router_int.h"

#include "daemon/document_reply.h"
#include "daemon/log.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

/* --- the object --------------------------------------------------------------------------------- */

const struct route_view *
routed_view(const struct routed *q)
{
	return q->judged ? &q->after : &q->before;
}

static json_t *
features(const struct routed *q)
{
	const struct gain_estimate *e = &routed_view(q)->estimate;
	json_t *list = json_array();
	char name[ROUTE_NAME];

	for (uint32_t i = 0; i < e->n_why; i++) {
		gain_why_name(&e->why[i], q->text, q->prompt, strlen(q->prompt), name);
		json_array_append_new(list,
			json_pack("{s:s,s:f}", "feature", name, "part", (double)e->why[i].part));
	}
	return list;
}

static json_t *
refusals(const struct routed *q)
{
	json_t *list = json_array();
	char words[160];

	for (unsigned i = 0; i < q->query.n; i++) {
		const struct route_candidate *c = &q->query.candidates[i];
		bool told = (c->refusal == ROUTE_PRIVACY || c->refusal == ROUTE_TAINTED) &&
			    q->verdict.why[0] != '\0';

		if (c->refusal == ROUTE_USABLE || c->refusal == ROUTE_ABSENT)
			continue;
		routed_refusal_words(q, i, words, sizeof words);
		json_array_append_new(list,
			json_pack("{s:s,s:s,s:s,s:s,s:s*}", "target", route_target_name(c->kind),
				"model", q->names[i], "reason", route_refusal_name(c->refusal),
				"words", told ? q->verdict.why : words, "where",
				told && q->verdict.where[0] != '\0' ? q->verdict.where : NULL));
	}
	return list;
}

static json_t *
attempts(const struct routed *q)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < q->n_attempts; i++) {
		const struct attempt *t = &q->attempts[i];

		json_array_append_new(
			list, json_pack("{s:s,s:s,s:s,s:s,s:I,s:f}", "target",
				      route_target_name(q->query.candidates[t->candidate].kind),
				      "model", q->names[t->candidate], "reason",
				      route_reason_name(t->reason), "end", t->end, "tokens",
				      (json_int_t)t->tokens, "seconds", t->seconds));
	}
	return list;
}

json_t *
routed_said(const struct routed *q)
{
	const struct route_view *v = routed_view(q);
	int c = q->choice.candidate;
	json_t *o = json_pack("{s:s?,s:s?,s:s,s:s,s:s,s:f,s:f,s:f,s:s,s:f}", "target",
		c >= 0 ? route_target_name(q->query.candidates[c].kind) : NULL, "model",
		c >= 0 ? q->names[c] : NULL, "reason", route_reason_name(q->choice.reason), "words",
		route_reason_words(q->choice.reason), "privacy", privacy_name(q->verdict.policy),
		"gain", (double)v->estimate.gain, "threshold",
		isfinite(v->threshold) ? (double)v->threshold : (v->threshold > 0 ? 1e9 : -1e9),
		"known", (double)v->estimate.known, "rests_on",
		gain_reason_name(v->estimate.reason), "quality", (double)q->wish.quality);

	if (q->wish.at_least >= 0) {
		json_object_set_new(o, "at_least", json_real((double)q->wish.at_least));
		json_object_set_new(o, "promised", json_boolean(q->after.promised));
	}
	if (c >= 0)
		json_object_set_new(o, "expected", routed_expected(q, (unsigned)c));
	json_object_set_new(o, "features", features(q));
	json_object_set_new(o, "refused", refusals(q));
	json_object_set_new(o, "attempts", attempts(q));
	json_object_set_new(o, "cost", json_real((double)q->spent / 1e6));
	json_object_set_new(o, "bytes_out", json_integer((json_int_t)q->bytes_out));
	json_object_set_new(o, "redactions", json_integer((json_int_t)q->redactions));
	json_object_set_new(o, "wasted_tokens", json_integer((json_int_t)q->wasted_tokens));
	routed_say_token(q, o);
	return o;
}

/* --- memory ------------------------------------------------------------------------------------- */

static void
count(struct routed *q)
{
	struct router_figures *f = &q->router->figures;
	int c = q->choice.candidate;

	f->queries++;
	if (c >= 0)
		f->answered[q->query.candidates[c].kind][q->choice.reason]++;
	else
		f->failed++;
	for (unsigned i = 0; i < q->query.n; i++)
		f->refused[q->query.candidates[i].kind][q->query.candidates[i].refusal]++;
	f->wasted_tokens += q->wasted_tokens;
	f->escalations += q->choice.reason == ROUTE_TOKENS_DOUBT;
	routed_count_token(q);
}

void
router_remember(struct router *r, const char *id, enum route_target target, json_t *said,
	const struct gain_row *row, const struct gain_estimate *expected)
{
	struct decision *d = &r->recent[r->n_recent++ % ROUTER_RECENT];

	json_decref(d->said);
	*d = (struct decision){.time = (uint64_t)time(NULL),
		.target = target,
		.said = said,
		.row = *row,
		.expected = *expected};
	snprintf(d->id, sizeof d->id, "%s", id);
}

/* Those of the prompt, and names of tools. */
static void
drop_words(json_t *said)
{
	json_t *o;
	size_t i;

	json_object_del(said, "features");
	json_array_foreach(json_object_get(said, "refused"), i, o)
	{
		json_object_del(o, "where");
	}
}

void
routed_note(struct routed *q)
{
	static const float unknown[GAIN_MODELS] = {GAIN_UNKNOWN, GAIN_UNKNOWN, GAIN_UNKNOWN};
	int c = q->choice.candidate;
	json_t *said = json_deep_copy(q->answer.shoal);
	struct gain_row row;

	count(q);
	drop_words(said);
	gain_row_make(&row, q->text, q->signals.n > 0 ? q->figures : NULL, unknown);
	router_remember(q->router, q->answer.head.id,
		c >= 0 && q->choice.reason != ROUTE_BY_TOKEN ? q->query.candidates[c].kind
							     : ROUTE_TARGETS,
		said, &row, &routed_view(q)->estimate);
	log_info("%s: routed to %s (%s), %s", q->id,
		c >= 0 ? route_target_name(q->query.candidates[c].kind) : "nobody",
		c >= 0 ? q->names[c] : "-", route_reason_name(q->choice.reason));
}

static struct decision *
find(struct router *r, const char *id)
{
	for (unsigned i = 0; i < ROUTER_RECENT; i++)
		if (r->recent[i].said != NULL && strcmp(r->recent[i].id, id) == 0)
			return &r->recent[i];
	return NULL;
}

static json_t *
decision_json(const struct decision *d)
{
	return json_pack(
		"{s:s,s:I,s:O}", "id", d->id, "time", (json_int_t)d->time, "shoal", d->said);
}

json_t *
router_why(struct router *r, const char *id)
{
	const struct decision *d = find(r, id);

	return d != NULL ? decision_json(d) : NULL;
}

json_t *
router_log(struct router *r, size_t n)
{
	json_t *list = json_array();
	uint64_t there = r->n_recent < ROUTER_RECENT ? r->n_recent : ROUTER_RECENT;

	if (n > there)
		n = (size_t)there;
	for (uint64_t i = r->n_recent - n; i < r->n_recent; i++)
		json_array_append_new(list, decision_json(&r->recent[i % ROUTER_RECENT]));
	return list;
}

int
router_feedback(struct router *r, const char *id, float right, float other, struct err *err)
{
	struct decision *d = find(r, id);
	struct gain_row row;
	bool small;

	if (d == NULL)
		return err_set(err, "nothing is known of an answer '%.48s': the last %d are", id,
			ROUTER_RECENT);
	small = d->target == ROUTE_SMALL;
	if (d->target != ROUTE_SMALL && d->target != ROUTE_LARGE)
		return err_set(
			err, "the answer '%.48s' is not of one of the models at home alone", id);
	row = d->row;
	row.label[GAIN_SMALL] = small ? right : other;
	row.label[GAIN_LARGE] = small ? other : right;
	labels_drop(r->labels, id); /* this one is better */
	return route_book_label(r->book, &row, &d->expected, err);
}

/* --- status ------------------------------------------------------------------------------------- */

static json_t *
counts(const struct router_figures *f, bool answered)
{
	json_t *o = json_object();

	for (int t = 0; t < ROUTE_TARGETS; t++) {
		json_t *of = json_object();
		int n = answered ? (int)ROUTE_REASONS : (int)ROUTE_REFUSALS;

		for (int i = 0; i < n; i++) {
			uint64_t v = answered ? f->answered[t][i] : f->refused[t][i];
			bool says = answered || (i != ROUTE_USABLE && i != ROUTE_ABSENT);

			if (v > 0 && says)
				json_object_set_new(of,
					answered ? route_reason_name((enum route_reason)i)
						 : route_refusal_name((enum route_refusal)i),
					json_integer((json_int_t)v));
		}
		json_object_set_new(o, route_target_name((enum route_target)t), of);
	}
	return o;
}

static json_t *
document_status(const struct document_figures *f)
{
	return json_pack("{s:I,s:I,s:I,s:{s:I,s:I,s:I,s:I},s:I,s:I,s:I,s:I,s:I}", "requests",
		(json_int_t)f->requests, "failed", (json_int_t)f->failed, "rounds",
		(json_int_t)f->rounds, "jobs", "missing", (json_int_t)f->jobs[DOCUMENT_MISSING],
		"bad", (json_int_t)f->jobs[DOCUMENT_BAD], "nothing",
		(json_int_t)f->jobs[DOCUMENT_NOTHING], "said", (json_int_t)f->jobs[DOCUMENT_SAID],
		"quotes", (json_int_t)f->quotes, "quotes_dropped", (json_int_t)f->quotes_dropped,
		"bytes_out", (json_int_t)f->bytes_out, "went_up", (json_int_t)f->went_up,
		"wasted_tokens", (json_int_t)f->wasted_tokens);
}

json_t *
router_status(struct router *r)
{
	const struct router_figures *f = &r->figures;
	json_t *o = json_pack("{s:s,s:f,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "privacy",
		privacy_name(wall_policy(r->wall)), "quality", (double)r->quality, "queries",
		(json_int_t)f->queries, "failed", (json_int_t)f->failed, "escalations",
		(json_int_t)f->escalations, "wasted_tokens", (json_int_t)f->wasted_tokens,
		"answered", counts(f, true), "refused", counts(f, false), "learned",
		route_book_status(r->book));

	json_object_set_new(o, "document", document_status(&f->document));
	json_object_set_new(o, "token",
		json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "small_tokens",
			(json_int_t)f->token.small, "cloud_tokens", (json_int_t)f->token.cloud,
			"segments", (json_int_t)f->token.segments, "large_tokens",
			(json_int_t)f->token.large, "drafted", (json_int_t)f->token.drafted,
			"accepted", (json_int_t)f->token.accepted, "large_asked",
			(json_int_t)f->token.asked, "threshold", (double)r->token_threshold));
	json_object_set_new(o, "labels", labels_status(r->labels));
	json_object_set_new(o, "targets", router_targets(r));
	json_object_set_new(o, "energy", router_energy(r));
	if (endpoints_count(r->endpoints) > 0)
		json_object_set_new(o, "clouds", router_clouds(r));
	return o;
}

/* --- instead of an answer ----------------------------------------------------------------------- */

/* What would be done. */
void
routed_explain(struct routed *q)
{
	json_t *said = routed_said(q);

	json_object_set_new(said, "cascade", json_boolean(q->choice.cascade));
	if (q->choice.candidate >= 0 &&
		q->query.candidates[q->choice.candidate].kind == ROUTE_CLOUD)
		json_object_set_new(said, "preview", routed_preview(q));
	http_json(q->answer.http, 200,
		json_pack("{s:s,s:s,s:o}", "object", "shoal.route", "model", q->a.model, "shoal",
			said));
}

/* Clients know one of them by OpenAI's word, and send less then. */
static const char *
refusal_code(enum route_refusal why)
{
	return why == ROUTE_CONTEXT ? "context_length_exceeded" : route_refusal_name(why);
}

/* Of all that were asked for and why they cannot; the status and the code are those of the one that stands
 * in the way. */
void
routed_refuse(struct routed *q)
{
	static const int status[ROUTE_REFUSALS] = {[ROUTE_PRIVACY] = 403,
		[ROUTE_TAINTED] = 403,
		[ROUTE_UNREDACTED] = 403,
		[ROUTE_PRICE] = 402,
		[ROUTE_BUDGET] = 402,
		[ROUTE_CONTEXT] = 400,
		[ROUTE_SLOW] = 400,
		[ROUTE_JOULES] = 400,
		[ROUTE_FORM] = 400,
		[ROUTE_LOGPROBS] = 400,
		[ROUTE_ABSENT] = 404};
	int binding = route_binding(&q->query);
	enum route_refusal why;
	char words[512] = "", one[256];
	size_t len = 0;

	if (binding < 0) {
		http_fail(q->answer.http, 404, "absent", "model",
			"nobody can answer '%s': no cloud is configured ('cloud' in shoald.conf)",
			q->a.model);
		return;
	}
	for (unsigned i = 0; i < q->query.n && len < sizeof words; i++) {
		const struct route_candidate *c = &q->query.candidates[i];

		if (!route_asked_for(q->query.ask, c->kind))
			continue;
		routed_refusal_words(q, i, one, sizeof one);
		len += (size_t)snprintf(words + len, sizeof words - len, "%s%s%s%s: %s",
			len > 0 ? "; " : "", route_target_name(c->kind),
			q->names[i][0] != '\0' ? " " : "", q->names[i], one);
	}
	why = q->query.candidates[binding].refusal;
	http_fail(q->answer.http, status[why] != 0 ? status[why] : 503, refusal_code(why),
		routed_binding_param(q, why), "nobody can answer '%s': %s", q->a.model, words);
}
