#include "daemon/ini_file.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#define MAX_LINE 190 /* libinih, as Debian builds it, cuts lines at 200 bytes without a word */
#define MAX_NAME 48  /* and names of sections at 50 */

struct reader {
	const struct ini_handler *h;
	FILE *f;
	const char *path;
	int line;
	struct err *err;
	bool failed;
};

static void
fail(struct reader *r)
{
	err_prefix(r->err, "%s:%d: ", r->path, r->line);
	r->failed = true;
}

/* libinih says nothing of a section without keys. */
static void
look_for_section(struct reader *r, const char *line)
{
	const char *end = strchr(line, ']');
	char name[MAX_NAME + 1];
	size_t len;

	if (line[0] != '[' || end == NULL)
		return;
	len = (size_t)(end - line - 1);
	if (len > MAX_NAME) {
		err_set(r->err, "the section's name is longer than %d bytes", MAX_NAME);
		fail(r);
		return;
	}
	memcpy(name, line + 1, len);
	name[len] = '\0';
	if (r->h->section != NULL && r->h->section(r->h->arg, name, r->err) != 0)
		fail(r);
}

static char *
read_line(char *out, int size, void *arg)
{
	struct reader *r = arg;
	size_t len;

	if (r->failed)
		return NULL;
	if (fgets(out, size, r->f) == NULL) {
		if (ferror(r->f)) { /* else a folder would be an empty file */
			err_errno(r->err, errno, "%s: cannot read", r->path);
			r->failed = true;
		}
		return NULL;
	}
	r->line++;
	len = strlen(out);
	if (len > MAX_LINE && out[len - 1] != '\n') {
		err_set(r->err, "the line is longer than %d bytes", MAX_LINE);
		fail(r);
		return NULL;
	}
	if (r->line == 1 && strncmp(out, "\xEF\xBB\xBF", 3) == 0)
		memmove(out, out + 3, len - 2); /* a mark that some editors put there */
	len = strlen(out);
	/* An indented line would be taken for more of the one before. */
	if (len > 0 && isspace((unsigned char)out[0])) {
		size_t skip = strspn(out, " \t\r\n");

		memmove(out, out + skip, len - skip + 1);
	}
	look_for_section(r, out);
	return r->failed ? NULL : out;
}

static int
on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *r = arg;

	if (!r->failed && r->h->key(r->h->arg, section, name, value, r->err) != 0)
		fail(r);
	return !r->failed;
}

int
ini_file_read(const char *path, bool must, const struct ini_handler *h, struct err *err)
{
	struct reader r = {.h = h, .path = path, .err = err};
	int rc;

	r.f = fopen(path, "re");
	if (r.f == NULL) {
		if (!must && errno == ENOENT)
			return 0;
		return err_errno(err, errno, "%s: cannot open", path);
	}
	rc = ini_parse_stream(read_line, &r, on_key, &r);
	fclose(r.f);
	if (r.failed)
		return -1;
	if (rc != 0)
		return err_set(err, "%s:%d: is not 'key = value'", path, rc > 0 ? rc : r.line);
	return 0;
}
