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

static bool
white(uint32_t cp)
{
	return cp_space(cp) || cp == '\n' || cp == '\r';
}

/* Folds one character to bytes, a run of white space to one space. */
static size_t
fold_bytes(uint32_t cp, bool was_white, uint8_t out[8])
{
	uint32_t f[2];
	unsigned count;
	size_t n = 0;

	if (white(cp)) {
		out[0] = ' ';
		return was_white ? 0 : 1;
	}
	count = cp_fold(cp, f);
	for (unsigned i = 0; i < count; i++)
		n += cp_put(f[i], out + n);
	return n;
}

static int
fold_word(const char *text, struct word *w)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t len = strlen(text), bad, n;
	bool was_white = true, sense = false;
	uint8_t bytes[8];

	if (len == 0 || len > REDACT_WORD_MAX_LEN || !utf8_valid(s, len, &bad))
		return -1;
	w->len = 0;
	for (size_t at = 0; at < len; at += n) {
		uint32_t cp = cp_get(s + at, &n);
		size_t k = fold_bytes(cp, was_white, bytes);

		if (w->len + k > sizeof w->folded)
			return -1;
		memcpy(w->folded + w->len, bytes, k);
		w->len = (uint16_t)(w->len + k);
		was_white = white(cp);
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

/* No word goes on between these two neighbours. */
static bool
boundary(uint32_t left, uint32_t right)
{
	if (cp_digit(left) >= 0 && cp_digit(right) >= 0)
		return false;
	if (!cp_letter(left) || !cp_letter(right) || cp_unspaced(left) || cp_unspaced(right))
		return right < 0x300 || right > 0x36f || cp_ignored(right);
	return !cp_upper(left) && cp_upper(right);
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

/* The next character within a word: an escaped line end is white space, too. */
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

size_t
redact_find_word(struct scan *t, size_t at, enum redact_kind *kind)
{
	const struct redact_words *w = t->words;
	size_t lo = 0, hi = w != NULL ? w->n : 0, depth = 0, best = 0, n, k, to = at;
	uint32_t cp = next_of_word(t, at, &n);
	bool was_white = true;
	uint8_t bytes[8];

	(void)kind;
	if (hi == 0 || white(cp) || cp_ignored(cp) || !boundary(cp_before(t, at, &k), cp))
		return 0;
	/* Characters that fold to nothing are not counted by depth: they have a bound, too. */
	for (; to < t->len && lo < hi && to - at < 8 * REDACT_WORD_MAX_LEN; to += n) {
		cp = next_of_word(t, to, &n);
		k = fold_bytes(cp, was_white, bytes);
		was_white = white(cp);
		for (size_t i = 0; i < k && lo < hi; i++, depth++) {
			lo = lower(w, lo, hi, depth, bytes[i]);
			hi = lower(w, lo, hi, depth, bytes[i] + 1u);
		}
		if (lo < hi && w->w[lo].len == depth && !was_white) {
			size_t next;

			if (boundary(cp, cp_at(t, to + n, &next)))
				best = to + n - at;
		}
	}
	return best;
}
