/* A member's engine, made of what its plan says: its place among the stages, its weights, and the links that
 * are open. */
#include "daemon/serve_kv.h"
#include "daemon/star.h"

#include <stdio.h>
#include <string.h>

static int
take_link(struct follow *f, uint32_t rank, struct link_detached *out, struct err *err)
{
	if (rank > 0)
		return neighbours_take(f, rank, out, err);
	if (!f->hub_open)
		return err_set(err, "the link with the coordinator is missing");
	*out = f->hub;
	f->hub_open = false;
	return 0;
}

/* The links in the order that the engine wants (engine_links). */
static int
take_links(struct follow *f, const struct engine_config *c, struct link_detached *links,
	struct err *err)
{
	uint32_t ranks[SLICE_MAX_PEERS + 2], n = 0, first = f->rank - c->rank;

	for (uint32_t i = 0; c->peers > 1 && i < star_links(c->rank, c->peers, c->way); i++)
		ranks[n++] = first + (i < c->rank ? i : i + 1);
	if (c->rank == 0)
		ranks[n++] = c->behind;
	if (c->rank == 0 && c->before != c->behind)
		ranks[n++] = c->before;
	for (uint32_t i = 0; i < n; i++)
		if (take_link(f, ranks[i], &links[i], err) != 0) {
			while (i-- > 0)
				link_detached_discard(&links[i]);
			return -1;
		}
	return 0;
}

/* What of the plan's slices this device has to know: its own, and who has which vocabulary rows. */
static int
take_slices(const struct follow *f, struct slice *slices, struct err *err)
{
	const struct shard_header *h = shard_header(f->shard->shard);
	const struct stage *st = &f->stages.list[stages_of(&f->stages, f->rank)];

	if (f->stages.n > 1 && (h->slice.layer0 != st->layer0 || h->slice.layers != st->layers))
		return err_set(err, "the slice has layers %u+%u, the plan says %u+%u",
			h->slice.layer0, h->slice.layers, st->layer0, st->layers);
	if (f->row_shares[0] > 0 && !slice_goes_by_rows(&h->shape, &h->slice))
		return err_set(err,
			"the plan divides rows, but the slice has %u KV heads and %u columns, "
			"of width %u, with %u experts",
			h->slice.kv_heads, h->slice.ffn, h->shape.embd, h->shape.experts);
	if (neighbours_rows(f, &h->shape, slices, err) != 0)
		return -1;
	slices[f->rank] = h->slice;
	return 0;
}

int
follow_start_engine(struct follow *f, const char *coordinator,
	void (*on_broken)(void *arg, const char *who, const char *why), struct err *err)
{
	const struct shard_header *h = shard_header(f->shard->shard);
	struct slice slices[SLICE_MAX_PEERS] = {0};
	char names[SLICE_MAX_PEERS][PEER_NAME] = {""};
	struct link_detached links[SLICE_MAX_PEERS + 2];
	bool direct = f->direct || f->neighbours == NULL;
	struct engine_config ec = {
		.epoch = f->epoch,
		.shape = &h->shape,
		.context = f->context,
		.slots = f->slots,
		.max_rows = f->max_rows,
		.kv = f->kv,
		.kv_copies = f->kv_copies,
		.payload = f->payload,
		.way = direct ? f->way : WAY_STAR,
		.links = links,
		.names = names,
		.on_broken = on_broken,
		.on_kv = copies_on_kv,
		.arg = f->serve,
	};

	engine_place(&ec, &f->stages, f->rank);
	memcpy(ec.row_shares, f->row_shares, sizeof ec.row_shares);
	ec.slices = slices + f->rank - ec.rank;
	if (take_slices(f, slices, err) != 0)
		return -1;
	neighbours_names(f, names);
	snprintf(names[0], PEER_NAME, "%s", coordinator);
	snprintf(names[f->rank], PEER_NAME, "%s", f->serve->state->name);
	if (take_links(f, &ec, links, err) != 0)
		return -1;
	ec.weights = f->weights;
	f->weights = NULL;
	if (serve_start_engine(f->serve, &ec, NULL, f->shard, err) != 0)
		return -1;
	if (f->kv_copies)
		f->copier = copier_new(f);
	return 0;
}
