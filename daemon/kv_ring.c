#include "daemon/kv_ring.h"

#include <stdlib.h>

int
kv_ring_init(struct kv_ring *r, uint32_t n, size_t cell)
{
	struct kv_piece *pieces = calloc(n, sizeof *pieces);
	uint8_t *data = malloc(n * cell + 1);

	if (pieces == NULL || data == NULL || uv_mutex_init(&r->lock) != 0) {
		free(pieces);
		free(data);
		return -1;
	}
	r->n = n;
	r->cell = cell;
	r->pieces = pieces;
	r->data = data;
	r->first = r->used = 0;
	return 0;
}

void
kv_ring_deinit(struct kv_ring *r)
{
	if (r->data == NULL)
		return;
	uv_mutex_destroy(&r->lock);
	free(r->pieces);
	free(r->data);
	r->data = NULL;
}

uint8_t *
kv_ring_next(struct kv_ring *r, struct kv_piece **p)
{
	uint32_t at;
	bool full;

	uv_mutex_lock(&r->lock);
	full = r->used == r->n;
	at = (r->first + r->used) % r->n;
	uv_mutex_unlock(&r->lock);
	*p = &r->pieces[at];
	return full ? NULL : r->data + at * r->cell;
}

void
kv_ring_add(struct kv_ring *r)
{
	uv_mutex_lock(&r->lock);
	r->used++;
	uv_mutex_unlock(&r->lock);
}

uint32_t
kv_ring_room(struct kv_ring *r)
{
	uint32_t room;

	uv_mutex_lock(&r->lock);
	room = r->n - r->used;
	uv_mutex_unlock(&r->lock);
	return room;
}

const uint8_t *
kv_ring_first(struct kv_ring *r, struct kv_piece *p)
{
	const uint8_t *data = NULL;

	uv_mutex_lock(&r->lock);
	if (r->used > 0) {
		*p = r->pieces[r->first];
		data = r->data + r->first * r->cell;
	}
	uv_mutex_unlock(&r->lock);
	return data;
}

void
kv_ring_drop(struct kv_ring *r)
{
	uv_mutex_lock(&r->lock);
	r->first = (r->first + 1) % r->n;
	r->used--;
	uv_mutex_unlock(&r->lock);
}

bool
kv_ring_empty(struct kv_ring *r)
{
	return kv_ring_room(r) == r->n;
}
