/* Putting items back. What is held is always the begin of a placeholder, so it has one [, its first
 * byte: when it turns out to be none, all of it is text, and only the byte that showed it can begin
 * the next. */
#include "sched/redact.h"

/* The kind whose name the held bytes begin with or are a begin of; *name: its length. */
static bool
could_be(const uint8_t *held, size_t n, enum redact_kind *kind, size_t *name)
{
	for (unsigned k = 0; k < REDACT_KINDS; k++) {
		const char *text = redact_kind_name((enum redact_kind)k);
		size_t len = strlen(text);

		if (memcmp(held, text, n < len ? n : len) != 0 || (n > len && held[len] != '_'))
			continue;
		*kind = (enum redact_kind)k;
		*name = len;
		return true;
	}
	return false;
}

/* JSON's escapes (RFC 8259, section 7), as jansson writes them. */
static int
put_json(const char *s, size_t len, struct buf *out)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";

	for (size_t i = 0; i < len; i++) {
		const char *e = s[i] != '\0' ? strchr(from, s[i]) : NULL;

		if (e != NULL)
			buf_printf(out, "\\%c", to[e - from]);
		else if ((uint8_t)s[i] < 0x20)
			buf_printf(out, "\\u%04X", (uint8_t)s[i]);
		else
			buf_append(out, s + i, 1);
	}
	return out->failed ? -1 : 0;
}

/* [KIND_number] is whole: its item, or itself. */
static int
put_back(struct redact_restore *s, enum redact_kind kind, size_t name, struct buf *out)
{
	uint64_t number = 0;
	const char *item = NULL;
	size_t len = 0;

	for (size_t i = name + 2; i + 1 < s->n; i++)
		number = number * 10 +
			 (s->held[i] - '0'); /* at most 20 digits: no matter if it turns */
	if (s->held[name + 2] != '0' && s->n - name <= 13 && number <= UINT32_MAX)
		item = redact_item(s->r, kind, (uint32_t)number, &len);
	if (item == NULL)
		return buf_append(out, s->held, s->n);
	if (s->json && kind != REDACT_JSON)
		return put_json(item, len, out);
	return buf_append(out, item, len);
}

/* Takes the byte behind what is held if that can still become a placeholder. */
static bool
take(struct redact_restore *s, uint8_t c, bool *whole, enum redact_kind *kind, size_t *name)
{
	*whole = false;
	if (s->n == 0)
		return c == '[';
	if (s->n + 1 >= REDACT_HELD)
		return false;
	s->held[s->n] = c;
	if (!could_be(s->held + 1, s->n, kind, name))
		return false;
	if (s->n > *name + 1)
		*whole = c == ']' && s->n > *name + 2;
	return s->n <= *name + 1 || *whole || (c >= '0' && c <= '9');
}

int
redact_restore_push(struct redact_restore *s, const void *bytes, size_t len, struct buf *out)
{
	const uint8_t *in = bytes;
	enum redact_kind kind = REDACT_MARK;
	size_t name = 0, plain = 0; /* begin of what passes as it is */
	bool whole;

	for (size_t i = 0; i < len; i++) {
		if (s->n == 0 && in[i] != '[')
			continue;
		if (s->n == 0)
			buf_append(out, in + plain, i - plain);
		else if (!take(s, in[i], &whole, &kind, &name)) {
			buf_append(out, s->held, s->n);
			s->n = 0;
			plain = i--; /* again, as the first byte of text */
			continue;
		} else if (whole) {
			s->n++;
			put_back(s, kind, name, out);
			s->n = 0;
			plain = i + 1;
			continue;
		}
		s->held[s->n++] = in[i];
		plain = i + 1;
	}
	if (s->n == 0)
		buf_append(out, in + plain, len - plain);
	return out->failed ? -1 : 0;
}

int
redact_restore_end(struct redact_restore *s, struct buf *out)
{
	buf_append(out, s->held, s->n);
	s->n = 0;
	return out->failed ? -1 : 0;
}
