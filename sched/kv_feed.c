#include "sched/kv_feed.h"

void
kv_feed_row(struct kv_feed *f, uint32_t slot, uint32_t pos, bool guessed)
{
	struct kv_feed_slot *s = &f->list[slot];

	s->seen = true;
	if (!guessed)
		s->sure = pos + 1;
	if (pos > 0)
		return;
	s->run++;
	s->at = (struct kv_cursor){0};
}

void
kv_feed_filled(struct kv_feed *f, uint32_t slot, uint32_t n)
{
	f->list[slot].at = (struct kv_cursor){.group = n / KV_GROUP};
	f->list[slot].sure = n;
}

bool
kv_feed_next(struct kv_feed *f, const uint32_t *filled, struct kv_piece *p)
{
	for (uint32_t i = 0; i < f->slots; i++) {
		uint32_t slot = (f->turn + i) % f->slots;
		struct kv_feed_slot *s = &f->list[slot];
		uint32_t ready = filled[slot] < s->sure ? filled[slot] : s->sure;

		if (!s->seen || !kv_cursor_next(&s->at, &f->span, f->most, ready / KV_GROUP, p))
			continue;
		p->slot = slot;
		p->run = s->run;
		f->turn = (slot + 1) % f->slots;
		return true;
	}
	return false;
}

bool
kv_need_next(struct kv_need *n, const uint32_t *positions, struct kv_piece *p)
{
	for (; n->slot < n->slots; n->slot++) {
		if (kv_cursor_next(&n->at, &n->span, n->most, positions[n->slot] / KV_GROUP, p)) {
			p->slot = n->slot;
			p->run = 0;
			return true;
		}
		n->at = (struct kv_cursor){0};
	}
	return false;
}

uint32_t
kv_rows_kept(uint32_t covered, uint32_t n_ids)
{
	if (n_ids == 0)
		return 0;
	return covered < n_ids ? covered : n_ids - 1;
}
