#include "sched/route_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { HALF = ROUTE_READ / 2, TIMES = 4, KNOWN = 64 };

/* --- hashes ------------------------------------------------------------------------------------ */

/* FNV-1a, and at the end the mixing of MurmurHash3, without which its low bits are poor. */
#define FNV_START 2166136261u
#define FNV_PRIME 16777619u

static uint32_t
mix(uint32_t h)
{
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	h ^= h >> 13;
	h *= 0xc2b2ae35u;
	return h ^ h >> 16;
}

/* --- the set of features ------------------------------------------------------------------------- */

struct reader {
	struct route_text *f;
	uint32_t seen[ROUTE_BUCKETS / 32]; /* a bit for each bucket */
	uint32_t thin;                     /* only buckets whose bits under this mask are 0 */
	uint32_t before;                   /* mixed hash of the word before; 0: none */
	/* Hashes of words whose every time is there: the usual ones of a long text, which need no
	 * more looking. */
	uint32_t known[KNOWN];
	uint16_t before_at;
	uint32_t words, numbers, lines, capitals, marks;
};

/* Keeps every other bucket of those that are kept. The bits are of the mixed number, as buckets
 * that two of them share would else be left out together. */
static void
thin_out(struct reader *r)
{
	struct route_text *f = r->f;
	uint32_t kept = 0;

	r->thin = r->thin << 1 | 1;
	for (uint32_t i = 0; i < f->n; i++)
		if ((mix(f->bucket[i]) & r->thin) == 0) {
			f->bucket[kept] = f->bucket[i];
			f->where[kept++] = f->where[i];
		}
	f->n = kept;
}

static void
store(struct route_text *f, uint32_t bucket, size_t at, size_t len, enum route_kind kind)
{
	f->bucket[f->n] = (uint16_t)bucket;
	f->where[f->n++] = (struct route_where){(uint16_t)at, (uint16_t)len, (uint8_t)kind};
}

/* Where not all are kept, or there is no room. */
static void
store_thinned(struct reader *r, uint32_t bucket, size_t at, size_t len, enum route_kind kind)
{
	uint32_t mixed = mix(bucket);

	while ((mixed & r->thin) == 0 && r->f->n == ROUTE_FEATURES)
		thin_out(r);
	if ((mixed & r->thin) == 0)
		store(r->f, bucket, at, len, kind);
}

/* False: that bucket was there already, as most are in a long text. */
static inline bool
add(struct reader *r, uint32_t mixed, size_t at, size_t len, enum route_kind kind)
{
	uint32_t bucket = mixed >> 17 | (kind == ROUTE_WORD_PAIR ? ROUTE_PAIRS : 0);
	uint32_t bit = 1u << bucket % 32;

	if ((r->seen[bucket / 32] & bit) != 0)
		return false;
	r->seen[bucket / 32] |= bit;
	if (r->thin == 0 && r->f->n < ROUTE_FEATURES)
		store(r->f, bucket, at, len, kind);
	else
		store_thinned(r, bucket, at, len, kind);
	return true;
}

/* --- words ------------------------------------------------------------------------------------- */

/* What a byte is: its class, whether it is a capital, and whether a character begins with it that is
 * a word of its own (kana, Han, Hangul, emoji); and, from bit AS on, as what it counts in its word. */
enum { BLANK, LETTER, DIGIT, MARK, CLASS = 3, CAPITAL = 4, LONE = 8, AS = 8 };

#define KIND(c)                                                                                    \
	((c) <= ' ' || (c) == 0x7f                            ? BLANK                              \
		: (c) >= '0' && (c) <= '9'                    ? DIGIT                              \
		: (c) >= 'A' && (c) <= 'Z'                    ? LETTER | CAPITAL                   \
		: (c) >= 'a' && (c) <= 'z'                    ? LETTER                             \
		: (c) < 0x80                                  ? MARK                               \
		: ((c) >= 0xe3 && (c) <= 0xed) || (c) >= 0xf0 ? LETTER | LONE                      \
							      : LETTER)
#define WHAT(c)                                                                                    \
	(KIND(c) | (KIND(c) == DIGIT ? '0' : (KIND(c) & CAPITAL) != 0 ? (c) | 0x20 : (c)) << AS)
#define FOUR(c)       WHAT(c), WHAT((c) + 1), WHAT((c) + 2), WHAT((c) + 3)
#define SIXTEEN(c)    FOUR(c), FOUR((c) + 4), FOUR((c) + 8), FOUR((c) + 12)
#define SIXTY_FOUR(c) SIXTEEN(c), SIXTEEN((c) + 16), SIXTEEN((c) + 32), SIXTEEN((c) + 48)
static const uint16_t what_is[256] = {
	SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128), SIXTY_FOUR(192)};

static void
add_word(struct reader *r, uint32_t hash, size_t at, size_t len, bool pairs)
{
	uint32_t mixed = mix(hash);
	size_t before = r->before_at;
	uint32_t time = 0;

	r->words++;
	if (r->known[hash % KNOWN] != hash && !add(r, mixed, at, len, ROUTE_WORD_ONE)) {
		while (++time < TIMES && !add(r, mix(hash + time), at, len, ROUTE_WORD_ONE))
			;
		if (time == TIMES)
			r->known[hash % KNOWN] = hash;
	}
	if (!pairs)
		return;
	if (r->before != 0)
		add(r, mix((r->before ^ hash) * FNV_PRIME), before, at + len - before,
			ROUTE_WORD_PAIR);
	r->before = mixed;
	r->before_at = (uint16_t)at;
}

/* The hash of a run of letters or of digits, which count as 0; *n: how long it is. */
static uint32_t
read_run(struct reader *r, const unsigned char *p, size_t left, size_t *n)
{
	const unsigned char *q = p, *end = p + (left < ROUTE_WORD ? left : ROUTE_WORD);
	uint32_t what = what_is[*q], class = what & CLASS, hash = FNV_START, capitals = 0;

	do {
		capitals += what & CAPITAL;
		hash = (hash ^ what >> AS) * FNV_PRIME;
		if (++q == end)
			break;
		what = what_is[*q];
	} while ((what & (CLASS | LONE)) == class);
	r->capitals += capitals / CAPITAL;
	r->numbers += class == DIGIT;
	*n = (size_t)(q - p);
	return hash;
}

/* The hash of a character that is a word. */
static uint32_t
read_lone(const unsigned char *p, size_t left, size_t *n)
{
	uint32_t hash = FNV_START;

	*n = p[0] < 0xf0 ? 3 : 4;
	*n = *n < left ? *n : left;
	for (size_t i = 0; i < *n; i++)
		hash = (hash ^ p[i]) * FNV_PRIME;
	return hash;
}

/* base: where these bytes begin among those that are read. */
static void
read_bytes(struct reader *r, const char *text, size_t len, size_t base)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 1;

	r->before = 0;
	for (size_t i = 0; i < len; i += n) {
		uint32_t what = what_is[p[i]], hash;

		n = 1;
		if ((what & CLASS) == BLANK) {
			r->lines += p[i] == '\n';
			continue;
		}
		if ((what & LONE) != 0) {
			hash = read_lone(p + i, len - i, &n);
		} else if ((what & CLASS) == MARK) {
			hash = (FNV_START ^ p[i]) * FNV_PRIME;
			r->marks++;
		} else {
			hash = read_run(r, p + i, len - i, &n);
		}
		add_word(r, hash, base + i, n, (what & CLASS) != MARK);
	}
}

/* --- shapes ------------------------------------------------------------------------------------ */

/* A feature for each step from 1 up to n; steps lie about one `part`th of themselves apart. */
static void
add_shape(struct reader *r, enum route_kind kind, size_t n, uint32_t part)
{
	uint32_t hash = (FNV_START ^ (0x100u + (uint32_t)kind)) * FNV_PRIME;

	for (uint32_t at = 1; at <= n && at <= UINT16_MAX; at += at < part ? 1 : at / part)
		add(r, mix((hash ^ at) * FNV_PRIME), at, 0, kind);
}

void
route_text(struct route_text *f, const char *text, size_t len)
{
	struct reader r = {.f = f};

	f->n = 0;
	if (len <= ROUTE_READ) {
		read_bytes(&r, text, len, 0);
	} else {
		read_bytes(&r, text, HALF, 0);
		read_bytes(&r, text + len - HALF, HALF, HALF);
	}
	add_shape(&r, ROUTE_BYTES, len, 1);
	add_shape(&r, ROUTE_LENGTH, r.words, 8);
	add_shape(&r, ROUTE_NUMBERS, r.numbers, 8);
	add_shape(&r, ROUTE_LINES, r.lines, 2);
	add_shape(&r, ROUTE_CAPITALS, r.capitals, 1);
	add_shape(&r, ROUTE_MARKS, r.marks, 8);
}

/* --- names ------------------------------------------------------------------------------------- */

void
route_text_name(const struct route_text *f, uint32_t i, const char *text, size_t len,
	char name[static ROUTE_NAME])
{
	const struct route_where *w = &f->where[i];
	static const char *const shapes[ROUTE_KINDS] = {[ROUTE_BYTES] = "bytes",
		[ROUTE_LENGTH] = "words",
		[ROUTE_NUMBERS] = "numbers",
		[ROUTE_LINES] = "line ends",
		[ROUTE_CAPITALS] = "capitals",
		[ROUTE_MARKS] = "marks"};
	size_t at = w->at, n = w->len;

	if (shapes[w->kind] != NULL) {
		snprintf(name, ROUTE_NAME, "at least %zu %s", at, shapes[w->kind]);
		return;
	}
	if (len > ROUTE_READ && at >= HALF)
		at += len - ROUTE_READ;
	n = n < ROUTE_NAME ? n : ROUTE_NAME - 1;
	/* A cut stands before a character, not in it. */
	while (n < w->len && n > 0 && ((unsigned char)text[at + n] & 0xc0) == 0x80)
		n--;
	memcpy(name, text + at, n);
	name[n] = '\0';
	for (size_t k = 0; k < n; k++)
		if ((unsigned char)name[k] < 0x20 || name[k] == 0x7f)
			name[k] = ' ';
}
