/* A shard's header: what is in the file, in bytes and as a struct, and how it is made from a GGUF file. */
#include "model/shard.h"

#include "model/tensors.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

#define MAGIC        "SHOALSHD"
#define VERSION      1
#define ALIGN        4096
#define EXTENT_BYTES 68 /* of an entry of the table */
#define HASH_CHUNK   (1u << 20)

/* --- the order of use --- */

struct place { /* where a tensor stands in that order */
	enum unit_kind kind;
	uint32_t layer;
	const enum tensor_role *role;
};

static struct place
first_place(void)
{
	return (struct place){UNIT_ATTN, 0, unit_roles(UNIT_ATTN)};
}

/* Steps over the ends of units; false behind the last tensor. */
static bool
settle(struct place *p, uint32_t layers)
{
	while (*p->role == TENSOR_ROLES) {
		if (p->kind == UNIT_HEAD)
			return false;
		if (p->kind == UNIT_ATTN) {
			p->kind = UNIT_FFN;
		} else if (p->layer + 1 < layers) {
			p->kind = UNIT_ATTN;
			p->layer++;
		} else {
			p->kind = UNIT_HEAD;
			p->layer = 0;
		}
		p->role = unit_roles(p->kind);
	}
	return true;
}

static uint64_t
align_up(uint64_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

void
shard_model_id(const struct gguf *g, uint8_t id[SHARD_HASH])
{
	crypto_generichash_state st;
	uint8_t size[8];

	crypto_generichash_init(&st, NULL, 0, SHARD_HASH);
	put_le64(size, gguf_file_bytes(g));
	crypto_generichash_update(&st, size, sizeof size);
	/* Names, places and the beginning of every tensor: a model that was trained on differs there. */
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		crypto_generichash_update(&st, (const uint8_t *)t->name.s, t->name.len);
		crypto_generichash_update(&st, t->data, t->bytes < 4096 ? t->bytes : 4096);
	}
	crypto_generichash_final(&st, id, SHARD_HASH);
}

/* --- from a GGUF file --- */

static void
add_extent(struct shard_header *h, const struct gguf *g, const struct place *p)
{
	struct matrix m = tensor_view(g, &h->shape, &h->slice, *p->role, p->layer);
	struct shard_extent *e = &h->extents[h->n_extents];

	if (m.data == NULL || m.rows == 0 || m.cols == 0)
		return;
	*e = (struct shard_extent){
		.role = *p->role, .layer = p->layer, .rows = m.rows, .cols = m.cols};
	e->dtype = tensor_is_vector(*p->role) ? (uint32_t)DTYPE_F32 : m.dtype;
	e->bytes = (uint64_t)e->rows * dtype_row_bytes(e->dtype, e->cols);
	h->n_extents++;
}

static size_t
header_bytes(const struct shard_header *h)
{
	struct buf b;
	size_t n;

	buf_init(&b, 0);
	shape_write(&h->shape, &b);
	slice_write(&h->slice, &b);
	n = 8 + 4 + 4 + 4 + SHARD_HASH + 4 + b.len + (size_t)h->n_extents * EXTENT_BYTES +
	    SHARD_HASH;
	buf_free(&b);
	return n;
}

static void
place_extents(struct shard_header *h)
{
	uint64_t at = align_up(header_bytes(h));

	for (uint32_t i = 0; i < h->n_extents; i++) {
		h->extents[i].offset = at;
		at = align_up(at + h->extents[i].bytes);
	}
	h->file_bytes = at;
}

static int
hash_extents(struct shard_header *h, const struct gguf *g,
	int (*progress)(void *arg, uint64_t done, uint64_t total), void *arg, struct err *err)
{
	uint8_t *chunk = malloc(HASH_CHUNK);
	uint64_t done = 0, total = 0;
	int rc = 0;

	if (chunk == NULL)
		return err_set(err, "out of memory");
	for (uint32_t i = 0; i < h->n_extents; i++)
		total += h->extents[i].bytes;
	for (uint32_t i = 0; rc == 0 && i < h->n_extents; i++) {
		struct shard_extent *e = &h->extents[i];
		crypto_generichash_state st;

		crypto_generichash_init(&st, NULL, 0, SHARD_HASH);
		for (uint64_t from = 0; rc == 0 && from < e->bytes;) {
			size_t n = e->bytes - from < HASH_CHUNK ? (size_t)(e->bytes - from)
								: HASH_CHUNK;

			rc = shard_extent_read(g, h, i, from, chunk, n, err);
			crypto_generichash_update(&st, chunk, n);
			from += n;
			done += n;
			if (rc == 0 && progress != NULL && progress(arg, done, total) != 0)
				rc = err_set(err, "hashing the slices was given up");
		}
		crypto_generichash_final(&st, e->hash, SHARD_HASH);
	}
	free(chunk);
	return rc;
}

int
shard_header_from_gguf(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	struct shard_header *h, int (*progress)(void *arg, uint64_t done, uint64_t total),
	void *arg, struct err *err)
{
	*h = (struct shard_header){.layout = SHARD_LAYOUT_GGUF, .shape = *s, .slice = *sl};
	h->extents = calloc((size_t)(s->layers + 1) * TENSOR_ROLES, sizeof *h->extents);
	if (h->extents == NULL)
		return err_set(err, "out of memory for the table of %u layers", s->layers);
	shard_model_id(g, h->model_id);
	for (struct place p = first_place(); settle(&p, s->layers); p.role++)
		add_extent(h, g, &p);
	place_extents(h);
	if (hash_extents(h, g, progress, arg, err) != 0) {
		shard_header_free(h);
		return -1;
	}
	return 0;
}

void
shard_header_free(struct shard_header *h)
{
	free(h->extents);
	*h = (struct shard_header){0};
}

/* A vector that the file holds in another type is float32 in a shard. */
static int
read_vector(const struct matrix *m, uint64_t from, void *out, size_t len, struct err *err)
{
	float *wide = malloc((size_t)m->cols * sizeof *wide);

	if (wide == NULL)
		return err_set(err, "out of memory");
	dequantize(m->dtype, m->data, wide, m->cols);
	memcpy(out, (const uint8_t *)wide + from, len);
	free(wide);
	return 0;
}

int
shard_extent_read(const struct gguf *g, const struct shard_header *h, uint32_t i, uint64_t from,
	void *out, size_t len, struct err *err)
{
	const struct shard_extent *e = i < h->n_extents ? &h->extents[i] : NULL;
	struct matrix m;
	size_t row_bytes;
	uint8_t *to = out;

	if (e == NULL || from > e->bytes || len > e->bytes - from)
		return err_set(err,
			"bytes %" PRIu64 "+%zu of extent %" PRIu32 " are not in the shard", from,
			len, i);
	m = tensor_view(g, &h->shape, &h->slice, (enum tensor_role)e->role, e->layer);
	if (m.data == NULL || m.rows != e->rows || m.cols != e->cols)
		return err_set(err,
			"the model has no %s of layer %" PRIu32 " as the shard wants it",
			tensor_role_name((enum tensor_role)e->role), e->layer);
	if (m.dtype != e->dtype)
		return read_vector(&m, from, out, len, err);
	row_bytes = dtype_row_bytes(m.dtype, m.cols);
	while (len > 0) {
		uint64_t row = from / row_bytes;
		size_t at = (size_t)(from % row_bytes),
		       n = row_bytes - at < len ? row_bytes - at : len;

		memcpy(to, m.data + row * m.stride + at, n);
		to += n;
		from += n;
		len -= n;
	}
	return 0;
}

/* --- as bytes --- */

static void
hash_of(const void *data, size_t len, uint8_t hash[SHARD_HASH])
{
	crypto_generichash(hash, SHARD_HASH, data, len, NULL, 0);
}

int
shard_header_write(const struct shard_header *h, struct buf *b)
{
	size_t begin = b->len, n = header_bytes(h);
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
	uint64_t at = align_up(header_bytes(h));
	uint32_t i = 0;

	for (struct place p = first_place(); settle(&p, h->shape.layers); p.role++) {
		const struct shard_extent *e = i < h->n_extents ? &h->extents[i] : NULL;
		struct tensor_cut cut = tensor_cut(&h->shape, &h->slice, *p.role);
		bool empty = cut.rows == 0 || cut.cols == 0;

		if (e == NULL || e->role != (uint32_t)*p.role || e->layer != p.layer) {
			if (!empty && tensor_expected(&h->shape, *p.role) &&
				tensor_in_layer(*p.role, p.layer))
				return err_set(err, "shard header: %s of layer %u is missing",
					tensor_role_name(*p.role), p.layer);
			continue;
		}
		if (empty || e->rows != cut.rows || e->cols != cut.cols ||
			!dtype_computed(e->dtype) ||
			(tensor_is_vector(*p.role) && e->dtype != DTYPE_F32) ||
			dtype_row_bytes(e->dtype, e->cols) == 0 ||
			e->bytes != (uint64_t)e->rows * dtype_row_bytes(e->dtype, e->cols))
			return err_set(err,
				"shard header: %s of layer %u is not as the slice has it",
				tensor_role_name(*p.role), p.layer);
		if (e->offset != at)
			return err_set(err,
				"shard header: extent %u lies at %" PRIu64 " instead of %" PRIu64,
				i, e->offset, at);
		at = align_up(at + e->bytes);
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
	if (r->failed || (uint64_t)h->n_extents * EXTENT_BYTES != rd_left(r))
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
	h->file_bytes = align_up(header_bytes(h));
	if (h->n_extents > 0)
		h->file_bytes = align_up(
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
	if (version != VERSION || layout != SHARD_LAYOUT_GGUF)
		return err_set(err,
			"a shard of version %u and layout %u; this program reads version %u, "
			"layout %u",
			version, layout, VERSION, SHARD_LAYOUT_GGUF);
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
