/* What the tokenizer's files share. */
#ifndef MODEL_TOKENIZER_INTERNAL_H
#define MODEL_TOKENIZER_INTERNAL_H

#include "model/pretok.h"
#include "model/tokenizer.h"

#include <stdatomic.h>

enum token_type { /* tokenizer.ggml.token_type */
	TOKEN_NORMAL = 1,
	TOKEN_UNKNOWN,
	TOKEN_CONTROL,
	TOKEN_USER,
	TOKEN_UNUSED,
	TOKEN_BYTE
};

enum tokenizer_model { TOKENIZER_SPM, TOKENIZER_BPE };

struct token {
	uint32_t at, len; /* spelling in texts */
	float score;
	uint8_t type;
	bool is_end;
};

struct merge {
	uint32_t left, right;
	uint32_t rank, id; /* id: TOKEN_NONE marks a free place */
};

struct special_index { /* spellings to find in text, in byte order */
	uint32_t *ids;
	size_t n;
	bool first[2][256]; /* bytes that one begins with: [0] user-defined ones only, [1] any */
};

struct token_tree;

struct tokenizer {
	enum tokenizer_model model;
	char kind[64];
	struct token *tokens;
	uint32_t n_tokens;
	uint8_t *texts;
	size_t max_len; /* of a spelling */
	size_t longest; /* text that a token stands for */
	uint64_t seed;  /* of the hashes: nobody can make a file of colliding tokens */
	uint32_t *by_text;
	size_t by_text_mask;
	uint32_t bos, eos, unk;
	bool add_bos, add_eos, space_prefix;
	uint32_t byte_id[256]; /* SPM: <0xNN>; BPE: the letter that stands for the byte */
	struct special_index special;

	bool split_words; /* SPM: no token goes on behind a space that follows a letter */

	bool ignore_merges; /* BPE */
	struct merge *merges;
	size_t merges_mask;
	struct pretok *pretok;

	_Atomic(struct token_tree *)
		*tree; /* of the vocabulary, once it was wanted (token_tree.h) */
};

static inline bool
list_is_enough(const struct token_list *l)
{
	return l->most > 0 && l->n > l->most;
}

/* tokenizer_vocab.c */
int vocab_load(struct tokenizer *t, const struct gguf *g, struct err *err);
uint32_t vocab_find(const struct tokenizer *t, const uint8_t *text, size_t len);
/* The same for tokens that plain text may become: no control, unknown or byte token. */
uint32_t vocab_find_plain(const struct tokenizer *t, const uint8_t *text, size_t len);
uint64_t vocab_mix(uint64_t h);
static inline const uint8_t *
vocab_text(const struct tokenizer *t, uint32_t id)
{
	return t->texts + t->tokens[id].at;
}

/* tokenizer_special.c */
int special_load(struct tokenizer *t, const struct gguf *g, struct err *err);
int special_index_build(struct tokenizer *t, struct err *err);
/* The longest special token that text begins with, or TOKEN_NONE. any: control tokens too. */
uint32_t special_match(const struct tokenizer *t, const uint8_t *text, size_t len, bool any);

/* tokenizer_merge.c: the merging that both kinds do, by a heap over neighbours. */
struct symbol {
	uint32_t at, len; /* len 0: merged into the one on its left */
	uint32_t prev, next;
	uint32_t id; /* TOKEN_NONE: no token is spelled like this */
};
struct candidate {
	uint32_t order; /* the least first, of equals the leftmost */
	uint32_t left, len, id;
};
struct merger {
	struct symbol *symbols;
	size_t n_symbols, cap_symbols;
	struct candidate *heap;
	size_t n_heap, cap_heap;
	struct pretok_scratch *pretok;
	struct buf text;
};
void merger_free(struct merger *m);
int merger_add(struct merger *m, uint32_t at, uint32_t len, uint32_t id);
/* Whether two neighbours make a token: its id and its place in the order. */
typedef bool (*merge_pair)(const struct tokenizer *t, const uint8_t *text, const struct symbol *l,
	const struct symbol *r, uint32_t *order, uint32_t *id);
int merger_run(struct merger *m, const struct tokenizer *t, const uint8_t *text, merge_pair pair);

/* tokenizer_spm.c, tokenizer_bpe.c: tokenizing gives -1 when memory is short. */
int spm_load(struct tokenizer *t, struct err *err);
int spm_tokenize(const struct tokenizer *t, struct merger *m, const uint8_t *text, size_t len,
	bool prefix, struct token_list *out);
int bpe_load(struct tokenizer *t, const struct gguf *g, struct err *err);
int bpe_tokenize(const struct tokenizer *t, struct merger *m, const uint8_t *text, size_t len,
	struct token_list *out);

/* The letter that stands for a byte in byte-level BPE, and back (-1: stands for none). */
uint32_t bpe_letter(uint8_t byte);
int bpe_byte(uint32_t letter);

#endif
