#include "config.h"

#include "model/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
direct_open(struct direct_file *f, const char *path, struct err *err)
{
	*f = (struct direct_file){.fd = -1};
	if (strlen(path) >= sizeof f->path)
		return err_set(err, "%.60s...: the path is too long", path);
	strcpy(f->path, path);
#ifdef O_DIRECT
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	f->direct = f->fd >= 0;
#endif
	if (f->fd < 0)
		f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0)
		return err_errno(err, errno, "%s: cannot open", path);
	return 0;
}

void
direct_close(struct direct_file *f)
{
	if (f->path[0] != '\0' && f->fd >= 0)
		close(f->fd);
	*f = (struct direct_file){.fd = -1};
}

/* Some file systems take the flag and refuse the read. */
static ssize_t
read_some(const struct direct_file *f, void *out, size_t len, uint64_t at)
{
	ssize_t n = pread(f->fd, out, len, (off_t)at);

#ifdef O_DIRECT
	if (n < 0 && errno == EINVAL && f->direct) {
		int flags = fcntl(f->fd, F_GETFL);

		if (flags >= 0 && (flags & O_DIRECT) != 0)
			fcntl(f->fd, F_SETFL, flags & ~O_DIRECT);
		n = pread(f->fd, out, len, (off_t)at);
	}
#endif
	return n;
}

int
direct_read(const struct direct_file *f, void *out, size_t len, uint64_t at, struct err *err)
{
	uint8_t *p = out;
	size_t done = 0;

	while (done < len) {
		ssize_t n = read_some(f, p + done, len - done, at + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(
				err, errno, "%s: cannot read at byte %" PRIu64, f->path, at + done);
		if (n == 0)
			return err_set(err,
				"%s: ends at byte %" PRIu64 ", before the %zu bytes wanted at byte "
				"%" PRIu64 ": it was cut off",
				f->path, at + done, len, at);
		done += (size_t)n;
	}
#ifdef POSIX_FADV_DONTNEED
	if (!f->direct)
		posix_fadvise(f->fd, (off_t)at, (off_t)len, POSIX_FADV_DONTNEED);
#endif
	return 0;
}
