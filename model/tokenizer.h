/* Text to token ids and back, as a GGUF file's tokenizer.ggml.* keys say: SentencePiece-style BPE
 * ("llama"), byte-level BPE ("gpt2") with the pre-splitting pattern that tokenizer.ggml.pre names.
 */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include "base/buf.h"
#include "base/err.h"
#include "model/gguf.h"

struct tokenizer;

/* g may be closed afterwards: everything needed is copied. */
struct tokenizer *tokenizer_new(const struct gguf *g, struct err *err);
void tokenizer_free(struct tokenizer *t);

#define TOKENIZE_SPECIAL 1u /* spellings of special tokens in the text become those tokens */
#define TOKENIZE_BOS     2u /* add BOS/EOS where the model's keys say so */

struct token_list {
	uint32_t *ids;
	size_t n, cap;
	size_t most; /* tokenize() stops soon after there are more; 0: never */
};
void token_list_free(struct token_list *l);
int token_list_add(struct token_list *l, uint32_t id);

/* Appends the ids of text (any bytes; invalid UTF-8 is met by byte tokens) to out. Time grows as
 * n log n with the text, or, byte-level, with out->most. -1 only when memory is short or the text is longer than 256
 * MiB. */
int tokenize(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
	struct token_list *out, struct err *err);

/* Appends the bytes of one token. special: spell special tokens out, else they are empty. first:
 * drop the leading space that SentencePiece adds. */
int token_bytes(const struct tokenizer *t, uint32_t id, bool special, bool first, struct buf *out);

/* Streams text in whole UTF-8 characters. */
struct detok {
	const struct tokenizer *t;
	bool special, started;
	uint8_t pending[4]; /* the begin of a character that is not whole yet */
	uint8_t n_pending;
};
void detok_init(struct detok *d, const struct tokenizer *t, bool special);
/* Appends what can be said after this token. Bytes that can never become a character turn to
 * U+FFFD. */
int detok_push(struct detok *d, uint32_t id, struct buf *out);
int detok_finish(struct detok *d, struct buf *out); /* a character cut off at the end: U+FFFD */

uint32_t tokenizer_size(const struct tokenizer *t);
/* -1: a model whose embedding has so many rows has not just one for each token: another vocabulary than its own. */
int tokenizer_check_rows(const struct tokenizer *t, uint32_t rows, struct err *err);
/* Bytes of text that one token may stand for, at the most. */
size_t tokenizer_longest(const struct tokenizer *t);
/* -1: these are no prompt of this vocabulary that leaves room for an answer in a context of so many
 * positions. */
int tokenizer_check_prompt(const struct tokenizer *t, uint32_t context, const uint32_t *prompt,
	size_t n, struct err *err);
#define TOKEN_NONE UINT32_MAX
uint32_t tokenizer_bos(const struct tokenizer *t); /* TOKEN_NONE where there is none */
uint32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_is_end(
	const struct tokenizer *t, uint32_t id); /* EOS, EOT, EOM, <|im_end|> and their kin */
bool tokenizer_adds_bos(const struct tokenizer *t);
uint32_t tokenizer_find(
	const struct tokenizer *t, const char *text);  /* id of a token's exact spelling */
const char *tokenizer_kind(const struct tokenizer *t); /* "spm", "bpe (llama-bpe)" */

/* Whether an id means the same to models of both: 0, or -1 with the first difference, in words that
 * go on behind "their vocabularies differ: ". One may have more tokens, if those are all unused ones:
 * rows that fill a matrix up. */
int tokenizer_same(const struct tokenizer *a, const struct tokenizer *b, struct err *why);

#endif
