#include "daemon/api_generate.h"

#include "daemon/answers.h"
#include "daemon/api_answer.h"
#include "daemon/api_form.h"
#include "daemon/log.h"
#include "daemon/route_said.h"
#include "daemon/router.h"
#include "daemon/wall.h"

#include <stdlib.h>

#define MOST_SAID (1u << 20) /* of a text: longer ones are not known again */

struct generation {
	struct api_answer answer;
	struct desk *desk;
	struct request *request;
	struct wall_verdict verdict; /* zero: nothing is remembered */
	struct buf said;             /* for that */
};

static void
generation_free(struct generation *g)
{
	api_answer_free(&g->answer);
	wall_verdict_free(&g->verdict);
	buf_free(&g->said);
	free(g);
}

/* --- what is remembered --- */

static void
record_text(void *arg, const char *text, size_t len)
{
	struct generation *g = arg;

	router_said(g->answer.http->http->router, &g->verdict, text, len);
}

static void
record(struct generation *g)
{
	if (g->verdict.record == NULL)
		return;
	if (g->answer.tools)
		api_answer_texts(&g->answer, record_text, g);
	else
		record_text(g, (const char *)g->said.data, g->said.len);
}

/* --- the desk's events --- */

static void
on_text(void *arg, const char *text, size_t len)
{
	struct generation *g = arg;

	if (g->verdict.record != NULL && g->said.len + len <= MOST_SAID)
		buf_append(&g->said, text, len);
	api_answer_text(&g->answer, text, len);
	if (api_answer_enough(&g->answer))
		desk_stop(g->desk, g->request);
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct generation *g = arg;

	api_answer_flush(&g->answer);
	record(g);
	api_answer_end(&g->answer, session_end_name(end), u);
	generation_free(g);
}

static void
on_error(void *arg, int status, const char *what)
{
	struct generation *g = arg;

	record(g);
	api_answer_error(&g->answer, status, what);
	generation_free(g);
}

static void
on_odds(void *arg, const struct token_odds *odds, size_t n, bool lost)
{
	struct generation *g = arg;

	api_answer_odds(&g->answer, odds, n, lost);
}

static const struct request_events events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error, .on_odds = on_odds};

/* The client has gone away, or the daemon stops. */
static void
on_gone(void *job)
{
	struct generation *g = job;

	desk_cancel(g->desk, g->request);
	record(g);
	log_info("%s: cancelled", g->answer.http->id);
	generation_free(g);
}

/* --- the request --- */

/* The model that the request names, or whatever is served; NULL after an answer that says why not. */
static const struct served_model *
find_model(struct http_request *r, const struct api_request *a)
{
	const struct served_model *small = serve_small(r->http->serve, NULL), *m;

	if (a->model != NULL && small != NULL && strcmp(a->model, small->id) == 0)
		return small;
	m = api_served(r);
	if (m == NULL || a->model == NULL || strcmp(a->model, m->id) == 0)
		return m;
	http_fail(r, 404, "model_not_found", "model",
		"the model '%.128s' is not served here: '%.128s' is (load another with "
		"'shoal load FILE')",
		a->model, m->id);
	return NULL;
}

/* Takes the verdict. */
static void
submit(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct served_model *m, const struct token_list *ids, struct wall_verdict *v)
{
	struct generation *g = calloc(1, sizeof *g);
	struct session *s;
	struct err err;
	int status = 500;

	if (g == NULL) {
		http_fail(r, 503, NULL, NULL, "out of memory");
		return;
	}
	api_answer_init(&g->answer, r, f, a, m->id);
	g->verdict = *v;
	*v = (struct wall_verdict){0};
	buf_init(&g->said, MOST_SAID);
	api_logprobs_speaker(&g->answer.logprobs, m->tokenizer);
	g->desk = m->desk;
	s = api_make_session(a, m, ids, false, NULL, &err);
	if (s == NULL) {
		http_fail(r, 400, NULL, NULL, "%s", err.msg);
		generation_free(g);
		return;
	}
	api_echo(&g->answer.text, a, m);
	g->request = desk_submit(m->desk, s, r->client, &events, g, &status, &err);
	if (g->request == NULL) {
		http_fail(r, status, NULL, NULL, "%s", err.msg);
		generation_free(g);
		return;
	}
	http_wait(r, on_gone, g);
	api_answer_begin(&g->answer);
}

/* With an Idempotency-Key. */
static void
submit_kept(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct served_model *m, const struct token_list *ids, const struct answer_key *key)
{
	struct session *s;
	struct buf prefix;
	struct err err;

	s = api_make_session(a, m, ids, false, key, &err);
	if (s == NULL) {
		http_fail(r, 400, NULL, NULL, "%s", err.msg);
		return;
	}
	buf_init(&prefix, HTTP_MAX_BODY);
	api_echo(&prefix, a, m);
	answers_begin(r->http->answers, r, key, a, f, m, s, &prefix);
	buf_free(&prefix);
}

static void
generate(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct answer_key *key)
{
	const struct served_model *m;
	struct wall_verdict v = {0};
	struct token_list ids = {0};

	if (a->unknown[0] != '\0')
		log_debug("%s: fields without effect: %s", r->id, a->unknown);
	m = find_model(r, a);
	if (m != NULL && router_allows(r->http->router, r, a, m, &v) &&
		api_make_prompt(r, f, a, m, &ids)) {
		if (key != NULL)
			submit_kept(r, f, a, m, &ids, key);
		else
			submit(r, f, a, m, &ids, &v);
	}
	wall_verdict_free(&v);
	token_list_free(&ids);
}

void
api_generate(struct http_request *r, const struct api_format *f)
{
	struct api_request a;
	struct api_error e;
	struct answer_key key;
	bool keyed = false;

	router_busy(r->http->router);
	if (r->http->request_ms != 0)
		r->end_by = uv_now(r->http->loop) + r->http->request_ms;
	if (api_parse(f->kind, r->body.data, r->body.len, &a, &e) != 0 ||
		answer_key_read(r, &a, &key, &keyed, &e) != 0)
		http_error(r, &e);
	else if (keyed && api_has_form(&a))
		http_fail(r, 400, "unsupported_parameter", "Idempotency-Key",
			"answers that have a form are not kept: leave out Idempotency-Key");
	else if (keyed && a.logprobs)
		http_fail(r, 400, "unsupported_parameter", "Idempotency-Key",
			"logprobs are not kept: leave out Idempotency-Key");
	else if (keyed && answers_find(r->http->answers, r, &key, &a, f))
		log_debug("%s: its answer is known", r->id);
	else if (route_said_auto(a.model, NULL))
		router_answer(r->http->router, r, f, &a, keyed ? &key : NULL);
	else if (a.no_form.status != 0)
		http_error(r, &a.no_form);
	else
		generate(r, f, &a, keyed ? &key : NULL);
	api_request_free(&a);
}
