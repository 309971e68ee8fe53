/* SentencePiece-style BPE: of all neighbours that together spell a token, the pair whose token has
 * the highest score is merged first. Spaces are spelled U+2581; what no token spells becomes bytes
 * <0xNN>. */
#include "model/tokenizer_internal.h"
#include "model/utf8.h"

#include <math.h>
#include <stdio.h>

static const uint8_t space[3] = {0xe2, 0x96, 0x81};

static bool
is_space(const uint8_t *p, size_t len)
{
	return len >= 3 && memcmp(p, space, 3) == 0;
}

/* Whether a token has a space behind another character. */
static bool
spans_words(const uint8_t *p, size_t len)
{
	bool letter = false;

	for (size_t i = 0; i < len;) {
		if (is_space(p + i, len - i)) {
			if (letter)
				return true;
			i += 3;
		} else {
			letter = true;
			i++;
		}
	}
	return false;
}

int
spm_load(struct tokenizer *t, struct err *err)
{
	t->split_words = true;
	for (uint32_t i = 0; i < t->n_tokens; i++) {
		const struct token *k = &t->tokens[i];

		if (isnan(k->score))
			return err_set(err,
				"tokenizer.ggml.scores: the score of token %u is not a number", i);
		if (k->type != TOKEN_CONTROL && k->type != TOKEN_UNKNOWN &&
			spans_words(vocab_text(t, i), k->len))
			t->split_words = false;
	}
	for (unsigned b = 0; b < 256; b++) {
		char name[8];

		snprintf(name, sizeof(name), "<0x%02X>", b);
		t->byte_id[b] = vocab_find(t, (const uint8_t *)name, 6);
		if (t->byte_id[b] != TOKEN_NONE)
			t->tokens[t->byte_id[b]].type = TOKEN_BYTE;
	}
	snprintf(t->kind, sizeof(t->kind), "spm");
	return 0;
}

/* A float as an integer that is less where the float is greater. */
static uint32_t
score_order(float score)
{
	float f = score + 0.0f; /* no negative zero */
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
}

static bool
spm_pair(const struct tokenizer *t, const uint8_t *text, const struct symbol *l,
	const struct symbol *r, uint32_t *order, uint32_t *id)
{
	*id = vocab_find_plain(t, text + l->at, (size_t)l->len + r->len);
	if (*id == TOKEN_NONE)
		return false;
	*order = score_order(t->tokens[*id].score);
	return true;
}

static int
emit(const struct tokenizer *t, const uint8_t *p, const struct symbol *s, struct token_list *out)
{
	if (s->id != TOKEN_NONE)
		return token_list_add(out, s->id);
	for (uint32_t i = 0; i < s->len; i++) {
		uint32_t id = t->byte_id[p[s->at + i]];

		if (id == TOKEN_NONE) /* no byte tokens: one unknown for the character */
			return t->unk != TOKEN_NONE ? token_list_add(out, t->unk) : 0;
		if (token_list_add(out, id) != 0)
			return -1;
	}
	return 0;
}

static int
spm_piece(const struct tokenizer *t, struct merger *m, const uint8_t *p, size_t len,
	struct token_list *out)
{
	m->n_symbols = 0;
	for (size_t at = 0; at < len;) {
		int n = utf8_step(p + at, len - at);

		if (n <= 0)
			n = 1;
		if (merger_add(m, (uint32_t)at, (uint32_t)n,
			    vocab_find_plain(t, p + at, (size_t)n)) != 0)
			return -1;
		at += (size_t)n;
	}
	if (merger_run(m, t, p, spm_pair) != 0)
		return -1;
	for (uint32_t i = 0; i < m->n_symbols; i = m->symbols[i].next)
		if (emit(t, p, &m->symbols[i], out) != 0)
			return -1;
	return 0;
}

/* Text with its spaces spelled U+2581, in m->text. */
static int
escape(struct merger *m, const uint8_t *text, size_t len, bool prefix)
{
	buf_clear(&m->text);
	if (prefix)
		buf_append(&m->text, space, 3);
	for (size_t at = 0; at < len;) {
		const uint8_t *next = memchr(text + at, ' ', len - at);
		size_t n = next != NULL ? (size_t)(next - text) - at : len - at;

		buf_append(&m->text, text + at, n);
		at += n;
		if (next != NULL) {
			buf_append(&m->text, space, 3);
			at++;
		}
	}
	return m->text.failed ? -1 : 0;
}

int
spm_tokenize(const struct tokenizer *t, struct merger *m, const uint8_t *text, size_t len,
	bool prefix, struct token_list *out)
{
	size_t begin = 0;
	const uint8_t *p;

	if (escape(m, text, len, prefix) != 0)
		return -1;
	p = m->text.data;
	len = m->text.len;
	if (!t->split_words)
		return spm_piece(t, m, p, len, out);
	/* Word by word: the same result, since nothing merges over these borders. */
	for (size_t at = 1; at <= len; at++) {
		bool behind_space = at >= begin + 3 && is_space(p + at - 3, 3);

		if (at < len && (behind_space || !is_space(p + at, len - at)))
			continue;
		if (spm_piece(t, m, p + begin, at - begin, out) != 0)
			return -1;
		begin = at;
	}
	return 0;
}
