/* A shard's header as bytes, and back. */
#include "model/shard_int.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

#define MAGIC   "SHOALSHD"
#define VERSION 4

static void
hash_of(const void *data, size_t len, uint8_t hash[SHARD_HASH])
{
	crypto_generichash(hash, SHARD_HASH, data, len, NULL, 0);
}

int
shard_header_write(const struct shard_header *h, struct buf *b)
{
	size_t begin = b->len, n = shard_header_bytes(h);
	uint8_t hash[SHARD_HASH];

	buf_append(b, MAGIC, 8);
	buf_u32(b, VERSION);
	buf_u32(b, h->layout);
	buf_u32(b, (uint32_t)n);
	buf_append(b, h->model_id, SHARD_HASH);
	shape_write(&h->shape, b);
	slice_write(&h->slice, b);
	buf_u32(b, h->n_extents);
	for (uint32_t i = 0; i < h->n_extents; i++) {
		const struct shard_extent *e = &h->extents[i];

		buf_u32(b, e->role);
		buf_u32(b, e->layer);
		buf_u32(b, e->expert);
		buf_u32(b, e->dtype);
		buf_u32(b, e->rows);
		buf_u32(b, e->cols);
		buf_u64(b, e->offset);
		buf_u64(b, e->bytes);
		buf_append(b, e->hash, SHARD_HASH);
	}
	if (b->failed)
		return -1;
	hash_of(b->data + begin, b->len - begin, hash);
	return buf_append(b, hash, sizeof hash);
}

static int
read_extent(struct rd *r, struct shard_extent *e)
{
	const uint8_t *hash;

	e->role = rd_u32(r);
	e->layer = rd_u32(r);
	e->expert = rd_u32(r);
	e->dtype = rd_u32(r);
	e->rows = rd_u32(r);
	e->cols = rd_u32(r);
	e->offset = rd_u64(r);
	e->bytes = rd_u64(r);
	hash = rd_bytes(r, SHARD_HASH);
	if (hash != NULL)
		memcpy(e->hash, hash, SHARD_HASH);
	return hash != NULL ? 0 : -1;
}

/* The extents are those that the shape and the slice mean, in order, one behind the other. */
static int
check_extents(const struct shard_header *h, struct err *err)
{
	uint64_t at = shard_align_up(shard_header_bytes(h));
	uint32_t i = 0;

	for (struct shard_place p = shard_first_place(&h->slice);
		shard_settle(&p, &h->shape, &h->slice); p.role++) {
		const struct shard_extent *e = i < h->n_extents ? &h->extents[i] : NULL;
		struct tensor_cut cut = tensor_cut(&h->shape, &h->slice, *p.role);
		bool empty = cut.rows == 0 || cut.cols == 0;

		if (e == NULL || e->role != (uint32_t)*p.role || e->layer != p.layer ||
			e->expert != p.expert) {
			if (!empty && tensor_expected(&h->shape, *p.role) &&
				tensor_in_layer(&h->slice, *p.role, p.layer))
				return err_set(err, "shard header: %s of layer %u is missing",
					tensor_role_name(*p.role), p.layer);
			continue;
		}
		if (empty || e->rows != cut.rows || e->cols != cut.cols || e->bytes == 0 ||
			e->bytes != shard_extent_bytes(*p.role, e->dtype, e->rows, e->cols))
			return err_set(err,
				"shard header: %s of layer %u is not as the slice has it",
				tensor_role_name(*p.role), p.layer);
		if (e->offset != at)
			return err_set(err,
				"shard header: extent %u lies at %" PRIu64 " instead of %" PRIu64,
				i, e->offset, at);
		at = shard_align_up(at + e->bytes);
		i++;
	}
	if (i != h->n_extents)
		return err_set(err, "shard header: extent %u is none that the model has there", i);
	return 0;
}

static int
parse_body(struct rd *r, struct shard_header *h, struct err *err)
{
	const uint8_t *id = rd_bytes(r, SHARD_HASH);

	if (id == NULL)
		return err_set(err, "shard header: cut off");
	memcpy(h->model_id, id, SHARD_HASH);
	if (shape_read(r, &h->shape, err) != 0 || slice_read(r, &h->shape, &h->slice, err) != 0)
		return err_prefix(err, "shard header: ");
	h->n_extents = rd_u32(r);
	if (r->failed || (uint64_t)h->n_extents * SHARD_EXTENT_BYTES != rd_left(r))
		return err_set(
			err, "shard header: its table does not have %u extents", h->n_extents);
	h->extents = calloc(h->n_extents + 1, sizeof *h->extents);
	if (h->extents == NULL)
		return err_set(err, "out of memory for %u extents", h->n_extents);
	for (uint32_t i = 0; i < h->n_extents; i++)
		if (read_extent(r, &h->extents[i]) != 0)
			return err_set(err, "shard header: cut off");
	if (check_extents(h, err) != 0)
		return -1;
	h->file_bytes = shard_align_up(shard_header_bytes(h));
	if (h->n_extents > 0)
		h->file_bytes = shard_align_up(
			h->extents[h->n_extents - 1].offset + h->extents[h->n_extents - 1].bytes);
	return 0;
}

int
shard_header_parse(const void *data, size_t len, struct shard_header *h, struct err *err)
{
	struct rd r = rd_init(data, len);
	const uint8_t *magic = rd_bytes(&r, 8);
	uint32_t version = rd_u32(&r), layout = rd_u32(&r), size = rd_u32(&r);
	uint8_t hash[SHARD_HASH];

	*h = (struct shard_header){.layout = layout};
	if (r.failed || memcmp(magic, MAGIC, 8) != 0)
		return err_set(err, "this is no shard");
	if (version != VERSION)
		return err_set(err,
			"a shard of version %u; this program reads version %u: remove it", version,
			VERSION);
	if (layout != LAYOUT_TILES)
		return err_set(err,
			"a shard of layout %u; this program reads layout %u (tiles): remove it",
			layout, LAYOUT_TILES);
	if (size > len || size < r.pos + SHARD_HASH)
		return err_set(
			err, "shard header: it says %u bytes, of which %zu are there", size, len);
	hash_of(data, size - SHARD_HASH, hash);
	if (sodium_memcmp(hash, (const uint8_t *)data + size - SHARD_HASH, SHARD_HASH) != 0)
		return err_set(err, "shard header: its hash is wrong: it was damaged");
	r.len = size - SHARD_HASH;
	if (parse_body(&r, h, err) != 0) {
		shard_header_free(h);
		return -1;
	}
	return 0;
}

uint32_t
shard_main_dtype(const struct shard_header *h)
{
	uint64_t bytes[DTYPE_COUNT] = {0};
	uint32_t best = 0;

	for (uint32_t i = 0; i < h->n_extents; i++)
		if (h->extents[i].dtype < DTYPE_COUNT)
			bytes[h->extents[i].dtype] += h->extents[i].bytes;
	for (uint32_t i = 1; i < DTYPE_COUNT; i++)
		if (bytes[i] > bytes[best])
			best = i;
	return best;
}

bool
shard_is_wide(const struct shard_header *h)
{
	uint32_t dtype = shard_main_dtype(h);

	return dtype == DTYPE_F32 || dtype == DTYPE_BF16;
}

bool
shard_is_quantised(const struct shard_header *h)
{
	return dtype_quantised(shard_main_dtype(h));
}
