/* Digits in groups: telephone and card numbers, and whatever else is a long number (accounts,
 * insurance and tax numbers), which go as telephone numbers. Counts, measures, years, times and
 * ordinary dates stay. */
#include "sched/redact_int.h"

#include <limits.h>

#define MAX_DIGITS 40
#define MAX_GROUPS 24
#define MAX_SEPS   4 /* characters between two groups */

/* A row of groups. Group g ends behind digit upto[g], at byte end[g] from the begin of the row. */
struct row {
	uint8_t digit[MAX_DIGITS];
	unsigned upto[MAX_GROUPS];
	size_t end[MAX_GROUPS];
	unsigned n;   /* groups */
	uint32_t sep; /* the first character between the first two groups */
	bool plus;
	bool alone; /* no digits are before the first group */
};

static bool
separator(uint32_t cp)
{
	return cp_space(cp) || cp_dash(cp) || cp_ignored(cp) || cp == '.' || cp == '/' ||
	       cp == '(' || cp == ')' || cp == '_' || cp == 0xb7;
}

/* The characters between two groups: their bytes; 0: no digit follows them soon. */
static size_t
gap(const struct scan *t, size_t at)
{
	size_t to = at, n;

	for (unsigned i = 0; i < MAX_SEPS; i++, to += n) {
		if (t->len - to >= 2 && memcmp(t->s + to, "\\t", 2) == 0)
			n = 2; /* a tab in JSON */
		else if (!separator(cp_at(t, to, &n)))
			break;
	}
	return to > at && cp_digit(cp_at(t, to, &n)) >= 0 ? to - at : 0;
}

/* The digit at or a little behind `at`, after what is not seen: -1: none. *n: the bytes to its end. */
static int
next_digit(const struct scan *t, size_t at, size_t *n)
{
	size_t to = at;
	uint32_t cp = cp_at(t, to, n);

	for (unsigned i = 0; i < MAX_SEPS && cp_ignored(cp); i++) {
		to += *n;
		cp = cp_at(t, to, n);
	}
	*n += to - at;
	return cp_digit(cp);
}

/* Reads one group: its bytes. Digits beyond MAX_DIGITS are passed over, so that no long number is
 * taken in part. */
static size_t
read_group(const struct scan *t, size_t at, struct row *r, unsigned *digits)
{
	size_t to = at, n;
	int d;

	while ((d = next_digit(t, to, &n)) >= 0) {
		if (*digits < MAX_DIGITS)
			r->digit[(*digits)++] = (uint8_t)d;
		to += n;
	}
	return to - at;
}

static void
read_row(const struct scan *t, size_t at, struct row *r)
{
	size_t to = at, n;
	unsigned digits = 0;
	uint32_t cp = cp_at(t, at, &n);

	r->n = 0;
	r->sep = 0;
	r->plus = cp == '+' || cp == 0xff0b;
	if (r->plus) {
		to += n;
		to += gap(t, to);
	}
	while (digits < MAX_DIGITS && r->n < MAX_GROUPS) {
		n = read_group(t, to, r, &digits);
		if (n == 0)
			return;
		to += n;
		r->upto[r->n] = digits;
		r->end[r->n++] = to - at;
		n = gap(t, to);
		if (n == 0)
			return;
		if (r->n == 1)
			r->sep = cp_at(t, to, &(size_t){0});
		to += n;
	}
}

static unsigned
group_len(const struct row *r, unsigned g)
{
	return r->upto[g] - (g > 0 ? r->upto[g - 1] : 0);
}

/* ISO/IEC 7812-1, annex B; and a first digit of those that payment cards have. */
static bool
is_card(const struct row *r, unsigned groups)
{
	unsigned n = r->upto[groups - 1], sum = 0;

	if (n < 13 || n > 19 || r->digit[0] < 2 || r->digit[0] > 6)
		return false;
	for (unsigned i = 0; i < n; i++) {
		unsigned d = r->digit[n - 1 - i];

		if (i % 2 == 1)
			d = d > 4 ? 2 * d - 9 : 2 * d;
		sum += d;
	}
	return sum % 10 == 0;
}

static bool
all_years(const struct row *r, unsigned groups)
{
	for (unsigned g = 0; g < groups; g++) {
		const uint8_t *d = r->digit + r->upto[g] - 4;
		unsigned two = group_len(r, g) == 4 ? d[0] * 10u + d[1] : 0;

		if (two != 19 && two != 20)
			return false;
	}
	return true;
}

/* 3.14159265: one point, with few digits before it. +49.3012345678 is no such number, as registrars
 * write it (RFC 5733), nor is 212.5550123 behind a word for telephone. */
static bool
is_decimal(const struct row *r, unsigned groups)
{
	return groups == 2 && r->sep == '.' && group_len(r, 0) <= 3 &&
	       (r->digit[0] != 0 || group_len(r, 0) == 1);
}

/* Eight digits as they are written from Denmark to Singapore: 4 4, 2 2 2 2, 3 2 3. */
static bool
is_eight(const struct row *r, unsigned groups)
{
	if (r->digit[0] < 2 || !r->alone || groups != r->n)
		return false; /* one of a list */
	if (groups == 2)
		return group_len(r, 0) == 4;
	if (groups == 3)
		return group_len(r, 0) == 3 && group_len(r, 1) == 2;
	return groups == 4 && group_len(r, 0) == 2 && group_len(r, 1) == 2 && group_len(r, 2) == 2;
}

/* National form: a zero, or a long number in groups that are not a list of small ones. */
static bool
is_national(const struct row *r, unsigned groups)
{
	unsigned n = r->upto[groups - 1], widest = 0, singles = 0;

	if (n < 7)
		return false;
	for (unsigned g = 0; g < groups; g++) {
		widest = group_len(r, g) > widest ? group_len(r, g) : widest;
		singles += group_len(r, g) == 1;
	}
	if (r->digit[0] == 0 && n >= 7)
		return singles == 0 || singles == groups || (singles == 1 && widest >= 3);
	if (n == 8 && is_eight(r, groups) && !all_years(r, groups))
		return true;
	return n >= 9 && (groups == 1 || (groups <= 6 && widest >= 3 && singles <= 1)) &&
	       !all_years(r, groups);
}

static bool
is_phone(const struct row *r, unsigned groups, bool cue)
{
	unsigned n = r->upto[groups - 1];

	if (is_decimal(r, groups) && (r->digit[0] == 0 || n < (r->plus ? 9 : cue ? 7 : UINT_MAX)))
		return false;
	if (r->plus)
		return n >= 7 && n <= 18;
	if (groups == 1 && n >= 9)
		return true; /* of any length */
	return (n <= 20 && is_national(r, groups)) || (cue && n >= 5 && n <= 18);
}

/* Of words for telephones. */
static const char *const phones[] = {"tel|", "telefon", "phone", "telephone", "mobil", "mobile",
	"cell|", "handy", "fax|", "telefax", "rufnummer", "durchwahl", "whatsapp", "movil",
	"cellulare", "gsm|", "mobiltelefon", "\xd1\x82\xd0\xb5\xd0\xbb", "\xe7\x94\xb5\xe8\xaf\x9d",
	"\xe9\x9b\xbb\xe8\xa9\xb1", "\xe6\x89\x8b\xe6\x9c\xba", NULL};
/* Of what also is done, or is, on a date. */
static const char *const calls[] = {"call|", "ruf|", "sms|", "numero", "portable", NULL};

bool
redact_phone_near(const struct scan *t, size_t at, size_t bytes)
{
	return cue_between(t, scan_back(t, at, bytes), at, phones);
}

static bool
behind_a_cue(const struct scan *t, size_t at)
{
	return redact_phone_near(t, at, 24) || cue_between(t, scan_back(t, at, 24), at, calls);
}

/* A row may begin at a digit that none is before, and not behind a decimal point. */
static bool
row_begins(const struct scan *t, size_t at)
{
	size_t n, k;
	uint32_t cp = cp_at(t, at, &n), before = cp_before(t, at, &k);

	for (unsigned i = 0; i < MAX_SEPS && cp_ignored(before); i++) {
		at -= k;
		before = cp_before(t, at, &k);
	}
	if (at < t->keep_end || cp_digit(before) >= 0)
		return false;
	if (cp == '+' || cp == 0xff0b)
		return true;
	return cp_digit(cp) >= 0 && !(before == '.' && cp_digit(cp_before(t, at - k, &n)) >= 0);
}

static bool
behind_digits(const struct scan *t, size_t at)
{
	size_t n;

	for (unsigned i = 0; i < MAX_SEPS && separator(cp_before(t, at, &n)); i++)
		at -= n;
	return cp_digit(cp_before(t, at, &n)) >= 0;
}

size_t
redact_find_number(struct scan *t, size_t at, enum redact_kind *kind)
{
	struct row r;
	size_t len = 0;
	bool cue;

	if (!row_begins(t, at))
		return 0;
	read_row(t, at, &r);
	r.alone = !behind_digits(t, at);
	if (r.n == 0 || r.upto[r.n - 1] < 5)
		return 0;
	cue = behind_a_cue(t, at);
	for (unsigned g = r.n; g > 0 && len == 0 && r.upto[g - 1] >= 5; g--)
		if (is_phone(&r, g, cue))
			len = r.end[g - 1];
	for (unsigned g = r.n; g > 0; g--) {
		if (!is_card(&r, g))
			continue;
		*kind = REDACT_CARD;
		return r.end[g - 1] > len ? r.end[g - 1] : len;
	}
	return len;
}
