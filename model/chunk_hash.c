/* The hashes of a shard's chunks, made while its extents are hashed. */
#include "model/chunk_int.h"

#include <sodium.h>
#include <stdlib.h>

struct chunk_hasher {
	const struct shard_header *h;
	struct chunk_list *l;
	crypto_generichash_state *states; /* of the chunks that lie beside each other */
	uint32_t room;                    /* states */
	uint8_t *bytes;                   /* what a chunk has of a row group */
	const struct shard_extent *extent;
	uint32_t index;    /* the extent's number */
	uint32_t now, end; /* those chunks: their first one, and the one behind them */
	uint32_t left;     /* row groups of theirs that are still to come */
};

/* The chunk behind those of the same rows. */
static uint32_t
row_end(const struct chunk_hasher *x, uint32_t first)
{
	uint32_t last = x->l->first[x->index + 1], i = first;

	while (i < last && x->l->chunks[i].row0 == x->l->chunks[first].row0)
		i++;
	return i;
}

static void
next_row(struct chunk_hasher *x)
{
	x->end = row_end(x, x->now);
	x->left = x->now < x->end ? (x->l->chunks[x->now].rows + TILE_ROWS - 1) / TILE_ROWS : 0;
	for (uint32_t i = x->now; i < x->end; i++)
		crypto_generichash_init(&x->states[i - x->now], NULL, 0, SHARD_HASH);
}

static void
end_row(struct chunk_hasher *x)
{
	for (uint32_t i = x->now; i < x->end; i++)
		crypto_generichash_final(&x->states[i - x->now], x->l->hashes[i], SHARD_HASH);
	x->now = x->end;
	next_row(x);
}

struct chunk_hasher *
chunk_hasher_new(const struct shard_header *h, struct chunk_list *l, struct err *err)
{
	struct chunk_hasher *x = calloc(1, sizeof *x);
	uint64_t most = 1;

	if (x == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	x->h = h;
	x->l = l;
	for (x->index = 0; x->index < h->n_extents; x->index++) {
		uint32_t first = l->first[x->index], n = row_end(x, first) - first;

		x->room = n > x->room ? n : x->room;
		if (shard_group_bytes(&h->extents[x->index]) > most)
			most = shard_group_bytes(&h->extents[x->index]);
	}
	x->states = aligned_alloc(64, ((size_t)x->room + 1) * sizeof *x->states);
	x->bytes = malloc(most);
	if (x->states == NULL || x->bytes == NULL) {
		err_set(err, "out of memory for the hashes of %u chunks", x->room);
		chunk_hasher_free(x);
		return NULL;
	}
	return x;
}

void
chunk_hasher_free(struct chunk_hasher *x)
{
	if (x == NULL)
		return;
	free(x->states);
	free(x->bytes);
	free(x);
}

void
chunk_hasher_begin(struct chunk_hasher *x, uint32_t extent)
{
	x->index = extent;
	x->extent = &x->h->extents[extent];
	x->now = x->l->first[extent];
	next_row(x);
}

static void
add_group(struct chunk_hasher *x, const uint8_t *group)
{
	struct tensor_cut cut =
		tensor_cut(&x->h->shape, &x->h->slice, (enum tensor_role)x->extent->role);

	for (uint32_t i = x->now; i < x->end; i++) {
		const struct chunk *c = &x->l->chunks[i];

		chunk_out_of_group(c, cut.col0, cut.cols, group, x->bytes);
		crypto_generichash_update(&x->states[i - x->now], x->bytes, chunk_group_bytes(c));
	}
	if (--x->left == 0)
		end_row(x);
}

void
chunk_hasher_add(struct chunk_hasher *x, const uint8_t *data, size_t len)
{
	size_t group = shard_group_bytes(x->extent);

	if (tensor_is_vector((enum tensor_role)x->extent->role)) {
		crypto_generichash_update(&x->states[0], data, len);
		end_row(x);
		return;
	}
	for (; len >= group && x->left > 0; len -= group, data += group)
		add_group(x, data);
}
