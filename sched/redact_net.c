/* Addresses of machines: IPv4, IPv6, MAC. */
#include "sched/redact_int.h"

#define PLAIN_MAX 64 /* the longest address, with a zone */

/* A stretch of text as it would be in ASCII, and where each character of it ends. */
struct plain {
	uint8_t c[PLAIN_MAX];
	size_t end[PLAIN_MAX];
	size_t n;
};

/* One of an address: 0: it is none. */
static uint8_t
plain_char(uint32_t cp)
{
	uint32_t f[2];

	if (cp < 0x80)
		return ascii_alnum(cp) || (cp != 0 && strchr(".:%-", (int)cp) != NULL) ? (uint8_t)cp
										       : 0;
	if (cp_dash(cp))
		return '-';
	if (cp == 0xff0e || cp == 0x3002 || cp == 0xff61)
		return '.';
	if (cp == 0xff1a || cp == 0xff05)
		return cp == 0xff1a ? ':' : '%';
	if (cp < 0xff10 && cp_digit(cp) < 0)
		return 0; /* no letter with an accent */
	return cp_fold(cp, f) == 1 && ascii_alnum(f[0]) ? (uint8_t)f[0] : 0;
}

static void
read_plain(const struct scan *t, size_t at, struct plain *p)
{
	size_t to = at, n;

	p->n = 0;
	for (unsigned i = 0; i < 2 * PLAIN_MAX && p->n < PLAIN_MAX; i++, to += n) {
		uint32_t cp = cp_at(t, to, &n);
		uint8_t c;

		if (cp_ignored(cp))
			continue;
		c = plain_char(cp);
		if (c == 0)
			break;
		p->c[p->n] = c;
		p->end[p->n++] = to + n - at;
	}
}

/* A number of at most three digits up to 255 at s: its length, 0: none. */
static size_t
octet(const uint8_t *s, size_t left)
{
	unsigned v = 0;
	size_t n = 0;

	while (n < left && n < 4 && s[n] >= '0' && s[n] <= '9')
		v = v * 10 + (s[n++] - '0');
	return n > 3 || v > 255 ? 0 : n;
}

static size_t
ipv4(const uint8_t *s, size_t left)
{
	size_t at = 0;

	for (unsigned i = 0; i < 4; i++) {
		size_t n = octet(s + at, left - at);

		if (n == 0)
			return 0;
		at += n;
		if (i < 3 && (at == left || s[at++] != '.'))
			return 0;
	}
	if (left - at >= 2 && s[at] == '.' && s[at + 1] >= '0' && s[at + 1] <= '9')
		return 0; /* a longer row of numbers */
	return at;
}

/* RFC 4291, section 2.2: eight groups of at most four hex digits, :: once for some of zeros, the
 * last 32 bits perhaps as IPv4. Takes the longest row of groups. */
static size_t
ipv6(const uint8_t *s, size_t left)
{
	size_t at = 0, good = 0;
	unsigned groups = 0;
	bool gap = false;

	if (left >= 2 && s[0] == ':' && s[1] == ':') {
		gap = true;
		at = 2;
	}
	while (groups < 8) {
		size_t n = 0, v4 = ipv4(s + at, left - at);

		if (v4 != 0 && groups <= 6 && (gap || groups == 6))
			return at + v4;
		while (n < 4 && at + n < left && hex_value(s[at + n]) >= 0)
			n++;
		if (n == 0 || (at + n < left && ascii_alnum(s[at + n])))
			break;
		at += n;
		groups++;
		good = at;
		if (at + 1 < left && s[at] == ':' && s[at + 1] == ':' && !gap) {
			gap = true;
			at += 2;
			good = at;
		} else if (at < left && s[at] == ':') {
			at++;
		} else {
			break;
		}
	}
	return (gap && groups > 0) || groups == 8 ? good : 0;
}

static size_t
with_zone(const uint8_t *s, size_t n, size_t left)
{
	if (n > 0 && n < left && s[n] == '%') /* its zone: the name of an interface */
		for (size_t k = n + 1; k < left && k < n + 17 && ascii_alnum(s[k]); k++)
			if (k + 1 == left || !ascii_alnum(s[k + 1]))
				return k + 1;
	return n;
}

size_t
redact_find_ip(struct scan *t, size_t at, enum redact_kind *kind)
{
	size_t n = 0, k;
	uint8_t first = plain_char(cp_at(t, at, &k));
	bool four, six;
	uint32_t before;
	struct plain p;

	(void)kind;
	if (hex_value(first) < 0 && first != ':')
		return 0;
	before = cp_before(t, at, &k);
	four = first <= '9' && cp_digit(before) < 0;
	six = !ascii_alnum(before) && before != ':';
	if (!four && !six)
		return 0;
	read_plain(t, at, &p);
	if (four)
		n = ipv4(p.c, p.n);
	if (n == 0 && six)
		n = ipv6(p.c, p.n);
	n = with_zone(p.c, n, p.n);
	return n > 0 ? p.end[n - 1] : 0;
}

/* Groups of `width` hex digits between sep: their length, if there are from min to max. */
static size_t
hex_groups(const uint8_t *s, size_t left, size_t width, uint8_t sep, unsigned min, unsigned max)
{
	size_t at = 0, end = 0;
	unsigned groups = 0;

	for (;;) {
		size_t n = 0;

		while (at + n < left && n < width && hex_value(s[at + n]) >= 0)
			n++;
		if (n < width || (at + n < left && ascii_alnum(s[at + n])))
			break;
		at += n;
		end = at;
		if (++groups == max || at == left || s[at] != sep)
			break;
		at++;
	}
	return groups >= min ? end : 0;
}

/* Twelve hex digits, and not only digits or only letters. */
static size_t
bare_mac(const uint8_t *s, size_t left)
{
	size_t n = 0, digits = 0;

	while (n < left && n < 13 && hex_value(s[n]) >= 0)
		digits += s[n++] <= '9';
	if (n != 12 || digits == 0 || digits == 12 || (n < left && ascii_alnum(s[n])))
		return 0;
	return n;
}

static bool
all_digits(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] > '9')
			return false;
	return true;
}

static size_t
mac(const uint8_t *s, size_t left)
{
	size_t n;

	if ((n = hex_groups(s, left, 2, ':', 6, 8)) != 0 ||
		(n = hex_groups(s, left, 2, '-', 6, 8)) != 0 ||
		((n = hex_groups(s, left, 4, '.', 3, 4)) != 0 && !all_digits(s, n)))
		return n;
	return bare_mac(s, left);
}

size_t
redact_find_mac(struct scan *t, size_t at, enum redact_kind *kind)
{
	struct plain p;
	size_t n;

	(void)kind;
	if (hex_value(plain_char(cp_at(t, at, &n))) < 0 || ascii_alnum(cp_before(t, at, &n)))
		return 0;
	read_plain(t, at, &p);
	n = mac(p.c, p.n);
	return n > 0 ? p.end[n - 1] : 0;
}
