/* On disk: STATE/route/rows, what was labelled, one row behind the other; STATE/route/lesson, what was
 * learned from them, and lesson.before. A damaged file costs what it held and nothing else: rows have no marks
 * between them, so behind damage none could be found again, and it is cut off before one is written there. */
#include "daemon/route_book_int.h"

#include "base/file.h"
#include "daemon/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LESSON_MAGIC 0x31544c52u /* RLT1 */
#define LESSON_BYTES (GAIN_BYTES + KNOBS * KNOB_BYTES + KNOB_CURVE_BYTES + 16)
#define ROWS_BYTES   ((size_t)4 * ROUTE_BOOK_ROWS * GAIN_ROW_BYTES)

struct path {
	char text[4096 + 48];
};

static struct path
path_of(const char *dir, const char *name)
{
	struct path p;

	snprintf(p.text, sizeof p.text, "%s/%s", dir, name);
	return p;
}

/* --- lessons ------------------------------------------------------------------------------------ */

void
lesson_free(struct lesson *l)
{
	gain_free(l->gain);
	*l = (struct lesson){0};
}

static int
lesson_read(struct lesson *l, const void *data, size_t len, struct err *err)
{
	struct rd in = rd_init(data, len);
	uint32_t magic = rd_u32(&in), bytes = rd_u32(&in);
	const void *gain = rd_bytes(&in, bytes);

	if (magic != LESSON_MAGIC || gain == NULL)
		return err_set(err, "is damaged, or of another version");
	l->gain = gain_read(gain, bytes, err);
	if (l->gain == NULL || knob_read(&l->knobs[KNOB_OF_PROMPTS], &in, err) != 0 ||
		knob_read(&l->knobs[KNOB_OF_ANSWERS], &in, err) != 0 ||
		knob_curve_read(&l->curve, &in, err) != 0 ||
		/* The last one came later: older files end here. */
		(rd_left(&in) > 0 && knob_read(&l->knobs[KNOB_OF_PARTS], &in, err) != 0)) {
		lesson_free(l);
		return -1;
	}
	return 0;
}

static void
name_aside(const char *path, char aside[sizeof(struct path) + 16])
{
	snprintf(aside, sizeof(struct path) + 16, "%s.damaged", path);
}

/* What cannot be read is put aside: it may tell somebody what happened. */
static void
put_aside(const char *path, const struct err *why)
{
	char aside[sizeof(struct path) + 16];

	name_aside(path, aside);
	log_warning("%s: %s (it is kept as %s)", path, why->msg, aside);
	if (rename(path, aside) != 0)
		log_warning("%s: cannot be renamed: %s", path, strerror(errno));
}

int
lesson_load(struct lesson *l, const char *dir, bool before, struct err *err)
{
	struct path p = path_of(dir, before ? "lesson.before" : "lesson");
	struct buf bytes;
	struct err why;
	bool there = dir[0] != '\0' && access(p.text, F_OK) == 0;

	*l = (struct lesson){0};
	buf_init(&bytes, LESSON_BYTES);
	if (there && (file_read(p.text, &bytes, &why) != 0 ||
			     lesson_read(l, bytes.data, bytes.len, &why) != 0))
		put_aside(p.text, &why);
	buf_free(&bytes);
	if (before && l->gain == NULL)
		return err_set(err, "there is nothing that it could go back to");
	if (l->gain == NULL)
		l->gain = gain_new(err);
	return l->gain != NULL ? 0 : -1;
}

static int
lesson_write(const struct lesson *l, struct buf *out)
{
	size_t at;

	buf_u32(out, LESSON_MAGIC);
	at = out->len;
	buf_u32(out, 0);
	if (gain_write(l->gain, out) != 0 || out->failed)
		return -1;
	put_le32(out->data + at, (uint32_t)(out->len - at - 4));
	if (knob_write(&l->knobs[KNOB_OF_PROMPTS], out) != 0 ||
		knob_write(&l->knobs[KNOB_OF_ANSWERS], out) != 0 ||
		knob_curve_write(&l->curve, out) != 0)
		return -1;
	return knob_write(&l->knobs[KNOB_OF_PARTS], out);
}

/* The new one is whole on the disk, and takes the place of the one that stays as the one before. */
static int
keep_before(const char *dir, struct err *err)
{
	struct path p = path_of(dir, "lesson"), old = path_of(dir, "lesson.before"),
		    fresh = path_of(dir, "lesson.new");
	int rc = 0;

	if (rename(p.text, old.text) != 0 && errno != ENOENT)
		rc = err_errno(err, errno, "%s: cannot be kept as %s", p.text, old.text);
	else if (rename(fresh.text, p.text) != 0)
		rc = err_errno(err, errno, "%s: cannot replace", p.text);
	else
		file_sync_parent(p.text);
	if (rc != 0)
		unlink(fresh.text);
	return rc;
}

int
lesson_save(const struct lesson *l, const char *dir, bool keep, struct err *err)
{
	struct path p = path_of(dir, keep ? "lesson.new" : "lesson");
	struct buf bytes;
	int rc;

	if (dir[0] == '\0')
		return 0;
	buf_init(&bytes, LESSON_BYTES);
	rc = lesson_write(l, &bytes);
	if (rc != 0)
		err_set(err, "not enough memory to keep what was learned");
	if (rc == 0)
		rc = file_mkdirs(dir, 0700, err);
	if (rc == 0)
		rc = file_write(p.text, bytes.data, bytes.len, 0600, err);
	if (rc == 0 && keep)
		rc = keep_before(dir, err);
	buf_free(&bytes);
	return rc;
}

/* --- rows --------------------------------------------------------------------------------------- */

static int
pack_rows(const struct gain_row *rows, size_t n, struct buf *out, struct err *err)
{
	buf_init(out, ROWS_BYTES);
	for (size_t i = 0; i < n; i++)
		if (gain_row_write(&rows[i], out) != 0)
			return err_set(err, "not enough memory for %zu rows", n);
	return 0;
}

int
rows_append(const char *dir, const struct gain_row *rows, size_t n, struct err *err)
{
	struct path p = path_of(dir, "rows");
	struct buf bytes;
	int rc;

	if (dir[0] == '\0')
		return err_set(err, "this daemon keeps nothing on disk");
	rc = pack_rows(rows, n, &bytes, err);
	if (rc == 0)
		rc = file_mkdirs(dir, 0700, err);
	if (rc == 0)
		rc = file_append(p.text, bytes.data, bytes.len, 0600, err);
	buf_free(&bytes);
	return rc;
}

off_t
rows_bytes(const char *dir)
{
	struct path p = path_of(dir, "rows");
	struct stat st;

	return dir[0] != '\0' && stat(p.text, &st) == 0 ? st.st_size : 0;
}

void
rows_cut(const char *dir, off_t bytes)
{
	struct path p = path_of(dir, "rows");

	if (truncate(p.text, bytes) != 0)
		log_warning("%s: rows cannot be taken back: %s", p.text, strerror(errno));
}

int
rows_write(const char *dir, const struct gain_row *rows, size_t n, struct err *err)
{
	struct path p = path_of(dir, "rows");
	struct buf bytes;
	int rc = pack_rows(rows, n, &bytes, err);

	if (rc == 0)
		rc = file_write(p.text, bytes.data, bytes.len, 0600, err);
	buf_free(&bytes);
	return rc;
}

/* As a power cut leaves them where data was to stand. They would read as rows of nothing. */
static bool
only_zeros(const struct buf *b, size_t at)
{
	return at == b->len ||
	       (b->data[at] == 0 && memcmp(b->data + at, b->data + at + 1, b->len - at - 1) == 0);
}

/* Into a ring of max; what stands behind a damaged row cannot be read. *good: the bytes of those that can. */
static size_t
unpack_rows(const struct buf *bytes, struct gain_row *ring, size_t max, size_t *good)
{
	struct rd in = rd_init(bytes->data, bytes->len);
	size_t all = 0;
	struct err err;

	*good = 0;
	while (!only_zeros(bytes, *good) && gain_row_read(&ring[all % max], &in, &err) == 0) {
		*good = bytes->len - rd_left(&in);
		all++;
	}
	return all;
}

static void
turn(struct gain_row *ring, struct gain_row *out, size_t max, size_t all)
{
	size_t first = all % max;

	memcpy(out, ring + first, (max - first) * sizeof *out);
	memcpy(out + (max - first), ring, first * sizeof *out);
}

static int
read_all(const char *dir, struct buf *bytes, struct err *err)
{
	struct path p = path_of(dir, "rows");

	buf_init(bytes, ROWS_BYTES);
	return dir[0] != '\0' && access(p.text, F_OK) == 0 ? file_read(p.text, bytes, err) : 0;
}

struct gain_row *
rows_read(const char *dir, size_t max, size_t *n, size_t *all, struct err *err)
{
	struct gain_row *ring = malloc(max * sizeof *ring), *rows = NULL;
	struct buf bytes;
	size_t good;

	*n = *all = 0;
	if (ring == NULL) {
		err_set(err, "not enough memory for %zu rows", max);
		return NULL;
	}
	if (read_all(dir, &bytes, err) != 0) {
		free(ring);
		buf_free(&bytes);
		return NULL;
	}
	*all = unpack_rows(&bytes, ring, max, &good);
	*n = *all < max ? *all : max;
	buf_free(&bytes);
	if (*all <= max)
		return ring;
	rows = malloc(max * sizeof *rows);
	if (rows != NULL)
		turn(ring, rows, max, *all);
	else
		err_set(err, "not enough memory for %zu rows", max);
	free(ring);
	return rows;
}

/* Of a row that was not written to its end nothing can be told; of more, all of it is kept to look at. */
static void
cut_damage(const char *dir, const struct buf *bytes, size_t good)
{
	struct path p = path_of(dir, "rows");
	char aside[sizeof p + 16];
	struct err err;

	log_warning("%s: the last %zu of %zu bytes are damaged: labels in them are lost", p.text,
		bytes->len - good, bytes->len);
	name_aside(p.text, aside);
	if (bytes->len - good >= GAIN_ROW_BYTES &&
		file_write(aside, bytes->data, bytes->len, 0600, &err) != 0)
		log_warning("%s", err.msg);
	rows_cut(dir, (off_t)good);
}

uint32_t
rows_mend(const char *dir)
{
	struct gain_row row;
	struct buf bytes;
	size_t all = 0, good;
	struct err err;

	if (read_all(dir, &bytes, &err) != 0) {
		log_warning("%s", err.msg);
	} else {
		all = unpack_rows(&bytes, &row, 1, &good);
		if (good < bytes.len)
			cut_damage(dir, &bytes, good);
	}
	buf_free(&bytes);
	return (uint32_t)all;
}

int
book_forget_files(const char *dir, struct err *err)
{
	static const char *const names[] = {"rows", "rows.damaged", "lesson", "lesson.new",
		"lesson.before", "lesson.damaged", "lesson.before.damaged"};

	for (size_t i = 0; dir[0] != '\0' && i < sizeof names / sizeof *names; i++) {
		struct path p = path_of(dir, names[i]);

		if (unlink(p.text) != 0 && errno != ENOENT)
			return err_errno(err, errno, "%s: cannot remove", p.text);
	}
	return 0;
}
