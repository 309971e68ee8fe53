#include "client/route_file.h"

#include "model/token_signal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LINES 5000 /* that a daemon keeps */

/* Whether something follows behind blanks and line ends. */
static bool
more_follows(FILE *f)
{
	int c;

	do
		c = fgetc(f);
	while (c == ' ' || c == '\t' || c == '\n' || c == '\r');
	ungetc(c, f);
	return c != EOF;
}

static int
take_lines(FILE *f, json_t *list, struct err *err)
{
	json_error_t e;
	json_t *o;

	while (more_follows(f)) {
		size_t n = json_array_size(list) + 1;

		if (n > MOST_LINES)
			return err_set(err, "holds more than %d queries", MOST_LINES);
		o = json_loadf(f, JSON_DISABLE_EOF_CHECK, &e);
		if (o == NULL && ferror(f) == 0)
			return err_set(err, "query %zu is no JSON object: %s", n, e.text);
		if (o == NULL)
			break;
		json_array_append_new(list, o);
	}
	if (ferror(f) != 0)
		return err_errno(err, errno, "cannot read");
	return json_array_size(list) > 0 ? 0 : err_set(err, "holds no query");
}

static json_t *
read_lines(const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	json_t *list;
	int rc;

	if (f == NULL) {
		err_errno(err, errno, "%s: cannot open", path);
		return NULL;
	}
	list = json_array();
	rc = take_lines(f, list, err);
	fclose(f);
	if (rc == 0)
		return list;
	err_prefix(err, "%s: ", path);
	json_decref(list);
	return NULL;
}

json_t *
route_file_read(const char *path, struct err *err)
{
	return read_lines(path, err);
}

/* The figures of the small model's answer. */
static json_t *
signals_of(json_t *line)
{
	json_t *o = json_object();

	for (int i = 0; i < TOKEN_FIGURES; i++) {
		const char *name = token_figure_name((enum token_figure)i);

		json_object_set(o, name, json_object_get(line, name));
	}
	return o;
}

json_t *
route_file_join(const char *small, const char *large, struct err *err)
{
	json_t *a = read_lines(small, err), *b = a != NULL ? read_lines(large, err) : NULL;
	json_t *rows = b != NULL ? json_array() : NULL, *line;
	size_t i;

	json_array_foreach(a, i, line)
	{
		json_t *other = json_array_get(b, i), *prompt = json_object_get(line, "user");

		if (rows == NULL)
			break;
		if (!json_is_string(prompt) ||
			!json_equal(prompt, json_object_get(other, "user"))) {
			err_set(err, "%s and %s are not of the same queries: line %zu differs",
				small, large, i + 1);
			json_decref(rows);
			rows = NULL;
			break;
		}
		json_array_append_new(rows,
			json_pack("{s:O,s:O,s:O,s:o}", "prompt", prompt, "small",
				json_object_get(line, "right"), "large",
				json_object_get(other, "right"), "signals", signals_of(line)));
	}
	json_decref(a);
	json_decref(b);
	return rows;
}
