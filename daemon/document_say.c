/* What document mode says of what it did. The texts, quotes and what models wrote, go to who asked;
 * what is remembered and logged has none of them. */
#include "daemon/document_int.h"

#include "daemon/log.h"

#include <stdlib.h>

#define PROGRESS_MS 100
#define LIST_MOST   (1u << 20) /* bytes */

/* --- findings ------------------------------------------------------------------------------------- */

json_t *
document_findings(struct document_run *d, const struct document_shown *shown, size_t max_bytes,
	size_t *left_out)
{
	struct document_reply *replies = calloc(d->n_jobs + 1, sizeof *replies);
	uint32_t *parts = calloc(d->n_jobs + 1, sizeof *parts);
	json_t *list = NULL;

	*left_out = 0;
	for (uint32_t i = 0; replies != NULL && parts != NULL && i < d->n_jobs; i++) {
		replies[i] = shown != NULL ? shown->replies[i] : d->jobs[i].reply;
		parts[i] = d->jobs[i].part;
	}
	if (replies != NULL && parts != NULL)
		list = document_merge(replies, parts, d->n_jobs, max_bytes, left_out);
	free(replies);
	free(parts);
	return list;
}

static bool
said(const struct document_job *j)
{
	return j->state == JOB_DONE && j->reply.state == DOCUMENT_SAID;
}

static void
list_one(const struct document_run *d, const struct document_job *j, struct buf *out)
{
	struct document_place p;

	document_texts_place(&d->texts, j->part, &p);
	if (d->texts.n > 1)
		buf_printf(out, "Document %u, ", p.document + 1);
	buf_printf(out, "%s", d->texts.n > 1 ? "line" : "Line");
	if (p.last_line > p.line)
		buf_printf(out, "s %zu-%zu", p.line, p.last_line);
	else
		buf_printf(out, " %zu", p.line);
	buf_printf(out, ": %s\n", j->reply.answer);
}

void
document_list(const struct document_run *d, struct buf *out)
{
	const char *only = NULL;
	bool several = false;
	uint32_t failed = document_jobs_failed(d);

	for (uint32_t i = 0; i < d->n_jobs; i++) {
		if (!said(&d->jobs[i]))
			continue;
		several |= only != NULL && strcmp(only, d->jobs[i].reply.answer) != 0;
		only = d->jobs[i].reply.answer;
	}
	if (only == NULL)
		buf_str(out, "Nothing about it was found.");
	else if (!several)
		buf_str(out, only);
	for (uint32_t i = 0; several && i < d->n_jobs && out->len < LIST_MOST / 2; i++)
		if (said(&d->jobs[i]))
			list_one(d, &d->jobs[i], out);
	if (several)
		out->len--; /* the last line's end */
	if (only == NULL && failed > 0)
		buf_printf(out, " %u of %u requests about it failed.", failed, d->n_jobs);
}

/* --- quotes --------------------------------------------------------------------------------------- */

static bool
is_there(json_t *list, const struct document_place *p)
{
	json_t *q;
	size_t i;

	json_array_foreach(list, i, q)
	{
		if (json_integer_value(json_object_get(q, "document")) == p->document + 1 &&
			json_integer_value(json_object_get(q, "at")) == (json_int_t)p->at &&
			json_integer_value(json_object_get(q, "bytes")) == (json_int_t)p->len)
			return true;
	}
	return false;
}

static void
add_quote(const struct document_run *d, json_t *list, const struct document_place *p)
{
	if (is_there(list, p) || json_array_size(list) >= DOCUMENT_QUOTES_MAX)
		return;
	json_array_append_new(
		list, json_pack("{s:s%,s:I,s:I,s:I,s:I,s:I,s:I}", "text",
			      d->texts.text[p->document] + p->at, p->len, "document",
			      (json_int_t)p->document + 1, "part", (json_int_t)p->part + 1, "at",
			      (json_int_t)p->at, "bytes", (json_int_t)p->len, "line",
			      (json_int_t)p->line, "last_line", (json_int_t)p->last_line));
}

json_t *
document_quotes(struct document_run *d, const char *const *quotes, size_t n)
{
	json_t *list = json_array();
	struct document_place p;

	for (size_t i = 0; i < n; i++) {
		if (document_texts_find(&d->texts, quotes[i], strlen(quotes[i]), &p))
			add_quote(d, list, &p);
		else
			d->dropped_quotes++;
	}
	return list;
}

json_t *
document_quotes_found(struct document_run *d)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < d->n_jobs; i++) {
		const struct document_job *j = &d->jobs[i];
		struct document_part where;
		struct document_place p;
		size_t len;
		const char *part = document_texts_part(&d->texts, j->part, &len);

		for (size_t k = 0; said(j) && k < j->reply.n_quotes; k++) {
			const char *quote = j->reply.quotes[k];

			if (!document_quote_find(part, len, quote, strlen(quote), &where))
				continue;
			document_texts_within(&d->texts, j->part, &where, &p);
			add_quote(d, list, &p);
		}
	}
	return list;
}

/* --- the object ----------------------------------------------------------------------------------- */

static json_t *
readers(const struct document_run *d)
{
	json_t *list = json_array();

	for (int t = 0; t < d->n_workers; t++) {
		const struct document_worker *w = &d->workers[t];

		if (w->usable || w->done > 0)
			json_array_append_new(
				list, json_pack("{s:s,s:s,s:s*,s:I,s:f}", "target",
					      route_target_name(w->target), "model", w->name,
					      "peer", w->helper[0] != '\0' ? w->helper : NULL,
					      "jobs", (json_int_t)w->done, "seconds", w->seconds));
	}
	return list;
}

static json_t *
supervisors(const struct document_run *d)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < d->n_calls; i++) {
		const struct document_call *c = &d->calls[i];

		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:f,s:I}", "target",
						    route_target_name(c->target), "model", c->name,
						    "for", c->what, "end", c->end, "seconds",
						    c->seconds, "bytes_out", (json_int_t)c->bytes));
	}
	return list;
}

static const char *
words(const struct document_run *d)
{
	if (strcmp(d->concluded_by, "whole") == 0)
		return "the document was asked in one request: it fits into the model's context";
	if (strcmp(d->concluded_by, "supervisor") == 0)
		return "the document was read at home part by part, and a supervisor concluded "
		       "from what was found";
	if (strcmp(d->concluded_by, "listing") == 0)
		return "the document was read at home, and what was found is listed as it is";
	return "nobody answered";
}

json_t *
document_said(struct document_run *d, json_t *quotes)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}",
		"mode", "document", "reason", "document", "words", words(d), "privacy",
		privacy_name(d->verdict.policy), "plan", d->plan_by, "conclusion", d->concluded_by,
		"documents", (json_int_t)d->texts.n, "bytes", (json_int_t)d->texts.bytes, "parts",
		(json_int_t)d->texts.n_parts, "rounds", (json_int_t)d->round, "jobs",
		(json_int_t)d->n_jobs, "failed_jobs", (json_int_t)document_jobs_failed(d),
		"findings_left_out", (json_int_t)d->left_out, "readers", readers(d), "supervisors",
		supervisors(d));

	json_object_set_new(o, "quotes", quotes);
	if (d->cascade.on && !d->wholly)
		json_object_set_new(o, "cascade", document_cascade_said(d));
	json_object_set_new(o, "quotes_dropped", json_integer(d->dropped_quotes));
	if (d->plan_trouble[0] != '\0')
		json_object_set_new(o, "plan_trouble", json_string(d->plan_trouble));
	if (d->no_cloud[0] != '\0')
		json_object_set_new(o, "no_cloud", json_string(d->no_cloud));
	json_object_set_new(o, "cost", json_real((double)d->spent / 1e6));
	json_object_set_new(o, "bytes_out", json_integer((json_int_t)d->bytes_out));
	return o;
}

/* --- memory --------------------------------------------------------------------------------------- */

static void
count(struct document_run *d, enum route_target t)
{
	struct document_figures *f = &d->router->figures.document;

	f->requests++;
	f->failed += t == ROUTE_TARGETS;
	f->rounds += d->round;
	f->bytes_out += d->bytes_out;
	f->went_up += d->cascade.went_up;
	f->wasted_tokens += d->cascade.wasted_tokens;
	f->quotes_dropped += d->dropped_quotes;
	f->quotes += json_array_size(json_object_get(d->answer.shoal, "quotes"));
	for (uint32_t i = 0; i < d->n_jobs; i++)
		if (d->jobs[i].state == JOB_DONE)
			f->jobs[d->jobs[i].reply.state]++;
}

void
document_note(struct document_run *d, enum route_target target)
{
	static const struct gain_row no_row;
	static const struct gain_estimate nothing;
	json_t *kept = json_deep_copy(d->answer.shoal);

	count(d, target);
	json_object_set_new(kept, "quotes",
		json_integer((json_int_t)json_array_size(json_object_get(kept, "quotes"))));
	json_object_del(kept, "plan_trouble"); /* words of models */
	json_object_del(kept, "no_cloud");
	router_remember(d->router, d->answer.head.id, ROUTE_TARGETS, kept, &no_row, &nothing);
	log_info("%s: %zu bytes of documents in %u parts: %u jobs in %u rounds, %u failed, "
		 "concluded by %s, %zu bytes out",
		d->answer.http->id, d->texts.bytes, d->texts.n_parts, d->n_jobs, d->round,
		document_jobs_failed(d), d->concluded_by, d->bytes_out);
}

/* --- meanwhile, and before ------------------------------------------------------------------------- */

void
document_progress(struct document_run *d)
{
	uint64_t now = uv_now(d->router->loop);
	char text[128];

	if (!d->answer.stream || (d->n_done < d->n_jobs && now - d->said_at < PROGRESS_MS))
		return;
	d->said_at = now;
	snprintf(text, sizeof text, "shoal {\"round\":%u,\"done\":%u,\"jobs\":%u}", d->round,
		d->n_done, d->n_jobs);
	sse_comment(d->answer.http, text);
}

void
document_explain(struct document_run *d)
{
	json_t *o = document_said(d, json_array());

	json_object_set_new(o, "words",
		json_string(d->wholly ? "the document would be asked in one request"
				      : "the document would be read part by part"));
	json_object_set_new(o, "plan", json_string(d->wholly ? "whole" : "supervisor"));
	if (!d->wholly && d->cloud != NULL)
		json_object_set_new(o, "preview", document_preview(d));
	else if (!d->wholly && d->supervisor >= 0)
		json_object_set_new(o, "supervisor", json_string(d->workers[d->supervisor].name));
	http_json(d->answer.http, 200,
		json_pack(
			"{s:s,s:s,s:o}", "object", "shoal.route", "model", d->a.model, "shoal", o));
}
