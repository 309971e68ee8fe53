/* The user's words: folded, sorted, and narrowed byte by byte while a text is read. */
#include "sched/redact_int.h"

#include <stdlib.h>

struct word {
	uint16_t len;
	char folded[2 * REDACT_WORD_MAX_LEN];
};

struct redact_words {
	size_t n;
	struct word w[];
};

static int
by_bytes(const void *a, const void *b)
{
	const struct word *x = a, *y = b;
	size_t least = x->len < y->len ? x->len : y->len;
	int c = memcmp(x->folded, y->folded, least);

	return c != 0 ? c : (int)x->len - (int)y->len;
}

/* What stands between the words of a name, and what file names and addresses have there instead. */
static bool
gap(uint32_t cp)
{
	return cp_space(cp) || cp_dash(cp) || cp == '\n' || cp == '\r' || cp == '_' || cp == '.' ||
	       cp == '+';
}

/* All that is written or typed for an apostrophe. */
static bool
apostrophe(uint32_t cp)
{
	return cp == '\'' || cp == '`' || cp == 0xb4 || (cp >= 0x2b9 && cp <= 0x2bf) ||
	       (cp >= 0x2018 && cp <= 0x201b) || cp == 0x2032 || cp == 0xff07;
}

/* Folds one character to bytes, a run of gaps to one space. */
static size_t
fold_bytes(uint32_t cp, bool was_gap, uint8_t out[8])
{
	uint32_t f[2];
	unsigned count;
	size_t n = 0;

	if (gap(cp)) {
		out[0] = ' ';
		return was_gap ? 0 : 1;
	}
	count = cp_fold(apostrophe(cp) ? '\'' : cp, f);
	for (unsigned i = 0; i < count; i++)
		n += cp_put(f[i], out + n);
	return n;
}

static int
fold_word(const char *text, struct word *w)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t len = strlen(text), bad, n;
	bool was_gap = true, sense = false;
	uint8_t bytes[8];

	if (len == 0 || len > REDACT_WORD_MAX_LEN || !utf8_valid(s, len, &bad))
		return -1;
	w->len = 0;
	for (size_t at = 0; at < len; at += n) {
		uint32_t cp = cp_get(s + at, &n);
		size_t k = fold_bytes(cp, was_gap, bytes);

		if (w->len + k > sizeof w->folded)
			return -1;
		memcpy(w->folded + w->len, bytes, k);
		w->len = (uint16_t)(w->len + k);
		was_gap = gap(cp) || (k == 0 && was_gap);
		sense |= cp_letter(cp) || cp_digit(cp) >= 0;
	}
	while (w->len > 0 && w->folded[w->len - 1] == ' ')
		w->len--;
	return sense && w->len > 0 ? 0 : -1;
}

struct redact_words *
redact_words_new(const char *const *words, size_t n, struct err *err)
{
	struct redact_words *w;

	if (n > REDACT_WORDS_MAX) {
		err_set(err, "%zu words to redact: at most %d are possible", n, REDACT_WORDS_MAX);
		return NULL;
	}
	w = malloc(sizeof *w + n * sizeof w->w[0]);
	if (w == NULL) {
		err_set(err, "no memory for %zu words to redact", n);
		return NULL;
	}
	w->n = n;
	for (size_t i = 0; i < n; i++) {
		if (fold_word(words[i], &w->w[i]) == 0)
			continue;
		err_set(err,
			"word %zu of those to redact must be UTF-8 of 1 to %d bytes, with a letter "
			"or a digit",
			i + 1, REDACT_WORD_MAX_LEN);
		free(w);
		return NULL;
	}
	qsort(w->w, n, sizeof w->w[0], by_bytes);
	return w;
}

void
redact_words_free(struct redact_words *w)
{
	free(w);
}

/* A capital, or a figure, behind a small letter: AnnaSmith, Mainstreet12. */
static bool
hump(uint32_t left, uint32_t right)
{
	return cp_letter(left) && !cp_upper(left) && (cp_upper(right) || cp_digit(right) >= 0);
}

/* No word goes on between these two neighbours. */
static bool
boundary(uint32_t left, uint32_t right)
{
	if (cp_digit(left) >= 0 && cp_digit(right) >= 0)
		return false;
	if (!cp_letter(left) || !cp_letter(right) || cp_unspaced(left) || cp_unspaced(right) ||
		apostrophe(left) || apostrophe(right))
		return right < 0x300 || right > 0x36f || cp_ignored(right);
	return hump(left, right);
}

/* The first of [lo, hi) whose byte at `depth` is not below c. Words that end there are below all. */
static size_t
lower(const struct redact_words *w, size_t lo, size_t hi, size_t depth, unsigned c)
{
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct word *m = &w->w[mid];

		if (m->len <= depth || (uint8_t)m->folded[depth] < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The next character within a word: an escaped line end is a gap, too. */
static uint32_t
next_of_word(const struct scan *t, size_t at, size_t *n)
{
	if (t->len - at >= 2 && t->s[at] == '\\' && t->s[at + 1] != '\0' &&
		strchr("nrt", t->s[at + 1]) != NULL) {
		*n = 2;
		return '\n';
	}
	return cp_at(t, at, n);
}

/* The words that a text may still become, and how many of their bytes it has. */
struct narrowed {
	size_t lo, hi, depth;
};

static struct narrowed
narrow(const struct redact_words *w, struct narrowed m, uint8_t byte)
{
	m.lo = lower(w, m.lo, m.hi, m.depth, byte);
	m.hi = lower(w, m.lo, m.hi, m.depth, byte + 1u);
	m.depth++;
	return m;
}

/* The longest word that begins at `at`: its bytes. With *humps, a hump is a gap where a word has one;
 * it says afterwards if one was met. */
static size_t
longest(const struct scan *t, size_t at, bool *humps)
{
	const struct redact_words *w = t->words;
	struct narrowed m = {0, w->n, 0};
	bool was_gap = true, split = *humps;
	size_t best = 0, n, k, to = at;
	uint32_t left = 0;
	uint8_t bytes[8];

	*humps = false;
	/* Characters that fold to nothing are not counted by depth: they have a bound, too. */
	for (; to < t->len && m.lo < m.hi && to - at < 8 * REDACT_WORD_MAX_LEN; to += n) {
		uint32_t cp = next_of_word(t, to, &n);

		if (hump(left, cp)) {
			struct narrowed gapped = narrow(w, m, ' ');

			*humps = true;
			if (split && gapped.lo < gapped.hi)
				m = gapped;
		}
		k = fold_bytes(cp, was_gap, bytes);
		was_gap = gap(cp) || (k == 0 && was_gap);
		for (size_t i = 0; i < k && m.lo < m.hi; i++)
			m = narrow(w, m, bytes[i]);
		if (k > 0)
			left = cp;
		if (m.lo < m.hi && w->w[m.lo].len == m.depth && !was_gap &&
			boundary(cp, next_of_word(t, to + n, &k)))
			best = to + n - at;
	}
	return best;
}

size_t
redact_find_word(struct scan *t, size_t at, enum redact_kind *kind)
{
	bool humps = false;
	size_t n, best, other;
	uint32_t cp = next_of_word(t, at, &n);

	(void)kind;
	if (t->words == NULL || gap(cp) || cp_ignored(cp) || !boundary(cp_before(t, at, &n), cp))
		return 0;
	best = longest(t, at, &humps);
	other = humps ? longest(t, at, &humps) : 0;
	return other > best ? other : best;
}
