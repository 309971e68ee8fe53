#include "config.h"

#include "base/file.h"

#include "base/file_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int
file_map_fd(int fd, const char *path, struct mapped *m, struct err *err)
{
	struct stat st;
	void *data;

	if (fstat(fd, &st) != 0)
		return err_errno(err, errno, "%s: cannot look at", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, "%s: is not a regular file", path);
	if (st.st_size == 0)
		return err_set(err, "%s: is empty", path);
	if ((uint64_t)st.st_size > SIZE_MAX)
		return err_set(err, "%s: is larger than this machine's address space", path);
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return err_errno(err, errno, "%s: cannot map", path);
	*m = (struct mapped){data, (size_t)st.st_size};
	file_guard_add(m->data, m->len);
	return 0;
}

int
file_map(const char *path, struct mapped *m, struct err *err)
{
	int rc, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "%s: cannot open", path);
	rc = file_map_fd(fd, path, m, err);
	close(fd);
	return rc;
}

void
file_unmap(struct mapped *m)
{
	if (m->data != NULL) {
		file_guard_remove(m->data);
		munmap((void *)(uintptr_t)m->data, m->len);
	}
	*m = (struct mapped){0};
}

#define CACHED_STEP 4096 /* pages that are looked at together */
#define CACHED_MISS 64   /* of so many one may be missing */

bool
file_is_cached(const struct mapped *m)
{
	unsigned char there[CACHED_STEP];
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (m->len + page - 1) / page,
	       missing = 0;

	for (size_t at = 0; at < pages && missing <= pages / CACHED_MISS; at += CACHED_STEP) {
		size_t n = pages - at < CACHED_STEP ? pages - at : CACHED_STEP;
		const uint8_t *from = m->data + at * page;
		size_t bytes = m->len - at * page < n * page ? m->len - at * page : n * page;

		if (mincore((void *)(uintptr_t)from, bytes, there) != 0)
			return false;
		for (size_t i = 0; i < n; i++)
			missing += (there[i] & 1) == 0;
	}
	return missing <= pages / CACHED_MISS;
}

int
file_stamp(int fd, struct file_stamp *stamp)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -1;
	*stamp = (struct file_stamp){
		(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size, st.st_mtim};
	return 0;
}

bool
file_stamp_same(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

int
file_read(const char *path, struct buf *b, struct err *err)
{
	uint8_t chunk[16384];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "%s: cannot open", path);
	while ((n = read(fd, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(err, errno, "%s: cannot read", path);
			close(fd);
			return -1;
		}
		if (buf_append(b, chunk, (size_t)n) != 0) {
			close(fd);
			return err_set(err, "%s: is larger than %zu bytes", path, b->max);
		}
	}
	close(fd);
	return 0;
}

static int
write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

void
file_sync_parent(const char *path)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');
	int fd;

	if (slash == NULL)
		snprintf(dir, sizeof dir, ".");
	else
		snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int
file_write(const char *path, const void *data, size_t len, unsigned mode, struct err *err)
{
	char tmp[4096];
	int fd;

	if ((size_t)snprintf(tmp, sizeof tmp, "%s.XXXXXX", path) >= sizeof tmp)
		return err_set(err, "%s: the path is too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "%s: cannot make a file beside it", path);
	if (fchmod(fd, mode) != 0 || write_all(fd, data, len) != 0 || fsync(fd) != 0) {
		err_errno(err, errno, "%s: cannot write", path);
		close(fd);
		unlink(tmp);
		return -1;
	}
	close(fd);
	if (rename(tmp, path) != 0) {
		err_errno(err, errno, "%s: cannot replace", path);
		unlink(tmp);
		return -1;
	}
	file_sync_parent(path);
	return 0;
}

/* What is cut short is taken away again: the next one would stand behind half of it. */
static int
append_all(int fd, const void *data, size_t len)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return -1;
	n = write(fd, data, len);
	if (n == (ssize_t)len)
		return 0;
	if (n >= 0 && ftruncate(fd, st.st_size) == 0)
		errno = ENOSPC;
	return -1;
}

int
file_append(const char *path, const void *data, size_t len, unsigned mode, struct err *err)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
	int rc = 0;

	if (fd < 0)
		return err_errno(err, errno, "%s: cannot open", path);
	if (append_all(fd, data, len) != 0)
		rc = err_errno(err, errno, "%s: cannot write", path);
	close(fd);
	return rc;
}

int
file_mkdirs(const char *path, unsigned mode, struct err *err)
{
	char part[4096];
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof part)
		return err_set(err, "'%s': not a usable folder name", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, path[i] == '\0' ? (mode_t)mode : 0755) != 0 && errno != EEXIST)
			return err_errno(err, errno, "%s: cannot make the folder", part);
	}
	return 0;
}
