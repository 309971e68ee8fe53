/* A member's part in copies of KV rows: first it loads what the coordinator has of its slice, then it
 * sends what it computes, a few pieces at a time, as they are acknowledged. */
#include "daemon/engine_kv.h"
#include "daemon/log.h"
#include "daemon/serve_kv.h"
#include "sched/kv_feed.h"

#include <stdlib.h>

#define WINDOW                                                                                     \
	4 /* pieces that were sent and are not acknowledged: little lies before a step's sums */

struct copier {
	struct follow *follow;
	struct link *link; /* NULL: gone for good */
	bool open;
	struct kv_bounds bounds;
	uint32_t under_way; /* pieces sent */

	/* loading */
	bool loading, filled;
	uint32_t asked; /* pieces that have not come yet */
	struct kv_need need;
	uint32_t positions[]; /* [slots] */
};

struct kv_piece
copies_piece(const Shoal__KvRows *m)
{
	return (struct kv_piece){m->slot, m->run, m->group, m->layer, m->head, m->heads};
}

void
copies_fill(Shoal__KvRows *m, uint64_t epoch, const struct kv_piece *p)
{
	m->epoch = epoch;
	m->slot = p->slot;
	m->run = p->run;
	m->group = p->group;
	m->layer = p->layer;
	m->head = p->head;
	m->heads = p->heads;
}

static struct engine *
engine_of(const struct copier *c)
{
	return c->follow->serve->engine;
}

/* --- what leaves -------------------------------------------------------------------------------- */

static int
send_piece(struct copier *c, const struct kv_piece *p, const uint8_t *bytes)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__KvRows rows = SHOAL__KV_ROWS__INIT;

	copies_fill(&rows, c->follow->epoch, p);
	rows.rows = (ProtobufCBinaryData){p->heads * c->bounds.page, (uint8_t *)(uintptr_t)bytes};
	e.body_case = SHOAL__ENVELOPE__BODY_KV_ROWS;
	e.kv_rows = &rows;
	return swarm_pack_send(c->link, &e);
}

static void
send_computed(struct copier *c)
{
	struct engine *e = engine_of(c);
	const uint8_t *bytes;
	struct kv_piece p;

	while (c->link != NULL && c->open && c->under_way < WINDOW &&
		engine_kv_take(e, &p, &bytes)) {
		if (send_piece(c, &p, bytes) == 0)
			c->under_way++;
		engine_kv_taken(e);
	}
}

/* --- what is loaded ----------------------------------------------------------------------------- */

static void
ask(struct copier *c, const struct kv_piece *p)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__KvRows rows = SHOAL__KV_ROWS__INIT;

	copies_fill(&rows, c->follow->epoch, p);
	e.body_case = SHOAL__ENVELOPE__BODY_KV_ASK;
	e.kv_ask = &rows;
	c->asked++;
	swarm_pack_send(c->link, &e);
}

static void
say_loaded(struct copier *c)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__KvLoaded loaded = SHOAL__KV_LOADED__INIT;

	c->loading = false;
	loaded.epoch = c->follow->epoch;
	e.body_case = SHOAL__ENVELOPE__BODY_KV_LOADED;
	e.kv_loaded = &loaded;
	swarm_pack_send(c->link, &e);
}

/* Asks for no more than the engine has room for. */
static void
load(struct copier *c)
{
	struct engine *e = engine_of(c);
	struct kv_piece p;

	while (c->link != NULL && c->loading && c->asked < engine_kv_room(e) &&
		kv_need_next(&c->need, c->positions, &p))
		ask(c, &p);
	if (c->link == NULL || !c->loading || c->asked > 0 || !engine_kv_settled(e))
		return;
	if (c->filled) {
		say_loaded(c);
	} else {
		c->filled = true;
		engine_kv_fill(e, c->positions);
	}
}

static int
take_resume(struct copier *c, const Shoal__KvResume *m, struct err *err)
{
	if (c->loading || c->filled || m->positions.len != (size_t)4 * c->bounds.slots)
		return err_set(err, "%zu bytes of positions of KV rows came", m->positions.len);
	for (uint32_t i = 0; i < c->bounds.slots; i++) {
		uint32_t n = get_le32(m->positions.data + (size_t)4 * i);

		if (n % KV_GROUP != 0 || n / KV_GROUP > c->bounds.groups)
			return err_set(err, "slot %u is to have %u positions of KV rows", i, n);
		c->positions[i] = n;
	}
	c->loading = true;
	load(c);
	return 0;
}

static int
take_rows(struct copier *c, const Shoal__KvRows *m, struct err *err)
{
	struct kv_piece p = copies_piece(m);

	if (c->asked == 0)
		return err_set(err, "KV rows came that were not asked for");
	if (kv_piece_check(&c->bounds, &p, m->rows.len, err) != 0)
		return -1;
	c->asked--;
	engine_kv_put(engine_of(c), &p, m->rows.data);
	load(c);
	return 0;
}

static int
take_taken(struct copier *c, const Shoal__KvTaken *m, struct err *err)
{
	if (m->pieces > c->under_way)
		return err_set(
			err, "%u pieces of KV rows were taken of %u", m->pieces, c->under_way);
	c->under_way -= m->pieces;
	send_computed(c);
	return 0;
}

static int
take(struct copier *c, const Shoal__Envelope *e, struct err *err)
{
	uint64_t epoch = c->follow->epoch;

	switch (e->body_case) {
	case SHOAL__ENVELOPE__BODY_KV_RESUME:
		return e->kv_resume->epoch == epoch ? take_resume(c, e->kv_resume, err) : 0;
	case SHOAL__ENVELOPE__BODY_KV_ROWS:
		return e->kv_rows->epoch == epoch ? take_rows(c, e->kv_rows, err) : 0;
	case SHOAL__ENVELOPE__BODY_KV_TAKEN:
		return e->kv_taken->epoch == epoch ? take_taken(c, e->kv_taken, err) : 0;
	default:
		return err_set(err, "'%s' came on a link for KV rows", control_name(e));
	}
}

/* --- the link ----------------------------------------------------------------------------------- */

static void
on_open(struct link *l, void *arg)
{
	struct copier *c = arg;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__KvOpen open = SHOAL__KV_OPEN__INIT;

	c->open = true;
	open.epoch = c->follow->epoch;
	e.body_case = SHOAL__ENVELOPE__BODY_KV_OPEN;
	e.kv_open = &open;
	swarm_pack_send(l, &e);
	send_computed(c);
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct copier *c = arg;
	Shoal__Envelope *e = control_unpack(msg, len, err);
	int rc;

	(void)l;
	if (e == NULL)
		return -1;
	rc = take(c, e, err);
	control_free(e);
	return rc;
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct copier *c = arg;

	(void)l;
	c->link = NULL;
	log_info("KV rows of plan %llu are not copied any more: %s",
		(unsigned long long)c->follow->epoch, why);
}

struct copier *
copier_new(struct follow *f)
{
	static const struct link_events events = {on_open, on_message, on_close};
	struct copier *c = calloc(1, sizeof *c + f->slots * sizeof *c->positions);

	if (c == NULL)
		return NULL;
	c->follow = f;
	c->bounds = engine_kv_bounds(f->serve->engine);
	c->need = (struct kv_need){
		.span = c->bounds.span, .most = c->bounds.heads, .slots = c->bounds.slots};
	c->link = swarm_dial(f->serve->swarm, LINK_BULK, CONTROL_MAX_BULK, &events, c);
	return c;
}

void
copier_free(struct copier *c)
{
	static const struct link_events nothing;

	if (c == NULL)
		return;
	if (c->link != NULL) {
		link_set(c->link, &nothing, NULL);
		link_close(c->link, "");
	}
	free(c);
}

void
copier_news(struct copier *c)
{
	load(c);
	send_computed(c);
}
