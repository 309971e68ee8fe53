#include "model/constraint.h"

#include "model/token_tree.h"

#include <math.h>
#include <stdlib.h>

struct constraint {
	const struct tokenizer *t;
	const struct token_tree *tree;
	struct grammar *grammar;
	struct grammar_state
		*room; /* [TOKEN_TREE_BYTES + 1], of which the first is where the text stands */
	uint64_t *mask;
};

struct constraint *
constraint_new(const struct tokenizer *t, struct grammar *g, struct err *err)
{
	const struct token_tree *tree = tokenizer_tree(t, err);
	struct constraint *c = tree != NULL ? calloc(1, sizeof *c) : NULL;

	if (tree == NULL)
		return NULL;
	if (c != NULL) {
		*c = (struct constraint){.t = t, .tree = tree, .grammar = grammar_ref(g)};
		c->room = malloc((TOKEN_TREE_BYTES + 1) * sizeof *c->room);
		c->mask = malloc(token_tree_words(tree) * sizeof *c->mask);
		if (c->room != NULL && c->mask != NULL) {
			grammar_start(g, &c->room[0]);
			return c;
		}
	}
	constraint_free(c);
	err_set(err, "out of memory for what the answer has to look like");
	return NULL;
}

void
constraint_free(struct constraint *c)
{
	if (c == NULL)
		return;
	grammar_unref(c->grammar);
	free(c->room);
	free(c->mask);
	free(c);
}

struct grammar *
constraint_grammar(const struct constraint *c)
{
	return c->grammar;
}

bool
constraint_begin(struct constraint *c, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!grammar_feed(c->grammar, &c->room[0], (uint8_t)text[i], &c->room[1]))
			return false;
		grammar_copy(&c->room[0], &c->room[1]);
	}
	return true;
}

/* The state behind a token, NULL: it may not come. */
static const struct grammar_state *
behind(struct constraint *c, uint32_t id)
{
	const uint8_t *bytes;
	size_t n = token_tree_bytes(c->tree, id, &bytes);

	for (size_t i = 0; i < n; i++)
		if (!grammar_feed(c->grammar, &c->room[i], bytes[i], &c->room[i + 1]))
			return NULL;
	return n > 0 ? &c->room[n] : NULL;
}

bool
constraint_allows(struct constraint *c, uint32_t id)
{
	if (tokenizer_is_end(c->t, id))
		return grammar_may_end(c->grammar, &c->room[0]);
	return behind(c, id) != NULL;
}

bool
constraint_apply(struct constraint *c, float *logits)
{
	size_t words = token_tree_words(c->tree);
	uint32_t vocab = tokenizer_size(c->t);
	uint64_t any = 0;

	memset(c->mask, 0, words * sizeof *c->mask);
	token_tree_mask(c->tree, c->grammar, c->room, c->mask);
	if (grammar_may_end(c->grammar, &c->room[0]))
		token_tree_ends(c->tree, c->mask);
	for (uint32_t id = 0; id < vocab; id++)
		if ((c->mask[id / 64] >> id % 64 & 1) == 0)
			logits[id] = -INFINITY;
	for (size_t i = 0; i < words; i++)
		any |= c->mask[i];
	return any != 0;
}

uint32_t
constraint_first(const struct constraint *c)
{
	for (size_t i = 0; i < token_tree_words(c->tree); i++)
		if (c->mask[i] != 0)
			return (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(c->mask[i]);
	return 0;
}

void
constraint_filter(struct constraint *c, const struct best *b, struct best *out)
{
	*out = (struct best){0};
	for (uint32_t i = 0; i < b->n; i++)
		if (constraint_allows(c, b->c[i].id))
			out->c[out->n++] = b->c[i];
}

void
constraint_accept(struct constraint *c, uint32_t id)
{
	const struct grammar_state *s = behind(c, id);

	if (s != NULL)
		grammar_copy(&c->room[0], s);
}

bool
constraint_ended(const struct constraint *c)
{
	return grammar_ended(c->grammar, &c->room[0]);
}
