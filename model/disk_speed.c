/* How fast the disk is read. What is read must lie on it and not in a cache: a file that was there,
 * or one of noise (a file system may pack zeros) that has been synced. */
#include "config.h"

#include "base/clock.h"
#include "model/device_speed.h"
#include "model/window.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PIECE = 4 << 20, /* that is written and synced at a time */
	FIRST = 8 << 20, /* that is read first: all of it, when that takes long */
	MOST = 64 << 20
};
#define WRITE_SECONDS 0.8
#define READ_SECONDS  0.1 /* that the first part may take, so that all take no second */

/* The largest shard; false: there is none that is large enough. */
static bool
find_shard(const char *folder, char path[4096])
{
	char shards[4096];
	struct dirent *e;
	off_t most = FIRST - 1;
	DIR *d;

	if ((size_t)snprintf(shards, sizeof shards, "%s/shards", folder) >= sizeof shards)
		return false;
	d = opendir(shards);
	path[0] = '\0';
	while (d != NULL && (e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name);
		struct stat st;

		if (len < 6 || strcmp(e->d_name + len - 6, ".shard") != 0 ||
			fstatat(dirfd(d), e->d_name, &st, 0) != 0 || st.st_size <= most)
			continue;
		if ((size_t)snprintf(path, 4096, "%s/%s", shards, e->d_name) < 4096)
			most = st.st_size;
		else
			path[0] = '\0';
	}
	if (d != NULL)
		closedir(d);
	return path[0] != '\0';
}

static void
make_noise(uint64_t *data, uint64_t seed)
{
	for (size_t i = 0; i < PIECE / sizeof *data; i++) {
		seed ^= seed << 13; /* xorshift: G. Marsaglia, Xorshift RNGs, 2003 */
		seed ^= seed >> 7;
		seed ^= seed << 17;
		data[i] = seed;
	}
}

static bool
stopped(const struct device_test *t)
{
	return t->stop != NULL && t->stop(t->arg);
}

/* Writes pieces for a while; returns the bytes that are on the disk. */
static uint64_t
write_noise(const struct device_test *t, int fd)
{
	uint64_t *data = malloc(PIECE), done = 0;
	double end = clock_seconds() + WRITE_SECONDS;

	while (data != NULL && done < MOST && clock_seconds() < end && !stopped(t)) {
		make_noise(data, done + 88172645463325252u);
		if (write(fd, data, PIECE) != PIECE || fdatasync(fd) != 0)
			break;
		done += PIECE;
	}
#ifdef POSIX_FADV_DONTNEED
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
#endif
	free(data);
	return done;
}

static double
time_reading(const struct device_test *t, const char *path, uint64_t bytes, struct err *err)
{
	uint64_t first = bytes < FIRST ? bytes : FIRST;
	double speed = window_disk_speed(path, first, err);

	if (speed > 0 && (double)first / speed < READ_SECONDS && bytes > first && !stopped(t))
		speed = window_disk_speed(path, bytes < MOST ? bytes : MOST, err);
	return speed;
}

static double
time_noise(const struct device_test *t, struct err *err)
{
	char path[4096];
	double speed;
	uint64_t bytes;
	int fd;

	if ((size_t)snprintf(path, sizeof path, "%s/disk.XXXXXX", t->folder) >= sizeof path) {
		err_set(err, "%.60s...: the path is too long", t->folder);
		return 0;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		err_errno(err, errno, "%s: cannot make a file", path);
		return 0;
	}
	unlink(path); /* nothing stays, whatever happens */
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	bytes = write_noise(t, fd);
	speed = time_reading(t, path, bytes, err);
	close(fd);
	return speed;
}

double
disk_speed_measure(const struct device_test *t, struct err *err)
{
	char path[4096];
	struct stat st;

	if (find_shard(t->folder, path) && stat(path, &st) == 0)
		return time_reading(t, path, (uint64_t)st.st_size, err);
	return time_noise(t, err);
}
