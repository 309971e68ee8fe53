/* A shard made on this device, in one pass over the GGUF file. */
#include "config.h"

#include "model/shard_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define CHUNK        (1u << 20)  /* written at once, or a row group where that is longer */
#define SPARE        (64u << 20) /* of the disk that stays free */
#define WAIT_MS      50
#define IDLE_MOST_MS 10000 /* of another one that makes it; to bring it to disk takes a while */

struct make {
	const struct gguf *g;
	struct shard_header h;
	const char *path;
	char part[4096];
	int fd;
	uint8_t *room;
	size_t room_bytes;
	uint64_t done, total;
	shard_progress *progress;
	void *arg;
};

static int
report(struct make *m, struct err *err)
{
	if (m->progress != NULL && m->progress(m->arg, m->done, m->total) != 0)
		return err_set(err, "%s: making it was given up", m->path);
	return 0;
}

/* --- room on the disk --- */

static int
check_room(struct make *m, struct err *err)
{
	uint64_t need = m->h.file_bytes, there;
	struct statvfs fs;
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < need)
		return err_set(err,
			"%s: needs a file of %" PRIu64 " MB, and this process may write files of "
			"up to %" PRIu64 " MB (ulimit -f)",
			m->path, need / 1000000 + 1, (uint64_t)limit.rlim_cur / 1000000);
	if (fstatvfs(m->fd, &fs) != 0)
		return 0; /* writing will tell */
	there = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (there >= need + SPARE)
		return 0;
	err_set(err,
		"%s: needs %" PRIu64 " MB (and leaves %u free), of which the disk has %" PRIu64
		": make room, or move the folder",
		m->path, need / 1000000 + 1, SPARE / 1000000, there / 1000000);
	return SHARD_NO_ROOM;
}

/* --- extents --- */

static int
get_room(struct make *m, size_t bytes, struct err *err)
{
	if (bytes <= m->room_bytes)
		return 0;
	free(m->room);
	m->room_bytes = 0;
	m->room = aligned_alloc(TILE_ALIGN, (bytes + TILE_ALIGN - 1) / TILE_ALIGN * TILE_ALIGN);
	if (m->room == NULL)
		return err_set(err, "out of memory for %zu bytes of rows", bytes);
	m->room_bytes = bytes;
	return 0;
}

/* What was read stays in the page cache, but not in this process. */
static void
forget_tensor(const struct make *m, const struct shard_extent *e)
{
	const struct gguf_tensor *t = tensor_find(
		m->g, &m->h.shape, (enum tensor_role)e->role, e->layer, e->expert, NULL);
	const uint8_t *part;
	uint64_t bytes;

	if (t == NULL)
		return;
	part = tensor_part(t, e->expert, &bytes);
	gguf_forget(m->g, part, bytes);
}

static int
make_extent(struct make *m, uint32_t i, struct err *err)
{
	struct shard_extent *e = &m->h.extents[i];
	size_t step = shard_extent_step(e, CHUNK);
	crypto_generichash_state st;

	if (get_room(m, step, err) != 0)
		return -1;
	crypto_generichash_init(&st, NULL, 0, SHARD_HASH);
	for (uint64_t from = 0; from < e->bytes; from += step) {
		size_t n = e->bytes - from < step ? (size_t)(e->bytes - from) : step;

		if (shard_extent_read(m->g, &m->h, i, from, m->room, n, err) != 0)
			return -1;
		crypto_generichash_update(&st, m->room, n);
		if (shard_put_at(m->fd, m->part, m->room, n, e->offset + from, err) != 0)
			return -1;
		m->done += n;
		if (report(m, err) != 0)
			return -1;
	}
	/* Its hash would be right, and be that of something else. */
	if (gguf_check(m->g, err) != 0)
		return -1;
	crypto_generichash_final(&st, e->hash, SHARD_HASH);
	forget_tensor(m, e);
	return 0;
}

static int
write_all(struct make *m, struct err *err)
{
	struct buf header;
	int rc;

	if (ftruncate(m->fd, 0) != 0 || ftruncate(m->fd, (off_t)m->h.file_bytes) != 0)
		return err_errno(err, errno, "%s: cannot make it %" PRIu64 " bytes long", m->part,
			m->h.file_bytes);
	for (uint32_t i = 0; i < m->h.n_extents; i++)
		if (make_extent(m, i, err) != 0)
			return -1;
	/* Only now are the hashes known; until then the file has no header. */
	buf_init(&header, 0);
	if (shard_header_write(&m->h, &header) != 0)
		rc = err_set(err, "out of memory");
	else
		rc = shard_put_at(m->fd, m->part, header.data, header.len, 0, err);
	buf_free(&header);
	return rc;
}

/* --- one at a time --- */

/* How often it was looked at since something was written. */
static unsigned
idle_looks(const char *part, struct stat *was, unsigned n)
{
	struct stat now = {0};

	stat(part, &now);
	if (now.st_ino == was->st_ino && now.st_blocks == was->st_blocks &&
		now.st_mtim.tv_sec == was->st_mtim.tv_sec &&
		now.st_mtim.tv_nsec == was->st_mtim.tv_nsec)
		return n + 1;
	*was = now;
	return 0;
}

/* Opens the temporary file, waiting for whoever writes it now, as long as he gets on. 1: meanwhile the shard is
 * there. */
static int
open_part(struct make *m, struct err *err)
{
	static const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000l};
	bool waited = false, busy;
	struct stat was = {0};
	unsigned idle = 0;

	while ((m->fd = shard_open_part(m->part, &busy, err)) < 0) {
		if (!busy || report(m, err) != 0)
			return -1;
		if (shard_leave_part(m->part))
			continue;
		idle = idle_looks(m->part, &was, idle);
		if (idle >= IDLE_MOST_MS / WAIT_MS)
			return err_set(err,
				"%s: another process makes it, and has not got on for %d s: end "
				"that one, or remove the file",
				m->part, IDLE_MOST_MS / 1000);
		nanosleep(&pause, NULL);
		waited = true;
	}
	return waited && access(m->path, F_OK) == 0;
}

static int
make(struct make *m, struct err *err)
{
	int there = open_part(m, err), rc = there;

	if (there < 0)
		return -1;
	if (there == 0 && (rc = check_room(m, err)) == 0 && (rc = write_all(m, err)) == 0)
		rc = shard_seal(m->fd, m->part, m->path, err);
	if (rc != 0)
		unlink(m->part); /* before the lock is gone: it is still ours */
	close(m->fd);
	return rc < 0 ? rc : 0;
}

int
shard_make(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	const char *path, shard_progress *progress, void *arg, struct err *err)
{
	struct make m = {.g = g, .path = path, .fd = -1, .progress = progress, .arg = arg};
	int rc;

	if ((size_t)snprintf(m.part, sizeof m.part, "%s.part", path) >= sizeof m.part)
		return err_set(err, "%.60s...: the path is too long", path);
	if (shard_header_plan(g, s, sl, &m.h, err) != 0)
		return -1;
	for (uint32_t i = 0; i < m.h.n_extents; i++)
		m.total += m.h.extents[i].bytes;
	rc = make(&m, err);
	free(m.room);
	shard_header_free(&m.h);
	return rc;
}
