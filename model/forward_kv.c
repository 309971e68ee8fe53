/* Pieces of the KV cache, out and in. */
#include "model/forward_int.h"

#include <string.h>

/* Where K's group of one head begins; V's lies as far behind as V behind K. */
static uint8_t *
group_of(const struct forward *f, const struct kv_piece *p, uint32_t head, bool v)
{
	uint32_t layer = p->layer - f->slice.layer0;
	uint32_t h = p->head + head - f->slice.kv_head0;
	uint8_t *base = v ? kv_v(&f->kv, layer, p->slot, h) : kv_k(&f->kv, layer, p->slot, h);

	return base + p->group * kv_head_bytes(f->kv.type, f->kv.head_dim, KV_GROUP);
}

void
forward_kv_read(const struct forward *f, const struct kv_piece *p, uint8_t *out)
{
	size_t half = kv_head_bytes(f->kv.type, f->kv.head_dim, KV_GROUP);

	for (uint32_t i = 0; i < p->heads; i++, out += 2 * half) {
		memcpy(out, group_of(f, p, i, false), half);
		memcpy(out + half, group_of(f, p, i, true), half);
	}
}

void
forward_kv_write(struct forward *f, const struct kv_piece *p, const uint8_t *in)
{
	size_t half = kv_head_bytes(f->kv.type, f->kv.head_dim, KV_GROUP);

	for (uint32_t i = 0; i < p->heads; i++, in += 2 * half) {
		memcpy(group_of(f, p, i, false), in, half);
		memcpy(group_of(f, p, i, true), in + half, half);
	}
}

const uint32_t *
forward_kv_filled(const struct forward *f)
{
	return f->filled;
}

void
forward_kv_fill(struct forward *f, uint32_t slot, uint32_t positions)
{
	f->filled[slot] = positions;
}
