/* The text of a value that an answer must have. Values that are equal have equal texts: that is how
 * alternatives are seen to exclude each other. */
#include "model/json_schema_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_value(struct buf *out, json_t *v);

static void
write_plain(struct buf *out, json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY);

	if (text == NULL)
		out->failed = true;
	else
		buf_str(out, text);
	free(text);
}

/* 1.0 is the same value as 1. Else as few digits as give the number again: 17 make 19.989999999999998 of
 * 19.99. */
static void
write_real(struct buf *out, double v)
{
	char text[32];

	if (v >= -0x1p63 && v < 0x1p63 && v == (double)(json_int_t)v) {
		buf_printf(out, "%" JSON_INTEGER_FORMAT, (json_int_t)v);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_str(out, text);
}

static void
write_array(struct buf *out, json_t *list)
{
	json_t *v;
	size_t i;

	buf_u8(out, '[');
	json_array_foreach(list, i, v)
	{
		if (i > 0)
			buf_u8(out, ',');
		write_value(out, v);
	}
	buf_u8(out, ']');
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
write_member(struct buf *out, const char *name, json_t *value)
{
	json_t *text = json_string(name);

	write_plain(out, text);
	buf_u8(out, ':');
	write_value(out, value);
	json_decref(text);
}

/* In the order of names, since it has none of its own. */
static void
write_object(struct buf *out, json_t *o)
{
	const char **names = calloc(json_object_size(o) + 1, sizeof *names), *name;
	size_t n = 0;
	json_t *v;

	if (names == NULL) {
		out->failed = true;
		return;
	}
	json_object_foreach(o, name, v) names[n++] = name;
	qsort(names, n, sizeof *names, compare);
	buf_u8(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_u8(out, ',');
		write_member(out, names[i], json_object_get(o, names[i]));
	}
	buf_u8(out, '}');
	free(names);
}

static void
write_value(struct buf *out, json_t *v)
{
	if (json_is_real(v))
		write_real(out, json_real_value(v));
	else if (json_is_array(v))
		write_array(out, v);
	else if (json_is_object(v))
		write_object(out, v);
	else
		write_plain(out, v);
}

char *
literal_text(json_t *v)
{
	struct buf out = {0};

	write_value(&out, v);
	buf_u8(&out, 0);
	if (out.failed)
		buf_free(&out);
	return (char *)out.data;
}
