#include "daemon/call_reader.h"

#include "daemon/api_parse.h"
#include "daemon/api_tools.h"
#include "daemon/json_text.h"

#include <string.h>

#define MOST_BLANKS 4096 /* that are held ahead of what may be a tag */

void
call_reader_init(struct call_reader *r, json_t *tools, bool one, const struct call_events *events)
{
	*r = (struct call_reader){.events = *events, .tools = json_incref(tools), .one = one};
	buf_init(&r->held, CALL_MOST + (64u << 10));
}

void
call_reader_free(struct call_reader *r)
{
	json_decref(r->tools);
	buf_free(&r->held);
	*r = (struct call_reader){0};
}

bool
call_reader_done(const struct call_reader *r)
{
	return r->one && r->calls > 0;
}

static void
say(struct call_reader *r, const char *text, size_t len)
{
	if (len > 0 && !call_reader_done(r) && !r->as_wanted)
		r->events.text(r->events.arg, text, len);
}

static void
drop(struct call_reader *r, size_t n)
{
	r->searched = 0;
	buf_consume(&r->held, n);
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t
without_blanks(const char *s, size_t len)
{
	while (len > 0 && blank(s[len - 1]))
		len--;
	return len;
}

/* --- a call --------------------------------------------------------------------------------------- */

/* Some models write the object as a string, which is what others know it as. */
static int
write_arguments(const char *s, size_t len, json_t *call, struct buf *out)
{
	json_t *v = json_object_get(call, "arguments"), *inner;
	struct api_error ignored;
	size_t at, n;

	if (v == NULL || json_is_null(v))
		return buf_str(out, "{}");
	if (json_is_object(v))
		return json_text_member(s, len, "arguments", &at, &n)
			       ? json_text_minify(s + at, n, out)
			       : -1;
	if (!json_is_string(v))
		return -1;
	if (json_string_length(v) == 0)
		return buf_str(out, "{}"); /* of a function without parameters */
	inner = api_parse_object(json_string_value(v), json_string_length(v), &ignored);
	if (inner == NULL)
		return -1;
	json_decref(inner);
	return json_text_minify(json_string_value(v), json_string_length(v), out);
}

/* false: it is none. */
static bool
call(struct call_reader *r, const char *s, size_t len)
{
	struct api_error ignored;
	json_t *o = len == 0       ? NULL
		    : r->as_wanted ? json_loadb(s, len, 0, NULL)
				   : api_parse_object(s, len, &ignored);
	const char *name = json_string_value(json_object_get(o, "name"));
	struct buf arguments;
	bool is;

	buf_init(&arguments, CALL_MOST);
	is = name != NULL && api_has_tool(r->tools, name) &&
	     write_arguments(s, len, o, &arguments) == 0;
	if (is && !call_reader_done(r)) {
		r->calls++;
		r->events.call(r->events.arg, name, (const char *)arguments.data, arguments.len);
	}
	buf_free(&arguments);
	json_decref(o);
	return is;
}

/* What is held, up to n bytes, was meant as a call. tail: those of them that are the closing tag. What is
 * none is text with all that stood ahead of it. */
static void
end_call(struct call_reader *r, size_t n, size_t tail)
{
	const char *s = (const char *)r->held.data;

	r->within = false;
	if (n <= r->begin + tail || !call(r, s + r->begin, n - r->begin - tail))
		say(r, s, n);
	drop(r, n);
}

/* --- text ------------------------------------------------------------------------------------------ */

/* How much of the end may be the begin of a tag. */
static size_t
begun_tag(const char *s, size_t len)
{
	size_t n = strlen(CALL_OPEN) - 1;

	for (n = n < len ? n : len; n > 0; n--)
		if (memcmp(s + len - n, CALL_OPEN, n) == 0)
			return n;
	return 0;
}

static const char *
find(const struct buf *b, size_t from, const char *tag)
{
	return b->len > from ? memmem(b->data + from, b->len - from, tag, strlen(tag)) : NULL;
}

/* true: there may be more to do. */
static bool
read_text(struct call_reader *r)
{
	const char *s = (const char *)r->held.data, *tag = find(&r->held, 0, CALL_OPEN);
	size_t n;

	if (tag != NULL) {
		size_t ahead = (size_t)(tag - s);

		n = without_blanks(s, ahead);
		say(r, s, n);
		drop(r, n);
		r->within = true;
		r->begin = r->searched = ahead - n + strlen(CALL_OPEN);
		return true;
	}
	n = r->held.len - begun_tag(s, r->held.len);
	if (n - without_blanks(s, n) <= MOST_BLANKS)
		n = without_blanks(s, n);
	say(r, s, n);
	drop(r, n);
	return false;
}

/* Whether s[len] would stand in a string: in JSON none goes over a line. */
static bool
within_string(const char *s, size_t len)
{
	const char *line = memrchr(s, '\n', len);
	bool within = false;

	for (size_t i = line != NULL ? (size_t)(line - s) : 0; i < len; i++)
		if (s[i] == '"')
			within = !within;
		else if (s[i] == '\\' && within)
			i++;
	return within;
}

static bool
read_call(struct call_reader *r)
{
	const char *s = (const char *)r->held.data, *tag = find(&r->held, r->searched, CALL_CLOSE);
	size_t back = strlen(CALL_CLOSE) - 1, at = tag != NULL ? (size_t)(tag - s) : 0;

	if (tag != NULL &&
		within_string(s + r->begin, at - r->begin)) { /* an argument's own words */
		r->searched = at + 1;
		return true;
	}
	if (tag != NULL) {
		end_call(r, at + strlen(CALL_CLOSE), strlen(CALL_CLOSE));
		return true;
	}
	if (r->held.len > CALL_MOST) {
		end_call(r, r->held.len, r->held.len);
		return false;
	}
	if (r->held.len > r->begin + back)
		r->searched = r->held.len - back;
	return false;
}

void
call_reader_push(struct call_reader *r, const char *text, size_t len)
{
	while (len > 0) { /* piece by piece: what is held has a bound */
		size_t n = len < 4096 ? len : 4096;

		if (buf_append(&r->held, text, n) != 0) {
			r->failed = true;
			return;
		}
		text += n;
		len -= n;
		while (r->within ? read_call(r) : read_text(r))
			;
	}
}

void
call_reader_end(struct call_reader *r)
{
	const char *s = (const char *)r->held.data;

	if (r->within)
		end_call(r, r->held.len, 0);
	else if (r->held.len > 0 && (r->calls == 0 || without_blanks(s, r->held.len) > 0))
		say(r, s, r->held.len);
	r->within = false;
	buf_clear(&r->held);
}
