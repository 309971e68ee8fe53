#include "tests/support/fake_serve.h"

#include "daemon/energy_gauge.h"

#include <pthread.h>
#include <stdlib.h>

struct serve {
	uv_loop_t *loop;
	struct energy_gauge gauge;
	uint32_t watts;
	struct served_model model, small;
};

struct tokenizer {
	int unused;
};

#define MAX_NEW     64
#define MOST_PROMPT 8192 /* of two models that write together */

/* Tokens are pieces of a script: the large model's, those of the small one's that are others, the end; and
 * the bytes of any other text. */
enum { LARGE_ID = 7, SMALL_ID = 15, END_ID = 23 };

struct session {
	struct session_params p;
	uint32_t n_prompt, n; /* ids of the prompt, and all */
	uint32_t *ids;        /* [n_prompt + MAX_NEW] */
	bool led;             /* it is of two models, and ends by itself */
	enum session_end end;
	char *text; /* the prompt */
};

struct guide {
	uint32_t n_prompt, n;
	uint32_t ids[MOST_PROMPT + MAX_NEW];
};

struct request {
	uv_timer_t timer;
	struct session *session; /* NULL: led */
	struct guide *guide;
	struct guide_run run;
	bool small, left;
	struct token_signals signals;
	struct request_events ev;
	void *arg;
	struct fake_script script;
	unsigned next, said_n;
	char said[4096];
};

struct joining {
	uv_timer_t timer;
	void (*done)(void *arg, const char *trouble);
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_script script, small_script;
static bool has_small;
static char small_desk;
static struct fake_seen seen;
static uint32_t at_desk[2]; /* requests of the large model, of the small one */
static struct tokenizer tokenizer;
static uv_loop_t *the_loop;
static struct known_peer boss = {.name = "amber-otter-3f2a"};
static struct swarm_peer boss_peer = {.known = &boss};
static struct swarm_peer *const peers[] = {&boss_peer};
static bool member;

void
fake_set(const struct fake_script *s)
{
	pthread_mutex_lock(&lock);
	script = *s;
	pthread_mutex_unlock(&lock);
}

void
fake_set_small(const struct fake_script *s)
{
	pthread_mutex_lock(&lock);
	has_small = s != NULL;
	if (s != NULL)
		small_script = *s;
	pthread_mutex_unlock(&lock);
}

static struct fake_script
script_of(const struct desk *d)
{
	struct fake_script s;

	pthread_mutex_lock(&lock);
	s = d == (void *)&small_desk ? small_script : script;
	pthread_mutex_unlock(&lock);
	return s;
}

static struct fake_script
current(void)
{
	return script_of(NULL);
}

void
fake_get(struct fake_seen *s)
{
	pthread_mutex_lock(&lock);
	*s = seen;
	pthread_mutex_unlock(&lock);
}

void
fake_reset(void)
{
	pthread_mutex_lock(&lock);
	script = (struct fake_script){.pieces = {"Hello", " world"}, .end = SESSION_STOP};
	seen = (struct fake_seen){0};
	has_small = false;
	pthread_mutex_unlock(&lock);
}

/* --- serve --- */

static const uint8_t model_id[32] = {1}, other_id[32] = {2};

struct serve *
fake_serve_new(uv_loop_t *loop, const struct config *c)
{
	const struct energy_limits limits = {(float)c->hot, (float)c->low_battery};
	struct serve *s = calloc(1, sizeof *s);

	s->loop = the_loop = loop;
	s->watts = c->large_watts;
	energy_gauge_init(&s->gauge, c->sysfs, &limits);
	s->model = (struct served_model){.id = FAKE_MODEL,
		.tokenizer = &tokenizer,
		.chat = CHAT_CHATML,
		.context = FAKE_CONTEXT,
		.created = 1700000000,
		.desk = (struct desk *)s};
	s->model.shape.vocab = 256;
	s->model.shape.context = 4096;
	s->model.shape.embd = 64;
	s->small = s->model;
	s->small.id = FAKE_SMALL;
	s->small.model_id = model_id;
	s->small.desk = (struct desk *)(void *)&small_desk;
	s->small.devices = 1;
	return s;
}

void
fake_serve_free(struct serve *s)
{
	free(s);
}

const struct served_model *
serve_model(struct serve *s, struct err *why)
{
	s->model.model_id =
		current().other_model || current().other_vocabulary ? other_id : model_id;
	s->model.devices = current().devices > 0 ? current().devices : 1;
	s->model.context = current().context > 0 ? current().context : FAKE_CONTEXT;
	if (!current().absent)
		return &s->model;
	err_set(why, "no model is loaded: say 'shoal load FILE'");
	return NULL;
}

const struct served_model *
serve_small(struct serve *s, struct err *why)
{
	bool there;

	pthread_mutex_lock(&lock);
	there = has_small && !small_script.absent;
	s->small.context = small_script.context > 0 ? small_script.context : FAKE_CONTEXT;
	pthread_mutex_unlock(&lock);
	if (there)
		return &s->small;
	err_set(why, "no small model is configured");
	return NULL;
}

bool
serve_configured(struct serve *s, bool small)
{
	(void)s;
	return !small || has_small;
}

bool
serve_pace(struct serve *s, bool small, struct serve_pace *p)
{
	double pace = script_of(small ? (void *)&small_desk : NULL).tokens_per_s;

	(void)s;
	pace = pace > 0 ? pace : 10;
	*p = (struct serve_pace){100 * pace, pace};
	return true;
}

uint32_t
serve_energy(struct serve *s, struct energy_told devices[SERVE_DEVICES])
{
	struct fake_script now = current();
	uint32_t n = now.devices > 0 ? now.devices : 1;

	energy_gauge_read(&s->gauge, uv_now(s->loop));
	devices[0] = (struct energy_told){true, s->gauge.state, s->gauge.now, s->watts};
	for (uint32_t i = 1; i < n; i++)
		devices[i] = (struct energy_told){true, now.member_state,
			{false, ENERGY_UNKNOWN, ENERGY_UNKNOWN}, now.member_watts};
	return n;
}

uint32_t
serve_helpers(struct serve *s, struct serve_helper *out, uint32_t most)
{
	(void)s, (void)out, (void)most;
	return 0;
}

struct serve_ask *
serve_ask(struct serve *s, const char *name, const struct token_list *ids, uint32_t max_tokens,
	uint64_t client, void (*done)(void *arg, const struct serve_told *t), void *arg,
	struct err *err)
{
	(void)s, (void)ids, (void)max_tokens, (void)client, (void)done, (void)arg;
	err_set(err, "there is no %s", name);
	return NULL;
}

void
serve_ask_cancel(struct serve_ask *a)
{
	(void)a;
}

struct swarm *
serve_swarm(struct serve *s)
{
	return (struct swarm *)s;
}

json_t *
serve_status(struct serve *s)
{
	(void)s;
	return json_pack("{s:s,s:b}", "name", "test", "serving", 1);
}

json_t *
serve_peers(struct serve *s)
{
	(void)s;
	return json_pack("{s:s,s:[]}", "role", "coordinator", "peers");
}

int
serve_load(struct serve *s, const char *path, struct err *err)
{
	(void)s;
	if (strstr(path, "damaged") != NULL)
		return err_set(err, "%s: is no GGUF file", path);
	pthread_mutex_lock(&lock);
	snprintf(seen.loaded, sizeof seen.loaded, "%s", path);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* --- engine --- */

static void
freed(uv_handle_t *h)
{
	free(h->data);
}

/* As a desk's does, it counts no more when its end is heard. */
static void
leave_desk(struct request *r)
{
	pthread_mutex_lock(&lock);
	at_desk[r->small] -= !r->left;
	pthread_mutex_unlock(&lock);
	r->left = true;
}

static void
request_end(struct request *r)
{
	leave_desk(r);
	pthread_mutex_lock(&lock);
	seen.running--;
	pthread_mutex_unlock(&lock);
	session_free(r->session);
	guide_free(r->guide);
	uv_close((uv_handle_t *)&r->timer, freed);
}

/* Since it was submitted it has said some tokens of the session's. */
static struct usage
usage_of(const struct request *r)
{
	const struct session *s = r->session;
	const uint32_t steps = r->said_n > 0 ? r->said_n - 1 : 0;

	return (struct usage){.prompt_tokens = s->n_prompt,
		.new_tokens = s->n - s->n_prompt,
		.cached = r->script.cached,
		.prompt_seconds = 0.5,
		.new_seconds = 0.25,
		.drafted = steps * r->script.drafted,
		.accepted = steps * r->script.accepted};
}

static void
finish(struct request *r)
{
	struct usage u = usage_of(r);

	u.tokens = r->session->ids + r->session->n_prompt;
	u.signals = &r->signals;
	pthread_mutex_lock(&lock);
	seen.ended++;
	pthread_mutex_unlock(&lock);
	leave_desk(r);
	if (r->script.fail_status != 0)
		r->ev.on_error(r->arg, r->script.fail_status, r->script.fail);
	else
		r->ev.on_end(r->arg, r->script.end, &u);
	request_end(r);
}

/* Each piece a bit less likely than the one before, and likelier than the others: letters, from A on. */
static void
tell_odds(struct request *r, uint32_t id, unsigned silent)
{
	const struct session *s = r->session;
	struct token_odds o = {.picked = {id, -0.25f * (float)r->said_n}, .n = s->p.n_odds};

	for (uint32_t i = 0; i < o.n; i++)
		o.best[i] =
			i == 0 ? o.picked : (struct token_chance){'A' + i - 1, -8.0f - (float)i};
	for (unsigned i = 0; s->p.odds && r->ev.on_odds != NULL && i <= silent; i++)
		r->ev.on_odds(r->arg, &o, 1, false);
}

static void
on_step(uv_timer_t *t)
{
	struct request *r = t->data;
	struct usage so_far;
	const char *piece = r->next < 8 ? r->script.pieces[r->next] : NULL;

	if (piece == NULL && r->script.endless) {
		r->next = 0;
		piece = r->script.pieces[0];
	}
	if (piece == NULL) {
		finish(r);
		return;
	}
	pthread_mutex_lock(&lock);
	seen.tokens++;
	pthread_mutex_unlock(&lock);
	session_repeat(r->session, LARGE_ID + r->next++, NULL);
	r->said_n++;
	token_signals_add(&r->signals,
		&(struct token_signal){.logp = -0.1f, .entropy = 0.3f, .margin = r->script.margin});
	so_far = usage_of(r);
	if (r->ev.on_ids != NULL)
		r->ev.on_ids(r->arg,
			&r->session->ids[r->session->n_prompt +
					 (r->session->n - r->session->n_prompt - 1) % MAX_NEW],
			1, &so_far);
	uv_timer_start(t, on_step, r->script.gap_ms, 0);
	tell_odds(r, r->next - 1 + (r->small ? SMALL_ID : LARGE_ID),
		r->said_n == 1 ? r->script.silent : 0);
	r->ev.on_text(r->arg, piece, strlen(piece));
}

struct request *
desk_submit(struct desk *e, struct session *s, uint64_t client, const struct request_events *ev,
	void *arg, int *status, struct err *err)
{
	struct request *r;
	struct fake_script now = script_of(e);

	if (now.refuse != 0) {
		*status = now.refuse;
		session_free(s);
		err_set(err, "the queue is full: 64 requests wait");
		return NULL;
	}
	r = calloc(1, sizeof *r);
	r->script = now;
	r->small = e == (void *)&small_desk;
	r->session = s;
	r->next = s->n - s->n_prompt;
	r->ev = *ev;
	r->arg = arg;
	if (now.reply != NULL) {
		now.reply(s->text, r->said, sizeof r->said);
		r->script.pieces[0] = r->said;
		r->script.pieces[1] = NULL;
		r->script.margin = now.sure != NULL ? now.sure(s->text) : now.margin;
		if (r->said[0] == '!') {
			r->script.fail_status = atoi(r->said + 1);
			r->script.fail = r->said + 5;
			r->script.pieces[0] = NULL;
		}
	}
	uv_timer_init(the_loop, &r->timer);
	r->timer.data = r;
	uv_timer_start(&r->timer, on_step, now.first_ms, 0);
	pthread_mutex_lock(&lock);
	seen.submitted++;
	seen.client = client;
	seen.small += r->small;
	seen.running++;
	at_desk[r->small]++;
	pthread_mutex_unlock(&lock);
	return r;
}

uint32_t
desk_requests(struct desk *d)
{
	uint32_t n;

	pthread_mutex_lock(&lock);
	n = at_desk[d == (void *)&small_desk];
	pthread_mutex_unlock(&lock);
	return n;
}

/* --- led requests: the nth new token is the script's nth piece --- */

struct guide *
guide_new(const struct tokenizer *t, const struct guide_params *p, const uint32_t *prompt,
	size_t n_prompt, struct err *err)
{
	struct guide *g = calloc(1, sizeof *g);

	(void)t, (void)err;
	g->n = g->n_prompt = (uint32_t)n_prompt;
	memcpy(g->ids, prompt, n_prompt * sizeof *prompt);
	pthread_mutex_lock(&lock);
	seen.guides++;
	seen.uncached += p->uncached;
	pthread_mutex_unlock(&lock);
	return g;
}

void
guide_free(struct guide *g)
{
	free(g);
}

static uint32_t
piece_of(const struct request *r, uint32_t i)
{
	struct fake_script of_large = current();

	if (i >= 8 || r->script.pieces[i] == NULL)
		return END_ID;
	if (!r->small)
		return LARGE_ID + i;
	return of_large.pieces[i] != NULL && strcmp(of_large.pieces[i], r->script.pieces[i]) == 0
		       ? LARGE_ID + i
		       : SMALL_ID + i;
}

static void
on_led(uv_timer_t *timer)
{
	struct request *r = timer->data;
	struct guide *g = r->guide;
	struct guide_choice c[GUIDE_MOST];
	size_t n = 0;

	for (;;) {
		uint32_t i = g->n - g->n_prompt;

		if (r->script.fail_status != 0 && (i >= 8 || r->script.pieces[i] == NULL)) {
			r->ev.on_error(r->arg, r->script.fail_status, r->script.fail);
			request_end(r);
			return;
		}
		c[n].id = piece_of(r, i);
		c[n].margin = i < 32 && (r->script.doubts >> i & 1) != 0 ? 0 : r->script.margin;
		if (n++ == r->run.more || c[n - 1].id == END_ID || c[n - 1].margin <= r->run.margin)
			break;
		g->ids[g->n++] = c[n - 1].id;
	}
	r->ev.on_choices(r->arg, c, n, true);
}

struct request *
desk_guide(struct desk *d, struct guide *g, uint64_t client, const struct request_events *ev,
	void *arg, int *status, struct err *err)
{
	struct fake_script now = script_of(d);
	struct request *r;

	(void)client;
	if (now.refuse != 0) {
		*status = now.refuse;
		guide_free(g);
		err_set(err, "the queue is full: 64 requests wait");
		return NULL;
	}
	r = calloc(1, sizeof *r);
	*r = (struct request){.script = now,
		.guide = g,
		.small = d == (void *)&small_desk,
		.ev = *ev,
		.arg = arg};
	uv_timer_init(the_loop, &r->timer);
	r->timer.data = r;
	pthread_mutex_lock(&lock);
	seen.submitted++;
	seen.small += r->small;
	seen.running++;
	at_desk[r->small]++;
	pthread_mutex_unlock(&lock);
	return r;
}

int
desk_lead(struct desk *d, struct request *r, const struct guide_run *run, struct err *err)
{
	struct guide *g = r->guide;

	(void)d, (void)err;
	memcpy(g->ids + run->keep, run->ids, run->n * sizeof *run->ids);
	g->n = (uint32_t)(run->keep + run->n);
	r->run = *run;
	pthread_mutex_lock(&lock);
	seen.led += !r->small;
	pthread_mutex_unlock(&lock);
	uv_timer_start(&r->timer, on_led, r->script.gap_ms, 0);
	return 0;
}

const uint32_t *
desk_led_ids(const struct request *r, size_t *n)
{
	*n = r->guide->n;
	return r->guide->ids;
}

bool
desk_signals(struct desk *d, struct request *r, struct token_signals *out)
{
	(void)d;
	*out = r->signals;
	return true;
}

void
desk_stop(struct desk *d, struct request *r)
{
	(void)d;
	r->script.endless = false;
	r->script.end = SESSION_STOP;
	if (r->next < 8)
		r->script.pieces[r->next] = NULL;
}

void
desk_cancel(struct desk *e, struct request *r)
{
	(void)e;
	pthread_mutex_lock(&lock);
	seen.cancelled++;
	pthread_mutex_unlock(&lock);
	request_end(r);
}

/* --- swarm --- */

int
swarm_invite(struct swarm *s, uint32_t seconds, char code[INVITE_TEXT], struct err *err)
{
	(void)s, (void)err;
	pthread_mutex_lock(&lock);
	seen.invite_seconds = seconds;
	pthread_mutex_unlock(&lock);
	strcpy(code, "ABCD-EFGH");
	return 0;
}

static void
on_joined(uv_timer_t *t)
{
	struct joining *j = t->data;
	const char *trouble = current().join_trouble;

	member = trouble == NULL;
	j->done(j->arg, trouble);
	uv_close((uv_handle_t *)t, freed);
}

int
swarm_join(struct swarm *s, const char *code, void (*done)(void *arg, const char *trouble),
	void *arg, struct err *err)
{
	struct joining *j;

	(void)s;
	if (strcmp(code, "mistyped") == 0)
		return err_set(err, "the code is mistyped");
	j = calloc(1, sizeof *j);
	j->done = done;
	j->arg = arg;
	j->timer.data = j;
	uv_timer_init(the_loop, &j->timer);
	uv_timer_start(&j->timer, on_joined, 100, 0);
	return 0;
}

int
serve_leave(struct serve *s, const char *name, void (*done)(void *arg, const char *trouble),
	void *arg, struct err *err)
{
	(void)s, (void)err;
	pthread_mutex_lock(&lock);
	if (name != NULL)
		snprintf(seen.removed, sizeof seen.removed, "%s", name);
	else
		seen.left++;
	pthread_mutex_unlock(&lock);
	done(arg, NULL);
	return 0;
}

bool
swarm_is_member(const struct swarm *s)
{
	(void)s;
	return member;
}

uint32_t
swarm_peers(const struct swarm *s, struct swarm_peer *const **out)
{
	(void)s;
	*out = peers;
	return 1;
}

/* --- model --- */

int
token_list_add(struct token_list *l, uint32_t id)
{
	if (l->n == l->cap) {
		l->cap = l->cap * 2 + 64;
		l->ids = realloc(l->ids, l->cap * sizeof *l->ids);
	}
	l->ids[l->n++] = id;
	return 0;
}

void
token_list_free(struct token_list *l)
{
	free(l->ids);
	*l = (struct token_list){0};
}

int
tokenize(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
	struct token_list *out, struct err *err)
{
	(void)t, (void)flags, (void)err;
	for (size_t i = 0; i < len; i++)
		token_list_add(out, (uint8_t)text[i]);
	return 0;
}

int
tokenizer_same(const struct tokenizer *a, const struct tokenizer *b, struct err *why)
{
	(void)a, (void)b;
	return current().other_vocabulary ? err_set(why, "token 3 has another text in each") : 0;
}

size_t
tokenizer_longest(const struct tokenizer *t)
{
	(void)t;
	return 1;
}

uint32_t
tokenizer_size(const struct tokenizer *t)
{
	(void)t;
	return 256;
}

void
detok_init(struct detok *d, const struct tokenizer *t, bool special)
{
	*d = (struct detok){.t = t, .special = special};
}

static void
add_text(uint32_t id, struct buf *out)
{
	struct fake_script now = current(), of_small = script_of((void *)&small_desk);

	if (id > END_ID)
		buf_u8(out, (uint8_t)id);
	else if (id >= SMALL_ID && id < END_ID)
		buf_str(out, of_small.pieces[id - SMALL_ID]);
	else if (id >= LARGE_ID && id < SMALL_ID)
		buf_str(out, now.pieces[id - LARGE_ID]);
}

int
token_bytes(const struct tokenizer *t, uint32_t id, bool special, bool first, struct buf *out)
{
	(void)t, (void)special, (void)first;
	add_text(id, out);
	return 0;
}

/* Of a prompt, or behind one. */
int
detok_push(struct detok *d, uint32_t id, struct buf *out)
{
	if (!d->started)
		return buf_u8(out, (uint8_t)id);
	add_text(id, out);
	return 0;
}

int
detok_finish(struct detok *d, struct buf *out)
{
	(void)d, (void)out;
	return 0;
}

int
chat_tokens(enum chat_family f, const struct tokenizer *t, const struct chat_message *msgs,
	size_t n, struct token_list *out, struct err *err)
{
	(void)f;
	for (size_t i = 0; i < n; i++) {
		tokenize(t, msgs[i].role, 1, 0, out, err);
		tokenize(t, ":", 1, 0, out, err);
		tokenize(t, msgs[i].content, strlen(msgs[i].content), 0, out, err);
		tokenize(t, "\n", 1, 0, out, err);
	}
	return 0;
}

struct session *
session_new(const struct tokenizer *t, const struct session_params *p, const uint32_t *prompt,
	size_t n_prompt, struct err *err)
{
	struct session *s = calloc(1, sizeof *s);
	size_t i;

	(void)t, (void)err;
	s->p = *p;
	s->n = s->n_prompt = (uint32_t)n_prompt;
	s->ids = calloc(n_prompt + MAX_NEW, sizeof *s->ids);
	memcpy(s->ids, prompt, n_prompt * sizeof *prompt);
	pthread_mutex_lock(&lock);
	seen.sampler = p->sampler;
	seen.max_tokens = p->max_tokens;
	seen.max_guesses = p->max_guesses;
	seen.ignore_end = p->ignore_end;
	seen.held = p->grammar != NULL;
	seen.n_stops = p->n_stops;
	for (i = 0; i < p->n_stops && i < 4; i++)
		snprintf(seen.stops[i], sizeof seen.stops[i], "%s", p->stops[i]);
	for (i = 0; i < n_prompt && i + 1 < sizeof seen.prompt; i++)
		seen.prompt[i] = (char)prompt[i];
	seen.prompt[i] = '\0';
	pthread_mutex_unlock(&lock);
	s->text = calloc(1, n_prompt + 1);
	for (i = 0; i < n_prompt; i++)
		s->text[i] = (char)prompt[i];
	return s;
}

void
session_free(struct session *s)
{
	if (s != NULL) {
		free(s->text);
		free(s->ids);
	}
	free(s);
}

int
session_begun(struct session *s, const char *text, size_t len, struct err *err)
{
	(void)s, (void)text, (void)len, (void)err;
	return 0;
}

int
session_write(const struct session *s, struct buf *out)
{
	return buf_u32(out, s->n_prompt);
}

struct session *
session_read(
	const struct tokenizer *t, const void *data, size_t len, struct buf *text, struct err *err)
{
	struct session *s = calloc(1, sizeof *s);

	(void)t, (void)len, (void)text, (void)err;
	s->n = s->n_prompt = get_le32(data);
	s->ids = calloc((size_t)s->n + MAX_NEW, sizeof *s->ids);
	return s;
}

bool
tokenizer_is_end(const struct tokenizer *t, uint32_t id)
{
	(void)t;
	return id == END_ID;
}

enum session_end
session_repeat(struct session *s, uint32_t id, struct buf *text)
{
	s->ids[s->n_prompt + (s->n++ - s->n_prompt) % MAX_NEW] = id;
	if (id == END_ID)
		s->end = SESSION_STOP;
	else if (text != NULL)
		add_text(id, text);
	if (s->led && s->end == SESSION_RUNNING && s->n - s->n_prompt >= s->p.max_tokens)
		s->end = SESSION_LENGTH;
	return s->end;
}

/* Who asks this is to lead. */
void
session_describe(const struct session *s, struct session_params *p)
{
	((struct session *)(uintptr_t)s)->led = true;
	*p = s->p;
}

enum session_end
session_state(const struct session *s)
{
	return s->end;
}

const uint32_t *
session_ids(const struct session *s, size_t *n)
{
	*n = s->n;
	return s->ids;
}

size_t
session_n_prompt(const struct session *s)
{
	return s->n_prompt;
}

const char *
session_end_name(enum session_end e)
{
	return e == SESSION_STOP ? "stop" : "length";
}
