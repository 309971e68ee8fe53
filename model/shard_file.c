/* What shards that are made here and shards that arrive have in common: a file under a temporary
 * name that one process at a time writes. */
#include "config.h"

#include "model/shard_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int
shard_put_at(int fd, const char *path, const void *data, size_t len, uint64_t at, struct err *err)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(err, n < 0 ? errno : ENOSPC,
				"%s: cannot write at byte %llu", path, (unsigned long long)at);
		p += n;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
open_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];

	snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
		slash != NULL ? path : ".");
	return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
sync_folder(const char *path)
{
	int fd = open_folder(path);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

/* Whether the name still leads to the open file: whoever held the lock before may have renamed or
 * removed it. */
static bool
still_there(int fd, const char *part)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(part, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int
shard_seal(int fd, const char *part, const char *path, struct err *err)
{
	if (fsync(fd) != 0)
		return err_errno(err, errno, "%s: cannot be brought to disk", part);
	if (!still_there(fd, part))
		return err_set(err, "%s: was removed while it was written", part);
	if (rename(part, path) != 0)
		return err_errno(err, errno, "%s: cannot rename to %s", part, path);
	sync_folder(path);
	shard_file_trust(fd, true);
	return 0;
}

int
shard_open_part(const char *part, bool *busy, struct err *err)
{
	*busy = false;
	for (;;) {
		int fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0)
			return err_errno(err, errno, "%s: cannot make", part);
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			*busy = errno == EWOULDBLOCK;
			err_errno(err, errno, "%s: cannot lock it", part);
			close(fd);
			return -1;
		}
		if (still_there(fd, part))
			return fd;
		close(fd);
	}
}

bool
shard_leave_part(const char *part)
{
	int folder = open_folder(part), fd = open(part, O_RDONLY | O_CLOEXEC);
	bool left = false;

	/* While this process reads it, too, nobody gets to write it; and one at a time takes names away, so that none
	 * takes that of the file which another one made meanwhile. */
	if (folder >= 0 && fd >= 0 && flock(folder, LOCK_EX | LOCK_NB) == 0 &&
		flock(fd, LOCK_SH | LOCK_NB) == 0 && still_there(fd, part))
		left = unlink(part) == 0;
	if (fd >= 0)
		close(fd);
	if (folder >= 0)
		close(folder);
	return left;
}
