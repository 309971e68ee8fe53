#include "config.h"

#include "model/shard_writer.h"

#include "model/chunk_int.h"
#include "model/shelf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS      50
#define WAIT_MOST_MS 5000

struct shard_writer {
	char path[4096], part[4104];
	const struct shard_header *h;
	const struct chunk_list *l;
	struct buf header;
	int fd;
	bool *have; /* [l->n] */
	uint32_t missing;
	uint8_t *room, *image; /* of the largest chunk: its bytes; these as they lie in the file */
};

/* --- where a chunk lies in the file --------------------------------------------------------------- */

static uint32_t
extent_of(const struct shard_writer *w, uint32_t chunk)
{
	uint32_t low = 0, high = w->h->n_extents;

	while (low + 1 < high) {
		uint32_t middle = low + (high - low) / 2;

		if (w->l->first[middle] <= chunk)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* A run of bytes that is one in the file. */
struct run {
	uint64_t at;      /* in the file */
	size_t from, len; /* of the image */
};

typedef int on_run(struct shard_writer *w, const struct run *r, uint8_t *image, struct err *err);

/* Puts a piece behind the run, or gives the run away and begins another one. */
static int
add_piece(
	struct shard_writer *w, struct run *r, uint64_t at, size_t len, on_run *f, struct err *err)
{
	size_t next = r->from + r->len;

	if (len == 0)
		return 0;
	if (r->len > 0 && at == r->at + r->len) {
		r->len += len;
		return 0;
	}
	if (r->len > 0 && f(w, r, w->image + r->from, err) != 0)
		return -1;
	*r = (struct run){at, next, len};
	return 0;
}

/* Calls f for each run of the chunk's image. */
static int
each_run(struct shard_writer *w, uint32_t chunk, on_run *f, struct err *err)
{
	const struct chunk *c = &w->l->chunks[chunk];
	const struct shard_extent *e = &w->h->extents[extent_of(w, chunk)];
	struct tensor_cut cut = tensor_cut(&w->h->shape, &w->h->slice, (enum tensor_role)c->role);
	uint64_t group = shard_group_bytes(e), at;
	struct run r = {0};
	struct chunk_piece p;

	if (tensor_is_vector((enum tensor_role)c->role)) {
		r = (struct run){e->offset, 0, chunk_bytes(c)};
		return f(w, &r, w->image, err);
	}
	at = e->offset + (c->row0 - cut.row0) / TILE_ROWS * group;
	for (uint32_t i = 0; i < c->rows; i += TILE_ROWS, at += group)
		for (uint32_t k = 0; chunk_piece(c, cut.col0, cut.cols, k, &p); k++)
			if (add_piece(w, &r, at + p.at, p.len, f, err) != 0)
				return -1;
	return f(w, &r, w->image + r.from, err);
}

enum order { FROM_FILE, TO_FILE };

/* The chunk's bytes, in another order than in the image. */
static void
reorder(struct shard_writer *w, uint32_t chunk, enum order o, uint8_t *bytes)
{
	const struct chunk *c = &w->l->chunks[chunk];
	struct tensor_cut cut = tensor_cut(&w->h->shape, &w->h->slice, (enum tensor_role)c->role);
	bool vector = tensor_is_vector((enum tensor_role)c->role);
	uint8_t *image = w->image;
	struct chunk_piece p;

	if (vector)
		memcpy(o == TO_FILE ? image : bytes, o == TO_FILE ? bytes : image, chunk_bytes(c));
	for (uint32_t i = 0; !vector && i < c->rows; i += TILE_ROWS) {
		for (uint32_t k = 0; chunk_piece(c, cut.col0, cut.cols, k, &p); k++) {
			uint8_t *piece = bytes + p.from;

			memcpy(o == TO_FILE ? image : piece, o == TO_FILE ? piece : image, p.len);
			image += p.len;
		}
		bytes += chunk_group_bytes(c);
	}
}

static int
write_run(struct shard_writer *w, const struct run *r, uint8_t *image, struct err *err)
{
	return shard_put_at(w->fd, w->part, image, r->len, r->at, err);
}

static int
read_run(struct shard_writer *w, const struct run *r, uint8_t *image, struct err *err)
{
	(void)err;
	return pread(w->fd, image, r->len, (off_t)r->at) == (ssize_t)r->len ? 0 : -1;
}

/* --- opening -------------------------------------------------------------------------------------- */

static void
note(struct shard_writer *w, uint32_t chunk)
{
	w->have[chunk] = true;
	w->missing--;
}

static bool
is_right(const struct shard_writer *w, uint32_t chunk, const uint8_t *data, size_t len)
{
	uint8_t hash[SHARD_HASH];

	if (len != chunk_bytes(&w->l->chunks[chunk]))
		return false;
	chunk_hash(data, len, hash);
	return memcmp(hash, w->l->hashes[chunk], SHARD_HASH) == 0;
}

/* The zeros that fill lines are in no chunk: in a file that was there before they may be damaged. */
static int
write_zeros(struct shard_writer *w, const struct shard_extent *e, struct err *err)
{
	static const uint8_t zeros[TILE_ALIGN];
	struct chunk all = {.role = e->role, .dtype = e->dtype, .rows = e->rows, .cols = e->cols};
	uint64_t group = shard_group_bytes(e);
	struct chunk_piece p;

	if (tensor_is_vector((enum tensor_role)e->role))
		return 0;
	for (uint64_t at = e->offset; at < e->offset + e->bytes; at += group) {
		size_t end = 0;

		for (uint32_t i = 0; chunk_piece(&all, 0, e->cols, i, &p); i++) {
			if (shard_put_at(w->fd, w->part, zeros, p.at - end, at + end, err) != 0)
				return -1;
			end = p.at + p.len;
		}
		if (shard_put_at(w->fd, w->part, zeros, group - end, at + end, err) != 0)
			return -1;
	}
	return 0;
}

/* Looks through what an earlier try left: a part file, or a whole shard that was damaged since. */
static int
look_through(struct shard_writer *w, struct err *err)
{
	struct err ignored;
	struct stat st;

	if (fstat(w->fd, &st) != 0 || st.st_size == 0)
		return 0;
	for (uint32_t i = 0; i < w->l->n; i++) {
		if (each_run(w, i, read_run, &ignored) != 0)
			continue;
		reorder(w, i, FROM_FILE, w->room);
		if (is_right(w, i, w->room, chunk_bytes(&w->l->chunks[i])))
			note(w, i);
	}
	for (uint32_t i = 0; i < w->h->n_extents; i++)
		if (write_zeros(w, &w->h->extents[i], err) != 0)
			return -1;
	return 0;
}

/* Somebody may be reading from it for a moment (shelf.h). */
static int
lock_part(struct shard_writer *w, struct err *err)
{
	static const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000l};
	bool busy = true;

	for (unsigned ms = 0; busy && ms <= WAIT_MOST_MS; ms += WAIT_MS) {
		w->fd = shard_open_part(w->part, &busy, err);
		if (w->fd >= 0)
			return 0;
		if (busy)
			nanosleep(&pause, NULL);
	}
	return -1;
}

static int
open_part(struct shard_writer *w, struct err *err)
{

	/* A damaged whole file gives its good chunks. */
	if (access(w->part, F_OK) != 0 && access(w->path, F_OK) == 0 &&
		rename(w->path, w->part) != 0)
		return err_errno(err, errno, "%s: cannot rename", w->path);
	if (lock_part(w, err) != 0 || look_through(w, err) != 0)
		return -1;
	if (ftruncate(w->fd, (off_t)w->h->file_bytes) != 0)
		return err_errno(err, errno, "%s: cannot make it %llu bytes long", w->part,
			(unsigned long long)w->h->file_bytes);
	return shard_put_at(w->fd, w->part, w->header.data, w->header.len, 0, err);
}

static int
get_room(struct shard_writer *w)
{
	uint32_t most = 1;

	for (uint32_t i = 0; i < w->l->n; i++)
		if (chunk_bytes(&w->l->chunks[i]) > most)
			most = chunk_bytes(&w->l->chunks[i]);
	w->room = malloc(most);
	w->image = malloc(most);
	w->have = calloc((size_t)w->l->n + 1, sizeof *w->have);
	w->missing = w->l->n;
	return w->room != NULL && w->image != NULL && w->have != NULL ? 0 : -1;
}

struct shard_writer *
shard_writer_open(
	const char *path, const struct shard_header *h, const struct chunk_list *l, struct err *err)
{
	struct shard_writer *w = calloc(1, sizeof *w);

	if (w == NULL || strlen(path) >= sizeof w->path) {
		err_set(err, w == NULL ? "out of memory" : "the shard's path is too long");
		free(w);
		return NULL;
	}
	w->fd = -1;
	w->h = h;
	w->l = l;
	strcpy(w->path, path);
	snprintf(w->part, sizeof w->part, "%s.part", path);
	buf_init(&w->header, 0);
	if (get_room(w) != 0 || shard_header_write(h, &w->header) != 0) {
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

/* --- filling -------------------------------------------------------------------------------------- */

uint64_t
shard_writer_copy(struct shard_writer *w, struct shelf *from)
{
	uint64_t found = 0;
	struct err ignored;

	for (uint32_t i = 0; i < w->l->n; i++) {
		const struct chunk *c = &w->l->chunks[i];
		uint32_t len = chunk_bytes(c);

		if (w->have[i])
			continue;
		for (uint32_t k = 0; !w->have[i]; k++) /* one that is damaged is not the last */
			if (shelf_read(from, c, &k, w->room, &ignored) != 0 ||
				shard_writer_put(w, i, w->room, len, &ignored) == -1)
				break;
		found += w->have[i] ? len : 0;
	}
	return found;
}

bool
shard_writer_has(const struct shard_writer *w, uint32_t chunk)
{
	return chunk < w->l->n && w->have[chunk];
}

uint32_t
shard_writer_missing(const struct shard_writer *w)
{
	return w->missing;
}

int
shard_writer_put(
	struct shard_writer *w, uint32_t chunk, const void *data, size_t len, struct err *err)
{
	if (chunk >= w->l->n)
		return err_set(err, "a chunk that the shard does not have came");
	if (w->have[chunk])
		return 0;
	if (!is_right(w, chunk, data, len)) {
		err_set(err, "chunk %u of the shard came with a wrong hash", chunk);
		return SHARD_WRONG;
	}
	reorder(w, chunk, TO_FILE, (uint8_t *)(uintptr_t)data);
	if (each_run(w, chunk, write_run, err) != 0)
		return -1;
	note(w, chunk);
	return 0;
}

int
shard_writer_finish(struct shard_writer *w, struct err *err)
{
	if (w->missing > 0)
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
	free(w->room);
	free(w->image);
	free(w);
}
