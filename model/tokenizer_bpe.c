/* Byte-level BPE: words by a pre-splitting pattern, bytes as letters, merges in the order of their
 * list. Works on ids alone: a merge is a pair of ids, found in a hash table. */
#include "model/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_MERGES (1u << 24)

/* Bytes that are printable in Latin-1 stand for themselves, the others for U+0100 and on. */
static bool
is_own_letter(unsigned b)
{
	return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

uint32_t
bpe_letter(uint8_t byte)
{
	uint32_t n = 0;

	if (is_own_letter(byte))
		return byte;
	for (unsigned b = 0; b < byte; b++)
		n += !is_own_letter(b);
	return 256 + n;
}

int
bpe_byte(uint32_t letter)
{
	if (letter < 256)
		return is_own_letter(letter) ? (int)letter : -1;
	letter -= 256; /* 0x00 to 0x20, 0x7f to 0xa0, 0xad */
	if (letter <= 0x20)
		return (int)letter;
	if (letter < 67)
		return (int)(letter - 33 + 0x7f);
	return letter == 67 ? 0xad : -1;
}

static struct merge *
merge_place(const struct tokenizer *t, uint32_t left, uint32_t right)
{
	size_t i = (size_t)vocab_mix(((uint64_t)left << 32 | right) ^ t->seed) & t->merges_mask;

	while (t->merges[i].id != TOKEN_NONE &&
		(t->merges[i].left != left || t->merges[i].right != right))
		i = (i + 1) & t->merges_mask;
	return &t->merges[i];
}

/* "left right". */
static int
merge_add(
	struct tokenizer *t, uint32_t rank, struct gguf_str s, struct buf *joined, struct err *err)
{
	const uint8_t *p = (const uint8_t *)s.s, *gap;
	size_t n_left, n_right;
	uint32_t left, right, id;
	struct merge *m;

	gap = s.len > 2 ? memchr(p + 1, ' ', s.len - 2) : NULL;
	if (gap == NULL)
		return err_set(err,
			"tokenizer.ggml.merges: merge %u is not two tokens with a space between",
			rank);
	n_left = (size_t)(gap - p);
	n_right = s.len - n_left - 1;
	left = vocab_find(t, p, n_left);
	right = vocab_find(t, gap + 1, n_right);
	buf_clear(joined);
	buf_append(joined, p, n_left);
	buf_append(joined, gap + 1, n_right);
	if (joined->failed)
		return err_set(err, "out of memory");
	id = vocab_find(t, joined->data, joined->len);
	if (left == TOKEN_NONE || right == TOKEN_NONE || id == TOKEN_NONE)
		return err_set(err,
			"tokenizer.ggml.merges: merge %u (\"%.*s\") names a token that the "
			"vocabulary does not "
			"have",
			rank, (int)(s.len < 80 ? s.len : 80), s.s);
	m = merge_place(t, left, right);
	if (m->id == TOKEN_NONE) /* of equal merges the first counts */
		*m = (struct merge){left, right, rank, id};
	return 0;
}

static int
merges_load(struct tokenizer *t, const struct gguf *g, struct err *err)
{
	struct gguf_array a;
	const uint8_t *p = NULL;
	struct gguf_str s;
	struct buf joined = {0};
	size_t size = 16;
	int rc = 0;

	if (!gguf_array(g, "tokenizer.ggml.merges", &a) || a.type != GGUF_STRING)
		return err_set(err,
			"tokenizer.ggml.merges is missing (a list of texts): this file has no "
			"whole tokenizer; convert the model again");
	if (a.n > MAX_MERGES)
		return err_set(err,
			"tokenizer.ggml.merges: %llu merges are more than the %u that can be",
			(unsigned long long)a.n, MAX_MERGES);
	while (size < a.n * 2)
		size *= 2;
	t->merges = malloc(size * sizeof(*t->merges));
	if (t->merges == NULL)
		return err_set(err, "out of memory");
	for (size_t i = 0; i < size; i++)
		t->merges[i].id = TOKEN_NONE;
	t->merges_mask = size - 1;
	for (uint32_t rank = 0; rc == 0 && gguf_array_string(&a, &p, &s); rank++)
		rc = merge_add(t, rank, s, &joined, err);
	buf_free(&joined);
	return rc;
}

static const struct pretok_rule *
rule_load(const struct gguf *g, struct err *err)
{
	struct gguf_str name = {"default", 7};
	const struct pretok_rule *rule;
	struct buf near = {0};

	gguf_string(g, "tokenizer.ggml.pre", &name); /* missing in old files: default */
	rule = pretok_find(name.s, name.len);
	if (rule == NULL) {
		pretok_near(name.s, name.len, &near);
		err_set(err,
			"tokenizer.ggml.pre is \"%.*s\", which is not known here (near names: "
			"%.*s); guessing "
			"would give wrong tokens",
			(int)(name.len < 80 ? name.len : 80), name.s, (int)near.len,
			near.data != NULL ? (const char *)near.data : "");
		buf_free(&near);
		return NULL;
	}
	if ((rule->flags & PRETOK_UNSUPPORTED) != 0) {
		err_set(err,
			"tokenizer.ggml.pre is \"%s\", which is not byte-level and not supported",
			rule->name);
		return NULL;
	}
	return rule;
}

int
bpe_load(struct tokenizer *t, const struct gguf *g, struct err *err)
{
	const struct pretok_rule *rule = rule_load(g, err);

	if (rule == NULL)
		return -1;
	snprintf(t->kind, sizeof(t->kind), "bpe (%s)", rule->name);
	t->ignore_merges = (rule->flags & PRETOK_IGNORE_MERGES) != 0;
	if ((rule->flags & PRETOK_BOS) != 0)
		t->add_bos = true;
	for (unsigned b = 0; b < 256; b++) {
		uint32_t c = bpe_letter((uint8_t)b);
		uint8_t ascii = (uint8_t)c;
		uint8_t two[2] = {(uint8_t)(0xc0 | c >> 6), (uint8_t)(0x80 | (c & 0x3f))};

		t->byte_id[b] = c < 0x80 ? vocab_find(t, &ascii, 1) : vocab_find(t, two, 2);
	}
	if (merges_load(t, g, err) != 0)
		return -1;
	t->pretok = pretok_new(rule, err);
	return t->pretok != NULL ? 0 : -1;
}

static bool
bpe_pair(const struct tokenizer *t, const uint8_t *text, const struct symbol *l,
	const struct symbol *r, uint32_t *order, uint32_t *id)
{
	const struct merge *m;

	(void)text;
	if (l->id == TOKEN_NONE || r->id == TOKEN_NONE)
		return false;
	m = merge_place(t, l->id, r->id);
	if (m->id == TOKEN_NONE)
		return false;
	*order = m->rank;
	*id = m->id;
	return true;
}

struct job {
	const struct tokenizer *t;
	struct merger *m;
	struct token_list *out;
};

/* The token that a word is as a whole, spelled in letters. */
static uint32_t
whole_word(const struct job *j, const uint8_t *word, size_t len)
{
	struct buf *b = &j->m->text;

	if (len > j->t->max_len)
		return TOKEN_NONE;
	buf_clear(b);
	for (size_t i = 0; i < len; i++) {
		uint32_t id = j->t->byte_id[word[i]];

		if (id == TOKEN_NONE)
			return TOKEN_NONE;
		buf_append(b, vocab_text(j->t, id), j->t->tokens[id].len);
	}
	return b->failed ? TOKEN_NONE : vocab_find_plain(j->t, b->data, b->len);
}

#define ENOUGH 1 /* the rest of the text is not looked at */

static int
bpe_word(void *arg, const uint8_t *word, size_t len)
{
	const struct job *j = arg;
	const struct tokenizer *t = j->t;
	struct merger *m = j->m;
	uint32_t id;

	if (list_is_enough(j->out))
		return ENOUGH;
	if (t->ignore_merges && (id = whole_word(j, word, len)) != TOKEN_NONE)
		return token_list_add(j->out, id);
	m->n_symbols = 0;
	for (size_t i = 0; i < len; i++)
		if (merger_add(m, (uint32_t)i, 1, t->byte_id[word[i]]) != 0)
			return -1;
	if (merger_run(m, t, word, bpe_pair) != 0)
		return -1;
	for (uint32_t i = 0; i < m->n_symbols; i = m->symbols[i].next) {
		id = m->symbols[i].id != TOKEN_NONE ? m->symbols[i].id : t->unk;
		if (id != TOKEN_NONE && token_list_add(j->out, id) != 0)
			return -1;
	}
	return 0;
}

int
bpe_tokenize(const struct tokenizer *t, struct merger *m, const uint8_t *text, size_t len,
	struct token_list *out)
{
	struct job j = {t, m, out};
	int rc;

	if (m->pretok == NULL && (m->pretok = pretok_scratch_new(t->pretok)) == NULL)
		return -1;
	rc = pretok_split(t->pretok, m->pretok, text, len, bpe_word, &j);
	return rc == ENOUGH ? 0 : rc;
}
