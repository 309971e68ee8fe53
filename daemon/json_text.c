#include "daemon/json_text.h"

#include <string.h>

static bool
white(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t
json_text_string_end(const char *s, size_t len, size_t at)
{
	for (at++; at < len && s[at] != '"'; at++)
		at += s[at] == '\\';
	return at < len ? at + 1 : len;
}

int
json_text_minify(const char *s, size_t len, struct buf *out)
{
	for (size_t at = 0, end; at < len; at = end) {
		end = s[at] == '"' ? json_text_string_end(s, len, at) : at + 1;
		if (!white(s[at]))
			buf_append(out, s + at, end - at);
	}
	return out->failed ? -1 : 0;
}

static size_t
skip_white(const char *s, size_t len, size_t at)
{
	while (at < len && white(s[at]))
		at++;
	return at;
}

/* Behind the value that begins at `at`. */
static size_t
value_end(const char *s, size_t len, size_t at)
{
	int depth = 0;

	while (at < len) {
		char c = s[at];

		if (depth == 0 && (c == ',' || c == '}' || c == ']' || white(c)))
			return at;
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		at = c == '"' ? json_text_string_end(s, len, at) : at + 1;
		if (depth == 0 && (c == '"' || c == '}' || c == ']'))
			return at;
	}
	return len;
}

bool
json_text_member(const char *s, size_t len, const char *name, size_t *at, size_t *n)
{
	size_t i = skip_white(s, len, 0), want = strlen(name);

	if (i >= len || s[i] != '{')
		return false;
	for (i = skip_white(s, len, i + 1); i < len && s[i] == '"'; i = skip_white(s, len, i + 1)) {
		size_t key = i + 1, key_end = json_text_string_end(s, len, i), end;

		i = skip_white(s, len, key_end);
		if (i >= len || s[i] != ':')
			return false;
		i = skip_white(s, len, i + 1);
		end = value_end(s, len, i);
		if (key_end - 1 - key == want && memcmp(s + key, name, want) == 0) {
			*at = i;
			*n = end - i;
			return true;
		}
		i = skip_white(s, len, end);
		if (i >= len || s[i] != ',')
			return false;
	}
	return false;
}
