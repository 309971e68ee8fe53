#include "daemon/serve_kv.h"

#include "daemon/engine_kv.h"
#include "daemon/log.h"
#include "model/kv_vault.h"
#include "sched/kv_feed.h"

#include <stdlib.h>

#define SILENT_MS 3000 /* of loading without a piece, until rows are computed again instead */

struct copies {
	struct kv_vault *vault;
	uint32_t slots;
	bool no_room; /* a piece found no memory in this plan: was said */

	/* loading what is kept into the caches of a plan's engines */
	bool loading, own_filled, own_loaded;
	uint64_t moved; /* loop time of the last piece */
	struct kv_need own;
	uint8_t *piece;                 /* one */
	uint32_t *positions;            /* [slots] */
	struct engine_kv_start *starts; /* [slots] */
};

/* --- the vault ---------------------------------------------------------------------------------- */

static struct kv_vault_config
vault_config(const struct serve *s, const struct model_shape *shape, uint32_t context)
{
	return (struct kv_vault_config){.type = serve_kv(s->config),
		.layers = shape->layers,
		.heads = shape->kv_heads,
		.head_dim = shape->head_dim,
		.slots = s->config->parallel,
		.context = context};
}

uint64_t
copies_more_bytes(const struct serve *s, const struct model_shape *shape, uint32_t context)
{
	struct kv_vault_config c = vault_config(s, shape, context);
	uint64_t most = kv_vault_bytes(&c) + KV_PAGE_MOST, held = 0;

	if (s->config->kv_copies == 0)
		return 0;
	if (s->copies != NULL)
		held = kv_vault_held(s->copies->vault);
	return most > held ? most - held : 0;
}

void
copies_free(struct serve *s)
{
	struct copies *c = s->copies;

	if (c == NULL)
		return;
	kv_vault_free(c->vault);
	free(c->piece);
	free(c->positions);
	free(c->starts);
	free(c);
	s->copies = NULL;
}

static int
make_vault(struct serve *s, const struct kv_vault_config *vc, struct err *err)
{
	struct copies *c = calloc(1, sizeof *c);

	s->copies = c;
	if (c == NULL)
		return err_set(err, "not enough memory for copies of KV rows");
	c->slots = vc->slots;
	c->vault = kv_vault_new(vc, err);
	if (c->vault == NULL)
		return -1;
	c->piece = malloc(KV_PAGE_MOST);
	c->positions = calloc(vc->slots, sizeof *c->positions);
	c->starts = calloc(vc->slots, sizeof *c->starts);
	if (c->piece == NULL || c->positions == NULL || c->starts == NULL)
		return err_set(err, "not enough memory for copies of KV rows");
	return 0;
}

/* The vault for the plan's model, with what it holds. NULL: there is none. */
static struct copies *
vault_of(struct plan *p)
{
	struct serve *s = p->serve;
	struct kv_vault_config vc = vault_config(s, &p->file->shape, p->context);
	struct err err;

	if (s->copies != NULL && !kv_vault_fits(s->copies->vault, &vc))
		copies_free(s);
	if (s->copies == NULL && make_vault(s, &vc, &err) != 0) {
		log_warning("plan %llu: %s", (unsigned long long)p->epoch, err.msg);
		copies_free(s);
	}
	return s->copies;
}

static void
keep(struct serve *s, const struct kv_piece *p, const uint8_t *bytes)
{
	struct copies *c = s->copies;
	uint64_t number = engine_kv_owner(s->engine, p->slot, p->run);

	if (number == 0 || kv_vault_put(c->vault, number, p, bytes) == 0 || c->no_room)
		return;
	c->no_room = true;
	log_warning("no memory for more copies of KV rows: what is not kept is computed again");
}

/* What this device's engine has computed. */
static void
keep_own(struct serve *s)
{
	const uint8_t *bytes;
	struct kv_piece p;

	while (engine_kv_take(s->engine, &p, &bytes)) {
		keep(s, &p, bytes);
		engine_kv_taken(s->engine);
	}
}

/* Requests that have ended need no rows. */
static void
forget_ended(struct serve *s)
{
	struct copies *c = s->copies;

	for (uint32_t i = 0; i < c->slots; i++)
		if (!engine_kv_has(s->engine, i, kv_vault_number(c->vault, i)))
			kv_vault_forget(c->vault, i);
}

/* --- loading ------------------------------------------------------------------------------------ */

/* Which slots have rows of requests that wait. Returns how many. */
static uint32_t
choose(struct serve *s)
{
	struct copies *c = s->copies;
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->slots; i++) {
		uint64_t number = kv_vault_number(c->vault, i);
		uint32_t covered = kv_vault_covered(c->vault, i);
		bool there = number != 0 && covered > 0 && desk_waits_for(s->desk, number - 1);

		if (!there)
			kv_vault_forget(c->vault, i);
		c->positions[i] = there ? covered : 0;
		c->starts[i] = (struct engine_kv_start){there ? number : 0, c->positions[i]};
		n += there;
	}
	return n;
}

static void
tell_member(struct plan *p, struct plan_member *m)
{
	const struct copies *c = p->serve->copies;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__KvResume resume = SHOAL__KV_RESUME__INIT;
	struct buf b;

	buf_init(&b, 0);
	for (uint32_t i = 0; i < c->slots; i++)
		buf_u32(&b, c->positions[i]);
	resume.epoch = p->epoch;
	resume.positions = (ProtobufCBinaryData){b.len, b.data};
	e.body_case = SHOAL__ENVELOPE__BODY_KV_RESUME;
	e.kv_resume = &resume;
	if (!b.failed)
		swarm_pack_send(m->copies, &e);
	buf_free(&b);
}

static void
end_loading(struct plan *p)
{
	struct copies *c = p->serve->copies;
	uint32_t n = 0, positions = 0;

	c->loading = false;
	for (uint32_t i = 0; i < c->slots; i++) {
		n += c->starts[i].number != 0;
		positions += c->starts[i].positions;
	}
	log_info("plan %llu: %u request%s go%s on with the KV rows of %u positions from copies",
		(unsigned long long)p->epoch, n, n > 1 ? "s" : "", n > 1 ? "" : "es", positions);
	engine_kv_start(p->serve->engine, c->starts);
}

static void
give_up(struct serve *s, const char *why)
{
	struct copies *c = s->copies;

	c->loading = false;
	log_warning("copies of KV rows are of no use, all rows are computed again: %s", why);
	engine_kv_start(s->engine, NULL);
}

static void
check_loaded(struct plan *p)
{
	struct copies *c = p->serve->copies;

	if (!c->loading || !c->own_loaded)
		return;
	for (uint32_t i = 1; i < p->n; i++)
		if (!p->members[i].copies_loaded)
			return;
	end_loading(p);
}

/* This device's own slice, as far as the engine has room. */
static void
load_own(struct plan *p)
{
	struct serve *s = p->serve;
	struct copies *c = s->copies;
	struct kv_piece piece;

	if (!c->loading || c->own_loaded)
		return;
	while (engine_kv_room(s->engine) > 0 && kv_need_next(&c->own, c->positions, &piece)) {
		c->moved = uv_now(s->loop);
		if (!kv_vault_get(c->vault, &piece, c->piece)) {
			give_up(s, "this device's own are not all there");
			return;
		}
		engine_kv_put(s->engine, &piece, c->piece);
	}
	if (!engine_kv_settled(s->engine))
		return;
	c->own_loaded = c->own_filled;
	if (!c->own_filled)
		engine_kv_fill(s->engine, c->positions);
	c->own_filled = true;
	check_loaded(p);
}

static void
begin_loading(struct plan *p)
{
	struct serve *s = p->serve;
	struct copies *c = s->copies;
	struct kv_bounds b = engine_kv_bounds(s->engine);

	c->loading = true;
	c->own_filled = c->own_loaded = false;
	c->moved = uv_now(s->loop);
	c->own = (struct kv_need){.span = b.span, .most = b.heads, .slots = b.slots};
	for (uint32_t i = 1; i < p->n; i++)
		if (p->members[i].copies != NULL)
			tell_member(p, &p->members[i]);
	load_own(p);
}

/* --- messages of members ------------------------------------------------------------------------ */

/* What a member's pieces must be. */
static struct kv_bounds
bounds_of(const struct plan *p, const struct plan_member *m)
{
	const struct slice *sl = &p->slices[m - p->members];
	struct kv_bounds b = engine_kv_bounds(p->serve->engine);

	b.span = (struct kv_span){sl->layer0, sl->layers, sl->kv_head0, sl->kv_heads};
	return b;
}

static int
take_open(struct plan *p, struct plan_member *m, struct link *l, struct err *err)
{
	if (m->copies != NULL)
		return err_set(err, "it has a link for KV rows already");
	m->copies = l;
	if (p->serve->copies != NULL && p->serve->copies->loading)
		tell_member(p, m);
	return 0;
}

static int
take_rows(struct plan *p, struct plan_member *m, const Shoal__KvRows *r, struct err *err)
{
	struct kv_bounds b = bounds_of(p, m);
	struct kv_piece piece = copies_piece(r);
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__KvTaken taken = SHOAL__KV_TAKEN__INIT;

	if (kv_piece_check(&b, &piece, r->rows.len, err) != 0)
		return -1;
	keep(p->serve, &piece, r->rows.data);
	taken.epoch = p->epoch;
	taken.pieces = 1;
	e.body_case = SHOAL__ENVELOPE__BODY_KV_TAKEN;
	e.kv_taken = &taken;
	swarm_pack_send(m->copies, &e);
	return 0;
}

static int
take_ask(struct plan *p, struct plan_member *m, const Shoal__KvRows *r, struct err *err)
{
	struct copies *c = p->serve->copies;
	struct kv_bounds b = bounds_of(p, m);
	struct kv_piece piece = copies_piece(r);
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__KvRows rows = SHOAL__KV_ROWS__INIT;

	if (!c->loading)
		return 0; /* it was given up */
	if (kv_piece_check(&b, &piece, piece.heads * b.page, err) != 0)
		return -1;
	if (!kv_vault_get(c->vault, &piece, c->piece))
		return err_set(err, "it asks for KV rows that are not there");
	c->moved = uv_now(p->serve->loop);
	copies_fill(&rows, p->epoch, &piece);
	rows.rows = (ProtobufCBinaryData){piece.heads * b.page, c->piece};
	e.body_case = SHOAL__ENVELOPE__BODY_KV_ROWS;
	e.kv_rows = &rows;
	swarm_pack_send(m->copies, &e);
	return 0;
}

bool
copies_is_message(const Shoal__Envelope *e)
{
	return e->body_case == SHOAL__ENVELOPE__BODY_KV_OPEN ||
	       e->body_case == SHOAL__ENVELOPE__BODY_KV_ROWS ||
	       e->body_case == SHOAL__ENVELOPE__BODY_KV_ASK ||
	       e->body_case == SHOAL__ENVELOPE__BODY_KV_LOADED;
}

static uint64_t
epoch_of(const Shoal__Envelope *e)
{
	switch (e->body_case) {
	case SHOAL__ENVELOPE__BODY_KV_OPEN:
		return e->kv_open->epoch;
	case SHOAL__ENVELOPE__BODY_KV_ROWS:
		return e->kv_rows->epoch;
	case SHOAL__ENVELOPE__BODY_KV_ASK:
		return e->kv_ask->epoch;
	default:
		return e->kv_loaded->epoch;
	}
}

int
copies_control(struct serve *s, struct swarm_peer *peer, struct link *l, const Shoal__Envelope *e,
	struct err *err)
{
	struct plan *p = s->plan;
	struct plan_member *m = plan_member(s, peer);

	if (m == NULL || s->config->kv_copies == 0 || p->epoch != epoch_of(e))
		return 0; /* of a plan that is over */
	if (e->body_case == SHOAL__ENVELOPE__BODY_KV_OPEN)
		return take_open(p, m, l, err);
	if (m->copies != l)
		return err_set(err, "it sent '%s' on another link", control_name(e));
	if (s->engine == NULL || s->copies == NULL)
		return 0;
	if (e->body_case == SHOAL__ENVELOPE__BODY_KV_ROWS)
		return take_rows(p, m, e->kv_rows, err);
	if (e->body_case == SHOAL__ENVELOPE__BODY_KV_ASK)
		return take_ask(p, m, e->kv_ask, err);
	m->copies_loaded = s->copies->loading;
	check_loaded(p);
	return 0;
}

void
copies_link_closed(struct serve *s, const struct link *l, const char *why)
{
	for (uint32_t i = 1; s->plan != NULL && i < s->plan->n; i++) {
		struct plan_member *m = &s->plan->members[i];

		if (m->copies != l)
			continue;
		m->copies = NULL;
		log_warning("%s sends no more copies of KV rows in this plan: %s",
			m->peer->known->name, why);
	}
}

/* --- the plan ----------------------------------------------------------------------------------- */

void
copies_began(struct plan *p)
{
	struct serve *s = p->serve;

	if (s->config->kv_copies == 0)
		return;
	if (vault_of(p) != NULL)
		s->copies->no_room = false;
	if (s->copies != NULL && choose(s) > 0)
		begin_loading(p);
	else
		engine_kv_start(s->engine, NULL);
}

void
copies_end(struct serve *s)
{
	if (s->copies == NULL || s->engine == NULL)
		return;
	keep_own(s);
	s->copies->loading = false;
}

void
copies_news(struct serve *s)
{
	if (s->copies == NULL || s->engine == NULL || s->plan == NULL)
		return;
	keep_own(s);
	load_own(s->plan);
}

void
copies_tick(struct serve *s)
{
	if (s->copies == NULL || s->engine == NULL)
		return;
	if (!s->copies->loading)
		forget_ended(s);
	else if (uv_now(s->loop) - s->copies->moved > SILENT_MS)
		give_up(s, "they are not loaded within a few seconds");
}

void
copies_on_kv(void *arg)
{
	struct serve *s = arg;

	if (s->follow != NULL && s->follow->copier != NULL)
		copier_news(s->follow->copier);
	else
		copies_news(s);
}

json_t *
copies_json(struct serve *s)
{
	if (s->copies == NULL)
		return json_null();
	return json_pack("{s:I}", "bytes", (json_int_t)kv_vault_held(s->copies->vault));
}
