/* Places on earth: pairs of decimal degrees, degrees with minutes (ISO 6709, annex D), plus codes. */
#include "sched/redact_int.h"

struct degrees {
	unsigned whole; /* without its sign */
	unsigned decimals;
	unsigned zeros; /* at its end */
	bool sign;      /* of degrees */
	bool marked;    /* with a letter of the compass */
};

static size_t
blanks(const struct scan *t, size_t at)
{
	size_t to = at, n;

	for (unsigned i = 0; i < 3; i++, to += n) {
		uint32_t cp = cp_at(t, to, &n);

		if (!cp_space(cp) && !cp_ignored(cp))
			break;
	}
	return to - at;
}

/* N, S, E, W, and O as Germans and the French have it: one letter that stands alone. */
static size_t
compass(const struct scan *t, size_t at)
{
	size_t n;

	if (at >= t->len || t->s[at] == '\0' || strchr("NSEWO", t->s[at]) == NULL)
		return 0;
	return cp_letter(cp_at(t, at + 1, &n)) ? 0 : 1;
}

/* Of a fraction: its bytes. */
static size_t
point(const struct scan *t, size_t at)
{
	size_t n;
	uint32_t cp = cp_at(t, at, &n);

	return cp == '.' || cp == ',' || cp == 0xff0e || cp == 0xff0c ? n : 0;
}

static size_t
plain_digits(const struct scan *t, size_t at, struct degrees *d, bool fraction)
{
	size_t to = at, n;
	int v;

	for (; to - at < 72; to += n) {
		uint32_t cp = cp_at(t, to, &n);

		if (cp_ignored(cp))
			continue;
		v = cp_digit(cp);
		if (v < 0)
			break;
		if (!fraction)
			d->whole = d->whole < 1000 ? d->whole * 10 + (unsigned)v : d->whole;
		d->decimals += fraction;
		d->zeros = v == 0 ? d->zeros + 1 : 0;
	}
	return to - at;
}

/* A degree sign, a minute, a second, or what is typed for them. */
static size_t
unit(const struct scan *t, size_t at, bool degree)
{
	size_t n;
	uint32_t cp = cp_at(t, at, &n);

	if (degree)
		return cp == 0xb0 || cp == 0xba || cp == 0x2da ? n : 0;
	if (cp == '\'' || cp == '"' || cp == 0x2032 || cp == 0x2033 || cp == 0x2019 ||
		cp == 0x201d || cp == 0xb4)
		return n;
	return 0;
}

/* 31' 12.5" behind degrees. */
static size_t
minutes(const struct scan *t, size_t at)
{
	struct degrees d = {0};
	size_t to = at, end = 0;

	for (unsigned i = 0; i < 2; i++) {
		size_t n, begin;

		to += blanks(t, to);
		begin = to;
		to += plain_digits(t, to, &d, false);
		if (to == begin)
			break;
		n = point(t, to);
		to += n > 0 ? n + plain_digits(t, to + n, &d, true) : 0;
		for (unsigned k = 0; k < 2 && (n = unit(t, to, false)) > 0; k++)
			end = to += n;
		if (end != to)
			break;
	}
	return end > at ? end - at : 0;
}

/* One of the two numbers: its bytes. */
static size_t
read_degrees(const struct scan *t, size_t at, struct degrees *d)
{
	size_t to = at, n, k;

	*d = (struct degrees){0};
	n = compass(t, to);
	d->marked = n > 0;
	to += n;
	to += blanks(t, to);
	if (cp_dash(cp_at(t, to, &n)) || cp_at(t, to, &n) == '+')
		to += n;
	n = plain_digits(t, to, d, false);
	if (n == 0)
		return 0;
	to += n;
	k = point(t, to);
	n = k > 0 ? plain_digits(t, to + k, d, true) : 0;
	to += n > 0 ? k + n : 0;
	n = unit(t, to, true);
	to += n;
	if (n > 0) {
		d->sign = true;
		n = minutes(t, to);
		to += n;
		d->decimals += n > 0 ? 3 : 0;
	}
	n = blanks(t, to);
	if (compass(t, to + n) > 0) {
		d->marked = true;
		to += n + 1;
	}
	return to - at;
}

/* What may stand between latitude and longitude: spaces, a comma, a word like "lon:", a tag. */
static size_t
between(const struct scan *t, size_t at, bool *comma)
{
	size_t to = at, n;
	unsigned letters = 0;
	uint32_t cp;

	*comma = false;
	for (unsigned i = 0; i < 20; i++, to += n) {
		cp = cp_at(t, to, &n);
		if (cp == ',' || cp == ';' || cp == '/' || cp == 0xff0c)
			*comma = true;
		else if (cp < 0x80 && cp_letter(cp) && letters < 10 && compass(t, to) == 0)
			letters++;
		else if (!cp_space(cp) &&
			 (cp == 0 || cp >= 0x80 || strchr("=:|\"'&+<>\\\n\r", (int)cp) == NULL))
			break;
	}
	return to - at;
}

static bool
cued(const struct scan *t, size_t at)
{
	static const char *const cues[] = {"lat|", "latitude", "lon|", "lng|", "long|", "longitude",
		"coord", "koord", "gps|", "geo|", "breite", "laenge", "lange", "latitud",
		"longitud", "breitengrad", "langengrad", "location", "standort", "position", NULL};

	return cue_between(t, scan_back(t, at, 24), at, cues);
}

static size_t
pair(const struct scan *t, size_t at)
{
	struct degrees a, b;
	size_t n = read_degrees(t, at, &a), gap, k;
	bool comma = false, cue;

	if (n == 0 || (a.decimals < 2 && !a.marked) || a.whole > 180)
		return 0;
	cue = cued(t, at);
	gap = between(t, at + n, &comma);
	k = gap > 0 || a.marked ? read_degrees(t, at + n + gap, &b) : 0;
	if (k > 0 && b.whole <= 180 && (a.whole <= 90 || b.whole <= 90)) {
		unsigned least = a.decimals < b.decimals ? a.decimals : b.decimals;

		bool both = (a.sign && b.sign) || least >= 1;

		if ((a.marked && b.marked && both) || (cue && least >= 2) || least >= 4 ||
			(least == 3 && comma && a.zeros + b.zeros < 3))
			return n + gap + k;
	}
	return (cue && a.decimals >= 3) || (a.marked && a.decimals >= 3) ? n : 0;
}

/* Open location codes: eight or four characters, +, two or three. */
static size_t
plus_code(const struct scan *t, size_t at)
{
	size_t plus = at, to;
	bool letter = false; /* else it is a sum */

	while (plus < t->len && plus - at < 9 && t->s[plus] != '\0' &&
		strchr("23456789CFGHJMPQRVWX", t->s[plus]) != NULL)
		letter |= t->s[plus++] > '9';
	if ((plus - at != 8 && plus - at != 4) || plus == t->len || t->s[plus] != '+' || !letter)
		return 0;
	for (to = plus + 1; to < t->len && to - plus < 5 && t->s[to] != '\0' &&
			    strchr("23456789CFGHJMPQRVWX", t->s[to]) != NULL;)
		to++;
	return to - plus == 3 || to - plus == 4 ? to - at : 0;
}

size_t
redact_find_place(struct scan *t, size_t at, enum redact_kind *kind)
{
	size_t n, k;
	uint32_t cp = cp_at(t, at, &n), before = cp_before(t, at, &k);

	(void)kind;
	if (ascii_alnum(before) || cp_digit(before) >= 0)
		return 0;
	if (cp_digit(cp) < 0 && !cp_dash(cp) && cp != '+' && compass(t, at) == 0)
		return ascii_alnum(cp) ? plus_code(t, at) : 0;
	n = pair(t, at);
	return n > 0 ? n : plus_code(t, at);
}
