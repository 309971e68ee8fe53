#include "daemon/redact_args.h"

#include "daemon/api_parse.h"
#include "daemon/json_text.h"

#include <stdlib.h>

struct args {
	struct redact *r;
	const char *s;
	size_t len;
	char name[64]; /* of the member whose value comes, "": none yet, or a long one */
	struct buf plain, redacted, again;
	struct buf bones; /* what is written, with "" for each string that is a value */
	struct buf *out;
	struct err *err;
};

/* One text of JSON, within the bounds of a body. */
static bool
is_json(const char *text, size_t len)
{
	struct api_error e;
	struct buf b;
	json_t *root;

	buf_init(&b, 0);
	buf_str(&b, "{\"\":");
	buf_append(&b, text, len);
	buf_str(&b, "}");
	root = b.failed ? NULL : api_parse_object(b.data, b.len, &e);
	buf_free(&b);
	json_decref(root);
	return root != NULL;
}

/* As jansson writes it, with its quotes. */
static int
escape(const struct buf *text, struct buf *out)
{
	json_t *t = json_stringn_nocheck((const char *)text->data, text->len);
	char *dump = t != NULL ? json_dumps(t, JSON_ENCODE_ANY) : NULL;
	int rc = dump != NULL ? buf_str(out, dump) : -1;

	free(dump);
	json_decref(t);
	return rc;
}

static bool
same(const struct buf *b, const char *s, size_t len)
{
	return b->len == len && (len == 0 || memcmp(b->data, s, len) == 0);
}

/* The string's text to a->plain. */
static int
decode(struct args *a, size_t at, size_t end)
{
	json_t *t = json_loadb(a->s + at, end - at, JSON_DECODE_ANY, NULL);
	int rc = -1;

	buf_clear(&a->plain);
	if (json_is_string(t))
		rc = buf_append(&a->plain, json_string_value(t), json_string_length(t));
	json_decref(t);
	return rc != 0 ? err_set(a->err, "a text in the arguments cannot be read") : 0;
}

static int
put_string(struct args *a, size_t at, size_t end, bool is_name)
{
	const char *plain;
	int rc;

	if (decode(a, at, end) != 0)
		return -1;
	plain = a->plain.len > 0 ? (const char *)a->plain.data : "";
	buf_clear(&a->redacted);
	if (is_name)
		rc = redact_text(a->r, plain, a->plain.len, &a->redacted, a->err);
	else
		rc = redact_member(a->r, a->name, plain, a->plain.len, &a->redacted, a->err);
	if (rc != 0)
		return -1;
	if (same(&a->redacted, plain, a->plain.len))
		return buf_append(a->out, a->s + at, end - at);
	buf_clear(&a->again);
	if (escape(&a->plain, &a->again) != 0)
		return err_set(a->err, "no memory to redact arguments");
	if (same(&a->again, a->s + at, end - at))
		return escape(&a->redacted, a->out);
	buf_str(a->out, "\"");
	if (redact_whole(a->r, REDACT_JSON, a->s + at + 1, end - at - 2, a->out, a->err) != 0)
		return -1;
	return buf_str(a->out, "\"");
}

static void
keep_name(struct args *a)
{
	size_t n = a->plain.len < sizeof a->name ? a->plain.len : 0;

	if (n > 0)
		memcpy(a->name, a->plain.data, n);
	a->name[n] = '\0';
}

/* A number, or true, false, null: as it is, or not at all. */
static int
put_bare(struct args *a, size_t at, size_t end)
{
	buf_clear(&a->redacted);
	if (strchr("tfn", a->s[at]) == NULL &&
		redact_member(a->r, a->name, a->s + at, end - at, &a->redacted, a->err) != 0)
		return -1;
	if (a->redacted.len > 0 && !same(&a->redacted, a->s + at, end - at))
		return err_set(a->err, "a number in the arguments looks like personal data: it "
				       "cannot be replaced");
	return buf_append(a->out, a->s + at, end - at);
}

static bool
bare(char c)
{
	return c != '\0' && strchr(" \t\r\n{}[],:\"", c) == NULL;
}

/* The string at `at`, which may be the name of a member: *end is where it ends. */
static int
walk_string(struct args *a, size_t at, size_t *end)
{
	size_t next = *end = json_text_string_end(a->s, a->len, at), before = a->out->len;
	bool is_name;

	while (next < a->len && strchr(" \t\r\n", a->s[next]) != NULL)
		next++;
	is_name = next < a->len && a->s[next] == ':';
	if (put_string(a, at, *end, is_name) != 0)
		return -1;
	if (!is_name)
		return buf_str(&a->bones, "\"\"");
	keep_name(a);
	return buf_append(&a->bones, a->out->data + before, a->out->len - before);
}

static int
walk(struct args *a)
{
	for (size_t at = 0, end; at < a->len; at = end) {
		int rc;

		end = at + 1;
		if (a->s[at] == '"') {
			rc = walk_string(a, at, &end);
		} else {
			while (bare(a->s[at]) && end < a->len && bare(a->s[end]))
				end++;
			rc = bare(a->s[at]) ? put_bare(a, at, end)
					    : buf_append(a->out, a->s + at, 1);
			buf_append(&a->bones, a->s + at, end - at);
		}
		if (rc != 0)
			return -1;
	}
	return 0;
}

/* Each value was searched with its own name. What is left are items made of several: the numbers of a
 * place, with their names. */
static int
check_whole(struct args *a)
{
	if (a->bones.failed)
		return err_set(a->err, "no memory to redact arguments");
	if (redact_leftover(a->r, (const char *)a->bones.data, a->bones.len, a->err) == 0)
		return 0;
	return err_prefix(a->err, "arguments: ");
}

int
redact_args(struct redact *r, const char *text, size_t len, struct buf *out, struct err *err)
{
	struct args a = {.r = r, .s = text, .len = len, .out = out, .err = err};
	size_t before = out->len;
	int rc;

	if (out->failed || len == 0 || !is_json(text, len))
		return redact_text(r, text, len, out, err);
	buf_init(&a.plain, 0);
	buf_init(&a.redacted, out->max);
	buf_init(&a.again, 0);
	buf_init(&a.bones, 0);
	rc = walk(&a);
	if (rc == 0)
		rc = check_whole(&a);
	else if (out->failed)
		err_set(err, "the redacted text is too long");
	buf_free(&a.plain);
	buf_free(&a.redacted);
	buf_free(&a.again);
	buf_free(&a.bones);
	if (rc != 0)
		out->len = before;
	return rc;
}
