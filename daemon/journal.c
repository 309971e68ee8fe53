#include "daemon/journal.h"

#include "base/file.h"
#include "daemon/journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REWRITE_BYTES (1u << 20) /* growth by which a rewrite is not let wait */

struct journal {
	char path[4368]; /* with room for ".new" */
	int fd;          /* -1: there is no file yet */
	uint8_t key[JOURNAL_KEY];
	uint64_t size;  /* bytes that are good */
	uint64_t base;  /* of them, when it was written anew last */
	bool stale;     /* it holds entries that are forgotten */
	bool failed;    /* something could not be written: a rewrite may mend it */
	uint64_t since; /* when journal_due first saw either; 0: nothing to see */
	struct buf ids; /* scratch: a record's body */
};

/* --- the file ----------------------------------------------------------------------------------- */

static int
write_at(int fd, struct iovec *v, int n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = pwritev(fd, v, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		at += (uint64_t)done;
		for (; n > 0 && (size_t)done >= v->iov_len; v++, n--)
			done -= (ssize_t)v->iov_len;
		if (n > 0) {
			v->iov_base = (uint8_t *)v->iov_base + done;
			v->iov_len -= (size_t)done;
		}
	}
	return 0;
}

/* An empty journal under this name. */
static int
make(struct journal *j, const char *path, struct err *err)
{
	uint8_t head[JOURNAL_HEAD];
	struct iovec v = {head, sizeof head};

	j->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return err_errno(err, errno, "%s: cannot make it", path);
	memcpy(head, JOURNAL_MAGIC, 8);
	randombytes_buf(j->key, sizeof j->key);
	memcpy(head + 8, j->key, sizeof j->key);
	journal_code(j->key, 0, head, 8 + JOURNAL_KEY, NULL, 0, head + 8 + JOURNAL_KEY);
	if (fchmod(j->fd, 0600) == 0 && write_at(j->fd, &v, 1, 0) == 0) {
		j->size = JOURNAL_HEAD;
		return 0;
	}
	err_errno(err, errno, "%s: cannot write", path);
	close(j->fd);
	unlink(path);
	j->fd = -1;
	return -1;
}

/* Nothing lives: neither do the prompts in the file. */
static void
drop(struct journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	unlink(j->path);
	j->fd = -1;
	j->size = j->base = 0;
	j->stale = j->failed = false;
}

/* --- opening ------------------------------------------------------------------------------------ */

static void
read_file(struct journal *j, void (*found)(void *arg, const struct journal_entry *e), void *arg,
	struct err *note)
{
	struct buf all;

	buf_init(&all, JOURNAL_MAX_BYTES);
	if (file_read(j->path, &all, note) == 0) {
		j->size = journal_read(all.data, all.len, j->key, &j->stale, found, arg);
		if (j->size < all.len)
			err_set(note, "%s: the last %zu of %zu bytes are not whole: dropped",
				j->path, all.len - (size_t)j->size, all.len);
	}
	if (all.data != NULL)
		sodium_memzero(all.data, all.len);
	buf_free(&all);
}

struct journal *
journal_open(const char *path, void (*found)(void *arg, const struct journal_entry *e), void *arg,
	struct err *note)
{
	struct journal *j = calloc(1, sizeof *j);
	char beside[sizeof j->path];
	struct stat st;

	note->msg[0] = '\0';
	if (j == NULL ||
		(size_t)snprintf(j->path, sizeof j->path, "%s", path) >= sizeof j->path - 4) {
		free(j);
		return NULL;
	}
	buf_init(&j->ids, JOURNAL_MAX_RECORD);
	j->fd = -1;
	snprintf(beside, sizeof beside, "%.4363s.new", j->path);
	unlink(beside); /* of a rewrite that did not come to its end */
	if (lstat(path, &st) != 0)
		return j;
	read_file(j, found, arg, note);
	if (j->size > 0)
		j->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0 || fchmod(j->fd, 0600) != 0 || ftruncate(j->fd, (off_t)j->size) != 0)
		drop(j);
	return j;
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	if (j->fd >= 0)
		close(j->fd);
	buf_free(&j->ids);
	free(j);
}

/* --- records ------------------------------------------------------------------------------------ */

static int
append(struct journal *j, enum journal_kind kind, uint64_t number, const void *body, size_t len,
	struct err *err)
{
	uint8_t front[JOURNAL_FRONT], code[JOURNAL_CODE];
	size_t whole = sizeof front + len + sizeof code;
	struct iovec v[] = {
		{front, sizeof front}, {(void *)(uintptr_t)body, len}, {code, sizeof code}};

	if (j->fd < 0 && make(j, j->path, err) != 0)
		return -1;
	if (len > JOURNAL_MAX_RECORD || whole > JOURNAL_MAX_BYTES - j->size)
		return err_set(err, "%s: is full: it holds at most %u MiB", j->path,
			JOURNAL_MAX_BYTES >> 20);
	put_le32(front, (uint32_t)len);
	front[4] = (uint8_t)kind;
	put_le64(front + 5, number);
	journal_code(j->key, j->size, front, sizeof front, body, len, code);
	if (write_at(j->fd, v, 3, j->size) == 0) {
		j->size += whole;
		return 0;
	}
	err_errno(err, errno, "%s: cannot write", j->path);
	if (ftruncate(j->fd, (off_t)j->size) != 0)
		j->failed =
			true; /* the next record goes over what is there, which no reader takes */
	return -1;
}

static int
note_failure(struct journal *j, int result)
{
	j->failed |= result != 0;
	return result;
}

int
journal_begin(struct journal *j, uint64_t number, const void *head, size_t len, struct err *err)
{
	return note_failure(j, append(j, JOURNAL_BEGUN, number, head, len, err));
}

int
journal_grow(struct journal *j, uint64_t number, const uint32_t *ids, size_t n, struct err *err)
{
	buf_clear(&j->ids);
	for (size_t i = 0; i < n; i++)
		buf_u32(&j->ids, ids[i]);
	if (j->ids.failed)
		return note_failure(j, err_set(err, "out of memory for %zu tokens", n));
	return note_failure(j, append(j, JOURNAL_GROWN, number, j->ids.data, j->ids.len, err));
}

int
journal_mark(struct journal *j, uint64_t number, const void *mark, size_t len, struct err *err)
{
	return note_failure(j, append(j, JOURNAL_MARKED, number, mark, len, err));
}

int
journal_end(struct journal *j, uint64_t number, const void *tail, size_t len, struct err *err)
{
	return note_failure(j, append(j, JOURNAL_ENDED, number, tail, len, err));
}

int
journal_forget(struct journal *j, uint64_t number, bool live, struct err *err)
{
	if (!live) {
		drop(j);
		return 0;
	}
	j->stale = true;
	return note_failure(j, append(j, JOURNAL_FORGOTTEN, number, NULL, 0, err));
}

/* --- rewriting ---------------------------------------------------------------------------------- */

bool
journal_due(struct journal *j, uint64_t now)
{
	/* Even where nothing is forgotten: each token's record and mark are many times its id. */
	bool grown = !j->failed && j->size > 2 * j->base + REWRITE_BYTES;

	if (!j->stale && !j->failed) {
		j->since = 0;
		return grown;
	}
	if (j->since == 0)
		j->since = now | 1;
	return grown || now >= j->since + JOURNAL_REWRITE_MS;
}

static int
rewrite(struct journal *fresh, const char *path, const char *beside,
	int (*again)(void *arg, struct journal *j), void *arg, struct err *err)
{
	if (make(fresh, beside, err) != 0)
		return -1;
	if (again(arg, fresh) != 0 || fresh->failed)
		err_set(err, "%s: not all that lives could be written", beside);
	else if (fdatasync(fresh->fd) != 0)
		err_errno(err, errno, "%s: cannot sync", beside);
	else if (rename(beside, path) != 0)
		err_errno(err, errno, "%s: cannot replace", path);
	else
		return 0;
	close(fresh->fd);
	unlink(beside);
	return -1;
}

int
journal_rewrite(
	struct journal *j, int (*again)(void *arg, struct journal *j), void *arg, struct err *err)
{
	struct journal fresh = {.fd = -1, .ids = {.max = JOURNAL_MAX_RECORD}};
	char beside[sizeof j->path];
	int result;

	j->since = 0;
	snprintf(beside, sizeof beside, "%.4363s.new", j->path);
	memcpy(fresh.path, beside, sizeof fresh.path);
	result = rewrite(&fresh, j->path, beside, again, arg, err);
	if (result == 0) {
		file_sync_parent(j->path);
		if (j->fd >= 0)
			close(j->fd);
		j->fd = fresh.fd;
		memcpy(j->key, fresh.key, sizeof j->key);
		j->size = j->base = fresh.size;
		j->stale = false;
	}
	j->failed = result != 0;
	buf_free(&fresh.ids);
	return result;
}
