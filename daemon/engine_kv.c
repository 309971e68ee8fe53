/* The engine's thread and its KV rows: what leaves after a step, what comes before the first one. */
#include "daemon/engine_kv_int.h"

#include <stdlib.h>

/* Of the rings: what a step of a prompt computes has room, or most of it. */
#define OUT_BYTES  (4u << 20)
#define IN_BYTES   (1u << 20)
#define CELLS_MOST 128
#define STEP_BYTES (1u << 20) /* copied out after a step of one row, at most */

/* --- life --------------------------------------------------------------------------------------- */

static struct kv_bounds
bounds_of(const struct engine_config *c)
{
	const struct slice *sl = &c->slices[c->rank];
	size_t page = kv_page_bytes(c->kv, c->shape->head_dim);

	return (struct kv_bounds){.span = {sl->layer0, sl->layers, sl->kv_head0, sl->kv_heads},
		.slots = c->slots,
		.groups = c->context / KV_GROUP,
		.heads = kv_piece_heads(page),
		.page = page};
}

static size_t
cell_bytes(const struct kv_bounds *b)
{
	uint32_t heads = b->heads < b->span.heads ? b->heads : b->span.heads;

	return heads * b->page;
}

static uint32_t
cells_of(const struct kv_bounds *b, size_t ring)
{
	size_t cell = cell_bytes(b), n = cell > 0 ? ring / cell : 1;

	return n < 2 ? 2 : n > CELLS_MOST ? CELLS_MOST : (uint32_t)n;
}

uint64_t
engine_kv_bytes(const struct engine_config *c)
{
	struct kv_bounds b = bounds_of(c);
	size_t cells = cells_of(&b, OUT_BYTES) + cells_of(&b, IN_BYTES);
	size_t slot = sizeof(struct kv_feed_slot) + sizeof(uint32_t) + sizeof(struct owner) +
		      sizeof(struct engine_kv_start);

	if (!c->kv_copies)
		return 0;
	return sizeof(struct engine_kv) + cells * (cell_bytes(&b) + sizeof(struct kv_piece)) +
	       c->slots * slot;
}

void
engine_kv_free(struct engine_kv *k)
{
	if (k == NULL)
		return;
	uv_mutex_destroy(&k->lock);
	kv_ring_deinit(&k->out);
	kv_ring_deinit(&k->in);
	free(k->feed.list);
	free(k->fills);
	free(k->owners);
	free(k->starts);
	free(k);
}

static int
alloc(struct engine_kv *k, uint32_t slots)
{
	size_t cell = cell_bytes(&k->bounds);

	k->feed = (struct kv_feed){.span = k->bounds.span,
		.most = k->bounds.heads,
		.slots = slots,
		.list = calloc(slots, sizeof *k->feed.list)};
	k->fills = calloc(slots, sizeof *k->fills);
	k->owners = calloc(slots, sizeof *k->owners);
	k->starts = calloc(slots, sizeof *k->starts);
	if (k->feed.list == NULL || k->fills == NULL || k->owners == NULL || k->starts == NULL ||
		kv_ring_init(&k->out, cells_of(&k->bounds, OUT_BYTES), cell) != 0 ||
		kv_ring_init(&k->in, cells_of(&k->bounds, IN_BYTES), cell) != 0)
		return -1;
	return 0;
}

int
engine_kv_new(struct engine *e, struct err *err)
{
	struct engine_kv *k;

	if (!e->c.kv_copies)
		return 0;
	k = calloc(1, sizeof *k);
	if (k == NULL || uv_mutex_init(&k->lock) != 0) {
		free(k);
		return err_set(err, "not enough memory for copies of KV rows");
	}
	e->kv = k;
	k->bounds = bounds_of(&e->c);
	k->held = engine_is_coordinator(&e->c);
	if (alloc(k, e->c.slots) != 0)
		return err_set(err, "not enough memory for copies of KV rows");
	return 0;
}

/* --- engine thread: rows out and in ------------------------------------------------------------- */

static void
post_news(struct engine *e)
{
	uv_mutex_lock(&e->kv->lock);
	e->kv->news = true;
	uv_mutex_unlock(&e->kv->lock);
	uv_async_send(&e->heard);
}

/* Copies out what is computed, as far as there is room, and no more than `most` bytes. */
static void
copy_out(struct engine *e, size_t most)
{
	struct engine_kv *k = e->kv;
	size_t bytes = 0;
	bool more = true;
	struct kv_piece *p;
	uint8_t *data;

	if (k->bounds.page == 0)
		return;
	while (bytes < most && (data = kv_ring_next(&k->out, &p)) != NULL) {
		more = kv_feed_next(&k->feed, forward_kv_filled(e->forward), p);
		if (!more)
			break;
		forward_kv_read(e->forward, p, data);
		bytes += p->heads * k->bounds.page;
		kv_ring_add(&k->out);
	}
	uv_mutex_lock(&k->lock);
	k->more = more;
	uv_mutex_unlock(&k->lock);
	if (bytes > 0)
		post_news(e);
}

/* Of slots that have had a row nothing is put back any more: who asked for it has given it up. */
static bool
may_put_back(const struct engine_kv *k, uint32_t slot)
{
	return !k->feed.list[slot].seen;
}

/* When it is wanted, every piece that it is for is in the ring, or has been there. */
static bool
fill(struct engine *e)
{
	struct engine_kv *k = e->kv;
	bool wanted;

	uv_mutex_lock(&k->lock);
	wanted = k->fill_wanted && kv_ring_empty(&k->in);
	for (uint32_t i = 0; wanted && i < e->c.slots; i++) {
		if (k->fills[i] == 0 || !may_put_back(k, i))
			continue;
		forward_kv_fill(e->forward, i, k->fills[i]);
		kv_feed_filled(&k->feed, i, k->fills[i]);
	}
	if (wanted)
		k->fill_wanted = false;
	uv_mutex_unlock(&k->lock);
	return wanted;
}

static void
copy_in(struct engine *e)
{
	struct engine_kv *k = e->kv;
	const uint8_t *data;
	struct kv_piece p;
	bool news = false;

	while ((data = kv_ring_first(&k->in, &p)) != NULL) {
		if (may_put_back(k, p.slot))
			forward_kv_write(e->forward, &p, data);
		kv_ring_drop(&k->in);
		news = true;
	}
	if (fill(e) || news)
		post_news(e);
}

void
engine_kv_woken(struct engine *e)
{
	if (e->kv == NULL)
		return;
	copy_in(e);
	if (!e->kv->computing)
		copy_out(e, STEP_BYTES);
}

/* --- engine thread: steps ----------------------------------------------------------------------- */

/* Whose a slot's run is. The main thread asks when pieces of it come, which is after its rows were sent. */
static void
note_owner(struct engine *e, uint32_t slot)
{
	struct engine_kv *k = e->kv;
	const struct request *r = e->slots[slot];
	struct owner o = {
		k->feed.list[slot].run, r != NULL && r->guide == NULL ? r->number + 1 : 0};

	uv_mutex_lock(&k->lock);
	k->owners[slot] = o;
	uv_mutex_unlock(&k->lock);
}

void
engine_kv_begin(struct engine *e, uint32_t n)
{
	if (e->kv == NULL)
		return;
	e->kv->computing = true;
	for (uint32_t i = 0; i < n; i++) {
		const struct step_row *r = &e->rows[i];

		kv_feed_row(&e->kv->feed, r->slot, r->pos, (r->flags & STEP_GUESS) != 0);
		if (engine_is_coordinator(&e->c) && r->pos == 0)
			note_owner(e, r->slot);
	}
}

void
engine_kv_end(struct engine *e, uint32_t n)
{
	if (e->kv == NULL)
		return;
	e->kv->computing = false;
	e->kv->rows = n;
}

void
engine_kv_copy(struct engine *e)
{
	if (e->kv == NULL || e->kv->rows == 0)
		return;
	copy_out(e, e->kv->rows > 1 ? SIZE_MAX : STEP_BYTES);
	e->kv->rows = 0;
}

bool
engine_kv_is_held(struct engine *e)
{
	bool held;

	if (e->kv == NULL)
		return false;
	uv_mutex_lock(&e->kv->lock);
	held = e->kv->held;
	uv_mutex_unlock(&e->kv->lock);
	return held;
}

/* A free slot: the one that has the request's rows, else one that has nobody's. The lock is held. */
static uint32_t
choose_slot(const struct engine *e, const struct request *r, bool *has_rows)
{
	const struct engine_kv *k = e->kv;
	uint32_t clean = UINT32_MAX, any = UINT32_MAX;

	*has_rows = false;
	for (uint32_t i = e->c.slots; i-- > 0;) {
		if (e->slots[i] != NULL)
			continue;
		*has_rows = r->guide == NULL && k->starts[i].number == r->number + 1;
		if (*has_rows)
			return i;
		any = i;
		if (k->starts[i].number == 0)
			clean = i;
	}
	return clean != UINT32_MAX ? clean : any;
}

uint32_t
engine_kv_place(struct engine *e, struct request *r)
{
	struct engine_kv *k = e->kv;
	bool has_rows;
	uint32_t slot;
	size_t n_ids;

	request_ids(r, &n_ids);
	uv_mutex_lock(&k->lock);
	slot = choose_slot(e, r, &has_rows);
	if (has_rows) {
		r->n_done = kv_rows_kept(k->starts[slot].positions, (uint32_t)n_ids);
		k->owners[slot] = (struct owner){0, r->number + 1};
	}
	k->starts[slot].number = 0;
	uv_mutex_unlock(&k->lock);
	return slot;
}

void
engine_kv_settle(struct engine *e)
{
	struct engine_kv *k = e->kv;

	if (k == NULL)
		return;
	uv_mutex_lock(&k->lock);
	for (uint32_t i = 0; i < e->c.slots; i++) {
		k->starts[i].number = 0;
		if (e->slots[i] == NULL)
			k->owners[i].number = 0;
	}
	uv_mutex_unlock(&k->lock);
}
