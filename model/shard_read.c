/* A shard's bytes out of a GGUF file: which model it is, and its extents in tiles. */
#include "model/chunk_int.h"
#include "model/gguf_int.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

#define HASH_CHUNK (1u << 20)

void
shard_model_id(const struct gguf *g, uint8_t id[SHARD_HASH])
{
	crypto_generichash_state st;
	uint8_t size[8];

	crypto_generichash_init(&st, NULL, 0, SHARD_HASH);
	put_le64(size, gguf_file_bytes(g));
	crypto_generichash_update(&st, size, sizeof size);
	crypto_generichash_update(&st, g->data, g->head_len);
	/* The beginning of every tensor: a model that was trained on differs there. */
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		crypto_generichash_update(&st, t->data, t->bytes < 4096 ? t->bytes : 4096);
		gguf_forget(g, t->data, t->bytes);
	}
	crypto_generichash_final(&st, id, SHARD_HASH);
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

static void
pack_group(const struct matrix *m, uint64_t group, uint8_t *out)
{
	uint32_t row = (uint32_t)group * TILE_ROWS;
	uint32_t n = m->rows - row < TILE_ROWS ? m->rows - row : TILE_ROWS;

	tile_pack(m->dtype, m->cols, m->data + row * m->stride, m->stride, n, out);
}

/* Rows that were read may leave this process: a file larger than memory is gone through. */
static void
forget_rows(const struct gguf *g, const struct matrix *m, uint64_t group, uint64_t end)
{
	uint64_t row = group * TILE_ROWS,
		 last = end * TILE_ROWS < m->rows ? end * TILE_ROWS : m->rows;

	gguf_forget(g, m->data + row * m->stride, (last - row) * m->stride);
}

/* Whole groups straight to where they are wanted, parts of one through a group's room. */
static int
read_matrix(const struct matrix *m, uint64_t from, uint8_t *out, size_t len, struct err *err)
{
	size_t bytes = tile_group_bytes(m->dtype, m->cols);
	uint8_t *room = NULL;

	while (len > 0) {
		size_t at = (size_t)(from % bytes), n = bytes - at < len ? bytes - at : len;

		if (n == bytes) {
			pack_group(m, from / bytes, out);
		} else {
			if (room == NULL && (room = malloc(bytes)) == NULL)
				return err_set(err, "out of memory for %zu bytes of rows", bytes);
			pack_group(m, from / bytes, room);
			memcpy(out, room + at, n);
		}
		out += n;
		from += n;
		len -= n;
	}
	free(room);
	return 0;
}

int
shard_extent_read(const struct gguf *g, const struct shard_header *h, uint32_t i, uint64_t from,
	void *out, size_t len, struct err *err)
{
	const struct shard_extent *e = i < h->n_extents ? &h->extents[i] : NULL;
	struct matrix m;
	size_t group;

	if (e == NULL || from > e->bytes || len > e->bytes - from)
		return err_set(err,
			"bytes %" PRIu64 "+%zu of extent %" PRIu32 " are not in the shard", from,
			len, i);
	m = tensor_view(g, &h->shape, &h->slice, (enum tensor_role)e->role, e->layer, e->expert);
	if (m.data == NULL || m.rows != e->rows || m.cols != e->cols ||
		(!tensor_is_vector((enum tensor_role)e->role) && m.dtype != e->dtype))
		return err_set(err,
			"the model has no %s of layer %" PRIu32 " as the shard wants it",
			tensor_role_name((enum tensor_role)e->role), e->layer);
	if (tensor_is_vector((enum tensor_role)e->role))
		return read_vector(&m, from, out, len, err);
	if (read_matrix(&m, from, out, len, err) != 0)
		return -1;
	group = tile_group_bytes(m.dtype, m.cols);
	forget_rows(g, &m, from / group, (from + len + group - 1) / group);
	return 0;
}

/* chunks: NULL: not wanted. */
static int
hash_extent(struct shard_header *h, uint32_t i, const struct gguf *g, struct chunk_hasher *chunks,
	uint8_t **room, size_t *size, struct err *err)
{
	struct shard_extent *e = &h->extents[i];
	size_t step = shard_extent_step(e, HASH_CHUNK);
	crypto_generichash_state st;

	if (step > *size) {
		free(*room);
		*room = malloc(step);
		*size = *room != NULL ? step : 0;
		if (*room == NULL)
			return err_set(err, "out of memory for %zu bytes of rows", step);
	}
	crypto_generichash_init(&st, NULL, 0, SHARD_HASH);
	if (chunks != NULL)
		chunk_hasher_begin(chunks, i);
	for (uint64_t from = 0; from < e->bytes; from += step) {
		size_t n = e->bytes - from < step ? (size_t)(e->bytes - from) : step;

		if (shard_extent_read(g, h, i, from, *room, n, err) != 0)
			return -1;
		crypto_generichash_update(&st, *room, n);
		if (chunks != NULL)
			chunk_hasher_add(chunks, *room, n);
	}
	if (gguf_check(g, err) != 0)
		return -1;
	crypto_generichash_final(&st, e->hash, SHARD_HASH);
	return 0;
}

static int
hash_extents(struct shard_header *h, const struct gguf *g, struct chunk_hasher *chunks,
	shard_progress *progress, void *arg, struct err *err)
{
	uint64_t done = 0, total = 0;
	uint8_t *room = NULL;
	size_t size = 0;
	int rc = 0;

	for (uint32_t i = 0; i < h->n_extents; i++)
		total += h->extents[i].bytes;
	for (uint32_t i = 0; rc == 0 && i < h->n_extents; i++) {
		rc = hash_extent(h, i, g, chunks, &room, &size, err);
		done += h->extents[i].bytes;
		if (rc == 0 && progress != NULL && progress(arg, done, total) != 0)
			rc = err_set(err, "hashing the slices was given up");
	}
	free(room);
	return rc;
}

int
shard_header_from_gguf(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	struct shard_header *h, shard_progress *progress, void *arg, struct err *err)
{
	if (shard_header_plan(g, s, sl, h, err) != 0)
		return -1;
	if (hash_extents(h, g, NULL, progress, arg, err) != 0) {
		shard_header_free(h);
		return -1;
	}
	return 0;
}

int
chunk_list_from_gguf(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	uint32_t size, struct shard_header *h, struct chunk_list *l, shard_progress *progress,
	void *arg, struct err *err)
{
	struct chunk_hasher *chunks;
	int rc;

	if (shard_header_plan(g, s, sl, h, err) != 0)
		return -1;
	rc = chunk_list_plan(h, size, l, err);
	if (rc == 0) {
		chunks = chunk_hasher_new(h, l, err);
		rc = chunks != NULL ? hash_extents(h, g, chunks, progress, arg, err) : -1;
		chunk_hasher_free(chunks);
	}
	if (rc != 0) {
		chunk_list_free(l);
		shard_header_free(h);
	}
	return rc;
}
