/* The header of a shard as bytes and back. */
#include "model/shard_int.h"
#include "model/tensors.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

static const char magic[8] = "SHOALSHD";

#define VERSION      1u
#define PREFIX_BYTES 24u /* magic, version, layout, length */
#define EXTENT_BYTES (5u * 4u + 2u * 8u + SHARD_HASH)

void
shard_hash(const void *data, size_t len, uint8_t hash[static SHARD_HASH])
{
	crypto_generichash(hash, SHARD_HASH, data, len, NULL, 0);
}

bool
shard_walk_next(struct shard_walk *w, const struct model_shape *s)
{
	const enum tensor_role *roles;

	for (; w->unit <= 2 * s->layers; w->unit++, w->at = 0) {
		w->layer = w->unit == 2 * s->layers ? 0 : w->unit / 2;
		w->kind = w->unit == 2 * s->layers ? UNIT_HEAD
			  : w->unit % 2 == 0       ? UNIT_ATTN
						   : UNIT_FFN;
		roles = unit_roles(w->kind);
		if (roles[w->at] == TENSOR_ROLES)
			continue;
		w->role = roles[w->at++];
		return true;
	}
	return false;
}

/* All but the extents: what stands in front of them, and behind. */
static size_t
frame_bytes(void)
{
	static const struct model_shape no_shape;
	static const struct slice no_slice;
	struct buf b;
	size_t n;

	buf_init(&b, 0);
	shape_write(&no_shape, &b);
	slice_write(&no_slice, &b);
	n = b.len;
	buf_free(&b);
	return PREFIX_BYTES + SHARD_HASH + n + 4 + 8 + SHARD_HASH;
}

size_t
shard_header_bytes(uint32_t n_extents)
{
	return frame_bytes() + (size_t)n_extents * EXTENT_BYTES;
}

static uint64_t
align_up(uint64_t n)
{
	return (n + SHARD_ALIGN - 1) / SHARD_ALIGN * SHARD_ALIGN;
}

void
shard_place(struct shard_header *h)
{
	uint64_t at = align_up(shard_header_bytes(h->n_extents));

	for (uint32_t i = 0; i < h->n_extents; i++) {
		struct shard_extent *e = &h->extents[i];

		e->offset = at;
		e->bytes = (uint64_t)e->rows * dtype_row_bytes(e->dtype, e->cols);
		at = align_up(at + e->bytes);
	}
	h->file_bytes = at;
}

void
shard_header_free(struct shard_header *h)
{
	free(h->extents);
	*h = (struct shard_header){0};
}

int
shard_header_write(const struct shard_header *h, struct buf *b)
{
	size_t start = b->len, len = shard_header_bytes(h->n_extents);
	uint8_t hash[SHARD_HASH];

	buf_append(b, magic, sizeof magic);
	buf_u32(b, VERSION);
	buf_u32(b, h->layout);
	buf_u64(b, len);
	buf_append(b, h->model_id, SHARD_HASH);
	shape_write(&h->shape, b);
	slice_write(&h->slice, b);
	buf_u64(b, h->file_bytes);
	buf_u32(b, h->n_extents);
	for (uint32_t i = 0; i < h->n_extents; i++) {
		const struct shard_extent *e = &h->extents[i];

		buf_u32(b, e->role);
		buf_u32(b, e->layer);
		buf_u32(b, e->dtype);
		buf_u32(b, e->rows);
		buf_u32(b, e->cols);
		buf_u64(b, e->offset);
		buf_u64(b, e->bytes);
		buf_append(b, e->hash, SHARD_HASH);
	}
	if (b->failed)
		return -1;
	shard_hash(b->data + start, b->len - start, hash);
	return buf_append(b, hash, SHARD_HASH);
}

/* Up to and including the length; then r holds exactly the header without its closing hash. */
static int
parse_prefix(struct rd *r, struct shard_header *h, struct err *err)
{
	const char *m = rd_bytes(r, sizeof magic);
	uint8_t hash[SHARD_HASH];
	uint32_t version;
	uint64_t len;

	if (m == NULL || memcmp(m, magic, sizeof magic) != 0)
		return err_set(err, "is no shard: it does not begin with \"SHOALSHD\"");
	version = rd_u32(r);
	h->layout = rd_u32(r);
	len = rd_u64(r);
	if (r->failed)
		return err_set(err, "the header of the shard is cut off");
	if (version != VERSION || h->layout != SHARD_LAYOUT_GGUF)
		return err_set(err,
			"is a shard of version %" PRIu32 " and layout %" PRIu32
			", of which only %u and %d are read",
			version, h->layout, VERSION, SHARD_LAYOUT_GGUF);
	if (len > r->len || len < shard_header_bytes(0))
		return err_set(err, "the header of the shard should have %" PRIu64
				    " bytes, but there are %zu",
			len, r->len);
	r->len = (size_t)len - SHARD_HASH;
	shard_hash(r->data, r->len, hash);
	if (sodium_memcmp(hash, r->data + r->len, SHARD_HASH) != 0)
		return err_set(err, "the header of the shard is damaged: its hash is wrong");
	return 0;
}

static void
parse_extent(struct rd *r, struct shard_extent *e)
{
	const void *hash;

	e->role = rd_u32(r);
	e->layer = rd_u32(r);
	e->dtype = rd_u32(r);
	e->rows = rd_u32(r);
	e->cols = rd_u32(r);
	e->offset = rd_u64(r);
	e->bytes = rd_u64(r);
	hash = rd_bytes(r, SHARD_HASH);
	if (hash != NULL)
		memcpy(e->hash, hash, SHARD_HASH);
}

/* Whether an extent can be the slice's part of this tensor. */
static int
check_extent(const struct shard_header *h, uint32_t i, const struct tensor_cut *c, struct err *err)
{
	const struct shard_extent *e = &h->extents[i];
	const char *name = tensor_role_name((enum tensor_role)e->role);
	bool cut_cols = e->role == TENSOR_O || e->role == TENSOR_DOWN;

	if (e->rows != c->rows || e->cols != c->cols)
		return err_set(err,
			"extent %" PRIu32 " (%s of layer %" PRIu32 ") is %" PRIu32 " x %" PRIu32
			", but the slice has %" PRIu32 " x %" PRIu32,
			i, name, e->layer, e->rows, e->cols, c->rows, c->cols);
	if (tensor_is_vector((enum tensor_role)e->role) ? e->dtype != DTYPE_F32
							: !dtype_computed(e->dtype))
		return err_set(err,
			"extent %" PRIu32 " (%s of layer %" PRIu32 ") has type %s, which is not "
			"computed",
			i, name, e->layer, dtype_name(e->dtype));
	if (dtype_row_bytes(e->dtype, e->cols) == 0 ||
		(cut_cols && h->shape.col_block % dtype_info(e->dtype)->block != 0))
		return err_set(err,
			"extent %" PRIu32 " (%s of layer %" PRIu32 ") is cut within a block", i,
			name, e->layer);
	return 0;
}

/* Every extent against what shape and slice ask for, in their order. */
static int
check_extents(const struct shard_header *h, struct err *err)
{
	struct shard_walk w = {0};
	uint32_t i = 0;

	while (shard_walk_next(&w, &h->shape)) {
		struct tensor_cut c = tensor_cut(&h->shape, &h->slice, w.role);
		const struct shard_extent *e = i < h->n_extents ? &h->extents[i] : NULL;
		bool here = e != NULL && e->role == (uint32_t)w.role && e->layer == w.layer;
		bool must = tensor_expected(&h->shape, w.role) && c.rows > 0 && c.cols > 0;
		bool may = must || (w.role == TENSOR_ROPE_FREQS && w.layer == 0);

		if (must && !here)
			return err_set(err,
				"the shard lacks %s of layer %" PRIu32 " (extent %" PRIu32 ")",
				tensor_role_name(w.role), w.layer, i);
		if (!here || !may)
			continue;
		if (check_extent(h, i, &c, err) != 0)
			return -1;
		i++;
	}
	if (i != h->n_extents)
		return err_set(err, "extent %" PRIu32 " of the shard has no place in its slice", i);
	return 0;
}

/* Offsets and sizes follow from the rest, so what the bytes say must be just that. */
static int
check_places(const struct shard_header *h, struct err *err)
{
	struct shard_header want = *h;
	int rc = 0;

	want.extents = malloc((size_t)h->n_extents * sizeof *want.extents + 1);
	if (want.extents == NULL)
		return err_set(err, "out of memory for %" PRIu32 " extents", h->n_extents);
	if (h->n_extents > 0)
		memcpy(want.extents, h->extents, (size_t)h->n_extents * sizeof *want.extents);
	shard_place(&want);
	for (uint32_t i = 0; rc == 0 && i < h->n_extents; i++)
		if (want.extents[i].offset != h->extents[i].offset ||
			want.extents[i].bytes != h->extents[i].bytes)
			rc = err_set(err,
				"extent %" PRIu32 " lies at %" PRIu64 "+%" PRIu64
				" instead of %" PRIu64 "+%" PRIu64,
				i, h->extents[i].offset, h->extents[i].bytes,
				want.extents[i].offset, want.extents[i].bytes);
	if (rc == 0 && want.file_bytes != h->file_bytes)
		rc = err_set(err, "the shard says it has %" PRIu64 " bytes instead of %" PRIu64,
			h->file_bytes, want.file_bytes);
	free(want.extents);
	return rc;
}

static int
parse_body(struct rd *r, struct shard_header *h, struct err *err)
{
	const void *id = rd_bytes(r, SHARD_HASH);
	size_t len = r->len + SHARD_HASH;

	if (id != NULL)
		memcpy(h->model_id, id, SHARD_HASH);
	if (shape_read(r, &h->shape, err) != 0 || slice_read(r, &h->shape, &h->slice, err) != 0)
		return -1;
	h->file_bytes = rd_u64(r);
	h->n_extents = rd_u32(r);
	if (r->failed || h->n_extents > len / EXTENT_BYTES ||
		shard_header_bytes(h->n_extents) != len)
		return err_set(err,
			"the header of the shard says %" PRIu32
			" extents, which is not what it holds",
			h->n_extents);
	h->extents = calloc((size_t)h->n_extents + 1, sizeof *h->extents);
	if (h->extents == NULL)
		return err_set(err, "out of memory for %" PRIu32 " extents", h->n_extents);
	for (uint32_t i = 0; i < h->n_extents; i++)
		parse_extent(r, &h->extents[i]);
	if (check_extents(h, err) != 0)
		return -1;
	return check_places(h, err);
}

int
shard_header_parse(const void *data, size_t len, struct shard_header *h, struct err *err)
{
	struct rd r = rd_init(data, len);

	*h = (struct shard_header){0};
	if (parse_prefix(&r, h, err) == 0 && parse_body(&r, h, err) == 0)
		return 0;
	shard_header_free(h);
	return -1;
}
