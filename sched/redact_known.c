/* Items as sorted lists of bytes, forwards for what begins here and backwards for what ends here: from byte to byte
 * the range of those that go on so becomes narrower. */
#include "sched/redact_known.h"

#include "sched/redact_int.h"

#include <stdlib.h>

#define PIECE  64          /* bytes; a long item is known by pieces: no comparison is long */
#define MOST   (PIECE + 4) /* a piece ends with a character */
#define SHORT  4           /* fewer bytes stand alone */
#define BLANKS 32          /* of white space that count as one run */
#define REACH  (PIECE * 4) /* bytes at either end of a text that may be of an item */

struct literal {
	uint8_t text[MOST];
	uint8_t len, kind;
};

struct list {
	struct literal *all;
	uint32_t n;
	bool begins[256];
};

struct place {
	uint32_t at, end;
};

struct redact_known {
	const struct redact_words *words;
	struct list ahead, back; /* the same ones, these reversed */
	uint32_t room;
	struct place *places;
	uint32_t n_places, places_room;
	uint32_t first[REDACT_KNOWN_TEXTS + 1],
		n_texts; /* text i: places first[i] to first[i + 1] - 1 */
};

struct redact_known *
redact_known_new(const struct redact_words *words)
{
	struct redact_known *k = calloc(1, sizeof *k);

	if (k != NULL)
		k->words = words;
	return k;
}

void
redact_known_free(struct redact_known *k)
{
	if (k == NULL)
		return;
	free(k->ahead.all);
	free(k->back.all);
	free(k->places);
	free(k);
}

/* --- bytes, white space as one ----------------------------------------------------------------------- */

/* Bytes of white space that begin, or end, at `at`: 0 for none. */
static size_t
blank_at(const uint8_t *s, size_t len, size_t at)
{
	if (at < len && (s[at] == ' ' || (s[at] >= '\t' && s[at] <= '\r')))
		return 1;
	return at + 1 < len && s[at] == 0xc2 && s[at + 1] == 0xa0 ? 2 : 0;
}

static size_t
blank_before(const uint8_t *s, size_t at)
{
	if (at > 0 && blank_at(s, at, at - 1) == 1)
		return 1;
	return at > 1 && blank_at(s, at, at - 2) == 2 ? 2 : 0;
}

/* The byte at *at, which moves behind it. */
static uint8_t
next(const uint8_t *s, size_t len, size_t *at)
{
	size_t n = blank_at(s, len, *at);

	if (n == 0)
		return s[(*at)++];
	for (int i = 0; n > 0 && i < BLANKS; i++) {
		*at += n;
		n = blank_at(s, len, *at);
	}
	return ' ';
}

static uint8_t
previous(const uint8_t *s, size_t *at)
{
	size_t n = blank_before(s, *at);

	if (n == 0)
		return s[--*at];
	for (int i = 0; n > 0 && i < BLANKS; i++) {
		*at -= n;
		n = blank_before(s, *at);
	}
	return ' ';
}

/* --- lists -------------------------------------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	const struct literal *x = a, *y = b;
	int rc = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

	return rc != 0 ? rc : x->len != y->len ? x->len - y->len : x->kind - y->kind;
}

/* Those that go on with c behind `depth` bytes, of *low to *high. */
static void
narrow(const struct list *l, uint32_t depth, uint8_t c, uint32_t *low, uint32_t *high)
{
	uint32_t ends[2];

	for (int i = 0; i < 2; i++) { /* the first that is not before c, and that is behind it */
		uint32_t a = *low, b = *high;

		while (a < b) {
			uint32_t m = (a + b) / 2;
			const struct literal *x = &l->all[m];
			int v = x->len > depth ? x->text[depth] : -1;

			if (v < c + i)
				a = m + 1;
			else
				b = m;
		}
		ends[i] = a;
	}
	*low = ends[0];
	*high = ends[1];
}

static void
sort(struct list *l)
{
	uint32_t n = 0;

	if (l->n > 0)
		qsort(l->all, l->n, sizeof *l->all, compare);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct literal *x = &l->all[i], *last = n > 0 ? &l->all[n - 1] : NULL;

		if (last == NULL || last->len != x->len || memcmp(last->text, x->text, x->len) != 0)
			l->all[n++] = *x;
	}
	l->n = n;
	for (uint32_t i = 0; i < n; i++)
		l->begins[l->all[i].text[0]] = true;
}

static int
reverse(struct redact_known *k)
{
	free(k->back.all);
	k->back = (struct list){.all = calloc(k->ahead.n + 1, sizeof *k->back.all)};
	if (k->back.all == NULL)
		return -1;
	for (; k->back.n < k->ahead.n; k->back.n++) {
		const struct literal *from = &k->ahead.all[k->back.n];
		struct literal *to = &k->back.all[k->back.n];

		*to = *from;
		for (unsigned i = 0; i < from->len; i++)
			to->text[i] = from->text[from->len - 1 - i];
	}
	sort(&k->back);
	return 0;
}

/* --- knowing ------------------------------------------------------------------------------------------ */

static int
too_many(struct err *err)
{
	return err_set(err, "there are more personal items in it than can be looked for in what is "
			    "said of it");
}

/* Room for one more: twice what may be known, of which many are the same. */
static int
make_room(struct redact_known *k, struct err *err)
{
	uint32_t room = k->room == 0 ? 64 : k->room * 2;
	struct literal *all;

	if (k->ahead.n < k->room)
		return 0;
	if (k->room == 2 * REDACT_KNOWN_ITEMS) {
		sort(&k->ahead);
		return k->ahead.n > REDACT_KNOWN_ITEMS ? too_many(err) : 0;
	}
	all = realloc(k->ahead.all, room * sizeof *all);
	if (all == NULL)
		return err_set(err, "not enough memory to know personal items");
	k->ahead.all = all;
	k->room = room;
	return 0;
}

/* Where the piece begins that is to be taken at `at`: the last one has as many bytes as the others. */
static size_t
piece_at(const struct redact_span *span, const uint8_t *s, size_t at)
{
	if (span->end - at >= PIECE || at == span->at)
		return at;
	at = span->end - PIECE;
	while ((s[at] & 0xc0) == 0x80)
		at++;
	return at;
}

/* A piece of the item from *at on, which moves behind it. */
static void
take_piece(const struct redact_span *span, const uint8_t *s, size_t *at, struct literal *x)
{
	*x = (struct literal){.kind = (uint8_t)span->kind};
	while (*at < span->end && (x->len < PIECE || (s[*at] & 0xc0) == 0x80))
		x->text[x->len++] = next(s, span->end, at);
}

static int
add(struct redact_known *k, const struct redact_span *span, const uint8_t *s, struct err *err)
{
	for (size_t at = span->at; at < span->end;) {
		if (make_room(k, err) != 0)
			return -1;
		at = piece_at(span, s, at);
		take_piece(span, s, &at, &k->ahead.all[k->ahead.n]);
		k->ahead.n++;
	}
	return 0;
}

static int
add_place(struct redact_known *k, const struct redact_span *span, struct err *err)
{
	uint32_t room = k->places_room == 0 ? 64 : k->places_room * 2;
	struct place *places;

	if (k->n_places == k->places_room) {
		if (room > REDACT_KNOWN_PLACES)
			return too_many(err);
		places = realloc(k->places, room * sizeof *places);
		if (places == NULL)
			return err_set(err, "not enough memory to know personal items");
		k->places = places;
		k->places_room = room;
	}
	k->places[k->n_places++] = (struct place){(uint32_t)span->at, (uint32_t)span->end};
	return 0;
}

static int
search(struct redact_known *k, const char *text, size_t len, struct err *err)
{
	struct redact_span span;
	struct scan t;
	int rc;

	scan_init(&t, text, len, k->words);
	while ((rc = scan_next(&t, &span)) > 0)
		if (add(k, &span, t.s, err) != 0 || add_place(k, &span, err) != 0)
			return -1;
	return rc == 0 ? 0 : err_set(err, "a detector of personal data failed");
}

int
redact_known_search(struct redact_known *k, const char *text, size_t len, struct err *err)
{
	size_t bad;

	if (k->n_texts == REDACT_KNOWN_TEXTS || len > REDACT_TEXT_MAX)
		return err_set(err, "it is longer than what is searched for personal data");
	if (!utf8_valid((const uint8_t *)text, len, &bad))
		return err_set(err, "the text is not UTF-8 at byte %zu", bad);
	if (search(k, text, len, err) != 0)
		return -1;
	k->first[++k->n_texts] = k->n_places;
	sort(&k->ahead);
	if (k->ahead.n > REDACT_KNOWN_ITEMS)
		return too_many(err);
	return reverse(k) == 0 ? 0 : err_set(err, "not enough memory to know personal items");
}

/* --- finding ------------------------------------------------------------------------------------------ */

static bool
alone(const struct scan *t, size_t at, size_t end)
{
	uint32_t before, behind;
	size_t n;

	before = cp_before(t, at, &n);
	behind = cp_at(t, end, &n);
	return !cp_letter(before) && cp_digit(before) < 0 && !cp_letter(behind) &&
	       cp_digit(behind) < 0;
}

size_t
redact_find_known(struct scan *t, size_t at, enum redact_kind *kind)
{
	const struct list *l = t->known != NULL ? &t->known->ahead : NULL;
	uint32_t low = 0, high = l != NULL ? l->n : 0;
	size_t end = at, best = at;

	if (high == 0 || (!l->begins[t->s[at]] && blank_at(t->s, t->len, at) == 0))
		return 0;
	for (uint32_t depth = 1; end < t->len; depth++) {
		narrow(l, depth - 1, next(t->s, t->len, &end), &low, &high);
		if (low == high)
			break;
		if (l->all[low].len == depth && (depth >= SHORT || alone(t, at, end))) {
			best = end;
			*kind = (enum redact_kind)l->all[low].kind;
		}
	}
	return best - at;
}

void
redact_known_widen(const struct redact_known *k, uint32_t text, size_t *at, size_t *end)
{
	uint32_t a = k->first[text], b = k->first[text + 1];

	while (a < b) { /* the first that ends behind *at */
		uint32_t m = (a + b) / 2;

		if (k->places[m].end <= *at)
			a = m + 1;
		else
			b = m;
	}
	for (; a < k->first[text + 1] && k->places[a].at < *end; a++) {
		*at = k->places[a].at < *at ? k->places[a].at : *at;
		*end = k->places[a].end > *end ? k->places[a].end : *end;
	}
}

/* Whether the bytes from `at` to `end` are the begin of an item; *whole: they are one. */
static bool
begins_item(const struct list *l, const uint8_t *s, size_t at, size_t end, bool *whole)
{
	uint32_t low = 0, high = l->n, depth = 0;

	while (at < end && low < high)
		narrow(l, depth++, next(s, end, &at), &low, &high);
	if (low == high || depth < 2)
		return false;
	*whole = l->all[low].len == depth;
	return depth > 2 || l->all[high - 1].len <= 4;
}

/* Whether the `len` bytes at s are the end of an item. */
static bool
ends_item(const struct list *l, const uint8_t *s, size_t len, bool *whole)
{
	uint32_t low = 0, high = l->n, depth = 0;

	while (len > 0 && low < high)
		narrow(l, depth++, previous(s, &len), &low, &high);
	if (low == high || depth < 2)
		return false;
	*whole = l->all[low].len == depth;
	return depth > 2 || l->all[high - 1].len <= 4;
}

/* Where the part of an item begins that the text ends with at `end`; SIZE_MAX: there is none. */
static size_t
tail(const struct list *l, const uint8_t *s, size_t end)
{
	bool whole;

	for (size_t at = end > REACH ? end - REACH : 0; at < end; at++)
		if (begins_item(l, s, at, end, &whole))
			return whole ? SIZE_MAX : at;
	return SIZE_MAX;
}

/* Where the one ends that the text begins with; 0: there is none. */
static size_t
head(const struct list *l, const uint8_t *s, size_t len)
{
	bool whole;

	for (size_t end = len < REACH ? len : REACH; end > 0; end--)
		if (ends_item(l, s, end, &whole))
			return whole ? 0 : end;
	return 0;
}

static bool
around(uint8_t c)
{
	return c == '.' || c == ' ' || (c >= '\t' && c <= '\r');
}

void
redact_known_clip(const struct redact_known *k, const char **text, size_t *len)
{
	const uint8_t *s = (const uint8_t *)*text;
	size_t from = 0, to = *len, end, inner, begin;

	while (to > 0 && around(s[to - 1]))
		to--;
	end = tail(&k->ahead, s, *len);
	inner = tail(&k->ahead, s, to);
	end = inner < end ? inner : end;
	end = end < *len ? end : *len;
	while (from < end && around(s[from]))
		from++;
	begin = head(&k->back, s, end);
	inner = head(&k->back, s + from, end - from);
	begin = inner > 0 && from + inner > begin ? from + inner : begin;
	*text += begin;
	*len = end - begin;
}
