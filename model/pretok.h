/* Pre-splitting of text for byte-level BPE: the patterns behind the names of tokenizer.ggml.pre.
 * A rule is a list of passes; each pass cuts every piece that the one before it left into matches
 * and the gaps between them, and no token ever spans two of the final pieces ("words"). */
#ifndef MODEL_PRETOK_H
#define MODEL_PRETOK_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRETOK_MAX_PASSES 6

#define PRETOK_IGNORE_MERGES 1u  /* a word that is a token is that token, whatever the merges say */
#define PRETOK_BOS           2u  /* BOS is added where the file does not say */
#define PRETOK_NO_BOS        4u  /* the family has no BOS, whatever the file says */
#define PRETOK_GROUP3        8u  /* matches of the first pass are cut into threes from the right */
#define PRETOK_WIDE_WINDOW   32u /* searched 64 KiB at a time: the pattern could cost its square */
#define PRETOK_UNSUPPORTED   16u /* known by name only: not byte-level */

struct pretok_rule {
	const char *name;
	const char *const *passes; /* ends with NULL */
	unsigned flags;
};

/* NULL: there is no such name. */
const struct pretok_rule *pretok_find(const char *name, size_t len);
/* Appends the known names nearest to an unknown one: "qwen2, qwen35". */
void pretok_near(const char *name, size_t len, struct buf *out);
size_t pretok_n_rules(void);
const struct pretok_rule *pretok_rule_at(size_t i);

struct pretok;
struct pretok *pretok_new(const struct pretok_rule *rule, struct err *err);
void pretok_free(struct pretok *p);

/* Where matching keeps its state, so that one pretok serves many threads. */
struct pretok_scratch;
struct pretok_scratch *pretok_scratch_new(const struct pretok *p);
void pretok_scratch_free(struct pretok_scratch *s);

/* Calls word for each piece of text, in order; together they are the text. Bytes that are not UTF-8
 * are pieces of their own. Stops with what word returned when that is not 0. */
typedef int (*pretok_word)(void *arg, const uint8_t *word, size_t len);
int pretok_split(const struct pretok *p, struct pretok_scratch *s, const uint8_t *text, size_t len,
	pretok_word word, void *arg);

#endif
