/* Dates, of which those of birth are personal. A date is one of birth when a word for birth is near,
 * and when its year is long gone: what happens in a home is dated in its own years. */
#include "sched/redact_int.h"

#define FIRST_YEAR 1900
#define LAST_YEAR  2012

/* Up to `most` digits: their bytes; *v and *count. */
static size_t
digits(const struct scan *t, size_t at, unsigned most, unsigned *v, unsigned *count)
{
	size_t to = at, n;
	int d;

	*v = *count = 0;
	while (*count <= most && (d = cp_digit(cp_at(t, to, &n))) >= 0) {
		*v = *v * 10 + (unsigned)d;
		++*count;
		to += n;
		if (cp_ignored(cp_at(t, to, &n)))
			to += n;
	}
	return *count <= most ? to - at : 0;
}

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

static bool
is_day(unsigned v, unsigned count)
{
	return count >= 1 && count <= 2 && v >= 1 && v <= 31;
}

/* Four digits, or two: of the century that makes it past. */
static bool
is_year(unsigned v, unsigned count, unsigned *year)
{
	*year = count == 4 ? v : v < 30 ? 2000 + v : 1900 + v;
	return (count == 4 && v >= 1800 && v < 2200) || count == 2;
}

/* 1985-03-12, 12.3.1985, 3/12/85, also with spaces behind the points. */
static size_t
in_figures(const struct scan *t, size_t at, unsigned *year)
{
	unsigned v[3], count[3];
	uint32_t sep[2] = {0, 0};
	size_t to = at, n;

	for (unsigned i = 0; i < 3; i++) {
		n = digits(t, to, 4, &v[i], &count[i]);
		if (n == 0)
			return 0;
		to += n;
		if (i == 2)
			break;
		n = blanks(t, to);
		to += n;
		sep[i] = cp_at(t, to, &n);
		to += n;
		if (cp_dash(sep[i]))
			sep[i] = '-';
		if (sep[i] == 0xff0e || sep[i] == 0xff0f)
			sep[i] -= 0xfee0;
		to += blanks(t, to);
	}
	if (sep[0] != sep[1] || (sep[0] != '.' && sep[0] != '-' && sep[0] != '/'))
		return 0;
	if (count[0] == 4)
		return is_year(v[0], 4, year) && is_day(v[1], count[1]) && is_day(v[2], count[2])
			       ? to - at
			       : 0;
	return is_day(v[0], count[0]) && is_day(v[1], count[1]) && is_year(v[2], count[2], year)
		       ? to - at
		       : 0;
}

/* 19850312; 12031985 where a word for birth is near. */
static size_t
in_eight(const struct scan *t, size_t at, unsigned *year)
{
	unsigned v, count;
	size_t n = digits(t, at, 8, &v, &count);

	if (n == 0 || count != 8)
		return 0;
	*year = v / 10000;
	if (*year >= FIRST_YEAR && *year < 2200)
		return is_day(v / 100 % 100, 2) && is_day(v % 100, 2) ? n : 0;
	*year = 0;
	return is_day(v / 1000000, 2) && is_day(v / 10000 % 100, 2) && v % 10000 >= FIRST_YEAR &&
			       v % 10000 < 2200
		       ? n
		       : 0;
}

/* The begins of months' names, folded, in the languages of the words below. */
static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "mai", "jun", "jul", "aug",
	"sep", "oct", "okt", "nov", "dec", "dez", "ene", "abr", "ago", "dic", "gen", "mag", "giu",
	"lug", "set", "ott", "avr", "jui", "aou", "fev", "mrz", "maa", "mei", "out", "maj", "sty",
	"lut", "kwi", "cze", "lip", "sie", "wrz", "paz", "lis", "gru", "\xd1\x8f\xd0\xbd\xd0\xb2",
	"\xd1\x84\xd0\xb5\xd0\xb2", "\xd0\xbc\xd0\xb0\xd1\x80", "\xd0\xb0\xd0\xbf\xd1\x80",
	"\xd0\xbc\xd0\xb0\xd1\x8f", "\xd0\xbc\xd0\xb0\xd0\xb8", "\xd0\xb8\xd1\x8e\xd0\xbd",
	"\xd0\xb8\xd1\x8e\xd0\xbb", "\xd0\xb0\xd0\xb2\xd0\xb3", "\xd1\x81\xd0\xb5\xd0\xbd",
	"\xd0\xbe\xd0\xba\xd1\x82", "\xd0\xbd\xd0\xbe\xd1\x8f", "\xd0\xb4\xd0\xb5\xd0\xba", NULL};

/* A month's name, with a point and spaces about it, or the CJK sign behind a figure. */
static size_t
month_name(const struct scan *t, size_t at)
{
	size_t to = at, n, begin;
	unsigned letters = 0;

	to += blanks(t, to);
	if (cp_dash(cp_at(t, to, &n)) || cp_at(t, to, &n) == '/' || cp_at(t, to, &n) == '.')
		to += n;
	to += blanks(t, to);
	for (unsigned i = 0; i < 2; i++) { /* "12 de marzo", "12th of March" */
		if (t->len - to > 3 && (t->s[to] | 32) == (i == 0 ? 'd' : 'o') &&
			(t->s[to + 1] | 32) == (i == 0 ? 'e' : 'f') && t->s[to + 2] == ' ')
			to += 3;
	}
	begin = to;
	while (letters < 12 && cp_letter(cp_at(t, to, &n))) {
		to += n;
		letters++;
	}
	if (letters < 3 || !cue_between(t, begin, to, months))
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t cp = cp_at(t, to, &n);

		if (cp == '.' || cp == ',' || cp == '/' || cp_dash(cp))
			to += n;
		to += blanks(t, to);
	}
	if (t->len - to > 3 && (t->s[to] | 32) == 'd' && (t->s[to + 1] | 32) == 'e' &&
		t->s[to + 2] == ' ')
		to += 3;
	return to - at;
}

/* "st", "nd", "rd", "th", a point. */
static size_t
ordinal(const struct scan *t, size_t at)
{
	static const char ends[][3] = {"st", "nd", "rd", "th", "er"};

	if (at < t->len && t->s[at] == '.')
		return 1;
	for (unsigned i = 0; t->len - at >= 2 && i < 5; i++)
		if ((t->s[at] | 32) == ends[i][0] && (t->s[at + 1] | 32) == ends[i][1])
			return 2;
	return 0;
}

/* 12 March 1985, 12. Maerz 1985, 12-Mar-85. */
static size_t
day_first(const struct scan *t, size_t at, unsigned *year)
{
	unsigned v, count;
	size_t n = digits(t, at, 2, &v, &count), to = at + n;

	if (n == 0 || !is_day(v, count))
		return 0;
	to += ordinal(t, to);
	n = month_name(t, to);
	if (n == 0)
		return 0;
	to += n;
	n = digits(t, to, 4, &v, &count);
	return n > 0 && is_year(v, count, year) ? to + n - at : 0;
}

/* March 12th, 1985. */
static size_t
month_first(const struct scan *t, size_t at, unsigned *year)
{
	unsigned v, count;
	size_t n = month_name(t, at), to = at + n;

	if (n == 0)
		return 0;
	n = digits(t, to, 2, &v, &count);
	if (n == 0 || !is_day(v, count))
		return 0;
	to += n;
	to += ordinal(t, to);
	if (to < t->len && t->s[to] == ',')
		to++;
	to += blanks(t, to);
	n = digits(t, to, 4, &v, &count);
	return n > 0 && count == 4 && is_year(v, count, year) ? to + n - at : 0;
}

/* 1985 nen 3 gatsu 12 nichi, as Chinese and Japanese write it; Korean has signs of its own. */
static size_t
with_signs(const struct scan *t, size_t at, unsigned *year)
{
	static const uint32_t signs[3][2] = {{0x5e74, 0xb144}, {0x6708, 0xc6d4}, {0x65e5, 0xc77c}};
	unsigned v[3], count[3];
	size_t to = at, n;

	for (unsigned i = 0; i < 3; i++) {
		uint32_t cp;

		n = digits(t, to, 4, &v[i], &count[i]);
		if (n == 0)
			return 0;
		to += n + blanks(t, to + n);
		cp = cp_at(t, to, &n);
		if (cp != signs[i][0] && cp != signs[i][1])
			return 0;
		to += n;
		if (i < 2)
			to += blanks(t, to);
	}
	return is_year(v[0], count[0], year) && is_day(v[1], count[1]) && is_day(v[2], count[2])
		       ? to - at
		       : 0;
}

/* Blanks, and a point, a dash or a slash among them. */
static size_t
gap(const struct scan *t, size_t at)
{
	size_t to = at + blanks(t, at), n;
	uint32_t cp = cp_at(t, to, &n);

	if (cp == '.' || cp == '/' || cp_dash(cp))
		to += n + blanks(t, to + n);
	return to - at;
}

/* Two digits and no more: their bytes. */
static size_t
pair(const struct scan *t, size_t at)
{
	unsigned v, count;
	size_t n = digits(t, at, 2, &v, &count);

	return count == 2 ? n : 0;
}

/* 06.12.24, with two digits each time. */
static bool
pairs_only(const struct scan *t, size_t at, size_t end)
{
	for (unsigned i = 0; i < 3; i++) {
		size_t n = pair(t, at);

		if (n == 0)
			return false;
		at += n + gap(t, at + n);
	}
	return at >= end;
}

/* The rest of 06.12.24 48 90, or of 06 - 12 - 24 - 48 - 90, as telephone numbers are grouped; no
 * time of the day, and no second date. */
static bool
pairs_go_on(const struct scan *t, size_t at)
{
	unsigned year;
	size_t n = gap(t, at), to = at + n;

	if (n == 0 || pair(t, to) == 0 || in_figures(t, to, &year) > 0)
		return false;
	to += pair(t, to);
	n = gap(t, to);
	return n > 0 && pair(t, to + n) > 0;
}

size_t
redact_date_at(const struct scan *t, size_t at, unsigned *year)
{
	size_t n, k;
	uint32_t cp = cp_at(t, at, &k), before = cp_before(t, at, &k);

	if (cp_digit(cp) >= 0 && cp_digit(before) < 0) {
		n = in_figures(t, at, year);
		if (n == 0)
			n = day_first(t, at, year);
		if (n == 0)
			n = with_signs(t, at, year);
		if (n == 0)
			n = in_eight(t, at, year);
	} else {
		n = cp_letter(cp) && !cp_letter(before) ? month_first(t, at, year) : 0;
	}
	if (n == 0)
		return 0;
	/* 01.02.20.24 is a longer number. */
	cp = cp_at(t, at + n, &k);
	if (cp_digit(cp) >= 0 ||
		((cp == '.' || cp == '-' || cp == '/') &&
			cp_digit(cp_at(t, at + n + k, &k)) >= 0) ||
		(pairs_only(t, at, at + n) && pairs_go_on(t, at + n)))
		return 0;
	return n;
}

static bool
near_birth(const struct scan *t, size_t at, size_t end)
{
	static const char *const cues[] = {"born|", "birth", "bday", "b-day", "dob|", "d.o.b",
		"geboren", "geburt", "geb|", "naissance", "ne le", "nee le", "ne|", "nee|", "nacid",
		"nacimiento", "cumple", "nato|", "nata|", "nascita", "nascid", "nascimento",
		"aniversario", "geboorte", "verjaardag", "fodt", "fodsel", "fodelse", "fodd|",
		"syntynyt", "urodz", "narozen", "dogum", "anniversaire", "compleanno", "sinh|",
		"szulet", "nascut", "\xd1\x80\xd0\xbe\xd0\xb6\xd0\xb4",
		"\xd1\x80\xd0\xbe\xd0\xb4\xd0\xb8\xd0\xbb",
		"\xd0\xbd\xd0\xb0\xd1\x80\xd0\xbe\xd0\xb4", "\xce\xb3\xce\xb5\xce\xbd\xce\xbd",
		"\xe7\x94\x9f\xe6\x97\xa5", "\xe5\x87\xba\xe7\x94\x9f", "\xe7\x94\x9f\xe5\xb9\xb4",
		"\xe7\x94\x9f\xe3\x81\xbe\xe3\x82\x8c", "\xec\x83\x9d\xeb\x85\x84",
		"\xec\x83\x9d\xec\x9d\xbc", "\xd9\x85\xd9\x8a\xd9\x84\xd8\xa7\xd8\xaf",
		"\xd7\xa0\xd7\x95\xd7\x9c\xd7\x93", NULL};
	size_t n;

	return cue_between(t, scan_back(t, at, 64), at, cues) ||
	       cue_between(t, end, scan_ahead(t, end, 40), cues) ||
	       cp_before(t, at - (at > t->from && t->s[at - 1] == ' '), &n) == '*';
}

/* If it may be a telephone number as well, and a word for those is near; which must be very near a
 * date that has its year's four digits or its month's name. */
static bool
is_phone(const struct scan *t, size_t at, size_t end)
{
	bool clear = false;
	unsigned row = 0, longest = 0;
	size_t n;

	for (size_t to = at; to < end; to += n) {
		uint32_t cp = cp_at(t, to, &n);

		row = cp_digit(cp) >= 0 ? row + 1 : 0;
		longest = row > longest ? row : longest;
		clear |= cp_letter(cp);
	}
	return redact_phone_near(t, at, clear || longest == 4 ? 12 : 24);
}

size_t
redact_find_date(struct scan *t, size_t at, enum redact_kind *kind)
{
	unsigned year = 0;
	size_t n = at < t->keep_end ? 0 : redact_date_at(t, at, &year);

	(void)kind;
	if (n == 0)
		return 0;
	if ((year >= FIRST_YEAR && year <= LAST_YEAR) || near_birth(t, at, at + n))
		return n;
	if (!is_phone(t, at, at + n))
		t->keep_end = at + n;
	return 0;
}
