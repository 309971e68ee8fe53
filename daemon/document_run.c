/* From the plan to the answer, and what ends it early. */
#include "daemon/document_int.h"

#include "daemon/log.h"

#include <stdlib.h>

/* --- life ---------------------------------------------------------------------------------------- */

static void
on_closed(uv_handle_t *h)
{
	struct document_run *d = h->data;

	for (uint32_t i = 0; i < d->n_jobs; i++)
		document_reply_free(&d->jobs[i].reply);
	for (int i = 0; i < DOCUMENT_ROUNDS_MAX; i++)
		document_plan_free(&d->plans[i]);
	api_answer_free(&d->answer);
	document_texts_free(&d->texts);
	wall_verdict_free(&d->verdict);
	redact_known_free(d->known);
	api_request_free(&d->judged);
	api_request_free(&d->a);
	document_prompt_free(&d->prompt);
	buf_free(&d->body);
	free(d->cascade.text);
	free(d->jobs);
	free(d);
}

static void
document_free(struct document_run *d)
{
	uv_close((uv_handle_t *)&d->again, on_closed);
}

static void
stop(struct document_run *d)
{
	document_jobs_cancel(d);
	if (d->supervising != NULL)
		d->spent += document_ask_cancel(d->supervising);
	d->supervising = NULL;
}

/* The client has gone away, its time is up, or the daemon stops. */
static void
on_gone(void *job)
{
	struct document_run *d = job;

	stop(d);
	log_info("%s: cancelled", d->answer.http->id);
	document_free(d);
}

void
document_fail(struct document_run *d, int status, const char *why, const char *logged)
{
	stop(d);
	d->concluded_by = "nobody";
	d->answer.shoal = document_said(d, json_array());
	document_note(d, ROUTE_TARGETS);
	api_answer_fail(&d->answer, status, why, logged);
	document_free(d);
}

/* --- the answer ----------------------------------------------------------------------------------- */

static void
add_headers(struct document_run *d, enum route_target t, const char *model)
{
	struct http_request *h = d->answer.http;

	if (d->answer.stream || h->response == NULL)
		return;
	http_header(h, "X-Shoal-Target", route_target_name(t));
	http_header(h, "X-Shoal-Model", model);
	http_header(h, "X-Shoal-Reason", "document");
}

/* Ends it; quotes is taken. t: who wrote the answer. */
static void
finish(struct document_run *d, enum route_target t, const char *model, const char *text, size_t len,
	json_t *quotes)
{
	snprintf(d->answer.head.model, sizeof d->answer.head.model, "%s", model);
	d->answer.shoal = document_said(d, quotes);
	json_object_set_new(d->answer.shoal, "target", json_string(route_target_name(t)));
	json_object_set_new(d->answer.shoal, "model", json_string(model));
	document_note(d, t);
	if (len > 0)
		wall_made(d->router->wall, &d->verdict, text, len);
	document_count_stands(d);
	d->usage.new_seconds = (double)(uv_now(d->router->loop) - d->since) / 1e3;
	api_answer_text(&d->answer, text, len);
	api_answer_end(&d->answer, "stop", &d->usage);
	add_headers(d, t, model);
	document_free(d);
}

/* Who has read: the one that has read most. */
static const struct document_worker *
main_reader(const struct document_run *d)
{
	const struct document_worker *best = &d->workers[0];

	for (int t = 1; t < d->n_workers; t++)
		if (d->workers[t].done > best->done)
			best = &d->workers[t];
	return best;
}

static void
finish_list(struct document_run *d)
{
	const struct document_worker *w = main_reader(d);
	struct buf text;

	d->concluded_by = "listing";
	buf_init(&text, 1u << 20);
	document_list(d, &text);
	finish(d, w->target, w->name, (const char *)text.data, text.len, document_quotes_found(d));
	buf_free(&text);
}

static void
finish_supervised(struct document_run *d, const char *text, size_t len, json_t *quotes)
{
	const struct document_call *c = &d->calls[d->n_calls - 1];

	d->concluded_by = "supervisor";
	if (json_array_size(quotes) == 0) { /* it named none: those that it was given */
		json_decref(quotes);
		quotes = document_quotes_found(d);
	}
	finish(d, c->target, c->name, text, len, quotes);
}

/* --- rounds --------------------------------------------------------------------------------------- */

static void
conclude(struct document_run *d)
{
	d->stage = STAGE_CONCLUDE;
	document_supervise(d);
}

static void
begin_round(struct document_run *d, const struct document_request *requests, size_t n)
{
	d->stage = STAGE_READ;
	d->round++;
	document_jobs_add(d, requests, n);
	document_progress(d);
	document_jobs_go_on(d);
	if (d->n_done == d->n_jobs)
		document_jobs_over(d);
}

/* The question itself, of every part. */
static void
ask_all(struct document_run *d)
{
	struct document_request *all = calloc(d->texts.n_parts, sizeof *all);

	if (all == NULL) {
		document_fail(d, 503, "out of memory", "out of memory");
		return;
	}
	for (uint32_t i = 0; i < d->texts.n_parts; i++)
		all[i] = (struct document_request){d->question, i};
	d->plan_by = "question";
	begin_round(d, all, d->texts.n_parts);
	free(all);
}

void
document_jobs_over(struct document_run *d)
{
	uint32_t missing = 0;

	for (uint32_t i = 0; i < d->n_jobs; i++)
		missing += d->jobs[i].reply.state == DOCUMENT_MISSING;
	if (missing == d->n_jobs)
		document_fail(d, d->status, d->why, "no part could be read");
	else
		conclude(d);
}

static void
planned(struct document_run *d, const char *text, size_t len)
{
	const struct document_limits l = {d->texts.n_parts, document_max_requests(d), 1};
	struct document_plan *p = &d->plans[0];
	struct err why = {"its plan reads nothing"};

	if (text != NULL && document_plan_parse(text, len, &l, 0, p, &why) == 0 &&
		p->n_requests > 0) {
		d->plan_by = "supervisor";
		begin_round(d, p->requests, p->n_requests);
		return;
	}
	document_plan_free(p);
	if (text != NULL)
		snprintf(d->plan_trouble, sizeof d->plan_trouble, "%.190s", why.msg);
	ask_all(d);
}

static void
concluded(struct document_run *d, const char *text, size_t len)
{
	const struct document_limits l = {
		d->texts.n_parts, document_max_requests(d), d->said.document.rounds};
	struct document_plan p = {0};
	struct err why;

	if (text == NULL) {
		finish_list(d);
		return;
	}
	if (document_plan_parse(text, len, &l, d->round, &p, &why) != 0) {
		document_plan_free(&p);
		if (len > 0 && len <= DOCUMENT_ANSWER_MAX && memchr(text, '{', len) == NULL)
			finish_supervised(d, text, len, json_array()); /* plain words */
		else
			finish_list(d);
	} else if (p.n_requests > 0) {
		d->plans[d->round] = p;
		begin_round(d, p.requests, p.n_requests);
	} else {
		finish_supervised(
			d, p.answer, strlen(p.answer), document_quotes(d, p.quotes, p.n_quotes));
		document_plan_free(&p);
	}
}

void
document_supervised(struct document_run *d, const char *text, size_t len)
{
	if (d->stage == STAGE_PLAN)
		planned(d, text, len);
	else
		concluded(d, text, len);
}

/* --- in one request ------------------------------------------------------------------------------- */

static void ask_whole(struct document_run *d);

/* All of the documents as one text, for quotes. */
static void
join(const struct document_texts *t, struct buf *out)
{
	for (uint32_t i = 0; i < t->n; i++) {
		buf_append(out, t->text[i], t->len[i]);
		buf_str(out, i + 1 < t->n ? "\n" : "");
	}
}

static void
whole_said(struct document_run *d, const struct document_heard *h)
{
	struct document_job *j = &d->jobs[0];
	const struct document_worker *w = &d->workers[j->last];
	struct buf all;

	buf_init(&all, 0);
	join(&d->texts, &all);
	document_reply_judge(h->text, h->len, (const char *)all.data, all.len, &j->reply, NULL);
	buf_free(&all);
	d->dropped_quotes += (uint32_t)j->reply.n_dropped;
	j->by = w->target;
	j->tokens = h->new_tokens;
	j->state = JOB_DONE;
	d->n_done = 1;
	if (j->reply.state != DOCUMENT_SAID) {
		finish_list(d);
		return;
	}
	d->concluded_by = "whole";
	finish(d, w->target, w->name, j->reply.answer, strlen(j->reply.answer),
		document_quotes(d, j->reply.quotes, j->reply.n_quotes));
}

static void
on_whole(void *arg, const struct document_heard *h)
{
	struct document_job *j = arg;
	struct document_run *d = j->run;
	struct document_worker *w = &d->workers[j->last];

	j->ask = NULL;
	w->done++;
	w->seconds += h->seconds;
	d->usage.prompt_tokens += h->prompt_tokens;
	d->usage.new_tokens += h->new_tokens;
	if (h->status == 0) {
		whole_said(d, h);
		return;
	}
	log_warning("%s: %s: %s", d->answer.http->id, w->name, h->why);
	d->status = h->status;
	snprintf(d->why, sizeof d->why, "%.250s", h->why);
	w->usable = false;
	ask_whole(d);
}

static bool
begin_whole(struct document_run *d, int t)
{
	struct document_job *j = &d->jobs[0];
	const struct served_model *m = document_model(d, (enum route_target)t);
	struct document_question q = {.sampler = d->a.sampler,
		.seeded = d->a.seeded,
		.max_tokens = d->a.max_tokens,
		.client = d->answer.http->client};
	struct err err = {"it is not there any more"};

	d->status = 503;
	if (m != NULL && document_prompt_whole(
				 &d->prompt, &d->texts, d->question, d->workers[t].plain) == 0) {
		q.messages = d->prompt.messages;
		q.n = d->prompt.n;
		j->last = t;
		j->ask = document_ask_model(d->router, m, &q, on_whole, j, &d->status, &err);
	}
	if (j->ask == NULL)
		snprintf(d->why, sizeof d->why, "%.250s", err.msg);
	return j->ask != NULL;
}

/* The model of the swarm, else the small one. */
static void
ask_whole(struct document_run *d)
{
	for (int t = ROUTE_CLOUD; t-- > 0;) {
		if (d->workers[t].usable && begin_whole(d, t))
			return;
		d->workers[t].usable = false;
	}
	document_fail(d, d->status, d->why, "nobody could be asked");
}

/* --- a request ------------------------------------------------------------------------------------ */

static void
begin(struct document_run *d)
{
	struct http_request *h = d->answer.http;

	if (d->said.explain) {
		document_explain(d);
		document_free(d);
		return;
	}
	/* From here on its text may come back as history. */
	wall_made(d->router->wall, &d->verdict, NULL, 0);
	http_wait(h, on_gone, d);
	api_answer_begin(&d->answer);
	if (d->wholly) {
		d->stage = STAGE_WHOLE;
		d->plan_by = "whole";
		d->n_jobs = 1;
		d->jobs[0] = (struct document_job){.run = d, .instruction = d->question};
		ask_whole(d);
	} else {
		d->stage = STAGE_PLAN;
		document_supervise(d);
	}
}

void
document_answer(
	struct router *r, struct http_request *h, const struct api_format *f, struct api_request *a)
{
	struct document_run *d = calloc(1, sizeof *d);

	if (d == NULL) {
		http_fail(h, 503, NULL, NULL, "out of memory");
		return;
	}
	d->router = r;
	d->since = uv_now(r->loop);
	d->a = *a;
	*a = (struct api_request){0};
	d->plan_by = d->concluded_by = "nobody";
	document_prompt_init(&d->prompt);
	buf_init(&d->body, DOOR_MOST_BODY);
	api_answer_init(&d->answer, h, f, &d->a, d->a.model);
	uv_timer_init(r->loop, &d->again);
	d->again.data = d;
	if (document_setup(d, h) == 0)
		begin(d);
	else
		document_free(d);
}
