/* One character of UTF-8 at a time. */
#ifndef MODEL_UTF8_H
#define MODEL_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The character that p begins with: its length, when it is whole and valid; 0, when the n bytes
 * are the begin of a valid one; -k, when the first k bytes can never become one (k as Unicode
 * recommends: one U+FFFD for them). n > 0. */
static inline int
utf8_step(const uint8_t *p, size_t n)
{
	uint8_t low = 0x80, high = 0xbf;
	int len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return -1;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f; /* no surrogates */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (int i = 1; i < len; i++) {
		if ((size_t)i == n)
			return 0;
		if (p[i] < low || p[i] > high)
			return -i;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

/* How many of the n bytes at p are whole characters, from the first on: n where all are. */
static inline size_t
utf8_whole(const uint8_t *p, size_t n)
{
	size_t at = 0;
	int step;

	while (at < n && (step = utf8_step(p + at, n - at)) > 0)
		at += (size_t)step;
	return at;
}

#endif
