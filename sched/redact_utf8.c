/* UTF-8 (RFC 3629), and what detectors ask about characters. Tables hold ranges, for a language's
 * usual letters; a letter that is not in them folds to itself, and still counts as a letter. */
#include "sched/redact_int.h"

/* Bytes of the character at s, 0: none begins here. */
static size_t
character(const uint8_t *s, size_t len)
{
	static const uint8_t low[] = {['\0'] = 0xa0, [0x10] = 0x90};
	uint8_t first = s[0], from = 0x80, to = 0xbf;
	size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (first > 0xf4 || n == 0 || n > len)
		return 0;
	if (first == 0xe0 || first == 0xf0)
		from = low[first - 0xe0]; /* no longer than need be */
	if (first == 0xed)
		to = 0x9f; /* no surrogates */
	if (first == 0xf4)
		to = 0x8f;
	for (size_t i = 1; i < n; i++) {
		if (s[i] < from || s[i] > to)
			return 0;
		from = 0x80;
		to = 0xbf;
	}
	return n;
}

bool
utf8_valid(const uint8_t *s, size_t len, size_t *bad)
{
	size_t n;

	for (*bad = 0; *bad < len; *bad += n) {
		n = character(s + *bad, len - *bad);
		if (n == 0)
			return false;
	}
	return true;
}

uint32_t
cp_get(const uint8_t *s, size_t *n)
{
	uint32_t cp;

	*n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (*n == 1)
		return s[0];
	cp = s[0] & (0x7fu >> *n);
	for (size_t i = 1; i < *n; i++)
		cp = cp << 6 | (s[i] & 0x3fu);
	return cp;
}

/* \u00e9, as JSON and most languages have it, or \xe9: its value, -1: none. */
static int32_t
escape(const struct scan *t, size_t at, size_t *n)
{
	int32_t v = 0;

	if (t->len - at < 4 || t->s[at] != '\\')
		return -1;
	*n = (t->s[at + 1] | 32) == 'u' ? 6 : t->s[at + 1] == 'x' ? 4 : 0;
	if (*n == 0 || t->len - at < *n)
		return -1;
	for (size_t i = 2; i < *n; i++) {
		int h = hex_value(t->s[at + i]);

		if (h < 0)
			return -1;
		v = v << 4 | h;
	}
	return v;
}

#define ENTITY_MAX 10 /* bytes */

/* &#64; or &#x40; : its value, 0: none. */
static uint32_t
numeric(const uint8_t *s, size_t len)
{
	bool hex = len > 0 && (s[0] | 32) == 'x';
	uint32_t v = 0;

	if (len == hex)
		return 0;
	for (size_t i = hex; i < len; i++) {
		int d = hex_value(s[i]);

		if (d < 0 || (d > 9 && !hex))
			return 0;
		v = v * (hex ? 16 : 10) + (uint32_t)d;
	}
	return v > 0x10ffff ? 0 : v;
}

/* What names stand for in HTML, as far as items may have it; for a letter with an accent, without. */
static uint32_t
named(const uint8_t *s, size_t len)
{
	static const struct {
		char name[8];
		uint32_t cp;
	} names[] = {{"commat", '@'}, {"period", '.'}, {"plus", '+'}, {"nbsp", 0xa0}, {"shy", 0xad},
		{"amp", '&'}, {"quot", '"'}, {"apos", '\''}, {"rsquo", 0x2019}, {"colon", ':'},
		{"sol", '/'}, {"comma", ','}, {"equals", '='}, {"lowbar", '_'}, {"hyphen", 0x2010},
		{"ndash", 0x2013}, {"deg", 0xb0}, {"szlig", 0xdf}, {"aelig", 0xe6}, {"AElig", 0xc6},
		{"oelig", 0x153}, {"OElig", 0x152}};
	static const char *const accents[] = {
		"uml", "acute", "grave", "circ", "tilde", "ring", "cedil", "slash", "caron"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (len == strlen(names[i].name) && memcmp(s, names[i].name, len) == 0)
			return names[i].cp;
	for (size_t i = 0; cp_letter(s[0]) && i < sizeof accents / sizeof *accents; i++)
		if (len == 1 + strlen(accents[i]) && memcmp(s + 1, accents[i], len - 1) == 0)
			return s[0];
	return 0;
}

static size_t
entity(const struct scan *t, size_t at, uint32_t *cp)
{
	size_t most = t->len - at < ENTITY_MAX ? t->len - at : ENTITY_MAX;
	const uint8_t *s = t->s + at, *end = memchr(s, ';', most);

	if (end == NULL || end < s + 3)
		return 0;
	*cp = s[1] == '#' ? numeric(s + 2, (size_t)(end - s) - 2)
			  : named(s + 1, (size_t)(end - s) - 1);
	return *cp != 0 ? (size_t)(end - s) + 1 : 0;
}

/* A character as URLs have it, %C3%A9: its bytes, 0: none. */
static size_t
percent(const struct scan *t, size_t at, uint32_t *cp)
{
	uint8_t bytes[4];
	size_t n = 0, len;

	while (n < 4 && t->len - at >= 3 * n + 3 && t->s[at + 3 * n] == '%') {
		int high = hex_value(t->s[at + 3 * n + 1]), low = hex_value(t->s[at + 3 * n + 2]);

		if (high < 0 || low < 0)
			break;
		bytes[n++] = (uint8_t)(high << 4 | low);
		if (character(bytes, n) != n)
			continue;
		*cp = cp_get(bytes, &len);
		return *cp >= ' ' || (*cp >= '\t' && *cp <= '\r') ? 3 * n : 0;
	}
	return 0;
}

/* One escape, or two that are a surrogate pair; a sign behind a backslash, as JSON, shells and Markdown
 * have it; an entity of HTML; a character as URLs have it: its bytes, 0: none. Letters (\n) are not
 * taken so: they may be letters. */
static size_t
escaped(const struct scan *t, size_t at, uint32_t *cp)
{
	int32_t v, low;
	size_t n, more;

	if (t->s[at] == '&')
		return entity(t, at, cp);
	if (t->s[at] == '%')
		return percent(t, at, cp);
	if (t->len - at >= 2 && t->s[at] == '\\' && t->s[at + 1] != '\0' &&
		strchr("\"'/ .:@+-_()", t->s[at + 1]) != NULL) {
		*cp = t->s[at + 1];
		return 2;
	}
	v = escape(t, at, &n);
	if (v < 0)
		return 0;
	*cp = (uint32_t)v;
	low = v >= 0xd800 && v < 0xdc00 ? escape(t, at + n, &more) : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return n;
	*cp = 0x10000 + (((uint32_t)v & 0x3ff) << 10 | ((uint32_t)low & 0x3ff));
	return n + more;
}

uint32_t
cp_at(const struct scan *t, size_t at, size_t *n)
{
	uint32_t cp;

	if (at >= t->len) {
		*n = 0;
		return 0;
	}
	if (t->s[at] < 0x80 && t->s[at] != '\\' && t->s[at] != '&' && t->s[at] != '%') {
		*n = 1;
		return t->s[at];
	}
	if (t->s[at] < 0x80 && (*n = escaped(t, at, &cp)) > 0)
		return cp;
	return cp_get(t->s + at, n);
}

/* An escape that ends at `at`: its bytes, 0: none. */
static size_t
escaped_before(const struct scan *t, size_t at, size_t least, uint32_t *cp)
{
	static const size_t lengths[] = {12, 6, 4, 2};
	uint8_t last = t->s[at - 1];

	for (size_t n = 4; last == ';' && n <= ENTITY_MAX && n <= at - least; n++)
		if (t->s[at - n] == '&')
			return entity(t, at - n, cp) == n ? n : 0;
	for (size_t n = 3; n <= 12 && n <= at - least && t->s[at - n] == '%'; n += 3)
		if (percent(t, at - n, cp) == n)
			return n;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		size_t n = lengths[i];

		if (at - least >= n && t->s[at - n] == '\\' && escaped(t, at - n, cp) == n)
			return n;
	}
	return 0;
}

static uint32_t
back(const struct scan *t, size_t at, size_t least, size_t *n)
{
	size_t b = at;
	uint32_t cp;

	*n = 0;
	if (at <= least)
		return 0;
	if (t->s[at - 1] < 0x80) {
		*n = escaped_before(t, at, least, &cp);
		if (*n > 0)
			return cp;
		*n = 1;
		return t->s[at - 1];
	}
	do
		b--;
	while (b > least && (t->s[b] & 0xc0) == 0x80);
	*n = at - b;
	return cp_get(t->s + b, &b);
}

uint32_t
cp_before(const struct scan *t, size_t at, size_t *n)
{
	uint32_t cp = back(t, at, t->from, n);

	/* The n of an escaped line end is no letter: "\\nAnna" begins with Anna. */
	if (at >= t->from + 2 && t->s[at - 2] == '\\' && cp != 0 && cp < 0x80 &&
		strchr("nrtbf", (int)cp) != NULL)
		return '\n';
	return cp;
}

uint32_t
cp_back(const struct scan *t, size_t at, size_t *n)
{
	return back(t, at, 0, n);
}

size_t
cp_put(uint32_t cp, uint8_t out[4])
{
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

	if (n == 1) {
		out[0] = (uint8_t)cp;
		return 1;
	}
	for (size_t i = n - 1; i > 0; i--) {
		out[i] = (uint8_t)(0x80 | (cp & 0x3f));
		cp >>= 6;
	}
	out[0] = (uint8_t)((0xf00u >> n) | cp);
	return n;
}

bool
cp_space(uint32_t cp)
{
	return cp == ' ' || cp == '\t' || cp == 0xa0 || (cp >= 0x2000 && cp <= 0x200a) ||
	       cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

bool
cp_dash(uint32_t cp)
{
	return cp == '-' || (cp >= 0x2010 && cp <= 0x2015) || cp == 0x2212 || cp == 0xfe58 ||
	       cp == 0xfe63 || cp == 0xff0d;
}

struct range {
	uint32_t first, last;
};

static bool
within(uint32_t cp, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cp >= r[i].first && cp <= r[i].last)
			return true;
	return false;
}

#define WITHIN(cp, table) within(cp, table, sizeof(table) / sizeof *(table))

/* Default_Ignorable_Code_Point of Unicode 14.0 (DerivedCoreProperties.txt), and the frame about a digit
 * on a key. */
static const struct range ignored[] = {{0xad, 0xad}, {0x34f, 0x34f}, {0x61c, 0x61c},
	{0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f}, {0x202a, 0x202e},
	{0x2060, 0x206f}, {0x20e3, 0x20e3}, {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},
	{0xffa0, 0xffa0}, {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff}};

bool
cp_ignored(uint32_t cp)
{
	return cp >= 0xad && WITHIN(cp, ignored);
}

/* Beyond ASCII: punctuation, symbols. */
static const struct range no_letters[] = {{0xd800, 0xdfff}, {0x80, 0xa9}, {0xab, 0xb4},
	{0xb6, 0xb9}, {0xbb, 0xbf}, {0xd7, 0xd7}, {0xf7, 0xf7}, {0x60c, 0x60c}, {0x61b, 0x61f},
	{0x660, 0x66d}, {0x6d4, 0x6d4}, {0x6f0, 0x6f9}, {0x964, 0x96f}, {0x180e, 0x180e},
	{0x2000, 0x2bff}, {0x3000, 0x3004}, {0x3008, 0x3020}, {0x3030, 0x3030}, {0x30fb, 0x30fb},
	{0xe000, 0xf8ff}, {0xfe10, 0xfe6f}, {0xfeff, 0xff20}, {0xff3b, 0xff40}, {0xff5b, 0xff65},
	{0xfff0, 0xffff}, {0x1f000, 0x1faff}, {0xe0000, 0x10ffff}};

static const struct range unspaced[] = {{0xe00, 0xeff}, {0x1000, 0x109f}, {0x1100, 0x11ff},
	{0x1780, 0x17ff}, {0x2e80, 0x2fff}, {0x3005, 0x3007}, {0x3021, 0x302f}, {0x3031, 0x9fff},
	{0xac00, 0xd7ff}, {0xf900, 0xfaff}, {0xff66, 0xffdc}, {0x20000, 0x3ffff}};

bool
cp_letter(uint32_t cp)
{
	if (cp < 0x80)
		return (cp | 32) >= 'a' && (cp | 32) <= 'z';
	return !WITHIN(cp, no_letters) && !cp_ignored(cp) && cp_digit(cp) < 0;
}

bool
cp_unspaced(uint32_t cp)
{
	return cp >= 0x80 && WITHIN(cp, unspaced);
}

bool
cp_upper(uint32_t cp)
{
	uint32_t f[2];

	if (cp < 0x80)
		return cp >= 'A' && cp <= 'Z';
	if (cp < 0xdf || (cp >= 0x391 && cp <= 0x3ab) || (cp >= 0x400 && cp <= 0x42f))
		return cp >= 0xc0;
	if (cp >= 0x100 && cp < 0x138)
		return (cp & 1) == 0;
	if (cp >= 0x139 && cp < 0x149)
		return (cp & 1) != 0;
	if (cp >= 0x14a && cp < 0x178)
		return (cp & 1) == 0;
	return cp == 0x178 || (cp >= 0xff21 && cp <= 0xff3a && cp_fold(cp, f) == 1);
}

/* The zero of each row of decimal digits: general category Nd of Unicode 14.0. */
static const uint32_t zeros[] = {0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6,
	0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946,
	0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0,
	0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0,
	0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50,
	0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140,
	0x1e2f0, 0x1e950, 0x1fbf0};

int
cp_digit(uint32_t cp)
{
	size_t lo = 0, hi = sizeof zeros / sizeof *zeros;

	if (cp < zeros[0])
		return cp >= '0' && cp <= '9' ? (int)cp - '0' : -1;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (zeros[mid] <= cp)
			lo = mid;
		else
			hi = mid;
	}
	return cp - zeros[lo] <= 9 ? (int)(cp - zeros[lo]) : -1;
}

/* Without accents, so that composed and decomposed letters meet: to[0], and to[1] if any. */
static const struct fold {
	uint32_t first, last;
	char to[3];
} folds[] = {{0xc0, 0xc5, "a"}, {0xc6, 0xc6, "ae"}, {0xc7, 0xc7, "c"}, {0xc8, 0xcb, "e"},
	{0xcc, 0xcf, "i"}, {0xd0, 0xd0, "d"}, {0xd1, 0xd1, "n"}, {0xd2, 0xd6, "o"},
	{0xd8, 0xd8, "o"}, {0xd9, 0xdc, "u"}, {0xdd, 0xdd, "y"}, {0xde, 0xde, "th"},
	{0xdf, 0xdf, "ss"}, {0xe0, 0xe5, "a"}, {0xe6, 0xe6, "ae"}, {0xe7, 0xe7, "c"},
	{0xe8, 0xeb, "e"}, {0xec, 0xef, "i"}, {0xf0, 0xf0, "d"}, {0xf1, 0xf1, "n"},
	{0xf2, 0xf6, "o"}, {0xf8, 0xf8, "o"}, {0xf9, 0xfc, "u"}, {0xfd, 0xfd, "y"},
	{0xfe, 0xfe, "th"}, {0xff, 0xff, "y"}, {0x100, 0x105, "a"}, {0x106, 0x10d, "c"},
	{0x10e, 0x111, "d"}, {0x112, 0x11b, "e"}, {0x11c, 0x123, "g"}, {0x124, 0x127, "h"},
	{0x128, 0x131, "i"}, {0x132, 0x133, "ij"}, {0x134, 0x135, "j"}, {0x136, 0x138, "k"},
	{0x139, 0x142, "l"}, {0x143, 0x14b, "n"}, {0x14c, 0x151, "o"}, {0x152, 0x153, "oe"},
	{0x154, 0x159, "r"}, {0x15a, 0x161, "s"}, {0x162, 0x167, "t"}, {0x168, 0x173, "u"},
	{0x174, 0x175, "w"}, {0x176, 0x178, "y"}, {0x179, 0x17e, "z"}, {0x17f, 0x17f, "s"},
	{0x1a0, 0x1a1, "o"}, {0x1af, 0x1b0, "u"}, {0x218, 0x219, "s"}, {0x21a, 0x21b, "t"},
	{0x1e9e, 0x1e9e, "ss"}, {0x1ea0, 0x1eb7, "a"}, {0x1eb8, 0x1ec7, "e"}, {0x1ec8, 0x1ecb, "i"},
	{0x1ecc, 0x1ee3, "o"}, {0x1ee4, 0x1ef1, "u"}, {0x1ef2, 0x1ef9, "y"}};

/* Greek and Cyrillic letters with accents, and their capitals. */
static uint32_t
fold_other(uint32_t cp)
{
	static const uint16_t pairs[][2] = {{0x386, 0x3b1}, {0x388, 0x3b5}, {0x389, 0x3b7},
		{0x38a, 0x3b9}, {0x38c, 0x3bf}, {0x38e, 0x3c5}, {0x38f, 0x3c9}, {0x3ac, 0x3b1},
		{0x3ad, 0x3b5}, {0x3ae, 0x3b7}, {0x3af, 0x3b9}, {0x3c2, 0x3c3}, {0x3cc, 0x3bf},
		{0x3cd, 0x3c5}, {0x3ce, 0x3c9}, {0x3aa, 0x3b9}, {0x3ab, 0x3c5}, {0x3ca, 0x3b9},
		{0x3cb, 0x3c5}, {0x419, 0x438}, {0x439, 0x438}, {0x401, 0x435}, {0x451, 0x435},
		{0x407, 0x456}, {0x457, 0x456}};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (cp == pairs[i][0])
			return pairs[i][1];
	if ((cp >= 0x391 && cp <= 0x3a9) || (cp >= 0x410 && cp <= 0x42f))
		return cp + 0x20;
	if (cp >= 0x400 && cp <= 0x40f)
		return cp + 0x50;
	if (cp >= 0xff21 && cp <= 0xff3a)
		return cp - 0xff21 + 'a';
	return cp >= 0xff41 && cp <= 0xff5a ? cp - 0xff41 + 'a' : cp;
}

unsigned
cp_fold(uint32_t cp, uint32_t out[2])
{
	out[0] = cp;
	if (cp < 0x80) {
		if (cp >= 'A' && cp <= 'Z')
			out[0] = cp + 32;
		return 1;
	}
	if (cp_ignored(cp) || (cp >= 0x300 && cp <= 0x36f))
		return 0;
	if (cp_digit(cp) >= 0)
		out[0] = (uint32_t)cp_digit(cp) + '0';
	else if (cp < 0x370 || (cp >= 0x1e00 && cp < 0x1f00)) {
		for (size_t i = 0; i < sizeof folds / sizeof *folds; i++) {
			if (cp < folds[i].first || cp > folds[i].last)
				continue;
			out[0] = (uint8_t)folds[i].to[0];
			out[1] = (uint8_t)folds[i].to[1];
			return out[1] != 0 ? 2 : 1;
		}
	} else {
		out[0] = fold_other(cp);
	}
	return 1;
}
