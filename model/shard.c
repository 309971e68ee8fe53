/* A whole shard, mapped. */
#include "config.h"

#include "base/file.h"
#include "base/file_guard.h"
#include "model/shard_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

struct shard {
	struct mapped file;
	struct shard_header h;
	int fd; /* locked while it is open: shard_prune leaves it alone */
	char *path;
};

int
shard_check(const struct shard *s, struct err *err)
{
	uint8_t hash[SHARD_HASH];

	if (shard_file_trusted(s->fd))
		return 0;
	for (uint32_t i = 0; i < s->h.n_extents; i++) {
		const struct shard_extent *e = &s->h.extents[i];

		crypto_generichash(hash, sizeof hash, s->file.data + e->offset, e->bytes, NULL, 0);
		if (memcmp(hash, e->hash, SHARD_HASH) != 0)
			return err_set(err,
				"%s: extent %u (%s of layer %u) at byte %llu is damaged", s->path,
				i, tensor_role_name((enum tensor_role)e->role), e->layer,
				(unsigned long long)e->offset);
	}
	shard_file_trust(s->fd, true);
	return 0;
}

void
shard_doubt(const struct shard *s)
{
	shard_file_trust(s->fd, false);
}

bool
shard_is_cached(const struct shard *s)
{
	return file_is_cached(&s->file);
}

/* Reads ahead what will be needed at once, unless it would push out what memory holds. */
static void
prefetch(const struct shard *s)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	if (pages > 0 && size > 0 && s->file.len / (size_t)size < (size_t)pages / 2)
		madvise((void *)(uintptr_t)s->file.data, s->file.len, MADV_WILLNEED);
}

static int
open_file(struct shard *s, const char *path, struct err *err)
{
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return err_errno(err, errno, "%s: cannot open", path);
	flock(s->fd, LOCK_SH | LOCK_NB);
	if (file_map_fd(s->fd, path, &s->file, err) != 0)
		return -1;
	if (shard_header_parse(s->file.data, s->file.len, &s->h, err) != 0)
		return err_prefix(err, "%s: ", path);
	if (s->h.file_bytes != s->file.len)
		return err_set(err, "%s: is %zu bytes long, its header says %llu", path,
			s->file.len, (unsigned long long)s->h.file_bytes);
	return 0;
}

struct shard *
shard_open(const char *path, bool check, struct err *err)
{
	struct shard *s = calloc(1, sizeof *s);

	if (s == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->fd = -1;
	s->path = strdup(path);
	if (s->path == NULL)
		err_set(err, "out of memory");
	else if (open_file(s, path, err) == 0 && (!check || shard_check(s, err) == 0))
		return s;
	shard_close(s);
	return NULL;
}

void
shard_close(struct shard *s)
{
	if (s == NULL)
		return;
	shard_header_free(&s->h);
	file_unmap(&s->file);
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	free(s);
}

const struct shard_header *
shard_header(const struct shard *s)
{
	return &s->h;
}

const char *
shard_path(const struct shard *s)
{
	return s->path;
}

int
shard_fd(const struct shard *s)
{
	return s->fd;
}

const uint8_t *
shard_data(const struct shard *s)
{
	return s->file.data;
}

bool
shard_unreadable(const struct shard *s)
{
	return file_guard_failed(s->file.data);
}

int
shard_check_read(const struct shard *s, struct err *err)
{
	if (!shard_unreadable(s))
		return 0;
	return err_set(err,
		"%s: a part of it could not be read: its disk has an error, or it was cut short; "
		"without the file it is made or fetched again",
		s->path);
}

enum unit_kind
shard_unit_kind(uint32_t role)
{
	for (int kind = UNIT_ATTN; kind < UNIT_KINDS; kind++)
		for (const enum tensor_role *r = unit_roles((enum unit_kind)kind);
			*r != TENSOR_ROLES; r++)
			if ((uint32_t)*r == role)
				return (enum unit_kind)kind;
	return UNIT_HEAD;
}

void
shard_fill_units(struct fixed_source *fs, const struct shard_header *h, const uint8_t *base)
{
	for (uint32_t i = 0; i < h->n_extents; i++) {
		const struct shard_extent *e = &h->extents[i];
		struct unit *u =
			fixed_source_unit(fs, shard_unit_kind(e->role), e->layer, e->expert);
		bool vector = tensor_is_vector((enum tensor_role)e->role);

		u->t[e->role] = (struct matrix){.dtype = e->dtype,
			.rows = e->rows,
			.cols = e->cols,
			.stride = shard_group_bytes(e),
			.data = base != NULL ? base + e->offset : NULL,
			.layout = vector ? LAYOUT_ROWS : LAYOUT_TILES};
	}
}

struct weight_source *
weights_from_shard(struct shard *s, const struct gguf *g, struct err *err)
{
	struct fixed_source *fs = fixed_source_new(&s->h.shape, &s->h.slice, g != NULL, err);

	if (fs == NULL)
		return NULL;
	prefetch(s);
	shard_fill_units(fs, &s->h, s->file.data);
	fs->embed_of = g;
	if (g != NULL)
		fs->embed.t[TENSOR_EMBED] =
			tensor_view(g, &s->h.shape, &s->h.slice, TENSOR_EMBED, 0, 0);
	return &fs->base;
}
