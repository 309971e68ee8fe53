#include "sched/cover.h"

#include <inttypes.h>
#include <stdio.h>

struct gap { /* of a dimension: what nobody has; from == end: nothing */
	uint32_t from, end;
};

enum dim { HEADS, COLUMNS, VOCABULARY };

static struct gap
part_of(const struct slice *sl, enum dim d)
{
	uint32_t from = d == HEADS ? sl->kv_head0 : d == COLUMNS ? sl->ffn0 : sl->vocab0;
	uint32_t n = d == HEADS ? sl->kv_heads : d == COLUMNS ? sl->ffn : sl->vocab;

	return (struct gap){from, from + n};
}

static bool
has_layer(const struct slice *sl, uint32_t layer)
{
	return layer >= sl->layer0 && layer - sl->layer0 < sl->layers;
}

/* The first part of [0, size) that none of the slices (of that layer) has. */
static struct gap
first_gap(const struct slice *slices, uint32_t n, enum dim d, uint32_t layer, uint32_t size)
{
	uint32_t at = 0, next = size, reached;

	do {
		reached = at;
		next = size;
		for (uint32_t i = 0; i < n; i++) {
			struct gap p = part_of(&slices[i], d);

			if ((d != VOCABULARY && !has_layer(&slices[i], layer)) || p.end <= at)
				continue;
			if (p.from <= at)
				at = p.end;
			else if (p.from < next)
				next = p.from;
		}
	} while (at > reached && at < size);
	return at < size ? (struct gap){at, next} : (struct gap){size, size};
}

static bool
is_there(struct gap g)
{
	return g.end == g.from;
}

static bool
same(struct gap a, struct gap b)
{
	return a.from == b.from && a.end == b.end;
}

bool
cover_is_whole(const struct model_shape *s, const struct slice *slices, uint32_t n)
{
	for (uint32_t layer = 0; layer < s->layers; layer++)
		if (!is_there(first_gap(slices, n, HEADS, layer, s->kv_heads)) ||
			!is_there(first_gap(slices, n, COLUMNS, layer, s->ffn)))
			return false;
	return is_there(first_gap(slices, n, VOCABULARY, 0, s->vocab));
}

/* --- in words ------------------------------------------------------------------------------------ */

struct words {
	char *out;
	size_t size, len;
};

static void
say(struct words *w, const char *before, const char *what, uint32_t from, uint32_t end)
{
	int n = snprintf(w->out + w->len, w->size - w->len, "%s%s %" PRIu32 "-%" PRIu32, before,
		what, from, end - 1);

	if (n > 0)
		w->len += (size_t)n < w->size - w->len ? (size_t)n : w->size - w->len - 1;
}

void
cover_words(
	const struct model_shape *s, const struct slice *slices, uint32_t n, char *out, size_t size)
{
	struct words w = {out, size, 0};
	struct gap vocab = first_gap(slices, n, VOCABULARY, 0, s->vocab);
	uint32_t end;

	out[0] = '\0';
	for (uint32_t layer = 0; layer < s->layers; layer = end) {
		struct gap heads = first_gap(slices, n, HEADS, layer, s->kv_heads);
		struct gap cols = first_gap(slices, n, COLUMNS, layer, s->ffn);

		for (end = layer + 1; end < s->layers; end++)
			if (!same(heads, first_gap(slices, n, HEADS, end, s->kv_heads)) ||
				!same(cols, first_gap(slices, n, COLUMNS, end, s->ffn)))
				break;
		if (is_there(heads) && is_there(cols))
			continue;
		say(&w, w.len > 0 ? "; " : "", "layers", layer, end);
		if (!is_there(heads))
			say(&w, ": ", "KV heads", heads.from, heads.end);
		if (!is_there(cols))
			say(&w, is_there(heads) ? ": " : ", ", "feed-forward columns", cols.from,
				cols.end);
	}
	if (!is_there(vocab))
		say(&w, w.len > 0 ? "; " : "", "vocabulary rows", vocab.from, vocab.end);
}
