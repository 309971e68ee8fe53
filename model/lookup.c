/* Places are found by a hash of two tokens: the last place of each hash, and from each place the one before, as in
 * LZ77's hash chains. */
#include "model/lookup.h"

#include <stdlib.h>

#define NONE    UINT32_MAX /* no place; as a token, one that is like no other */
#define TRIES   32         /* places that are compared */
#define BUCKETS (1u << 16) /* at most */

struct lookup {
	uint32_t *ids, *before; /* [most] tokens; of a place, the one before with the same hash */
	uint32_t *last;         /* [buckets] */
	uint32_t n, most, buckets;
};

static uint32_t
buckets_for(size_t most)
{
	uint32_t n = 64;

	while (n < most && n < BUCKETS)
		n *= 2;
	return n;
}

size_t
lookup_bytes(size_t most)
{
	return sizeof(struct lookup) + (2 * most + buckets_for(most)) * sizeof(uint32_t);
}

struct lookup *
lookup_new(size_t most)
{
	struct lookup *l = calloc(1, sizeof *l);

	if (l == NULL || most >= NONE)
		goto fail;
	l->most = (uint32_t)most;
	l->buckets = buckets_for(most);
	l->ids = malloc((most + 1) * sizeof *l->ids);
	l->before = malloc((most + 1) * sizeof *l->before);
	l->last = malloc(l->buckets * sizeof *l->last);
	if (l->ids == NULL || l->before == NULL || l->last == NULL)
		goto fail;
	for (uint32_t i = 0; i < l->buckets; i++)
		l->last[i] = NONE;
	return l;
fail:
	lookup_free(l);
	return NULL;
}

void
lookup_free(struct lookup *l)
{
	if (l == NULL)
		return;
	free(l->ids);
	free(l->before);
	free(l->last);
	free(l);
}

/* Of the token there and the one in front of it (Fibonacci hashing). */
static uint32_t
bucket(const struct lookup *l, uint32_t at)
{
	uint64_t pair = (uint64_t)l->ids[at - 1] << 32 | l->ids[at];

	return (uint32_t)(pair * 0x9e3779b97f4a7c15u >> 40) & (l->buckets - 1);
}

static void
add(struct lookup *l, uint32_t id)
{
	uint32_t at = l->n, *last;

	if (at == l->most)
		return;
	l->ids[at] = id;
	l->n++;
	if (at == 0)
		return;
	last = &l->last[bucket(l, at)];
	l->before[at] = *last;
	*last = at;
}

void
lookup_add(struct lookup *l, const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(l, ids[i]);
}

void
lookup_cut(struct lookup *l)
{
	add(l, NONE);
}

/* Tokens up to and with this place that are those at the end. */
static uint32_t
match(const struct lookup *l, uint32_t at)
{
	uint32_t n = 0;

	while (n <= at && n < LOOKUP_MOST && l->ids[at - n] == l->ids[l->n - 1 - n] &&
		l->ids[at - n] != NONE)
		n++;
	return n;
}

uint32_t
lookup_guess(const struct lookup *l, uint32_t *out, uint32_t most, uint32_t *matched)
{
	uint32_t best = LOOKUP_LEAST - 1, from = NONE, tries = 0, n = 0;

	if (l->n <= LOOKUP_LEAST)
		return 0;
	for (uint32_t at = l->before[l->n - 1]; at != NONE && tries < TRIES && best < LOOKUP_MOST;
		at = l->before[at], tries++) {
		uint32_t length = match(l, at);

		if (length > best) {
			best = length;
			from = at + 1;
		}
	}
	if (from == NONE)
		return 0;
	/* What repeats itself without end is guessed to go on so. */
	for (; n < most; n++) {
		out[n] = from + n < l->n ? l->ids[from + n] : out[from + n - l->n];
		if (out[n] == NONE)
			break;
	}
	*matched = best;
	return n;
}
