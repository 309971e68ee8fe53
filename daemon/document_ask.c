#include "daemon/document_ask.h"

#include <sodium.h>
#include <stdlib.h>

#define BYTES_A_TOKEN 128 /* a prompt with more bytes for each position of the context cannot fit */

struct document_ask {
	struct router *router;
	struct desk *desk; /* of a model at home */
	struct request *request;
	struct serve_ask *asked;    /* of a member's */
	struct door_call *call;     /* of a cloud */
	const struct redact *items; /* to be put back into what it says; NULL: none were removed */
	struct buf text;
	uint64_t since; /* uv_now */
	document_done *done;
	void *arg;
};

static struct document_ask *
ask_new(struct router *r, document_done *done, void *arg)
{
	struct document_ask *a = calloc(1, sizeof *a);

	if (a == NULL)
		return NULL;
	*a = (struct document_ask){.router = r, .since = uv_now(r->loop), .done = done, .arg = arg};
	buf_init(&a->text, DOCUMENT_HEARD_MAX);
	return a;
}

static void
ask_free(struct document_ask *a)
{
	buf_free(&a->text);
	free(a);
}

/* Tells it, and is gone. */
static void
tell(struct document_ask *a, struct document_heard *h)
{
	h->seconds = (double)(uv_now(a->router->loop) - a->since) / 1e3;
	if (h->status == 0 && a->text.failed) {
		h->status = 502;
		h->why = "the answer is too long";
		h->end = "too_large";
	}
	h->text = a->text.len > 0 ? (const char *)a->text.data : "";
	h->len = a->text.len;
	a->done(a->arg, h);
	ask_free(a);
}

/* --- at home ------------------------------------------------------------------------------------- */

static void
on_text(void *arg, const char *text, size_t len)
{
	struct document_ask *a = arg;

	buf_append(&a->text, text, len);
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct document_heard h = {.end = end == SESSION_STOP ? "answered" : "cut",
		.prompt_tokens = u->prompt_tokens,
		.new_tokens = u->new_tokens};
	float figures[TOKEN_FIGURES];

	if (u->signals != NULL && token_signals_figures(u->signals, figures))
		h.figures = figures;
	tell(arg, &h);
}

static void
on_error(void *arg, int status, const char *what)
{
	struct document_heard h = {.status = status >= 400 && status < 600 ? status : 500,
		.why = what,
		.end = "failed"};

	tell(arg, &h);
}

static const struct request_events home_events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error};

static int
make_ids(const struct served_model *m, const struct chat_message *messages, size_t n,
	struct token_list *ids, struct err *err)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += strlen(messages[i].content);
	if (bytes / BYTES_A_TOKEN > m->context)
		return err_set(err, "the prompt of %zu bytes does not fit the context of %u", bytes,
			m->context);
	return chat_tokens(m->chat, m->tokenizer, messages, n, ids, err);
}

static struct session *
make_session(const struct served_model *m, const struct document_question *q, struct err *err)
{
	struct session_params p = {.sampler = q->sampler,
		.max_tokens = q->max_tokens,
		.max_guesses = UINT32_MAX,
		.context = m->context,
		.signals = q->signals};
	struct token_list ids = {0};
	struct session *s = NULL;

	if (!q->seeded)
		randombytes_buf(&p.sampler.seed, sizeof p.sampler.seed);
	if (p.sampler.penalty_last > m->context)
		p.sampler.penalty_last = m->context;
	if (make_ids(m, q->messages, q->n, &ids, err) == 0) {
		if (ids.n < m->context)
			s = session_new(m->tokenizer, &p, ids.ids, ids.n, err);
		else
			err_set(err, "the prompt of %zu tokens does not fit the context of %u",
				ids.n, m->context);
	}
	token_list_free(&ids);
	return s;
}

struct document_ask *
document_ask_model(struct router *r, const struct served_model *m,
	const struct document_question *q, document_done *done, void *arg, int *status,
	struct err *err)
{
	struct document_ask *a = ask_new(r, done, arg);
	struct session *s = NULL;

	*status = 503;
	if (a == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	s = make_session(m, q, err);
	if (s == NULL) {
		*status = 400;
	} else {
		a->desk = m->desk;
		a->request = desk_submit(m->desk, s, q->client, &home_events, a, status, err);
	}
	if (a->request != NULL)
		return a;
	ask_free(a);
	return NULL;
}

/* --- on a member --------------------------------------------------------------------------------- */

static void
on_told(void *arg, const struct serve_told *t)
{
	struct document_ask *a = arg;
	struct document_heard h = {.status = t->status,
		.why = t->why,
		.end = t->status != 0 ? "failed"
		       : t->cut       ? "cut"
				      : "answered",
		.prompt_tokens = t->prompt_tokens,
		.new_tokens = t->new_tokens,
		.figures = t->figures};

	buf_append(&a->text, t->text, t->len);
	tell(a, &h);
}

struct document_ask *
document_ask_helper(struct router *r, const char *helper, const struct served_model *m,
	const struct document_question *q, document_done *done, void *arg, int *status,
	struct err *err)
{
	struct document_ask *a = ask_new(r, done, arg);
	struct token_list ids = {0};

	*status = 503;
	if (a == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	if (make_ids(m, q->messages, q->n, &ids, err) != 0 || ids.n >= m->context) {
		err_set(err, "the prompt does not fit the context of %u", m->context);
		*status = 400;
	} else {
		a->asked = serve_ask(
			r->serve, helper, &ids, q->max_tokens, q->client, on_told, a, err);
	}
	token_list_free(&ids);
	if (a->asked != NULL)
		return a;
	ask_free(a);
	return NULL;
}

size_t
document_tokens(const struct served_model *m, const struct document_prompt *p)
{
	struct token_list ids = {0};
	struct err ignored;
	size_t n = SIZE_MAX;

	if (make_ids(m, p->messages, p->n, &ids, &ignored) == 0)
		n = ids.n;
	token_list_free(&ids);
	return n;
}

/* --- a cloud ------------------------------------------------------------------------------------- */

/* It is read as JSON where there is an object in it, and else as words. */
static void
put_items_back(struct document_ask *a)
{
	struct redact_restore s = {
		.r = a->items, .json = memchr(a->text.data, '{', a->text.len) != NULL};
	struct buf whole;

	buf_init(&whole, DOCUMENT_HEARD_MAX);
	redact_restore_push(&s, a->text.data, a->text.len, &whole);
	redact_restore_end(&s, &whole);
	whole.failed = whole.failed || a->text.failed;
	buf_free(&a->text);
	a->text = whole;
}

static void
on_answered(void *arg, const char *finish_reason, const struct cloud_usage *u, uint64_t cost)
{
	struct document_ask *a = arg;
	bool cut = finish_reason != NULL && strcmp(finish_reason, "length") == 0;
	struct document_heard h = {.end = cut ? "cut" : "answered",
		.prompt_tokens = (uint32_t)u->tokens_in,
		.new_tokens = (uint32_t)u->tokens_out,
		.cost = cost};

	if (a->items != NULL && a->text.len > 0)
		put_items_back(a);
	tell(a, &h);
}

static void
on_trouble(void *arg, const struct cloud_error *e, uint64_t cost)
{
	bool refused = e->class == CLOUD_REFUSED;
	struct document_heard h = {.status = refused                  ? 400
					     : e->class == CLOUD_RATE ? 429
								      : 502,
		.why = refused && e->said[0] != '\0' ? e->said : e->words,
		.end = cloud_class_word(e->class),
		.cost = cost};

	tell(arg, &h);
}

static struct api_request
as_request(const struct document_question *q)
{
	return (struct api_request){.kind = API_CHAT,
		.messages = (struct chat_message *)(uintptr_t)q->messages,
		.n_messages = q->n,
		.sampler = q->sampler,
		.seeded = q->seeded};
}

int
document_cloud_body(struct router *r, const struct document_leave *l,
	const struct document_question *q, struct buf *body, size_t *wire, struct err *err)
{
	struct api_request a = as_request(q);
	struct door_request request = {.endpoint = l->endpoint};
	struct buf bytes;
	struct door_no no = {.err = {"it cannot be shown"}};
	uint64_t worst;
	uint32_t most =
		q->max_tokens < l->endpoint->max_tokens ? q->max_tokens : l->endpoint->max_tokens;
	int rc;

	buf_clear(body);
	rc = l->verdict->policy == PRIVACY_REDACT
		     ? wall_texts_body(l->verdict, &a, l->endpoint->model, most, body, err)
		     : wall_body(r->wall, l->verdict, &a, l->endpoint->model, most, body, err);
	if (rc != 0)
		return -1;
	request.body = body->data;
	request.len = body->len;
	buf_init(&bytes, 0);
	rc = door_preview(&request, &bytes, &worst, &no);
	*wire = bytes.len;
	buf_free(&bytes);
	return rc == 0 ? 0 : err_set(err, "%s", no.err.msg);
}

struct document_ask *
document_ask_cloud(struct router *r, const struct document_leave *l, const struct buf *body,
	document_done *done, void *arg, struct door_no *no)
{
	const struct door_request request = {l->endpoint, body->data, body->len};
	const struct ticket_ask ask = {.request = request,
		.policy = l->verdict->policy,
		.redacted = l->verdict->policy == PRIVACY_REDACT,
		.key = l->client,
		.request_used = l->spent,
		.request_limit = l->budget};
	struct document_ask *a = ask_new(r, done, arg);
	const struct door_events events = {NULL, on_text, on_answered, on_trouble, a};
	struct ticket *t;

	if (a == NULL) {
		*no = (struct door_no){.why = DOOR_BROKEN, .err = {"out of memory"}};
		return NULL;
	}
	if (l->verdict->policy == PRIVACY_REDACT)
		a->items = wall_items(l->verdict);
	t = ticket_issue(r->door, &ask, no);
	if (t != NULL)
		a->call = door_send(r->door, t, &request, l->timeout_ms, &events, no);
	ticket_free(t);
	if (a->call != NULL) {
		wall_sent(l->verdict);
		return a;
	}
	ask_free(a);
	return NULL;
}

/* --- both ---------------------------------------------------------------------------------------- */

uint64_t
document_ask_cancel(struct document_ask *a)
{
	uint64_t cost = 0;

	if (a->request != NULL)
		desk_cancel(a->desk, a->request);
	if (a->asked != NULL)
		serve_ask_cancel(a->asked);
	if (a->call != NULL)
		cost = door_cancel(a->call);
	ask_free(a);
	return cost;
}
