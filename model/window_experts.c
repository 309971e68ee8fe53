/* Experts that do not all fit: a cache of slots beside the ring (sched/experts.h). Their reads go
 * before the ring's: the computing waits for them already. */
#include "config.h"

#include "model/window_int.h"

#include <inttypes.h>
#include <stdlib.h>

/* Those of a shard, all layers'. They are numbered through. */
static uint32_t
n_experts(const struct shard_header *h)
{
	return h->shape.experts * h->slice.layers;
}

bool
window_is_expert(const struct shard_header *h, uint32_t extent)
{
	return shard_unit_kind(h->extents[extent].role) == UNIT_EXPERT;
}

bool
window_band_is_expert(const struct window_source *ws, uint32_t band)
{
	return window_is_expert(ws->h, ws->bands.list[band].extent);
}

uint32_t
window_expert_number(const struct shard_header *h, uint32_t layer, uint32_t expert)
{
	return (layer - h->slice.layer0) * h->shape.experts + expert;
}

static uint32_t
number_of(const struct shard_header *h, uint32_t extent)
{
	return window_expert_number(h, h->extents[extent].layer, h->extents[extent].expert);
}

uint64_t
window_slot_bytes(const struct shard_header *h)
{
	uint64_t largest = 0, sum = 0;

	for (uint32_t i = 0; i < h->n_extents; i++) {
		if (!window_is_expert(h, i)) {
			sum = 0;
			continue;
		}
		if (i == 0 || !window_is_expert(h, i - 1) || number_of(h, i) != number_of(h, i - 1))
			sum = 0;
		sum += shard_align_up(h->extents[i].bytes);
		largest = sum > largest ? sum : largest;
	}
	return largest;
}

/* What every step uses stays first; experts get the rest, at least as many as a row uses twice
 * over, where that leaves the others enough to stream. */
uint32_t
window_split(const struct shard_header *h, const struct window_bands *b, uint64_t memory,
	uint64_t *others)
{
	uint64_t slot = window_slot_bytes(h), least = window_least(b->pieces, b->n), all = 0;
	uint32_t n = n_experts(h), slots = 2 * h->shape.experts_used;

	*others = memory;
	if (slot == 0)
		return 0;
	for (uint32_t i = 0; i < b->n; i++)
		all += b->pieces[i].bytes;
	slots = slots < n ? slots : n;
	if (memory < slots * slot + least)
		slots = memory > least ? (uint32_t)((memory - least) / slot) : 0;
	*others = memory - slots * slot;
	if (*others > all) {
		*others = all;
		slots = (memory - all) / slot < n ? (uint32_t)((memory - all) / slot) : n;
	}
	return slots;
}

/* Where the bands of an expert's extents lie in its slot: as in the file, so that each matrix is
 * whole. */
static void
place_bands(struct window_source *ws)
{
	const struct shard_header *h = ws->h;
	uint64_t at = 0;

	for (uint32_t i = 0; i < h->n_extents; i++) {
		if (!window_is_expert(h, i))
			continue;
		if (i == 0 || !window_is_expert(h, i - 1) || number_of(h, i) != number_of(h, i - 1))
			at = 0;
		for (uint32_t b = ws->bands.first[i]; b < ws->bands.first[i + 1]; b++)
			ws->home[b] = at + ws->bands.list[b].from;
		at += shard_align_up(h->extents[i].bytes);
	}
}

int
window_experts_init(struct window_source *ws, struct err *err)
{
	if (ws->slot_bytes == 0)
		return 0;
	if (ws->slots < WINDOW_LEAST_SLOTS)
		return err_set(err,
			"the memory has room for %" PRIu32 " expert at a time: give it more",
			ws->slots);
	place_bands(ws);
	ws->demand = calloc((size_t)ws->bands.n + 1, sizeof *ws->demand);
	ws->missing = calloc((size_t)n_experts(ws->h) + 1, sizeof *ws->missing);
	ws->hint = calloc((size_t)ws->h->shape.experts + 1, sizeof *ws->hint);
	ws->experts = experts_new(n_experts(ws->h), ws->slots, err);
	if (ws->demand == NULL || ws->missing == NULL || ws->hint == NULL || ws->experts == NULL)
		return err_set(err, "out of memory for the table of experts");
	return 0;
}

void
window_experts_free(struct window_source *ws)
{
	free(ws->demand);
	free(ws->missing);
	free(ws->hint);
	experts_free(ws->experts);
}

uint8_t *
window_expert_memory(const struct window_source *ws, uint32_t band)
{
	uint32_t number = number_of(ws->h, ws->bands.list[band].extent);

	return ws->cache + experts_slot(ws->experts, number) * ws->slot_bytes + ws->home[band];
}

/* --- under the lock --- */

bool
window_demanded(struct window_source *ws, uint32_t *band)
{
	if (ws->demand_first == ws->demand_end)
		return false;
	*band = ws->demand[ws->demand_first++ % ws->bands.n];
	return true;
}

/* Wants it, and asks for its bands where it is not there. */
static enum experts_answer
want(struct window_source *ws, uint32_t expert)
{
	uint32_t layer = ws->h->slice.layer0 + expert / ws->h->shape.experts, unit;
	enum experts_answer a = experts_want(ws->experts, expert);

	if (a != EXPERTS_READ)
		return a;
	unit = window_unit(ws->h, UNIT_EXPERT, layer, expert % ws->h->shape.experts);
	for (uint32_t b = ws->first[unit]; b < ws->first[unit + 1]; b++) {
		ws->demand[ws->demand_end++ % ws->bands.n] = b;
		ws->missing[expert]++;
	}
	pthread_cond_broadcast(&ws->work);
	return a;
}

/* As many of those that the router chose as there is room for. */
static void
want_hinted(struct window_source *ws)
{
	while (ws->hinted < ws->n_hint && want(ws, ws->hint[ws->hinted]) != EXPERTS_NO_ROOM)
		ws->hinted++;
}

void
window_hint(struct weight_source *base, uint32_t layer, const uint32_t *experts, uint32_t n)
{
	struct window_source *ws = (struct window_source *)base;

	if (ws->experts == NULL)
		return;
	pthread_mutex_lock(&ws->lock);
	experts_leave_all(ws->experts);
	ws->n_hint = n < ws->h->shape.experts ? n : ws->h->shape.experts;
	ws->hinted = 0;
	for (uint32_t i = 0; i < ws->n_hint; i++)
		ws->hint[i] = window_expert_number(ws->h, layer, experts[i]);
	if (!ws->failed)
		want_hinted(ws);
	pthread_mutex_unlock(&ws->lock);
}

void
window_expert_there(struct window_source *ws, uint32_t band)
{
	uint32_t expert = number_of(ws->h, ws->bands.list[band].extent);

	if (--ws->missing[expert] == 0)
		experts_arrived(ws->experts, expert);
}

bool
window_want_expert(struct window_source *ws, uint32_t number)
{
	want(ws, number);
	return experts_ready(ws->experts, number);
}

void
window_leave_expert(struct window_source *ws, uint32_t expert)
{
	experts_leave(ws->experts, expert);
	if (!ws->failed)
		want_hinted(ws);
}

/* Nothing is in flight: all that did not arrive is forgotten. */
void
window_experts_restart(struct window_source *ws)
{
	if (ws->experts == NULL)
		return;
	experts_restart(ws->experts);
	for (uint32_t i = 0; i < n_experts(ws->h); i++)
		ws->missing[i] = 0;
	ws->demand_first = ws->demand_end = 0;
	ws->n_hint = ws->hinted = 0;
}
