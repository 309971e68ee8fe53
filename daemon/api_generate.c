#include "daemon/api_generate.h"

#include "daemon/answers.h"
#include "daemon/api_object.h"
#include "daemon/log.h"
#include "daemon/utf8_hold.h"

#include <sodium.h>
#include <stdlib.h>

#define MAX_ANSWER (64u << 20) /* text of an answer that is not streamed */
/* A text of so many bytes per position of the context cannot fit: not worth the time to tokenize
 * it. The longest tokens there are (runs of blanks) have about this length. */
#define MAX_TOKEN_BYTES 128

struct generation {
	struct http_request *http;
	struct api_head head;
	struct desk *desk;
	struct request *request;
	bool stream, include_usage, return_tokens;
	struct utf8_hold hold;
	struct buf text; /* not streamed: the answer; streamed: the next piece */
};

static void
generation_free(struct generation *g)
{
	buf_free(&g->text);
	free(g);
}

static json_t *
take_text(struct generation *g)
{
	json_t *t = g->text.len > 0 ? json_stringn((const char *)g->text.data, g->text.len)
				    : json_string("");

	buf_clear(&g->text);
	return t;
}

/* --- the engine's events --- */

static void
send_text(struct generation *g)
{
	if (g->text.len > 0)
		sse_event(g->http,
			api_chunk(&g->head, g->head.format->chunk_choice(take_text(g), NULL)));
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct generation *g = arg;

	utf8_push(&g->hold, text, len, &g->text);
	if (g->stream)
		send_text(g);
}

static void
end_stream(struct generation *g, const char *reason, const struct usage *u)
{
	send_text(g);
	sse_event(g->http, api_last_chunk(&g->head, reason, u, g->return_tokens));
	if (g->include_usage)
		sse_event(g->http, api_usage_chunk(&g->head, u));
	sse_done(g->http);
}

static void
end_whole(struct generation *g, const char *reason, const struct usage *u)
{
	if (g->text.failed)
		http_fail(g->http, 500, NULL, NULL, "the answer is longer than %u MiB: stream it",
			MAX_ANSWER >> 20);
	else
		http_json(g->http, 200,
			api_whole(&g->head, take_text(g), reason, u, g->return_tokens));
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct generation *g = arg;
	const char *reason = session_end_name(end);

	http_release(g->http);
	utf8_finish(&g->hold, &g->text);
	api_log(g->http->id, reason, u);
	if (g->stream)
		end_stream(g, reason, u);
	else
		end_whole(g, reason, u);
	generation_free(g);
}

static void
on_error(void *arg, int status, const char *what)
{
	struct generation *g = arg;
	struct api_error e;

	http_release(g->http);
	log_warning("%s: failed: %s", g->http->id, what);
	api_error_set(&e, status >= 400 && status < 600 ? status : 500, NULL, NULL, "%s", what);
	if (g->stream)
		sse_error(g->http, &e);
	else
		http_error(g->http, &e);
	generation_free(g);
}

static const struct request_events events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error};

/* The client has gone away, or the daemon stops. */
static void
on_gone(void *job)
{
	struct generation *g = job;

	desk_cancel(g->desk, g->request);
	log_info("%s: cancelled", g->http->id);
	generation_free(g);
}

/* --- the request --- */

static bool
check_model(struct http_request *r, const struct api_request *a, const struct served_model *m)
{
	if (a->model == NULL || strcmp(a->model, m->id) == 0)
		return true;
	http_fail(r, 404, "model_not_found", "model",
		"the model '%.128s' is not served here: '%.128s' is (load another with "
		"'shoal load FILE')",
		a->model, m->id);
	return false;
}

static void
too_long(struct http_request *r, const struct api_request *a, uint64_t n, bool at_least,
	uint32_t context)
{
	struct api_error e;

	api_error_set(&e, 400, "context_length_exceeded",
		a->kind == API_CHAT ? "messages" : "prompt",
		"the prompt has %s%llu tokens, and the context holds %u with the answer: send less",
		at_least ? "at least " : "", (unsigned long long)n, context);
	e.n_prompt_tokens = n;
	e.n_ctx = context;
	http_error(r, &e);
}

/* The prompt's ids, or false after an answer that says why not. */
static bool
make_prompt(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct served_model *m, struct token_list *ids)
{
	struct err err;

	if (a->text_bytes / MAX_TOKEN_BYTES > m->context) {
		too_long(r, a, a->text_bytes / MAX_TOKEN_BYTES, true, m->context);
		return false;
	}
	if (f->prompt(a, m, ids, &err) != 0) {
		http_fail(r, 400, NULL, a->kind == API_CHAT ? "messages" : "prompt", "%s", err.msg);
		return false;
	}
	if (ids->n >= m->context)
		too_long(r, a, ids->n, false, m->context);
	else if (ids->n == 0)
		http_fail(r, 400, NULL, "prompt", "the prompt is empty");
	else
		return true;
	return false;
}

static struct session *
make_session(const struct api_request *a, const struct served_model *m,
	const struct token_list *ids, const struct answer_key *key, struct err *err)
{
	struct session_params p = {.sampler = a->sampler,
		.max_tokens = a->max_tokens,
		.context = m->context,
		.stops = a->stops,
		.n_stops = a->n_stops,
		.ignore_end = a->ignore_end};

	if (!a->seeded && key != NULL)
		p.sampler.seed = answer_key_seed(key);
	else if (!a->seeded)
		randombytes_buf(&p.sampler.seed, sizeof p.sampler.seed);
	if (p.sampler.penalty_last > m->context)
		p.sampler.penalty_last = m->context;
	return session_new(m->tokenizer, &p, ids->ids, ids->n, err);
}

static struct generation *
generation_new(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct served_model *m)
{
	struct generation *g = calloc(1, sizeof *g);

	if (g == NULL)
		return NULL;
	g->http = r;
	g->desk = m->desk;
	g->stream = a->stream;
	g->include_usage = a->include_usage;
	g->return_tokens = a->return_tokens;
	api_head_make(&g->head, f, m->id);
	buf_init(&g->text, MAX_ANSWER);
	return g;
}

/* echo: the answer begins with the prompt. */
static void
echo(struct buf *text, const struct api_request *a, const struct served_model *m)
{
	struct detok d;

	if (!a->echo)
		return;
	if (a->prompt != NULL) {
		buf_str(text, a->prompt);
		return;
	}
	detok_init(&d, m->tokenizer, true);
	for (size_t i = 0; i < a->n_ids; i++)
		detok_push(&d, a->ids[i], text);
	detok_finish(&d, text);
}

/* The headers and the first chunk leave at once: they tell the client that it was admitted. */
static void
begin_stream(struct generation *g)
{
	const struct api_format *f = g->head.format;
	json_t *first = f->begin_choice != NULL ? f->begin_choice() : NULL;

	sse_begin(g->http);
	if (first != NULL)
		sse_event(g->http, api_chunk(&g->head, first));
	send_text(g); /* an echo */
}

static void
submit(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct served_model *m, const struct token_list *ids)
{
	struct generation *g = generation_new(r, f, a, m);
	struct session *s;
	struct err err;
	int status = 500;

	if (g == NULL) {
		http_fail(r, 503, NULL, NULL, "out of memory");
		return;
	}
	s = make_session(a, m, ids, NULL, &err);
	if (s == NULL) {
		http_fail(r, 400, NULL, NULL, "%s", err.msg);
		generation_free(g);
		return;
	}
	echo(&g->text, a, m);
	g->request = desk_submit(m->desk, s, r->client, &events, g, &status, &err);
	if (g->request == NULL) {
		http_fail(r, status, NULL, NULL, "%s", err.msg);
		generation_free(g);
		return;
	}
	http_wait(r, on_gone, g);
	if (g->stream)
		begin_stream(g);
}

/* With an Idempotency-Key. */
static void
submit_kept(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct served_model *m, const struct token_list *ids, const struct answer_key *key)
{
	struct session *s;
	struct buf prefix;
	struct err err;

	s = make_session(a, m, ids, key, &err);
	if (s == NULL) {
		http_fail(r, 400, NULL, NULL, "%s", err.msg);
		return;
	}
	buf_init(&prefix, HTTP_MAX_BODY);
	echo(&prefix, a, m);
	answers_begin(r->http->answers, r, key, a, f, m, s, &prefix);
	buf_free(&prefix);
}

static void
generate(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct answer_key *key)
{
	const struct served_model *m = api_served(r);
	struct token_list ids = {0};

	if (a->unknown[0] != '\0')
		log_debug("%s: fields without effect: %s", r->id, a->unknown);
	if (m == NULL || !check_model(r, a, m))
		return;
	if (make_prompt(r, f, a, m, &ids)) {
		if (key != NULL)
			submit_kept(r, f, a, m, &ids, key);
		else
			submit(r, f, a, m, &ids);
	}
	token_list_free(&ids);
}

void
api_generate(struct http_request *r, const struct api_format *f)
{
	struct api_request a;
	struct api_error e;
	struct answer_key key;
	bool keyed = false;

	if (r->http->request_ms != 0)
		r->end_by = uv_now(r->http->loop) + r->http->request_ms;
	if (api_parse(f->kind, r->body.data, r->body.len, &a, &e) != 0 ||
		answer_key_read(r, &a, &key, &keyed, &e) != 0)
		http_error(r, &e);
	else if (!keyed)
		generate(r, f, &a, NULL);
	else if (!answers_find(r->http->answers, r, &key, &a, f))
		generate(r, f, &a, &key);
	api_request_free(&a);
}
