#include "daemon/purse_file.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC     "SHOALP01"
#define RECORD    64
#define CONTENT   48 /* of it; then the code */
#define CODE      16
#define KEY       16
#define MOST_FILE (16u << 20) /* far beyond what is ever written */

/* Little-endian: u32 kind, u32 day, u32 month, u32 zero, u64 id, u64 key, u64 a, u64 b. The first
 * record is magic, random value, zeros. */
enum kind {
	OPENED = 1, /* id, key, a: amount */
	CLOSED,     /* id, a: what it cost */
	SUMS,       /* a: of the day, b: of the month */
	KEY_SUMS,   /* key, a, b */
	OVER        /* a: beyond reservations, b: by so many calls */
};

struct purse_file {
	struct purse purse;
	char path[4352];
	int fd;
	uint8_t key[KEY];
	uint64_t size, base; /* bytes; when it was written anew */
	bool failed;         /* something may be missing in it: only writing it anew mends that */
};

struct purse_date
purse_file_date(time_t now)
{
	struct tm t = {0};
	uint32_t month;

	localtime_r(&now, &t);
	month = (uint32_t)(t.tm_year + 1900) * 100 + (uint32_t)t.tm_mon + 1;
	return (struct purse_date){month * 100 + (uint32_t)t.tm_mday, month};
}

/* --- records ------------------------------------------------------------------------------------- */

static void
record_code(
	const uint8_t key[KEY], uint64_t offset, const uint8_t record[CONTENT], uint8_t out[CODE])
{
	crypto_generichash_state s;
	uint8_t at[8];

	put_le64(at, offset);
	crypto_generichash_init(&s, key, KEY, CODE);
	crypto_generichash_update(&s, at, sizeof at);
	crypto_generichash_update(&s, record, CONTENT);
	crypto_generichash_final(&s, out, CODE);
}

static bool
is_good(const uint8_t key[KEY], uint64_t offset, const uint8_t record[RECORD])
{
	uint8_t code[CODE];

	record_code(key, offset, record, code);
	return sodium_memcmp(code, record + CONTENT, CODE) == 0;
}

static int
write_record(struct purse_file *f, uint8_t record[RECORD])
{
	size_t done = 0;

	record_code(f->key, f->size, record, record + CONTENT);
	while (done < RECORD) {
		ssize_t n = pwrite(f->fd, record + done, RECORD - done, (off_t)(f->size + done));

		if (n < 0 && errno != EINTR)
			return -1; /* the next record goes to the same place */
		done += n > 0 ? (size_t)n : 0;
	}
	f->size += RECORD;
	return 0;
}

static int
append(struct purse_file *f, enum kind kind, uint64_t id, uint64_t key, uint64_t a, uint64_t b)
{
	uint8_t record[RECORD] = {0};

	put_le32(record, kind);
	put_le32(record + 4, f->purse.date.day);
	put_le32(record + 8, f->purse.date.month);
	put_le64(record + 16, id);
	put_le64(record + 24, key);
	put_le64(record + 32, a);
	put_le64(record + 40, b);
	return write_record(f, record);
}

/* --- reading ------------------------------------------------------------------------------------- */

static bool
replay(struct purse *p, const uint8_t *r)
{
	struct purse_date date = {get_le32(r + 4), get_le32(r + 8)};
	uint64_t id = get_le64(r + 16), key = get_le64(r + 24), a = get_le64(r + 32),
		 b = get_le64(r + 40);

	switch (get_le32(r)) {
	case OPENED:
		return purse_restore_open(p, date, id, key, a);
	case CLOSED:
		purse_settle(p, date, id, a);
		return true;
	case SUMS:
		return purse_restore_sums(p, date, true, 0, a, b);
	case KEY_SUMS:
		return purse_restore_sums(p, date, false, key, a, b);
	case OVER:
		p->over = a;
		p->over_calls = (uint32_t)b;
		return true;
	default:
		return false;
	}
}

/* -1: damage; *at is where. */
static int
read_records(struct purse *p, const uint8_t *data, size_t len, size_t *at)
{
	const uint8_t *key = data + 8;
	bool torn = false;

	*at = 0;
	if (len < RECORD || memcmp(data, MAGIC, 8) != 0 || !is_good(key, 0, data))
		return -1;
	for (*at = RECORD; *at + RECORD <= len; *at += RECORD) {
		bool good = is_good(key, *at, data + *at);

		if (good && (torn || !replay(p, data + *at)))
			return -1;
		torn |= !good;
	}
	return 0;
}

static int
read_file(struct purse_file *f, struct err *err)
{
	struct buf all;
	size_t at;
	int rc;

	buf_init(&all, MOST_FILE);
	rc = file_read(f->path, &all, err);
	if (rc == 0 && read_records(&f->purse, all.data, all.len, &at) != 0)
		rc = err_set(err,
			"%s is damaged at byte %zu, and no longer says what was spent on clouds: "
			"none is asked; move it away to begin a new account",
			f->path, at);
	buf_free(&all);
	return rc;
}

/* --- writing anew -------------------------------------------------------------------------------- */

/* In the order of their ids, which is how they are read. */
static int
write_open(struct purse_file *f)
{
	const struct purse *p = &f->purse;
	uint64_t last = 0;

	for (uint32_t n = 0; n < p->n_open; n++) {
		uint32_t next = p->n_open;

		for (uint32_t i = 0; i < p->n_open; i++)
			if (p->open[i].id > last &&
				(next == p->n_open || p->open[i].id < p->open[next].id))
				next = i;
		last = p->open[next].id;
		if (append(f, OPENED, last, p->open[next].key, p->open[next].amount, 0) != 0)
			return -1;
	}
	return 0;
}

static int
write_all(struct purse_file *f)
{
	const struct purse *p = &f->purse;
	uint8_t head[RECORD] = {0};

	randombytes_buf(f->key, sizeof f->key);
	memcpy(head, MAGIC, 8);
	memcpy(head + 8, f->key, sizeof f->key);
	f->size = 0;
	if (fchmod(f->fd, 0600) != 0 || write_record(f, head) != 0 ||
		append(f, SUMS, 0, 0, p->all.day, p->all.month) != 0 ||
		append(f, OVER, 0, 0, p->over, p->over_calls) != 0)
		return -1;
	for (uint32_t i = 0; i < p->n_keys; i++)
		if (append(f, KEY_SUMS, 0, p->keys[i].key, p->keys[i].spent.day,
			    p->keys[i].spent.month) != 0)
			return -1;
	if (write_open(f) != 0 || fsync(f->fd) != 0)
		return -1;
	f->base = f->size;
	return 0;
}

static int
write_anew(struct purse_file *f, struct err *err)
{
	struct purse_file fresh = *f;
	char beside[sizeof f->path + 8];

	snprintf(beside, sizeof beside, "%s.new", f->path);
	fresh.fd = open(beside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fresh.fd < 0)
		return err_errno(err, errno, "%s: cannot make it", beside);
	if (write_all(&fresh) != 0 || rename(beside, f->path) != 0) {
		err_errno(err, errno, "%s: cannot write", beside);
		close(fresh.fd);
		unlink(beside);
		return -1;
	}
	file_sync_parent(f->path);
	if (f->fd >= 0)
		close(f->fd);
	*f = fresh;
	f->failed = false;
	return 0;
}

/* --- the purse ----------------------------------------------------------------------------------- */

struct purse_file *
purse_file_open(const char *path, const struct purse_limits *limits, time_t now, struct err *err)
{
	struct purse_file *f = calloc(1, sizeof *f);
	struct stat st;
	int rc = 0;

	if (f == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	f->fd = -1;
	purse_init(&f->purse, limits);
	if ((size_t)snprintf(f->path, sizeof f->path, "%s", path) >= sizeof f->path)
		rc = err_set(err, "%s: the path is too long", path);
	else if (lstat(path, &st) == 0)
		rc = read_file(f, err);
	else if (errno != ENOENT)
		rc = err_errno(err, errno, "%s: cannot look at", path);
	purse_settle_all(&f->purse, purse_file_date(now));
	if (rc == 0 && write_anew(f, err) == 0)
		return f;
	free(f);
	return NULL;
}

void
purse_file_close(struct purse_file *f)
{
	if (f == NULL)
		return;
	close(f->fd);
	free(f);
}

/* 0: on the disk. */
static int
note_open(struct purse_file *f, uint64_t id, const struct purse_ask *ask, struct err *err)
{
	if (f->failed || f->size >= f->base + PURSE_FILE_GROWTH)
		return write_anew(f, err); /* with this one among the open ones */
	if (append(f, OPENED, id, ask->key, ask->amount, 0) == 0 && fdatasync(f->fd) == 0)
		return 0;
	f->failed = true;
	return err_errno(err, errno, "%s: cannot write", f->path);
}

enum purse_verdict
purse_file_reserve(struct purse_file *f, time_t now, const struct purse_ask *ask, uint64_t *id,
	struct err *err)
{
	struct purse_date date = purse_file_date(now);
	enum purse_verdict verdict = purse_reserve(&f->purse, date, ask, id);

	if (verdict != PURSE_OK || note_open(f, *id, ask, err) == 0)
		return verdict;
	purse_release(&f->purse, date, *id);
	*id = 0;
	return PURSE_UNWRITTEN;
}

uint64_t
purse_file_settle(struct purse_file *f, time_t now, uint64_t id, uint64_t amount)
{
	amount = purse_settle(&f->purse, purse_file_date(now), id, amount);
	/* One that is not written counts in full after a restart. */
	if (id != 0 && !f->failed && append(f, CLOSED, id, 0, amount, 0) != 0)
		f->failed = true;
	return amount;
}

void
purse_file_release(struct purse_file *f, time_t now, uint64_t id)
{
	purse_file_settle(f, now, id, 0);
}

const struct purse *
purse_file_purse(const struct purse_file *f)
{
	return &f->purse;
}
