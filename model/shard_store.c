#include "config.h"

#include "model/shard_store.h"

#include "base/file.h"
#include "model/memory.h"
#include "model/shard_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_OTHERS 256

int
shard_store_folder(char *out, size_t size, struct err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (state != NULL && state[0] == '/')
		n = snprintf(out, size, "%s/shoal/shards", state);
	else if (home != NULL && home[0] == '/')
		n = snprintf(out, size, "%s/.local/state/shoal/shards", home);
	else
		return err_set(err, "no folder for shards: neither XDG_STATE_HOME nor HOME is set");
	return (size_t)n < size ? 0 : err_set(err, "the path of the folder for shards is too long");
}

/* --- names --- */

/* The file's name without folder and ".gguf", with only characters that are easy to type. */
static void
label_of(const char *path, char out[64])
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	size_t len = strlen(name), n = 0;

	if (len > 5 && strcmp(name + len - 5, ".gguf") == 0)
		len -= 5;
	for (; n < len && n < 63; n++) {
		char c = name[n];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || c == '_' || (c == '.' && n > 0);

		out[n] = plain ? c : '-';
	}
	out[n] = '\0';
}

int
shard_store_path(
	const char *folder, const struct shard_want *w, char *out, size_t size, struct err *err)
{
	uint8_t id[SHARD_HASH], hash[SHARD_HASH];
	char label[64], hex[2 * SHARD_HASH + 1];
	struct timespec changed = gguf_changed(w->g);
	struct buf key;

	shard_model_id(w->g, id);
	buf_init(&key, 0);
	buf_append(&key, id, sizeof id);
	buf_u64(&key, (uint64_t)changed.tv_sec);
	buf_u64(&key, (uint64_t)changed.tv_nsec);
	slice_write(w->slice, &key);
	buf_u32(&key, LAYOUT_TILES);
	crypto_generichash(hash, sizeof hash, key.data, key.len, NULL, 0);
	buf_free(&key);
	sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	label_of(w->path, label);
	if ((size_t)snprintf(out, size, "%s/%s-%.16s.shard", folder, label, hex) >= size)
		return err_set(err, "%.60s...: the path is too long", folder);
	return 0;
}

/* --- old ones --- */

struct other {
	char name[256];
	struct timespec used;
	uint64_t bytes;
};

static int
newest_first(const void *a, const void *b)
{
	const struct timespec *x = &((const struct other *)a)->used;
	const struct timespec *y = &((const struct other *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? 1 : -1;
	return (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

static unsigned
list_others(DIR *dir, const char *base, struct other *others)
{
	size_t len = strlen(base);
	struct dirent *d;
	unsigned n = 0;

	while (n < MAX_OTHERS && (d = readdir(dir)) != NULL) {
		struct stat st;

		if (strstr(d->d_name, ".shard") == NULL || strncmp(d->d_name, base, len) == 0 ||
			fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
			!S_ISREG(st.st_mode))
			continue;
		snprintf(others[n].name, sizeof others[n].name, "%s", d->d_name);
		others[n].bytes = (uint64_t)st.st_blocks * 512;
		others[n++].used = st.st_mtim;
	}
	qsort(others, n, sizeof *others, newest_first);
	return n;
}

/* Removes a file that nobody holds open as a shard or writes. */
static bool
remove_unused(DIR *dir, const char *name)
{
	int fd = openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool gone;

	if (fd < 0)
		return false;
	gone = flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dirfd(dir), name, 0) == 0;
	close(fd);
	return gone;
}

/* The folder of a path, and *base: the name in it. */
static DIR *
open_folder(const char *path, const char **base)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];

	*base = slash != NULL ? slash + 1 : path;
	snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
		slash != NULL ? path : ".");
	return opendir(folder);
}

static uint64_t
others_bytes(DIR *dir, const char *base)
{
	struct other *others = calloc(MAX_OTHERS, sizeof *others);
	unsigned n = others != NULL ? list_others(dir, base, others) : 0;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += others[i].bytes;
	free(others);
	return bytes;
}

int
shard_store_room(const char *path, const char *limit, uint64_t need, struct err *err)
{
	uint64_t most, others, there;
	struct statvfs fs;
	const char *base;
	DIR *dir;

	if (memory_parse("spare_disk", limit, &most, err) != 0)
		return -1;
	dir = open_folder(path, &base);
	if (dir == NULL || fstatvfs(dirfd(dir), &fs) != 0) {
		if (dir != NULL)
			closedir(dir);
		return 0; /* writing will tell */
	}
	others = others_bytes(dir, base);
	closedir(dir);
	there = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (most > 0 && (others > most || need > most - others))
		return err_set(err,
			"%.1f MB beside the %.1f MB of shards that are there is more than "
			"spare_disk, %s",
			(double)need / 1e6, (double)others / 1e6, limit);
	if (most == 0 && there < need + (uint64_t)fs.f_blocks / 5 * fs.f_frsize)
		return err_set(err,
			"with %.1f MB more, less than a fifth of the disk would be free",
			(double)need / 1e6);
	return 0;
}

unsigned
shard_store_prune(const char *path, unsigned keep)
{
	struct other *others = calloc(MAX_OTHERS, sizeof *others);
	const char *base;
	DIR *dir = open_folder(path, &base);
	unsigned n = 0, gone = 0;

	if (dir != NULL && others != NULL)
		n = list_others(dir, base, others);
	for (unsigned i = keep; i < n; i++)
		gone += remove_unused(dir, others[i].name);
	if (dir != NULL)
		closedir(dir);
	free(others);
	return gone;
}

/* --- getting one --- */

static bool
same_slice(const struct slice *a, const struct slice *b)
{
	return a->rank == b->rank && a->peers == b->peers && a->kv_head0 == b->kv_head0 &&
	       a->kv_heads == b->kv_heads && a->ffn0 == b->ffn0 && a->ffn == b->ffn &&
	       a->vocab0 == b->vocab0 && a->vocab == b->vocab;
}

/* Used last now; a folder that is read-only is fine. */
static void
mark_used(const struct shard *s)
{
	bool trusted = shard_file_trusted(shard_fd(s));

	if (utimensat(AT_FDCWD, shard_path(s), NULL, 0) == 0 && trusted)
		shard_file_trust(shard_fd(s), true);
}

/* Opens the file when it is the shard that is wanted. */
static struct shard *
open_wanted(const char *path, const struct shard_want *w, bool check, struct err *err)
{
	struct shard *s = shard_open(path, check, err);
	uint8_t id[SHARD_HASH];

	if (s == NULL)
		return NULL;
	shard_model_id(w->g, id);
	if (memcmp(shard_header(s)->model_id, id, sizeof id) != 0 ||
		!same_slice(&shard_header(s)->slice, w->slice)) {
		err_set(err, "%s: is the shard of another model or slice", path);
		shard_close(s);
		return NULL;
	}
	mark_used(s);
	return s;
}

struct shard *
shard_store_get(const char *folder, const struct shard_want *w, bool check,
	shard_progress *progress, void *arg, struct err *err)
{
	char path[4096];
	struct shard *s;
	int rc;

	if (shard_store_path(folder, w, path, sizeof path, err) != 0)
		return NULL;
	s = access(path, F_OK) == 0 ? open_wanted(path, w, check, err) : NULL;
	if (s != NULL)
		return s;
	if (file_mkdirs(folder, 0700, err) != 0)
		return NULL;
	shard_store_prune(path, SHARD_KEEP);
	rc = shard_make(w->g, w->shape, w->slice, path, progress, arg, err);
	/* Of a full disk the shards of other models go before this one is given up. */
	if (rc == SHARD_NO_ROOM && shard_store_prune(path, 0) > 0)
		rc = shard_make(w->g, w->shape, w->slice, path, progress, arg, err);
	if (rc != 0)
		return NULL;
	return open_wanted(path, w, false, err);
}
