/* Shard headers of a plan's members: taken from the cache on disk or made by hashing the weights,
 * on the thread pool. A header is kept under the hash of what it depends on, so a warm start
 * hashes nothing. */
#include "base/file.h"
#include "daemon/log.h"
#include "daemon/serve_int.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER_PATH (4096 + 16 + 2 * SHARD_HASH + 2)

struct hash_job {
	uv_work_t req;
	struct plan *plan; /* main thread; NULL: abandoned */
	struct model_file *file;
	char dir[4096 + 16];
	uint32_t n;
	struct slice slices[SLICE_MAX_PEERS];
	struct member_header headers[SLICE_MAX_PEERS]; /* by rank */
	atomic_bool stop;
	atomic_uint percent;
	uint32_t rank; /* that is being made */
	int result;
	struct err err;
};

void
shard_hash(const void *data, size_t len, uint8_t out[SHARD_HASH])
{
	crypto_generichash(out, SHARD_HASH, data, len, NULL, 0);
}

void
member_header_free(struct member_header *m)
{
	shard_header_free(&m->h);
	buf_free(&m->bytes);
	buf_free(&m->chunks);
	*m = (struct member_header){0};
}

/* --- the cache on disk -------------------------------------------------------------------------- */

static void
cache_path(const struct hash_job *j, const struct slice *sl, char *out, size_t size)
{
	uint8_t hash[SHARD_HASH];
	char hex[2 * SHARD_HASH + 1];
	struct buf key;

	buf_init(&key, 4096);
	buf_append(&key, j->file->model_id, SHARD_HASH);
	buf_u64(&key, j->file->stamp);
	slice_write(sl, &key);
	shard_hash(key.data, key.len, hash);
	buf_free(&key);
	sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	snprintf(out, size, "%s/%s", j->dir, hex);
}

/* The list of chunks lies beside the header. */
static void
chunks_path(const char *path, char *out, size_t size)
{
	snprintf(out, size, "%s.chunks", path);
}

static bool
cache_read_chunks(const char *path, struct member_header *m)
{
	char beside[HEADER_PATH + 8];
	struct chunk_list l;

	chunks_path(path, beside, sizeof beside);
	if (file_read(beside, &m->chunks, NULL) != 0 ||
		chunk_list_parse(m->chunks.data, m->chunks.len, &m->h, &l, NULL) != 0)
		return false;
	chunk_list_free(&l);
	return true;
}

/* Whether a usable header lies there, with its list. A damaged or foreign one is as good as none. */
static bool
cache_read(struct hash_job *j, const char *path, const struct slice *sl, struct member_header *m)
{
	buf_init(&m->bytes, CONTROL_MAX_BYTES);
	buf_init(&m->chunks, CONTROL_MAX_BYTES);
	if (file_read(path, &m->bytes, NULL) == 0 &&
		shard_header_parse(m->bytes.data, m->bytes.len, &m->h, NULL) == 0) {
		if (memcmp(m->h.model_id, j->file->model_id, SHARD_HASH) == 0 &&
			slice_same(&m->h.slice, sl) && cache_read_chunks(path, m))
			return true;
		shard_header_free(&m->h);
	}
	buf_clear(&m->bytes);
	buf_clear(&m->chunks);
	m->h = (struct shard_header){0};
	return false;
}

static void
cache_write(const char *path, const struct member_header *m)
{
	char beside[HEADER_PATH + 8];
	struct err err;

	chunks_path(path, beside, sizeof beside);
	if (file_write(path, m->bytes.data, m->bytes.len, 0600, &err) != 0 ||
		file_write(beside, m->chunks.data, m->chunks.len, 0600, &err) != 0)
		log_warning("%s (the model will be hashed again next time)", err.msg);
}

/* --- on the thread pool ------------------------------------------------------------------------- */

static int
on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct hash_job *j = arg;
	uint64_t share = total > 0 ? done * 100 / total : 100;

	atomic_store(&j->percent, (unsigned)((j->rank - 1) * 100 + share) / (j->n - 1));
	return atomic_load(&j->stop) ? -1 : 0;
}

static int
make_header(struct hash_job *j, const char *path, const struct slice *sl, struct member_header *m)
{
	struct chunk_list l;
	int rc;

	if (chunk_list_from_gguf(j->file->gguf, &j->file->shape, sl, chunk_size(j->file->bytes),
		    &m->h, &l, on_progress, j, &j->err) != 0)
		return -1;
	rc = chunk_list_write(&l, &m->chunks);
	chunk_list_free(&l);
	if (rc != 0 || shard_header_write(&m->h, &m->bytes) != 0)
		return err_set(&j->err, "the header of a slice is longer than %u bytes",
			CONTROL_MAX_BYTES);
	cache_write(path, m);
	return 0;
}

static void
work(uv_work_t *req)
{
	struct hash_job *j = req->data;

	j->result = file_mkdirs(j->dir, 0700, &j->err);
	for (j->rank = 1; j->result == 0 && j->rank < j->n; j->rank++) {
		struct member_header *m = &j->headers[j->rank];
		char path[HEADER_PATH];

		cache_path(j, &j->slices[j->rank], path, sizeof path);
		if (!cache_read(j, path, &j->slices[j->rank], m))
			j->result = make_header(j, path, &j->slices[j->rank], m);
		shard_hash(m->bytes.data, m->bytes.len, m->hash);
	}
	if (j->result != 0)
		model_file_check(j->file, &j->err);
}

static void
after_work(uv_work_t *req, int status)
{
	struct hash_job *j = req->data;

	(void)status;
	if (j->plan != NULL)
		plan_hashed(j->plan, j->result, j->headers, &j->err);
	for (uint32_t i = 0; i < j->n; i++)
		member_header_free(&j->headers[i]);
	model_file_unref(j->file);
	free(j);
}

struct hash_job *
hash_job_start(struct plan *p, struct err *err)
{
	struct hash_job *j = calloc(1, sizeof *j);

	if (j == NULL) {
		err_set(err, "not enough memory to hash the model");
		return NULL;
	}
	j->req.data = j;
	j->plan = p;
	j->n = p->n;
	memcpy(j->slices, p->slices, sizeof j->slices);
	snprintf(j->dir, sizeof j->dir, "%s/headers", p->serve->state->dir);
	j->file = model_file_ref(p->file);
	if (uv_queue_work(p->serve->loop, &j->req, work, after_work) != 0) {
		err_set(err, "the thread pool takes no job");
		model_file_unref(j->file);
		free(j);
		return NULL;
	}
	return j;
}

void
hash_job_abandon(struct hash_job *j)
{
	j->plan = NULL;
	atomic_store(&j->stop, true);
}

unsigned
hash_job_percent(const struct hash_job *j)
{
	return atomic_load(&j->percent);
}
