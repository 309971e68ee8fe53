#include "daemon/utf8_hold.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* How many bytes the character at s has; 0: more are needed; -1: s[0] begins none. RFC 3629: no
 * overlong forms, no surrogates, nothing beyond U+10FFFF. */
static int
character(const uint8_t *s, size_t len)
{
	uint8_t low = 0x80, high = 0xbf;
	int n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return -1;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	for (int i = 1; i < n; i++) {
		if ((size_t)i >= len)
			return 0;
		if (s[i] < low || s[i] > high)
			return -1;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

/* Appends the whole characters of s and returns how many bytes were used. */
static size_t
take(const uint8_t *s, size_t len, struct buf *out)
{
	size_t used = 0;

	while (used < len) {
		int n = character(s + used, len - used);

		if (n == 0)
			break;
		if (n < 0)
			buf_str(out, REPLACEMENT);
		else
			buf_append(out, s + used, (size_t)n);
		used += n < 0 ? 1 : (size_t)n;
	}
	return used;
}

void
utf8_push(struct utf8_hold *h, const char *text, size_t len, struct buf *out)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t used;

	while (h->n > 0 && len > 0) {
		h->held[h->n++] = *s++;
		len--;
		used = take(h->held, h->n, out);
		h->n = (uint8_t)(h->n - used);
		memmove(h->held, h->held + used, h->n);
	}
	used = take(s, len, out);
	if (used < len) { /* at most three bytes: the begin of a character */
		h->n = (uint8_t)(len - used);
		memcpy(h->held, s + used, h->n);
	}
}

void
utf8_finish(struct utf8_hold *h, struct buf *out)
{
	if (h->n > 0)
		buf_str(out, REPLACEMENT);
	h->n = 0;
}
