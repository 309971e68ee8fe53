/* The smallest parts of JSON: characters of strings, and numbers. */
#include "model/grammar_int.h"

#include <string.h>

/* --- characters ----------------------------------------------------------------------------------- */

/* Hexadecimal digits to come are counted down. No half of a surrogate pair stands alone, and no
 * character is 0: readers of JSON refuse both. */
enum letter {
	WHOLE = LETTER_WHOLE,
	MORE_1, /* bytes of UTF-8 */
	MORE_2,
	MORE_3,
	BEHIND_E0,
	BEHIND_ED,
	BEHIND_F0,
	BEHIND_F4,
	ESCAPE, /* behind a backslash */
	HEX_4,
	HEX_3,
	HEX_2,
	HEX_1,
	HEX_3_0, /* behind one zero, */
	HEX_2_0, /* two, */
	HEX_1_0, /* three */
	HEX_3_D, /* behind a D */
	HIGH_2,  /* of the first half of a pair, */
	HIGH_1,
	LOW_ESCAPE, /* and the second half */
	LOW_U,
	LOW_4,
	LOW_3,
	LOW_2,
	LOW_1
};

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
first_byte(uint8_t c)
{
	if (c == '\\')
		return ESCAPE;
	if (c < 0x80)
		return c >= 0x20 ? WHOLE : -1;
	if (c < 0xc2 || c > 0xf4)
		return -1;
	if (c < 0xe0)
		return MORE_1;
	if (c == 0xe0 || c == 0xed)
		return c == 0xe0 ? BEHIND_E0 : BEHIND_ED;
	if (c < 0xf0)
		return MORE_2;
	return c == 0xf0 ? BEHIND_F0 : c == 0xf4 ? BEHIND_F4 : MORE_3;
}

static int
hex_byte(uint8_t state, int v)
{
	if (v < 0)
		return -1;
	switch (state) {
	case HEX_4:
		return v == 0 ? HEX_3_0 : v == 0xd ? HEX_3_D : HEX_3;
	case HEX_3_0:
		return v == 0 ? HEX_2_0 : HEX_2;
	case HEX_2_0:
		return v == 0 ? HEX_1_0 : HEX_1;
	case HEX_1_0:
		return v == 0 ? -1 : WHOLE;
	case HEX_3_D:
		return v < 8 ? HEX_2 : v < 0xc ? HIGH_2 : -1;
	case HIGH_1:
		return LOW_ESCAPE;
	case LOW_4:
		return v == 0xd ? LOW_3 : -1;
	case LOW_3:
		return v >= 0xc ? LOW_2 : -1;
	case HEX_1:
	case LOW_1:
		return WHOLE;
	}
	return state + 1;
}

int
grammar_letter(uint8_t state, uint8_t c)
{
	switch (state) {
	case WHOLE:
		return first_byte(c);
	case MORE_1:
	case MORE_2:
	case MORE_3:
		return c >= 0x80 && c <= 0xbf ? state - 1 : -1;
	case BEHIND_E0:
		return c >= 0xa0 && c <= 0xbf ? MORE_1 : -1;
	case BEHIND_ED:
		return c >= 0x80 && c <= 0x9f ? MORE_1 : -1;
	case BEHIND_F0:
		return c >= 0x90 && c <= 0xbf ? MORE_2 : -1;
	case BEHIND_F4:
		return c >= 0x80 && c <= 0x8f ? MORE_2 : -1;
	case ESCAPE:
		if (c == 'u')
			return HEX_4;
		return c != 0 && strchr("\"\\/bfnrt", c) != NULL ? WHOLE : -1;
	case LOW_ESCAPE:
		return c == '\\' ? LOW_U : -1;
	case LOW_U:
		return c == 'u' ? LOW_4 : -1;
	}
	return hex_byte(state, hex(c));
}

/* --- numbers -------------------------------------------------------------------------------------- */

#define MOST_FRACTION 17          /* digits: a double has no more, */
#define MOST_EXPONENT 2           /* and 10 to the power of 99 is no overflow */
#define FULL          1000000001u /* above all bounds: a number without an upper one is counted no further */

enum number {
	BEGIN,
	SIGN,
	ZERO,
	DIGITS,
	POINT,
	ZEROS, /* behind the point, and nothing else there */
	FRACTION,
	E,
	E_SIGN,
	EXPONENT,
	NEGATIVE = 0x80
};

static const struct grammar_span *
span_of(const struct grammar_node *n, const struct grammar_frame *f)
{
	return &n->span[(f->state & NEGATIVE) != 0];
}

/* Whether a number that begins with the digits of v can be in the span. */
static bool
can_reach(const struct grammar_span *s, bool whole, uint64_t v, unsigned digits)
{
	uint64_t least = v, most = v;

	if (s->none)
		return false;
	for (; digits <= s->digits; digits++) {
		bool low = most > s->low || (most == s->low && !(s->above && whole));
		bool high = s->high == GRAMMAR_MANY || least <= s->high;

		if (!high)
			return false;
		if (low)
			return true;
		if (v == 0)
			return false; /* nothing follows a leading zero */
		least *= 10;
		most = most * 10 + 9;
	}
	return false;
}

/* Digits before the point. */
static bool
whole_digit(const struct grammar_node *n, struct grammar_frame *f, uint8_t c, uint8_t sign)
{
	uint64_t v = (uint64_t)f->n * 10 + (c - '0');

	if (f->sub == GRAMMAR_DIGITS)
		return false;
	if (n->bounded && !can_reach(span_of(n, f), n->whole, v, f->sub + 1u))
		return false;
	f->n = !n->bounded ? 0 : v < FULL ? (uint32_t)v : FULL;
	f->sub++;
	f->state = sign | (c == '0' && f->sub == 1 ? ZERO : DIGITS);
	return true;
}

/* Whether the digits before the point are in the span, with other ones than zeros behind it (more). */
static bool
in_span(const struct grammar_node *n, const struct grammar_frame *f, bool more)
{
	const struct grammar_span *s = span_of(n, f);

	if (!n->bounded)
		return true;
	if (f->n < s->low || (f->n == s->low && s->above && !more))
		return false;
	return s->high == GRAMMAR_MANY || f->n < s->high ||
	       (f->n == s->high && (!more || s->below));
}

static bool
fraction_digit(const struct grammar_node *n, struct grammar_frame *f, uint8_t c, uint8_t sign)
{
	bool more = c != '0' || (f->state & ~NEGATIVE) == FRACTION;

	if (f->sub == MOST_FRACTION || (more && !in_span(n, f, true)))
		return false;
	f->sub++;
	/* The last digit may have to be the one that lifts it above a bound. */
	if (!more && f->sub == MOST_FRACTION && !in_span(n, f, false))
		return false;
	f->state = sign | (more ? FRACTION : ZEROS);
	return true;
}

/* Whether a bound that is itself out is next to the digits before the point. */
static bool
beside_bound(const struct grammar_node *n, const struct grammar_frame *f)
{
	const struct grammar_span *s = span_of(n, f);

	if (!n->bounded)
		return false;
	if (s->above && f->n == s->low && s->low > 0)
		return true;
	return s->below && (s->high == GRAMMAR_MANY ? f->sub == s->digits : f->n == s->high);
}

/* Beside a bound there are fewer digits, as if some had been: with more, a reader could round to it. */
static bool
begin_fraction(const struct grammar_node *n, struct grammar_frame *f, uint8_t sign)
{
	unsigned before = f->n > 0 ? f->sub : 0;
	unsigned been = beside_bound(n, f) ? before + MOST_FRACTION - GRAMMAR_APART : 0;

	if (been >= MOST_FRACTION || (!in_span(n, f, false) && !in_span(n, f, true)))
		return false;
	f->state = sign | POINT;
	f->sub = (uint8_t)been;
	return true;
}

static bool
behind_whole(const struct grammar_node *n, struct grammar_frame *f, uint8_t c, uint8_t sign)
{
	if (c == '.' && !n->whole)
		return begin_fraction(n, f, sign);
	if ((c != 'e' && c != 'E') || n->whole || n->bounded)
		return false;
	f->state = sign | E;
	f->sub = 0;
	return true;
}

static bool
begin_number(const struct grammar_node *n, struct grammar_frame *f, uint8_t c)
{
	if (c != '-')
		return c >= '0' && c <= '9' && whole_digit(n, f, c, 0);
	if (n->bounded && n->span[1].none)
		return false;
	f->state = NEGATIVE | SIGN;
	return true;
}

bool
grammar_digit(const struct grammar_node *n, struct grammar_frame *f, uint8_t c)
{
	uint8_t sign = f->state & NEGATIVE;
	bool digit = c >= '0' && c <= '9';

	switch (f->state & ~NEGATIVE) {
	case BEGIN:
		return begin_number(n, f, c);
	case SIGN:
		return digit && whole_digit(n, f, c, sign);
	case DIGITS:
		return digit ? whole_digit(n, f, c, sign) : behind_whole(n, f, c, sign);
	case ZERO:
		return behind_whole(n, f, c, sign);
	case POINT:
		return digit && fraction_digit(n, f, c, sign);
	case ZEROS:
	case FRACTION:
		return digit ? fraction_digit(n, f, c, sign)
			     : behind_whole(n, f, c == '.' ? 0 : c, sign);
	case E:
		if (c == '-' || c == '+') {
			f->state = sign | E_SIGN;
			return true;
		}
		break;
	}
	if (!digit || f->sub == MOST_EXPONENT)
		return false;
	f->sub++;
	f->state = sign | EXPONENT;
	return true;
}

bool
grammar_number_ends(const struct grammar_node *n, const struct grammar_frame *f)
{
	switch (f->state & ~NEGATIVE) {
	case ZERO:
	case DIGITS:
	case ZEROS:
		return in_span(n, f, false);
	case FRACTION:
		return in_span(n, f, true);
	case EXPONENT:
		return true;
	}
	return false;
}
