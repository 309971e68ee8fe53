/* A vocabulary by the bytes of its tokens, to find those that a grammar lets pass without trying each: they
 * are walked in the order of their bytes, and those that begin as a refused one are passed over.
 *
 * Within a string most tokens are allowed, whatever the grammar: they are found once, and only those that
 * end the string are walked. */
#ifndef MODEL_TOKEN_TREE_H
#define MODEL_TOKEN_TREE_H

#include "model/grammar.h"
#include "model/tokenizer.h"

#define TOKEN_TREE_BYTES 64 /* of a token; longer ones are not allowed where a grammar is */

struct token_tree;

struct token_tree *token_tree_new(const struct tokenizer *t, struct err *err);
void token_tree_free(struct token_tree *tree);

/* That of a tokenizer is made when it is wanted first, and lives as long as it does. NULL: no memory. */
const struct token_tree *tokenizer_tree(const struct tokenizer *t, struct err *err);

size_t token_tree_words(
	const struct token_tree *tree); /* 64-bit words of a mask: a bit for a token */
/* Sets the bits of tokens that may come in state s. Tokens without text, the end tokens among them, never
 * may. room: TOKEN_TREE_BYTES + 1 states, of which the first one is s. */
void token_tree_mask(const struct token_tree *tree, const struct grammar *g,
	struct grammar_state *room, uint64_t *mask);
/* Sets those of the end tokens. */
void token_tree_ends(const struct token_tree *tree, uint64_t *mask);
/* The bytes of one token; 0: it has none, or too many. */
size_t token_tree_bytes(const struct token_tree *tree, uint32_t id, const uint8_t **bytes);

#endif
