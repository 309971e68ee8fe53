/* Whether two vocabularies are one. How text is cut into tokens (merges, scores) does not matter to
 * models that write one text together: what counts is what an id says. That the kind is the same is
 * asked for, because bytes are spelled in another way by each. */
#include "model/tokenizer_internal.h"

#include <string.h>

static int
same_special(const char *what, uint32_t a, uint32_t b, struct err *why)
{
	if (a == b)
		return 0;
	if (a == TOKEN_NONE || b == TOKEN_NONE)
		return err_set(why, "only one has a token for the %s", what);
	return err_set(why, "the %s is token %u of one and %u of the other", what, a, b);
}

/* Spellings are any bytes, and stay out of words that people read. */
static int
same_token(const struct tokenizer *a, const struct tokenizer *b, uint32_t id, struct err *why)
{
	const struct token *x = &a->tokens[id], *y = &b->tokens[id];

	if (x->len != y->len || memcmp(vocab_text(a, id), vocab_text(b, id), x->len) != 0)
		return err_set(why, "token %u has another text in each", id);
	if (x->type != y->type)
		return err_set(why, "token %u is of type %u in one and %u in the other", id,
			x->type, y->type);
	if (x->is_end != y->is_end)
		return err_set(why, "token %u ends an answer of one only", id);
	return 0;
}

int
tokenizer_same(const struct tokenizer *a, const struct tokenizer *b, struct err *why)
{
	const struct tokenizer *longer = a->n_tokens > b->n_tokens ? a : b;
	uint32_t both = a->n_tokens < b->n_tokens ? a->n_tokens : b->n_tokens;

	if (strcmp(a->kind, b->kind) != 0)
		return err_set(why, "one is %s, the other %s", a->kind, b->kind);
	for (uint32_t id = 0; id < both; id++)
		if (same_token(a, b, id, why) != 0)
			return -1;
	for (uint32_t id = both; id < longer->n_tokens; id++)
		if (longer->tokens[id].type != TOKEN_UNUSED)
			return err_set(
				why, "one has %u tokens, the other %u", a->n_tokens, b->n_tokens);
	if (same_special("text's beginning", a->bos, b->bos, why) != 0 ||
		same_special("text's end", a->eos, b->eos, why) != 0 ||
		same_special("unknown", a->unk, b->unk, why) != 0)
		return -1;
	if (a->add_bos != b->add_bos || a->add_eos != b->add_eos)
		return err_set(why, "one puts tokens around a text that the other does not");
	return 0;
}
