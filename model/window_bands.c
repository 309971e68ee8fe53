/* What a shard is divided into for streaming, and what follows from it without reading a byte: how
 * much memory is needed, and how fast it would be. */
#include "config.h"

#include "model/window_int.h"

#include <stdlib.h>

/* attn.0 ffn.0 expert.0.0 expert.0.1 ... attn.1 ... head, 0 being the slice's first layer */
uint32_t
window_unit(const struct shard_header *h, enum unit_kind kind, uint32_t layer, uint32_t expert)
{
	uint32_t of_layer = 2 + h->shape.experts, at = (layer - h->slice.layer0) * of_layer;

	switch (kind) {
	case UNIT_HEAD:
		return h->slice.layers * of_layer;
	case UNIT_EXPERT:
		return at + 2 + expert;
	default:
		return at + (kind == UNIT_FFN);
	}
}

/* --- bands --- */

/* Row groups after which the file is at a page's beginning again. Group sizes are multiples of
 * TILE_ALIGN, so they are few. */
static uint64_t
groups_to_page(uint64_t group)
{
	uint64_t n = SHARD_ALIGN;

	while (n > 1 && group % 2 == 0) {
		group /= 2;
		n /= 2;
	}
	return n;
}

/* Row groups in each band of an extent: bands of one extent have about one size, so that none is a
 * small remainder. */
static uint64_t
groups_in_band(const struct shard_extent *e)
{
	uint64_t group = shard_group_bytes(e), step = groups_to_page(group);
	uint64_t steps = (e->bytes - 1) / (step * group) + 1;
	uint64_t n = (e->bytes + WINDOW_REQUEST / 2) / WINDOW_REQUEST;

	n = n < 1 ? 1 : n > steps ? steps : n;
	return ((steps - 1) / n + 1) * step;
}

static uint32_t
bands_of(const struct shard_extent *e)
{
	if (tensor_is_vector((enum tensor_role)e->role))
		return 1;
	return (uint32_t)((e->bytes - 1) / (groups_in_band(e) * shard_group_bytes(e)) + 1);
}

static void
add_bands(struct window_bands *b, const struct shard_header *h, uint32_t extent)
{
	const struct shard_extent *e = &h->extents[extent];
	bool vector = tensor_is_vector((enum tensor_role)e->role);
	uint64_t groups = vector ? 1 : groups_in_band(e), bytes = groups * shard_group_bytes(e);
	uint32_t n = bands_of(e), rows = vector ? 1 : (uint32_t)groups * TILE_ROWS;

	b->first[extent] = b->n;
	for (uint32_t i = 0; i < n; i++, b->n++) {
		struct window_band band = {extent, i * rows, rows, i * bytes, bytes};

		if (i + 1 == n) {
			band.rows = e->rows - band.row;
			band.bytes = e->bytes - band.from;
		}
		b->list[b->n] = band;
		b->pieces[b->n] = (struct window_piece){
			.bytes = window_is_expert(h, extent) ? 0 : shard_align_up(band.bytes),
			.unit = b->n,
			.stays = vector};
	}
}

int
window_bands_list(struct window_bands *b, const struct shard_header *h, struct err *err)
{
	uint64_t n = 0;

	*b = (struct window_bands){0};
	for (uint32_t i = 0; i < h->n_extents; i++)
		n += bands_of(&h->extents[i]);
	b->list = n < UINT32_MAX ? calloc((size_t)n + 1, sizeof *b->list) : NULL;
	b->pieces = n < UINT32_MAX ? calloc((size_t)n + 1, sizeof *b->pieces) : NULL;
	b->first = calloc((size_t)h->n_extents + 1, sizeof *b->first);
	if (b->list == NULL || b->pieces == NULL || b->first == NULL) {
		window_bands_free(b);
		return err_set(
			err, "out of memory for a window of %llu pieces", (unsigned long long)n);
	}
	for (uint32_t i = 0; i < h->n_extents; i++)
		add_bands(b, h, i);
	b->first[h->n_extents] = b->n;
	return 0;
}

void
window_bands_free(struct window_bands *b)
{
	free(b->list);
	free(b->pieces);
	free(b->first);
	*b = (struct window_bands){0};
}

/* --- without reading --- */

uint64_t
window_weights_least(const struct shard_header *h)
{
	struct window_bands b;
	struct err err;
	uint64_t least = UINT64_MAX / 2;

	if (window_bands_list(&b, h, &err) == 0)
		least = window_least(b.pieces, b.n);
	window_bands_free(&b);
	return least + WINDOW_LEAST_SLOTS * window_slot_bytes(h);
}

uint64_t
window_weights_all(const struct shard_header *h)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < h->n_extents; i++)
		sum += shard_align_up(h->extents[i].bytes);
	return sum;
}

/* Bytes of experts that one row reads at a step, when so many of them are kept and all are chosen
 * alike. */
static double
missed_experts(const struct shard_header *h, uint32_t slots)
{
	double experts = (double)h->shape.experts * h->slice.layers;

	if (experts == 0 || slots >= experts)
		return 0;
	return (1 - slots / experts) * (double)h->shape.experts_used * h->slice.layers *
	       (double)window_slot_bytes(h);
}

int
window_forecast(const struct shard_header *h, uint64_t memory, double disk, double compute_seconds,
	struct window_prediction *p)
{
	struct window_bands b;
	uint64_t ring, others;
	uint32_t slots = 0;
	struct err err;
	int rc = window_bands_list(&b, h, &err);

	if (rc == 0) {
		slots = window_split(h, &b, memory, &others);
		rc = window_choose(b.pieces, b.n, others, WINDOW_AHEAD, &ring);
	}
	if (rc == 0) {
		*p = window_predict(b.pieces, b.n, ring, (uint64_t)missed_experts(h, slots), disk,
			compute_seconds);
		p->resident += slots * window_slot_bytes(h);
	}
	window_bands_free(&b);
	return rc;
}

uint64_t
window_weights_step(const struct shard_header *h)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < h->n_extents; i++)
		if (!window_is_expert(h, i))
			sum += h->extents[i].bytes;
	return sum + (uint64_t)missed_experts(h, 0);
}
