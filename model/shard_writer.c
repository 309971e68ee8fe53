/* A shard that arrives piece by piece: PATH.part until it is whole. */
#include "model/shard_int.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (1u << 20)

struct shard_writer {
	char path[4096], part[4104];
	const struct shard_header *h;
	struct buf header;
	int fd;
	bool *have; /* [n_extents] */
	/* the extent that is coming in */
	uint32_t now;
	uint64_t at;
	crypto_generichash_state hash;
};

/* Whether the bytes that are there already are an extent's. */
static bool
extent_there(struct shard_writer *w, const struct shard_extent *e, uint8_t *chunk)
{
	crypto_generichash_state st;
	uint8_t hash[SHARD_HASH];

	crypto_generichash_init(&st, NULL, 0, SHARD_HASH);
	for (uint64_t from = 0; from < e->bytes;) {
		size_t want = e->bytes - from < CHUNK ? (size_t)(e->bytes - from) : CHUNK;
		ssize_t n = pread(w->fd, chunk, want, (off_t)(e->offset + from));

		if (n <= 0)
			return false;
		crypto_generichash_update(&st, chunk, (size_t)n);
		from += (size_t)n;
	}
	crypto_generichash_final(&st, hash, SHARD_HASH);
	return memcmp(hash, e->hash, SHARD_HASH) == 0;
}

/* Looks through what an earlier try left: a part file, or a whole shard that was damaged since. */
static int
look_through(struct shard_writer *w, struct err *err)
{
	uint8_t *chunk = malloc(CHUNK);
	struct stat st;

	if (chunk == NULL)
		return err_set(err, "out of memory");
	if (fstat(w->fd, &st) == 0 && st.st_size > 0)
		for (uint32_t i = 0; i < w->h->n_extents; i++)
			w->have[i] = extent_there(w, &w->h->extents[i], chunk);
	free(chunk);
	return 0;
}

static int
open_part(struct shard_writer *w, struct err *err)
{
	bool busy;

	/* A damaged whole file gives its good extents. */
	if (access(w->part, F_OK) != 0 && access(w->path, F_OK) == 0 &&
		rename(w->path, w->part) != 0)
		return err_errno(err, errno, "%s: cannot rename", w->path);
	w->fd = shard_open_part(w->part, &busy, err);
	if (w->fd < 0)
		return -1;
	if (look_through(w, err) != 0)
		return -1;
	if (ftruncate(w->fd, (off_t)w->h->file_bytes) != 0)
		return err_errno(err, errno, "%s: cannot make it %llu bytes long", w->part,
			(unsigned long long)w->h->file_bytes);
	return shard_put_at(w->fd, w->part, w->header.data, w->header.len, 0, err);
}

struct shard_writer *
shard_writer_open(const char *path, const struct shard_header *h, struct err *err)
{
	struct shard_writer *w = calloc(1, sizeof *w);

	if (w == NULL || strlen(path) >= sizeof w->path) {
		err_set(err, w == NULL ? "out of memory" : "the shard's path is too long");
		free(w);
		return NULL;
	}
	w->fd = -1;
	w->h = h;
	strcpy(w->path, path);
	snprintf(w->part, sizeof w->part, "%s.part", path);
	buf_init(&w->header, 0);
	w->have = calloc(h->n_extents + 1, sizeof *w->have);
	w->now = UINT32_MAX;
	if (w->have == NULL || shard_header_write(h, &w->header) != 0) {
		err_set(err, "out of memory");
		shard_writer_free(w);
		return NULL;
	}
	if (open_part(w, err) != 0) {
		shard_writer_free(w);
		return NULL;
	}
	return w;
}

uint32_t
shard_writer_missing(const struct shard_writer *w)
{
	uint32_t i = 0;

	while (i < w->h->n_extents && w->have[i])
		i++;
	return i;
}

bool
shard_writer_has(const struct shard_writer *w, uint32_t extent)
{
	return extent < w->h->n_extents && w->have[extent];
}

int
shard_writer_put(struct shard_writer *w, uint32_t extent, uint64_t from, const void *data,
	size_t len, struct err *err)
{
	const struct shard_extent *e = extent < w->h->n_extents ? &w->h->extents[extent] : NULL;
	uint8_t hash[SHARD_HASH];

	if (e == NULL || w->have[extent] || len > e->bytes || from > e->bytes - len)
		return err_set(err, "bytes that the shard does not miss came");
	if (from == 0) {
		w->now = extent;
		w->at = 0;
		crypto_generichash_init(&w->hash, NULL, 0, SHARD_HASH);
	}
	if (extent != w->now || from != w->at)
		return err_set(err, "bytes of a shard came out of order");
	if (shard_put_at(w->fd, w->part, data, len, e->offset + from, err) != 0)
		return -1;
	crypto_generichash_update(&w->hash, data, len);
	w->at += len;
	if (w->at < e->bytes)
		return 0;
	w->now = UINT32_MAX;
	crypto_generichash_final(&w->hash, hash, SHARD_HASH);
	if (memcmp(hash, e->hash, SHARD_HASH) != 0)
		return err_set(err, "extent %u of the shard came with a wrong hash", extent);
	w->have[extent] = true;
	return 0;
}

int
shard_writer_finish(struct shard_writer *w, struct err *err)
{
	if (shard_writer_missing(w) < w->h->n_extents)
		return err_set(err, "%s is not whole yet", w->part);
	return shard_seal(w->fd, w->part, w->path, err);
}

void
shard_writer_free(struct shard_writer *w)
{
	if (w == NULL)
		return;
	if (w->fd >= 0)
		close(w->fd);
	buf_free(&w->header);
	free(w->have);
	free(w);
}
