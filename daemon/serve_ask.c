/* Small models answer for each other: a coordinator that has much to ask its own small model asks those
 * of its members too, where they are the same one. What travels is token ids and the answer's text,
 * sealed like all between members. On a member such requests wait their turn at the small model's
 * desk, those of each of the coordinator's clients as one client among the others. */
#include "daemon/serve_int.h"

#include "daemon/log.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_MAX 64           /* requests of others at once */
#define SAID_MAX  (256u << 10) /* bytes of an answer */

/* Of a coordinator: waits for a member's answer. */
struct serve_ask {
	struct serve *serve;
	struct serve_ask *next;
	struct swarm_peer *peer;
	uint64_t number;
	void (*done)(void *arg, const struct serve_told *t);
	void *arg;
};

/* Of a member: being answered. */
struct asked {
	struct serve *serve;
	struct asked *next;
	struct swarm_peer *peer;
	uint64_t number;
	struct desk *desk;
	struct request *request;
	struct buf text;
};

struct asks {
	struct serve_ask *waiting;
	struct asked *asked;
	uint32_t n_asked;
	uint64_t next;
	uint8_t key[crypto_shorthash_KEYBYTES]; /* of numbers of clients */
};

struct asks *
asks_new(void)
{
	struct asks *a = calloc(1, sizeof *a);

	if (a != NULL)
		crypto_shorthash_keygen(a->key);
	return a;
}

/* For a client there, who is told apart here, or the other way round. No number of the one side says who that is on the
 * other, nor can one be chosen so that it is somebody else's. */
static uint64_t
client_number(const struct asks *a, uint64_t client)
{
	uint8_t in[8], out[crypto_shorthash_BYTES];

	put_le64(in, client);
	crypto_shorthash(out, in, sizeof in, a->key);
	return get_le64(out);
}

static void
asked_free(struct asked *a)
{
	struct asked **at = &a->serve->asks->asked;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	a->serve->asks->n_asked--;
	buf_free(&a->text);
	free(a);
}

void
asks_free(struct asks *a)
{
	if (a == NULL)
		return;
	while (a->asked != NULL)
		asked_free(a->asked);
	for (struct serve_ask *w = a->waiting, *next; w != NULL; w = next) {
		next = w->next;
		free(w);
	}
	free(a);
}

void
asks_offer(struct serve *s)
{
	const struct served_model *m = small_model(s->small, NULL);
	struct swarm_offer o = {0};

	if (m != NULL) {
		memcpy(o.model_id, m->model_id, sizeof o.model_id);
		o.slots = s->config->parallel;
		o.context = m->context;
	}
	swarm_offer(s->swarm, &o);
}

/* --- coordinator ---------------------------------------------------------------------------------- */

static bool
helps(const struct swarm_peer *p, const struct served_model *m)
{
	return p->control != NULL && p->offer.slots > 0 && p->offer.context >= m->context &&
	       memcmp(p->offer.model_id, m->model_id, sizeof p->offer.model_id) == 0;
}

uint32_t
serve_helpers(struct serve *s, struct serve_helper *out, uint32_t most)
{
	const struct served_model *m = serve_small(s, NULL);
	struct swarm_peer *const *peers;
	uint32_t n = 0, all = swarm_peers(s->swarm, &peers);

	if (m == NULL || swarm_is_member(s->swarm))
		return 0;
	for (uint32_t i = 0; i < all && n < most; i++) {
		if (!helps(peers[i], m))
			continue;
		snprintf(out[n].name, sizeof out[n].name, "%s", peers[i]->known->name);
		out[n++].slots =
			peers[i]->offer.slots < ASKED_MAX ? peers[i]->offer.slots : ASKED_MAX;
	}
	return n;
}

static struct swarm_peer *
find_helper(struct serve *s, const char *name, const struct served_model *m)
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(s->swarm, &peers);

	for (uint32_t i = 0; m != NULL && !swarm_is_member(s->swarm) && i < n; i++)
		if (strcmp(peers[i]->known->name, name) == 0 && helps(peers[i], m))
			return peers[i];
	return NULL;
}

static int
send_ask(const struct serve_ask *a, const struct served_model *m, const struct token_list *ids,
	uint32_t max_tokens, uint64_t client)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Ask ask = SHOAL__ASK__INIT;
	struct buf bytes;
	int rc = -1;

	buf_init(&bytes, 0);
	for (size_t i = 0; i < ids->n; i++)
		buf_u32(&bytes, ids->ids[i]);
	ask.number = a->number;
	ask.model_id = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)m->model_id};
	ask.ids = (ProtobufCBinaryData){bytes.len, bytes.data};
	ask.max_tokens = max_tokens;
	ask.client = client_number(a->serve->asks, client);
	e.body_case = SHOAL__ENVELOPE__BODY_ASK;
	e.ask = &ask;
	if (!bytes.failed)
		rc = swarm_send(a->peer, &e);
	buf_free(&bytes);
	return rc;
}

struct serve_ask *
serve_ask(struct serve *s, const char *name, const struct token_list *ids, uint32_t max_tokens,
	uint64_t client, void (*done)(void *arg, const struct serve_told *t), void *arg,
	struct err *err)
{
	const struct served_model *m = serve_small(s, NULL);
	struct swarm_peer *p = find_helper(s, name, m);
	struct serve_ask *a = p != NULL ? calloc(1, sizeof *a) : NULL;

	if (a == NULL) {
		err_set(err, "%s does not help any more", name);
		return NULL;
	}
	*a = (struct serve_ask){.serve = s,
		.next = s->asks->waiting,
		.peer = p,
		.number = ++s->asks->next,
		.done = done,
		.arg = arg};
	if (send_ask(a, m, ids, max_tokens, client) != 0) {
		free(a);
		err_set(err, "%s cannot be asked", name);
		return NULL;
	}
	s->asks->waiting = a;
	return a;
}

static void
unlink_ask(struct serve_ask *a)
{
	struct serve_ask **at = &a->serve->asks->waiting;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
}

/* a is gone before anybody hears of it: who hears may ask anew. */
static void
tell(struct serve_ask *a, const struct serve_told *t)
{
	struct serve_ask heard = *a;

	unlink_ask(a);
	free(a);
	heard.done(heard.arg, t);
}

void
serve_ask_cancel(struct serve_ask *a)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Forget forget = SHOAL__FORGET__INIT;

	forget.number = a->number;
	e.body_case = SHOAL__ENVELOPE__BODY_FORGET;
	e.forget = &forget;
	swarm_send(a->peer, &e);
	unlink_ask(a);
	free(a);
}

/* Those of another version, or broken ones, are none. */
static bool
read_figures(const Shoal__Told *t, float figures[static TOKEN_FIGURES])
{
	for (size_t i = 0; i < t->n_figures; i++)
		if (t->n_figures != TOKEN_FIGURES || !isfinite(t->figures[i]))
			return false;
	if (t->n_figures > 0)
		memcpy(figures, t->figures, TOKEN_FIGURES * sizeof *figures);
	return t->n_figures > 0;
}

static void
take_told(struct serve *s, const struct swarm_peer *p, const Shoal__Told *t)
{
	struct serve_ask *a = s->asks->waiting;
	struct serve_told told = {.status = (int)t->status,
		.why = t->why,
		.text = t->text.len > 0 ? (const char *)t->text.data : "",
		.len = t->text.len,
		.prompt_tokens = t->prompt_tokens,
		.new_tokens = t->new_tokens,
		.cut = t->cut};
	float figures[TOKEN_FIGURES];

	while (a != NULL && (a->number != t->number || a->peer != p))
		a = a->next;
	if (a == NULL) /* it was cancelled meanwhile */
		return;
	if (told.status != 0 && (told.status < 400 || told.status > 599))
		told.status = 502;
	if (read_figures(t, figures))
		told.figures = figures;
	tell(a, &told);
}

/* --- member --------------------------------------------------------------------------------------- */

static void
send_told(struct swarm_peer *p, Shoal__Told *t)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;

	e.body_case = SHOAL__ENVELOPE__BODY_TOLD;
	e.told = t;
	swarm_send(p, &e);
}

static void
refuse(struct swarm_peer *p, uint64_t number, int status, const char *what)
{
	Shoal__Told t = SHOAL__TOLD__INIT;
	char why[257];

	control_text(what, why);
	t.number = number;
	t.status = (uint32_t)status;
	t.why = why;
	send_told(p, &t);
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct asked *a = arg;

	buf_append(&a->text, text, len);
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct asked *a = arg;
	Shoal__Told t = SHOAL__TOLD__INIT;
	float figures[TOKEN_FIGURES];

	t.number = a->number;
	t.text = (ProtobufCBinaryData){a->text.len, a->text.data};
	t.prompt_tokens = u->prompt_tokens;
	t.new_tokens = u->new_tokens;
	t.cut = end != SESSION_STOP;
	if (u->signals != NULL && token_signals_figures(u->signals, figures)) {
		t.n_figures = TOKEN_FIGURES;
		t.figures = figures;
	}
	if (a->text.failed)
		refuse(a->peer, a->number, 502, "the answer is too long");
	else
		send_told(a->peer, &t);
	asked_free(a);
}

static void
on_error(void *arg, int status, const char *what)
{
	struct asked *a = arg;

	refuse(a->peer, a->number, status, what);
	asked_free(a);
}

static const struct request_events events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error};

/* NULL: it cannot be one of this model's. */
static struct session *
make_session(const struct served_model *m, const Shoal__Ask *q, struct err *err)
{
	struct session_params p = {.sampler = {.top_p = 1, .repeat_penalty = 1},
		.max_guesses = UINT32_MAX,
		.context = m->context,
		.signals = true};
	struct token_list ids = {0};
	struct session *s = NULL;
	bool good = q->ids.len % 4 == 0 && q->ids.len / 4 < m->context;

	p.max_tokens = q->max_tokens;
	for (size_t i = 0; good && i < q->ids.len; i += 4) {
		uint32_t id = get_le32(q->ids.data + i);

		good = id < m->shape.vocab && token_list_add(&ids, id) == 0;
	}
	if (good && ids.n > 0 && q->max_tokens > 0)
		s = session_new(m->tokenizer, &p, ids.ids, ids.n, err);
	else
		err_set(err, "the tokens are not a prompt of this model");
	token_list_free(&ids);
	return s;
}

static struct asked *
asked_new(struct serve *s, struct swarm_peer *p, uint64_t number)
{
	struct asked *a = calloc(1, sizeof *a);

	if (a == NULL)
		return NULL;
	*a = (struct asked){.serve = s, .next = s->asks->asked, .peer = p, .number = number};
	buf_init(&a->text, SAID_MAX);
	s->asks->asked = a;
	s->asks->n_asked++;
	return a;
}

static void
take_ask(struct serve *s, struct swarm_peer *p, const Shoal__Ask *q)
{
	struct err err = {"the small model is another one here, or is not there"};
	const struct served_model *m = small_model(s->small, NULL);
	struct session *session;
	struct asked *a;
	int status = 503;

	if (m == NULL || q->model_id.len != 32 || memcmp(q->model_id.data, m->model_id, 32) != 0) {
		refuse(p, q->number, status, err.msg);
		return;
	}
	session = make_session(m, q, &err);
	if (session == NULL || s->asks->n_asked >= ASKED_MAX) {
		refuse(p, q->number, session == NULL ? 400 : 429,
			session == NULL ? err.msg : "it answers many others");
		session_free(session);
		return;
	}
	a = asked_new(s, p, q->number);
	if (a == NULL) {
		session_free(session);
		refuse(p, q->number, 503, "out of memory");
		return;
	}
	a->desk = m->desk;
	a->request = desk_submit(
		m->desk, session, client_number(s->asks, q->client), &events, a, &status, &err);
	if (a->request != NULL)
		return;
	refuse(p, q->number, status, err.msg);
	asked_free(a);
}

static void
cancel(struct asked *a)
{
	desk_cancel(a->desk, a->request);
	asked_free(a);
}

static void
take_forget(struct serve *s, const struct swarm_peer *p, const Shoal__Forget *f)
{
	struct asked *a = s->asks->asked;

	while (a != NULL && (a->number != f->number || a->peer != p))
		a = a->next;
	if (a != NULL)
		cancel(a);
}

/* --- both ----------------------------------------------------------------------------------------- */

int
asks_control(struct serve *s, struct swarm_peer *p, const Shoal__Envelope *e, struct err *err)
{
	bool told = e->body_case == SHOAL__ENVELOPE__BODY_TOLD;

	if (told == swarm_is_member(s->swarm))
		return err_set(err, "a %s does not send '%s'",
			swarm_is_member(s->swarm) ? "coordinator" : "member", control_name(e));
	if (told)
		take_told(s, p, e->told);
	else if (e->body_case == SHOAL__ENVELOPE__BODY_ASK)
		take_ask(s, p, e->ask);
	else
		take_forget(s, p, e->forget);
	return 0;
}

/* Whoever hears of it may ask others, never this one: it is away. */
void
asks_peer_down(struct serve *s, const struct swarm_peer *p, const char *why)
{
	const struct serve_told lost = {.status = 503, .why = why, .text = ""};

	for (struct asked *a = s->asks->asked, *next; a != NULL; a = next) {
		next = a->next;
		if (a->peer == p)
			cancel(a);
	}
	for (struct serve_ask *a = s->asks->waiting; a != NULL;) {
		if (a->peer == p) {
			tell(a, &lost);
			a = s->asks->waiting; /* the list may be another one now */
		} else {
			a = a->next;
		}
	}
}
