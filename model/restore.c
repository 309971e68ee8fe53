#include "model/restore.h"

#include "model/chunk_int.h"
#include "model/gguf_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPARE (64u << 20) /* of the disk that stays free */

struct restore {
	const struct skeleton *k;
	char path[4096], part[4096 + 8];
	int fd;
	struct gguf *g; /* the file as it is so far: its head is whole */
	struct model_shape shape;
	struct shard_header whole;
	struct chunk_list l;
	bool *have;
	uint32_t missing;
	uint64_t total, done;
	uint8_t *room, *rows; /* for a chunk, and for a row group and its rows */
	size_t rows_size;
};

/* --- opening ------------------------------------------------------------------------------------- */

static int
check_room(const struct restore *r, struct err *err)
{
	uint64_t need = skeleton_file_bytes(r->k), there, has;
	struct statvfs fs;
	struct stat st;

	if (fstatvfs(r->fd, &fs) != 0 || fstat(r->fd, &st) != 0)
		return 0; /* writing will tell */
	there = (uint64_t)fs.f_bavail * fs.f_frsize;
	has = (uint64_t)st.st_blocks * 512;
	if (there + has >= need + SPARE)
		return 0;
	return err_set(err,
		"%s: the model needs %" PRIu64 " MB (and leaves %u free), of which the disk has "
		"%" PRIu64,
		r->path, need / 1000000 + 1, SPARE / 1000000, (there + has) / 1000000);
}

static int
write_skeleton(struct restore *r, struct err *err)
{
	for (uint32_t i = 0; i < skeleton_ranges(r->k); i++) {
		struct skeleton_range x = skeleton_range(r->k, i);

		if (shard_put_at(r->fd, r->part, x.data, (size_t)x.bytes, x.at, err) != 0)
			return -1;
	}
	return 0;
}

/* Vectors are in the skeleton: they are there already. */
static bool
is_ours(const struct chunk *c)
{
	return !tensor_is_vector((enum tensor_role)c->role);
}

static bool
is_right(struct restore *r, uint32_t i)
{
	const struct chunk *c = &r->l.chunks[i];
	uint8_t hash[SHARD_HASH];
	struct err ignored;

	if (chunk_from_gguf(r->g, &r->shape, c, r->room, &ignored) != 0)
		return false;
	chunk_hash(r->room, chunk_bytes(c), hash);
	return memcmp(hash, r->l.hashes[i], sizeof hash) == 0;
}

static void
note(struct restore *r, uint32_t i)
{
	r->have[i] = true;
	r->missing--;
	r->done += is_ours(&r->l.chunks[i]) ? chunk_bytes(&r->l.chunks[i]) : 0;
}

static int
list_chunks(struct restore *r, bool resumed, struct err *err)
{
	struct slice whole = slice_whole(&r->shape);
	size_t len;
	const uint8_t *list = skeleton_chunks(r->k, &len);

	if (shard_header_plan(r->g, &r->shape, &whole, &r->whole, err) != 0 ||
		chunk_list_parse(list, len, &r->whole, &r->l, err) != 0)
		return -1;
	r->have = calloc((size_t)r->l.n + 1, sizeof *r->have);
	r->room = malloc(CHUNK_MAX);
	if (r->have == NULL || r->room == NULL)
		return err_set(err, "out of memory for %" PRIu32 " chunks", r->l.n);
	r->missing = r->l.n;
	for (uint32_t i = 0; i < r->l.n; i++) {
		r->total += is_ours(&r->l.chunks[i]) ? chunk_bytes(&r->l.chunks[i]) : 0;
		if (!is_ours(&r->l.chunks[i]) || (resumed && is_right(r, i)))
			note(r, i);
	}
	return 0;
}

static int
open_part(struct restore *r, struct err *err)
{
	struct stat st;
	bool busy, resumed;

	r->fd = shard_open_part(r->part, &busy, err);
	if (r->fd < 0 || check_room(r, err) != 0)
		return -1;
	resumed = fstat(r->fd, &st) == 0 && st.st_size > 0;
	if (ftruncate(r->fd, (off_t)skeleton_file_bytes(r->k)) != 0)
		return err_errno(err, errno, "%s: cannot make it %" PRIu64 " bytes long", r->part,
			skeleton_file_bytes(r->k));
	if (write_skeleton(r, err) != 0)
		return -1;
	r->g = gguf_open(r->part, err);
	if (r->g == NULL || shape_from_gguf(r->g, &r->shape, err) != 0)
		return -1;
	return list_chunks(r, resumed, err);
}

struct restore *
restore_open(const struct skeleton *k, const char *path, struct err *err)
{
	struct restore *r = calloc(1, sizeof *r);

	if (r == NULL || strlen(path) >= sizeof r->path) {
		err_set(err, r == NULL ? "out of memory" : "a model's path is too long");
		free(r);
		return NULL;
	}
	r->k = k;
	r->fd = -1;
	strcpy(r->path, path);
	snprintf(r->part, sizeof r->part, "%s.part", path);
	if (open_part(r, err) == 0)
		return r;
	restore_free(r);
	return NULL;
}

void
restore_free(struct restore *r)
{
	if (r == NULL)
		return;
	chunk_list_free(&r->l);
	shard_header_free(&r->whole);
	gguf_close(r->g);
	if (r->fd >= 0)
		close(r->fd);
	free(r->have);
	free(r->room);
	free(r->rows);
	free(r);
}

/* --- what is there ------------------------------------------------------------------------------- */

const struct chunk_list *
restore_chunks(const struct restore *r)
{
	return &r->l;
}

bool
restore_has(const struct restore *r, uint32_t chunk)
{
	return r->have[chunk];
}

uint32_t
restore_missing(const struct restore *r)
{
	return r->missing;
}

uint64_t
restore_total(const struct restore *r)
{
	return r->total;
}

uint64_t
restore_done(const struct restore *r)
{
	return r->done;
}

/* --- pieces -------------------------------------------------------------------------------------- */

static bool
by_columns(const struct chunk *c)
{
	return tensor_is_cut_by_columns((enum tensor_role)c->role);
}

uint32_t
restore_lines(const struct restore *r, uint32_t chunk)
{
	const struct chunk *c = &r->l.chunks[chunk];

	return by_columns(c) ? c->cols : c->rows;
}

/* Lines [*from, *end) of the whole tensor that a slice has. false: nothing of its layer. */
static bool
lines_of(const struct restore *r, const struct chunk *c, const struct slice *sl, uint32_t *from,
	uint32_t *end)
{
	enum tensor_role role = (enum tensor_role)c->role;
	struct tensor_cut cut = tensor_cut(&r->shape, sl, role);

	if (shard_unit_kind(c->role) != UNIT_HEAD &&
		(c->layer < sl->layer0 || c->layer - sl->layer0 >= sl->layers))
		return false;
	*from = by_columns(c) ? cut.col0 : cut.row0;
	*end = *from + (by_columns(c) ? cut.cols : cut.rows);
	return *end > *from;
}

bool
restore_piece(const struct restore *r, uint32_t chunk, uint32_t from, const struct slice *slices,
	uint32_t n, struct chunk *piece, uint32_t *end)
{
	const struct chunk *c = &r->l.chunks[chunk];
	uint32_t first = by_columns(c) ? c->col0 : c->row0, at = first + from;
	uint32_t last = first + restore_lines(r, chunk), best = at, next = last;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t a, b;

		if (!lines_of(r, c, &slices[i], &a, &b) || b <= at)
			continue;
		b = b < last ? b : last;
		if (a <= at && b > best)
			best = b;
		else if (a > at && a < next)
			next = a;
	}
	*end = (best > at ? best : next) - first;
	*piece = *c;
	if (by_columns(c)) {
		piece->col0 = at;
		piece->cols = best - at;
	} else {
		piece->row0 = at;
		piece->rows = best - at;
	}
	return best > at;
}

/* --- writing ------------------------------------------------------------------------------------- */

/* Room for a row group as a shard has it, and for its rows. */
static uint8_t *
get_room(struct restore *r, const struct chunk *c, size_t *group)
{
	size_t need;

	*group = tile_group_bytes(c->dtype, c->cols);
	need = *group + TILE_ROWS * dtype_row_bytes(c->dtype, c->cols);
	if (need > r->rows_size) {
		free(r->rows);
		r->rows = aligned_alloc(
			TILE_ALIGN, (need + TILE_ALIGN - 1) / TILE_ALIGN * TILE_ALIGN);
		r->rows_size = r->rows != NULL ? need : 0;
	}
	return r->rows;
}

static int
put_rows(struct restore *r, const uint8_t *rows, uint32_t n, size_t len, size_t stride, uint64_t at,
	struct err *err)
{
	if (len == stride)
		return shard_put_at(r->fd, r->part, rows, n * len, at, err);
	for (uint32_t i = 0; i < n; i++)
		if (shard_put_at(r->fd, r->part, rows + i * len, len, at + i * stride, err) != 0)
			return -1;
	return 0;
}

int
restore_put(struct restore *r, const struct chunk *c, const uint8_t *bytes, struct err *err)
{
	const struct gguf_tensor *t =
		tensor_find(r->g, &r->shape, (enum tensor_role)c->role, c->layer, c->expert, NULL);
	size_t len = dtype_row_bytes(c->dtype, c->cols), stride, group;
	uint64_t at, ignored;
	uint8_t *room = get_room(r, c, &group);

	if (t == NULL || !is_ours(c) || t->dtype != c->dtype)
		return err_set(err, "a piece of a tensor that the model does not have");
	if (room == NULL)
		return err_set(err, "out of memory for a row group");
	stride = dtype_row_bytes(t->dtype, (size_t)t->dims[0]);
	at = (uint64_t)(tensor_part(t, c->expert, &ignored) - r->g->data) + c->row0 * stride +
	     dtype_row_bytes(c->dtype, c->col0);
	for (uint32_t i = 0; i < c->rows; i += TILE_ROWS) {
		uint32_t n = c->rows - i < TILE_ROWS ? c->rows - i : TILE_ROWS;

		memset(room, 0, group);
		chunk_into_group(c, c->col0, c->cols, bytes, room);
		bytes += chunk_group_bytes(c);
		tile_unpack(c->dtype, c->cols, room, n, room + group, len);
		if (put_rows(r, room + group, n, len, stride, at + i * stride, err) != 0)
			return -1;
	}
	return 0;
}

bool
restore_check(struct restore *r, uint32_t chunk)
{
	if (r->have[chunk])
		return true;
	if (!is_right(r, chunk))
		return false;
	note(r, chunk);
	return true;
}

int
restore_finish(struct restore *r, struct err *err)
{
	uint8_t id[SHARD_HASH];

	if (r->missing > 0)
		return err_set(err, "%s is not whole yet", r->part);
	shard_model_id(r->g, id);
	if (memcmp(id, skeleton_model_id(r->k), sizeof id) != 0)
		return err_set(err, "%s: is another model than the one that was served", r->part);
	return shard_seal(r->fd, r->part, r->path, err);
}
