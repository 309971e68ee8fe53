/* What the main thread takes of an engine's KV rows, and puts into them. */
#include "daemon/engine_kv_int.h"

struct kv_bounds
engine_kv_bounds(const struct engine *e)
{
	return e->kv->bounds;
}

bool
engine_kv_heard(struct engine *e)
{
	bool news;

	if (e->kv == NULL)
		return false;
	uv_mutex_lock(&e->kv->lock);
	news = e->kv->news;
	e->kv->news = false;
	uv_mutex_unlock(&e->kv->lock);
	return news;
}

bool
engine_kv_take(struct engine *e, struct kv_piece *p, const uint8_t **bytes)
{
	*bytes = kv_ring_first(&e->kv->out, p);
	return *bytes != NULL;
}

void
engine_kv_taken(struct engine *e)
{
	bool more;

	kv_ring_drop(&e->kv->out);
	uv_mutex_lock(&e->kv->lock);
	more = e->kv->more;
	uv_mutex_unlock(&e->kv->lock);
	if (more)
		engine_wake(e);
}

uint64_t
engine_kv_owner(struct engine *e, uint32_t slot, uint32_t run)
{
	uint64_t number;

	uv_mutex_lock(&e->kv->lock);
	number = e->kv->owners[slot].run == run ? e->kv->owners[slot].number : 0;
	uv_mutex_unlock(&e->kv->lock);
	return number;
}

bool
engine_kv_has(struct engine *e, uint32_t slot, uint64_t number)
{
	struct engine_kv *k = e->kv;
	bool has;

	uv_mutex_lock(&k->lock);
	has = k->held || k->owners[slot].number == number || k->starts[slot].number == number;
	uv_mutex_unlock(&k->lock);
	return has;
}

uint32_t
engine_kv_room(struct engine *e)
{
	return kv_ring_room(&e->kv->in);
}

void
engine_kv_put(struct engine *e, const struct kv_piece *p, const uint8_t *bytes)
{
	struct kv_piece *place;
	uint8_t *data = kv_ring_next(&e->kv->in, &place);

	*place = *p;
	memcpy(data, bytes, p->heads * e->kv->bounds.page);
	kv_ring_add(&e->kv->in);
	engine_wake(e);
}

void
engine_kv_fill(struct engine *e, const uint32_t *positions)
{
	uv_mutex_lock(&e->kv->lock);
	memcpy(e->kv->fills, positions, e->c.slots * sizeof *positions);
	e->kv->fill_wanted = true;
	uv_mutex_unlock(&e->kv->lock);
	engine_wake(e);
}

bool
engine_kv_settled(struct engine *e)
{
	bool settled;

	uv_mutex_lock(&e->kv->lock);
	settled = !e->kv->fill_wanted && kv_ring_empty(&e->kv->in);
	uv_mutex_unlock(&e->kv->lock);
	return settled;
}

void
engine_kv_start(struct engine *e, const struct engine_kv_start *starts)
{
	uv_mutex_lock(&e->kv->lock);
	if (starts != NULL)
		memcpy(e->kv->starts, starts, e->c.slots * sizeof *starts);
	e->kv->held = false;
	uv_mutex_unlock(&e->kv->lock);
	engine_wake(e);
}
