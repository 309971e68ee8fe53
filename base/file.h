/* Files: mapped for reading, read whole with a bound, written so that a crash leaves the old or the
 * new content and never a half, appended to. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#include <time.h>

struct mapped {
	const uint8_t *data;
	size_t len;
};

/* Maps a regular file read-only. An empty file is an error. Errors name the path. */
int file_map(const char *path, struct mapped *m, struct err *err);
/* The same of a file that is open already, and stays open. */
int file_map_fd(int fd, const char *path, struct mapped *m, struct err *err);
void file_unmap(struct mapped *m);
/* Whether nearly all of it is in memory, so that reading it waits for no disk. */
bool file_is_cached(const struct mapped *m);

/* A file is what it was as long as this is the same. Not ctime: a link or a mode changes that, too. */
struct file_stamp {
	uint64_t device, inode, size;
	struct timespec changed;
};
int file_stamp(int fd, struct file_stamp *stamp); /* -1 with errno */
bool file_stamp_same(const struct file_stamp *a, const struct file_stamp *b);

/* Appends the whole file to b; more than b->max bytes is an error. */
int file_read(const char *path, struct buf *b, struct err *err);

/* Writes a temporary file beside it, syncs it, renames it over path, syncs the folder. */
int file_write(const char *path, const void *data, size_t len, unsigned mode, struct err *err);

/* Appends, all or nothing; makes the file with that mode, and follows no link. Not synced. */
int file_append(const char *path, const void *data, size_t len, unsigned mode, struct err *err);

/* Syncs the folder of a file that was made or renamed; what fails there is nobody's to mend. */
void file_sync_parent(const char *path);

/* Makes a folder and its parents (mode 0755, the last one `mode`); one that is there is fine. */
int file_mkdirs(const char *path, unsigned mode, struct err *err);

#endif
