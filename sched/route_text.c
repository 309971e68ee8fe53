#include "sched/route_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { HALF = ROUTE_READ / 2, TIMES = 4 };

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
	uint32_t before;                   /* hash of the word before; 0: none */
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

/* False: that bucket was there already. */
static bool
add(struct reader *r, uint32_t hash, struct route_where where)
{
	struct route_text *f = r->f;
	uint32_t bucket = mix(hash) >> 17;

	if (where.kind == ROUTE_WORD_PAIR)
		bucket += ROUTE_PAIRS;
	if ((r->seen[bucket / 32] >> bucket % 32 & 1) != 0)
		return false;
	r->seen[bucket / 32] |= 1u << bucket % 32;
	while (f->n == ROUTE_FEATURES && (mix(bucket) & r->thin) == 0)
		thin_out(r);
	if ((mix(bucket) & r->thin) == 0) {
		f->bucket[f->n] = (uint16_t)bucket;
		f->where[f->n++] = where;
	}
	return true;
}

/* --- words ------------------------------------------------------------------------------------- */

enum class { BLANK, LETTER, DIGIT, MARK };

static enum class class_of(unsigned char c) {
	if (c <= ' ' || c == 0x7f) return BLANK;
	if (c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return LETTER;
	return c >= '0' && c <= '9' ? DIGIT : MARK;
}

/* Bytes of a character that is a word of its own (kana, Han, Hangul, emoji); 0: it is none. */
static size_t
lone_character(unsigned char c)
{
	if (c >= 0xe3 && c <= 0xed)
		return 3;
	return c >= 0xf0 ? 4 : 0;
}

static void
add_word(struct reader *r, uint32_t hash, size_t at, size_t end, bool pairs)
{
	struct route_where where = {(uint16_t)at, (uint16_t)(end - at), ROUTE_WORD_ONE};

	r->words++;
	for (uint32_t time = 0; time < TIMES && !add(r, hash + time, where); time++)
		;
	if (!pairs)
		return;
	if (r->before != 0) {
		where.kind = ROUTE_WORD_PAIR;
		where.at = r->before_at;
		where.len = (uint16_t)(end - r->before_at);
		add(r, (mix(r->before) ^ hash) * FNV_PRIME, where);
	}
	r->before = hash;
	r->before_at = (uint16_t)at;
}

/* Reads one word at p; returns its length. */
static size_t
read_word(struct reader *r, const unsigned char *p, size_t left, size_t at)
{
	enum class class = class_of(p[0]);
	uint32_t hash = FNV_START;
	size_t n = lone_character(p[0]);

	if (n > 0) {
		n = n < left ? n : left;
		for (size_t i = 0; i < n; i++)
			hash = (hash ^ p[i]) * FNV_PRIME;
		add_word(r, hash, at, at + n, true);
		return n;
	}
	if (class == MARK) {
		r->marks++;
		add_word(r, (hash ^ p[0]) * FNV_PRIME, at, at + 1, false);
		return 1;
	}
	while (n < left && n < ROUTE_WORD && class_of(p[n]) == class &&
		(n == 0 || lone_character(p[n]) == 0)) {
		bool capital = p[n] >= 'A' && p[n] <= 'Z';
		uint32_t c = class == DIGIT ? '0' : capital ? p[n] | 0x20u : p[n];

		r->capitals += capital;
		hash = (hash ^ c) * FNV_PRIME;
		n++;
	}
	r->numbers += class == DIGIT;
	add_word(r, hash, at, at + n, true);
	return n;
}

/* base: where these bytes begin among those that are read. */
static void
read_bytes(struct reader *r, const char *text, size_t len, size_t base)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = 0;

	r->before = 0;
	while (i < len) {
		if (class_of(p[i]) != BLANK) {
			i += read_word(r, p + i, len - i, base + i);
			continue;
		}
		r->lines += p[i] == '\n';
		i++;
	}
}

/* --- shapes ------------------------------------------------------------------------------------ */

/* A feature for each step from 1 up to n; steps lie about one `part`th of themselves apart. */
static void
add_shape(struct reader *r, enum route_kind kind, size_t n, uint32_t part)
{
	uint32_t hash = (FNV_START ^ (0x100u + (uint32_t)kind)) * FNV_PRIME;

	for (uint32_t at = 1; at <= n && at <= UINT16_MAX; at += at < part ? 1 : at / part)
		add(r, (hash ^ at) * FNV_PRIME,
			(struct route_where){(uint16_t)at, 0, (uint8_t)kind});
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
