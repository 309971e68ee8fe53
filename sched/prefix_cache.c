#include "sched/prefix_cache.h"

#include <stdlib.h>

struct held { /* by a slot */
	uint32_t n;
	uint64_t client;
	uint64_t used; /* when a row was computed last; 0: never */
};

struct prefix_cache {
	uint32_t slots, context;
	uint64_t now;      /* rows that were computed */
	struct held *held; /* [slots] */
	uint32_t *ids;     /* [slots][context] */
};

size_t
prefix_cache_bytes(uint32_t slots, uint32_t context)
{
	return sizeof(struct prefix_cache) +
	       slots * (sizeof(struct held) + (size_t)context * sizeof(uint32_t));
}

struct prefix_cache *
prefix_cache_new(uint32_t slots, uint32_t context)
{
	struct prefix_cache *c = malloc(sizeof *c);

	if (c == NULL)
		return NULL;
	*c = (struct prefix_cache){.slots = slots,
		.context = context,
		.held = calloc(slots, sizeof *c->held),
		.ids = malloc((size_t)slots * context * sizeof *c->ids)};
	if (c->held != NULL && c->ids != NULL)
		return c;
	prefix_cache_free(c);
	return NULL;
}

void
prefix_cache_free(struct prefix_cache *c)
{
	if (c == NULL)
		return;
	free(c->held);
	free(c->ids);
	free(c);
}

void
prefix_cache_put(struct prefix_cache *c, uint32_t slot, uint32_t pos, uint32_t id)
{
	struct held *h = &c->held[slot];

	if (pos > h->n || pos >= c->context) {
		h->n = 0; /* there is a gap: nothing is known of the rows before it */
		return;
	}
	c->ids[(size_t)slot * c->context + pos] = id;
	h->n = pos + 1;
	h->used = ++c->now;
}

size_t
prefix_cache_rows(
	const struct prefix_cache *c, uint32_t slot, uint64_t client, const uint32_t *ids, size_t n)
{
	const uint32_t *its = c->ids + (size_t)slot * c->context;
	size_t most = n < c->held[slot].n ? n : c->held[slot].n, same = 0;

	if (c->held[slot].client != client)
		return 0;
	while (same < most && its[same] == ids[same])
		same++;
	return same;
}

/* Whether a session may have a slot for the rows that it finds there: little of the others would be lost, less if there
 * is an empty one, or it is the same prompt again, whatever its answer was. */
static bool
is_for(const struct held *h, size_t same, size_t n, bool empty)
{
	size_t lost = h->n - same;

	return same > 0 && (same + 1 >= n || lost * (empty ? 8 : 2) <= same);
}

static bool
has_empty(const struct prefix_cache *c, const bool *free_slots)
{
	for (uint32_t i = 0; i < c->slots; i++)
		if (free_slots[i] && c->held[i].n == 0)
			return true;
	return false;
}

uint32_t
prefix_cache_choose(const struct prefix_cache *c, const bool *free_slots, uint64_t client,
	const uint32_t *ids, size_t n)
{
	bool empty = has_empty(c, free_slots);
	uint32_t best = c->slots, oldest = c->slots;
	size_t most = 0;

	for (uint32_t i = 0; i < c->slots; i++) {
		const struct held *h = &c->held[i];
		size_t same;

		if (!free_slots[i])
			continue;
		if (oldest == c->slots || h->used < c->held[oldest].used)
			oldest = i;
		same = prefix_cache_rows(c, i, client, ids, n);
		if (is_for(h, same, n, empty) &&
			(same > most || (same == most && h->n < c->held[best].n))) {
			most = same;
			best = i;
		}
	}
	return best < c->slots ? best : oldest;
}

void
prefix_cache_take(struct prefix_cache *c, uint32_t slot, uint64_t client)
{
	struct held *h = &c->held[slot];

	if (h->client != client)
		h->n = 0;
	h->client = client;
}
