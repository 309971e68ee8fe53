#include "model/kv_piece.h"

size_t
kv_page_bytes(enum kv_type type, uint32_t head_dim)
{
	size_t half = kv_head_bytes(type, head_dim, KV_GROUP);

	return half > KV_PAGE_MOST / 2 ? 0 : 2 * half;
}

uint32_t
kv_piece_heads(size_t page)
{
	return page == 0 || page >= KV_PIECE_BYTES ? 1 : (uint32_t)(KV_PIECE_BYTES / page);
}

static bool
is_within(uint32_t first, uint32_t n, uint32_t from, uint32_t all)
{
	return first >= from && first - from <= all && n <= all - (first - from);
}

int
kv_piece_check(const struct kv_bounds *b, const struct kv_piece *p, size_t bytes, struct err *err)
{
	if (p->slot >= b->slots || p->group >= b->groups || p->heads == 0 || p->heads > b->heads ||
		!is_within(p->layer, 1, b->span.layer0, b->span.layers) ||
		!is_within(p->head, p->heads, b->span.head0, b->span.heads))
		return err_set(err,
			"KV rows of slot %u, group %u, layer %u, heads %u+%u: there are %u slots, "
			"%u groups, layers %u+%u, heads %u+%u",
			p->slot, p->group, p->layer, p->head, p->heads, b->slots, b->groups,
			b->span.layer0, b->span.layers, b->span.head0, b->span.heads);
	if (bytes != p->heads * b->page)
		return err_set(err, "KV rows of %u heads in %zu bytes instead of %zu", p->heads,
			bytes, p->heads * b->page);
	return 0;
}

bool
kv_cursor_next(struct kv_cursor *at, const struct kv_span *s, uint32_t most, uint32_t groups,
	struct kv_piece *p)
{
	uint32_t heads = s->heads - at->head;

	if (at->group >= groups || s->layers == 0 || s->heads == 0)
		return false;
	heads = heads < most ? heads : most;
	p->group = at->group;
	p->layer = s->layer0 + at->layer;
	p->head = s->head0 + at->head;
	p->heads = heads;
	at->head += heads;
	if (at->head == s->heads) {
		at->head = 0;
		at->layer++;
	}
	if (at->layer == s->layers) {
		at->layer = 0;
		at->group++;
	}
	return true;
}
