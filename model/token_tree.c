#include "model/token_tree.h"

#include "model/grammar_int.h"
#include "model/tokenizer_internal.h"

#include <stdlib.h>

/* Tokens in the order of their bytes. */
struct walk {
	uint32_t n;
	uint32_t *ids;
	uint8_t *shared; /* bytes that it begins with as the one before it does */
};

struct token_tree {
	uint32_t vocab;
	uint32_t *at; /* [vocab] of its bytes */
	uint8_t *len; /* [vocab] 0: never allowed */
	struct buf bytes;
	struct walk all, ending; /* those that end a string that they stand in */
	uint64_t *within;        /* a mask: those that do not, and may stand in it, */
	uint8_t *takes;          /* [vocab] and of how many characters each has a part; NOWHERE */
	uint64_t *ends;          /* a mask of the end tokens */
};

/* --- making --------------------------------------------------------------------------------------- */

static int
read_bytes(struct token_tree *tree, const struct tokenizer *t)
{
	for (uint32_t id = 0; id < tree->vocab; id++) {
		size_t begin = tree->bytes.len, len;

		if (tokenizer_is_end(t, id)) {
			tree->ends[id / 64] |= 1ull << id % 64;
			continue;
		}
		if (token_bytes(t, id, false, false, &tree->bytes) != 0)
			return -1;
		len = tree->bytes.len - begin;
		if (len > TOKEN_TREE_BYTES)
			tree->bytes.len = begin;
		else
			tree->len[id] = (uint8_t)len;
		tree->at[id] = (uint32_t)begin;
	}
	return 0;
}

#define NOWHERE UINT8_MAX

struct spelling {
	const uint8_t *bytes;
	uint32_t len, id;
};

static int
compare(const void *a, const void *b)
{
	const struct spelling *p = a, *q = b;
	int c = memcmp(p->bytes, q->bytes, p->len < q->len ? p->len : q->len);

	if (c != 0 || p->len != q->len)
		return c != 0 ? c : p->len < q->len ? -1 : 1;
	return p->id < q->id ? -1 : 1;
}

static uint8_t
shared(const struct spelling *a, const struct spelling *b)
{
	uint8_t n = 0;

	while (n < a->len && n < b->len && a->bytes[n] == b->bytes[n])
		n++;
	return n;
}

/* Whether a token may stand in a string up to its end, or to a quote that ends the string. takes: of how
 * many characters it has a part. */
static bool
stands_in_string(const struct spelling *s, bool *ends, uint8_t *takes)
{
	int state = LETTER_WHOLE;

	*ends = false;
	*takes = 0;
	for (uint32_t i = 0; i < s->len && !*ends; i++) {
		*takes += state == LETTER_WHOLE;
		*ends = state == LETTER_WHOLE && s->bytes[i] == '"';
		if (!*ends)
			state = grammar_letter((uint8_t)state, s->bytes[i]);
		if (state < 0)
			return false;
	}
	return true;
}

static int
make_walk(struct walk *w, const struct spelling *list, uint32_t n)
{
	w->ids = malloc((n + 1) * sizeof *w->ids);
	w->shared = malloc(n + 1);
	if (w->ids == NULL || w->shared == NULL)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		w->ids[i] = list[i].id;
		w->shared[i] = i > 0 ? shared(&list[i - 1], &list[i]) : 0;
	}
	w->n = n;
	return 0;
}

static int
sort(struct token_tree *tree, struct spelling *list)
{
	uint32_t n = 0, ending = 0;
	bool ends;
	uint8_t takes;

	for (uint32_t id = 0; id < tree->vocab; id++)
		if (tree->len[id] > 0)
			list[n++] = (struct spelling){
				tree->bytes.data + tree->at[id], tree->len[id], id};
	qsort(list, n, sizeof *list, compare);
	if (make_walk(&tree->all, list, n) != 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		struct spelling s = list[i];

		if (!stands_in_string(&s, &ends, &takes))
			continue;
		if (ends) {
			list[ending++] = s;
		} else {
			tree->within[s.id / 64] |= 1ull << s.id % 64;
			tree->takes[s.id] = takes;
		}
	}
	return make_walk(&tree->ending, list, ending);
}

static int
fill(struct token_tree *tree, const struct tokenizer *t)
{
	struct spelling *list = calloc(tree->vocab, sizeof *list);
	int rc = -1;

	tree->at = calloc(tree->vocab, sizeof *tree->at);
	tree->len = calloc(tree->vocab, 1);
	tree->within = calloc(token_tree_words(tree), sizeof *tree->within);
	tree->ends = calloc(token_tree_words(tree), sizeof *tree->ends);
	tree->takes = malloc(tree->vocab);
	if (list != NULL && tree->at != NULL && tree->len != NULL && tree->within != NULL &&
		tree->ends != NULL && tree->takes != NULL && read_bytes(tree, t) == 0) {
		memset(tree->takes, NOWHERE, tree->vocab);
		rc = sort(tree, list);
	}
	free(list);
	return rc;
}

struct token_tree *
token_tree_new(const struct tokenizer *t, struct err *err)
{
	struct token_tree *tree = calloc(1, sizeof *tree);

	if (tree != NULL) {
		tree->vocab = tokenizer_size(t);
		if (fill(tree, t) == 0)
			return tree;
	}
	token_tree_free(tree);
	err_set(err, "out of memory for the order of %u tokens", tokenizer_size(t));
	return NULL;
}

void
token_tree_free(struct token_tree *tree)
{
	if (tree == NULL)
		return;
	free(tree->all.ids);
	free(tree->all.shared);
	free(tree->ending.ids);
	free(tree->ending.shared);
	free(tree->within);
	free(tree->takes);
	free(tree->ends);
	free(tree->at);
	free(tree->len);
	buf_free(&tree->bytes);
	free(tree);
}

const struct token_tree *
tokenizer_tree(const struct tokenizer *t, struct err *err)
{
	struct token_tree *tree = atomic_load(t->tree), *none = NULL;

	if (tree != NULL)
		return tree;
	tree = token_tree_new(t, err);
	if (tree != NULL && !atomic_compare_exchange_strong(t->tree, &none, tree)) {
		token_tree_free(tree); /* another thread was faster */
		tree = none;
	}
	return tree;
}

/* --- masks ---------------------------------------------------------------------------------------- */

size_t
token_tree_words(const struct token_tree *tree)
{
	return (tree->vocab + 63) / 64;
}

void
token_tree_ends(const struct token_tree *tree, uint64_t *mask)
{
	for (size_t i = 0; i < token_tree_words(tree); i++)
		mask[i] |= tree->ends[i];
}

size_t
token_tree_bytes(const struct token_tree *tree, uint32_t id, const uint8_t **bytes)
{
	if (id >= tree->vocab)
		return 0;
	*bytes = tree->bytes.data + tree->at[id];
	return tree->len[id];
}

#define NONE UINT32_MAX

/* What is known of the bytes of the token that was read last. */
struct track {
	uint32_t known; /* room[k] is the state behind the first k of them, up to this k */
	uint32_t dead;  /* the byte that was refused; NONE: none was */
	uint32_t
		open; /* behind so many of them any token may end that stands within a string; NONE */
};

static bool
has(const uint64_t *mask, uint32_t id)
{
	return (mask[id / 64] >> id % 64 & 1) != 0;
}

/* Whether a token may come. within: those that stand in the string in which the text is; NULL: it is in none. */
static bool
read_token(const struct token_tree *tree, const struct grammar *g, struct grammar_state *room,
	const uint64_t *within, struct track *at, uint32_t id)
{
	const uint8_t *bytes = tree->bytes.data + tree->at[id];
	bool stands = within != NULL && has(within, id);

	while (at->known < tree->len[id] && !(stands && at->open != NONE)) {
		if (!grammar_feed(g, &room[at->known], bytes[at->known], &room[at->known + 1])) {
			at->dead = at->known;
			return false;
		}
		at->known++;
		if (within != NULL && at->open == NONE &&
			grammar_in_string(g, &room[at->known]) >= TOKEN_TREE_BYTES)
			at->open = at->known;
	}
	return true;
}

static void
walk(const struct token_tree *tree, const struct walk *w, const struct grammar *g,
	struct grammar_state *room, const uint64_t *within, uint64_t *mask)
{
	struct track at = {0, NONE, NONE};

	for (uint32_t i = 0; i < w->n; i++) {
		uint32_t id = w->ids[i], shared = w->shared[i];

		if (shared > at.dead)
			continue; /* it begins with what was refused */
		at.known = shared < at.known ? shared : at.known;
		at.dead = NONE;
		at.open = shared < at.open ? NONE : at.open;
		if (read_token(tree, g, room, within, &at, id))
			mask[id / 64] |= 1ull << id % 64;
	}
}

void
token_tree_mask(const struct token_tree *tree, const struct grammar *g, struct grammar_state *room,
	uint64_t *mask)
{
	uint32_t most = grammar_in_string(g, &room[0]);

	if (most == 0) {
		walk(tree, &tree->all, g, room,
			grammar_maybe_in_string(g, &room[0]) ? tree->within : NULL, mask);
		return;
	}
	for (size_t i = 0; most >= TOKEN_TREE_BYTES && i < token_tree_words(tree); i++)
		mask[i] |= tree->within[i];
	for (uint32_t id = 0; most < TOKEN_TREE_BYTES && id < tree->vocab; id++)
		mask[id / 64] |= (uint64_t)(tree->takes[id] <= most) << id % 64;
	walk(tree, &tree->ending, g, room, NULL, mask);
}
