/* Making a skeleton: the whole model is hashed chunk by chunk, and what is in no chunk is copied. */
#include "model/chunk.h"
#include "model/gguf_int.h"
#include "model/shard_int.h"
#include "model/skeleton_int.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP (1u << 20) /* bytes that are written at once */

struct span {
	uint64_t at, bytes;
};

struct make {
	const struct gguf *g;
	const char *part;
	int fd;
	uint64_t at; /* in the skeleton */
	crypto_generichash_state hash;
	struct buf head;
};

static int
by_place(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Where the file's matrices lie that shards have, in order. Returns their number. */
static uint32_t
list_matrices(const struct gguf *g, const struct shard_header *whole, struct span *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < whole->n_extents; i++) {
		const struct shard_extent *e = &whole->extents[i];
		enum tensor_role r = (enum tensor_role)e->role;
		const struct gguf_tensor *t =
			tensor_find(g, &whole->shape, r, e->layer, e->expert, NULL);
		uint64_t bytes;

		if (tensor_is_vector(r) || t == NULL)
			continue;
		out[n].at = (uint64_t)(tensor_part(t, e->expert, &bytes) - g->data);
		out[n++].bytes = bytes;
	}
	qsort(out, n, sizeof *out, by_place);
	return n;
}

/* What lies between them. `out` has room for one more than there are. */
static uint32_t
list_rest(const struct gguf *g, const struct span *matrices, uint32_t n, struct span *out)
{
	uint64_t at = 0, size = gguf_file_bytes(g);
	uint32_t m = 0;

	for (uint32_t i = 0; i <= n; i++) {
		uint64_t end = i < n ? matrices[i].at : size;

		if (end > at)
			out[m++] = (struct span){at, end - at};
		at = i < n ? end + matrices[i].bytes : end;
	}
	return m;
}

static int
put(struct make *m, const void *data, size_t len, struct err *err)
{
	crypto_generichash_update(&m->hash, data, len);
	if (shard_put_at(m->fd, m->part, data, len, m->at, err) != 0)
		return -1;
	m->at += len;
	return 0;
}

static int
put_rest(struct make *m, const struct span *rest, uint32_t n, struct err *err)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint64_t from = 0; from < rest[i].bytes; from += STEP) {
			uint64_t left = rest[i].bytes - from;
			size_t len = left < STEP ? (size_t)left : STEP;
			const uint8_t *data = m->g->data + rest[i].at + from;

			if (put(m, data, len, err) != 0)
				return -1;
			gguf_forget(m->g, data, len);
		}
	return gguf_check(m->g, err);
}

static int
write_head(struct make *m, const struct shard_header *h, const struct chunk_list *l,
	const char *name, const struct span *rest, uint32_t n, struct err *err)
{
	struct buf list, *b = &m->head;
	int rc;

	buf_init(&list, 0);
	rc = chunk_list_write(l, &list);
	buf_append(b, SKELETON_MAGIC, 8);
	buf_u32(b, SKELETON_VERSION);
	buf_append(b, h->model_id, SHARD_HASH);
	shape_write(&h->shape, b);
	buf_u64(b, gguf_file_bytes(m->g));
	buf_u16(b, (uint16_t)strlen(name));
	buf_str(b, name);
	buf_u32(b, (uint32_t)list.len);
	buf_append(b, list.data, list.len);
	buf_u32(b, n);
	for (uint32_t i = 0; i < n; i++) {
		buf_u64(b, rest[i].at);
		buf_u64(b, rest[i].bytes);
	}
	buf_free(&list);
	return rc == 0 && !b->failed ? 0 : err_set(err, "out of memory for a model's skeleton");
}

static int
write_all(struct make *m, const struct shard_header *h, const struct chunk_list *l,
	const char *name, struct err *err)
{
	struct span *matrices = calloc((size_t)h->n_extents + 1, sizeof *matrices);
	struct span *rest = calloc((size_t)h->n_extents + 2, sizeof *rest);
	uint8_t hash[SHARD_HASH];
	uint32_t n;
	int rc = -1;

	if (matrices == NULL || rest == NULL) {
		err_set(err, "out of memory for a model's skeleton");
	} else {
		n = list_rest(m->g, matrices, list_matrices(m->g, h, matrices), rest);
		rc = write_head(m, h, l, name, rest, n, err);
		if (rc == 0)
			rc = put(m, m->head.data, m->head.len, err);
		if (rc == 0)
			rc = put_rest(m, rest, n, err);
	}
	free(matrices);
	free(rest);
	if (rc != 0)
		return -1;
	crypto_generichash_final(&m->hash, hash, sizeof hash);
	return shard_put_at(m->fd, m->part, hash, sizeof hash, m->at, err);
}

static int
make_file(struct make *m, const struct shard_header *h, const struct chunk_list *l,
	const char *name, const char *path, struct err *err)
{
	bool busy;
	int rc;

	m->fd = shard_open_part(m->part, &busy, err);
	if (m->fd < 0)
		return -1;
	crypto_generichash_init(&m->hash, NULL, 0, SHARD_HASH);
	buf_init(&m->head, 0);
	rc = ftruncate(m->fd, 0) == 0 ? write_all(m, h, l, name, err)
				      : err_errno(err, errno, "%s: cannot empty it", m->part);
	if (rc == 0)
		rc = shard_seal(m->fd, m->part, path, err);
	if (rc != 0)
		unlink(m->part); /* before the lock is gone: it is still ours */
	close(m->fd);
	buf_free(&m->head);
	return rc;
}

int
skeleton_make(const struct gguf *g, const struct model_shape *s, const char *name, const char *path,
	shard_progress *progress, void *arg, struct err *err)
{
	struct slice whole = slice_whole(s);
	struct shard_header h;
	struct chunk_list l;
	char part[4096];
	struct make m = {.g = g, .part = part};
	int rc;

	if (!skeleton_name_valid(name, strlen(name)))
		return err_set(err, "'%.80s' is no name for a file that others are to make", name);
	if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
		return err_set(err, "%.60s...: the path is too long", path);
	if (chunk_list_from_gguf(
		    g, s, &whole, chunk_size(gguf_file_bytes(g)), &h, &l, progress, arg, err) != 0)
		return -1;
	rc = make_file(&m, &h, &l, name, path, err);
	chunk_list_free(&l);
	shard_header_free(&h);
	return rc;
}
