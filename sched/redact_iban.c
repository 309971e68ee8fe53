/* International bank account numbers: ISO 13616-1, the checksum of ISO/IEC 7064, MOD 97-10. */
#include "sched/redact_int.h"

#define LEAST 15 /* Norway */
#define MOST  34

/* Country and length, as the registry of ISO 13616-2 has them. */
static const char lengths[] =
	"AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29"
	"ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20"
	"LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29"
	"PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20"
	"YE30";

/* Characters of an IBAN, where each ends. */
struct iban {
	uint8_t c[MOST]; /* 0 to 35 */
	size_t end[MOST];
	unsigned n;
};

/* Of a digit or a letter, of full width too. */
static int
value(uint32_t cp)
{
	int d = cp_digit(cp);
	uint32_t f[2];

	if (d >= 0 || (cp >= 0x80 && (cp < 0xff21 || cp > 0xff5a)))
		return d;
	return cp_fold(cp, f) == 1 && f[0] >= 'a' && f[0] <= 'z' ? (int)f[0] - 'a' + 10 : -1;
}

static size_t
separators(const struct scan *t, size_t at)
{
	size_t to = at, n;
	uint32_t cp;

	for (unsigned i = 0; i < 3; i++, to += n) {
		cp = cp_at(t, to, &n);
		if (t->len - to >= 2 && t->s[to] == '\\' &&
			(t->s[to + 1] == 't' || t->s[to + 1] == 'n'))
			n = 2; /* in JSON */
		else if (!cp_space(cp) && !cp_dash(cp) && !cp_ignored(cp) &&
			 (cp == 0 || cp >= 0x80 || strchr("./+\r\n", (int)cp) == NULL))
			break;
	}
	return to - at;
}

static void
gather(const struct scan *t, size_t at, struct iban *b)
{
	size_t to = at, n;
	int v;

	for (b->n = 0; b->n < MOST && (v = value(cp_at(t, to, &n))) >= 0; b->n++) {
		to += n;
		b->c[b->n] = (uint8_t)v;
		b->end[b->n] = to - at;
		if ((b->n < 2) != (v >= 10) && b->n < 4)
			return; /* two letters, two digits */
		to += separators(t, to);
	}
}

static unsigned
append(unsigned rest, unsigned v)
{
	return (v < 10 ? rest * 10 + v : rest * 100 + v) % 97;
}

/* The length of this country's numbers, 0: it is none of those that are known. */
static unsigned
length_of(const struct iban *b)
{
	for (const char *c = lengths; *c != '\0'; c += 4)
		if (b->n >= 2 && value((uint8_t)c[0]) == b->c[0] && value((uint8_t)c[1]) == b->c[1])
			return (unsigned)(c[2] - '0') * 10 + (unsigned)(c[3] - '0');
	return 0;
}

/* Of a country that is not known (there are more every year), any length whose checksum holds will
 * do, if it is written in capitals. */
size_t
redact_find_iban(struct scan *t, size_t at, enum redact_kind *kind)
{
	size_t n, best = 0;
	unsigned rest = 0, length;
	struct iban b;
	uint32_t first = cp_at(t, at, &n);

	(void)kind;
	if (value(first) < 10 || ascii_alnum(cp_before(t, at, &n)))
		return 0;
	gather(t, at, &b);
	length = b.n < LEAST ? 0 : length_of(&b);
	if (b.n < LEAST ||
		(length == 0 && !(cp_upper(first) && cp_upper(cp_at(t, at + b.end[0], &n)))))
		return 0;
	for (unsigned i = 4; i < b.n; i++) {
		unsigned sum;

		rest = append(rest, b.c[i]);
		sum = rest;
		for (unsigned k = 0; k < 4; k++)
			sum = append(sum, b.c[k]);
		if (i + 1 >= LEAST && (length == 0 || i + 1 == length) && sum == 1 &&
			value(cp_at(t, at + b.end[i], &n)) < 0)
			best = b.end[i];
	}
	return best;
}
