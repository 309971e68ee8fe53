/* The list of tokens: read from the file, checked, and found by spelling. */
#include "model/tokenizer_internal.h"

#include <stdlib.h>
#include <sys/random.h>

#define MAX_TOKENS   (1u << 22)
#define MAX_SPELLING 16384u

uint64_t
vocab_mix(uint64_t h)
{
	h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
	h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
	return h ^ (h >> 32);
}

static uint64_t
text_hash(const struct tokenizer *t, const uint8_t *p, size_t len)
{
	uint64_t h = t->seed ^ (uint64_t)len * 0x9e3779b97f4a7c15u;

	for (; len >= 8; p += 8, len -= 8)
		h = vocab_mix(h ^ get_le64(p)) + t->seed;
	for (; len > 0; p++, len--)
		h = (h ^ *p) * 0x9fb21c651e98df25u;
	return vocab_mix(h);
}

/* Where a spelling is or would be. */
static uint32_t *
place(const struct tokenizer *t, const uint8_t *text, size_t len)
{
	size_t i = (size_t)text_hash(t, text, len) & t->by_text_mask;
	uint32_t id;

	while ((id = t->by_text[i]) != TOKEN_NONE &&
		(t->tokens[id].len != len || memcmp(vocab_text(t, id), text, len) != 0))
		i = (i + 1) & t->by_text_mask;
	return &t->by_text[i];
}

uint32_t
vocab_find(const struct tokenizer *t, const uint8_t *text, size_t len)
{
	return len > 0 && len <= t->max_len ? *place(t, text, len) : TOKEN_NONE;
}

uint32_t
vocab_find_plain(const struct tokenizer *t, const uint8_t *text, size_t len)
{
	uint32_t id = vocab_find(t, text, len);

	if (id == TOKEN_NONE)
		return id;
	switch (t->tokens[id].type) {
	case TOKEN_CONTROL:
	case TOKEN_UNKNOWN:
	case TOKEN_BYTE:
		return TOKEN_NONE;
	default:
		return id;
	}
}

static int
spellings_load(struct tokenizer *t, const struct gguf_array *a, struct err *err)
{
	struct buf texts = {.max = UINT32_MAX};
	const uint8_t *p = NULL;
	struct gguf_str s;
	uint32_t n = 0;

	for (; n < t->n_tokens && gguf_array_string(a, &p, &s); n++) {
		if (s.len > MAX_SPELLING) {
			buf_free(&texts);
			return err_set(err,
				"tokenizer.ggml.tokens: token %u is %zu bytes long, more than the "
				"%u "
				"that can be",
				n, s.len, MAX_SPELLING);
		}
		t->tokens[n] = (struct token){
			.at = (uint32_t)texts.len, .len = (uint32_t)s.len, .type = TOKEN_NORMAL};
		buf_append(&texts, s.s, s.len);
		if (s.len > t->max_len)
			t->max_len = s.len;
	}
	t->texts = texts.data;
	if (texts.failed)
		return err_set(err, "out of memory");
	if (n != t->n_tokens)
		return err_set(err, "tokenizer.ggml.tokens ends at token %u of %u", n, t->n_tokens);
	return 0;
}

static int
types_load(struct tokenizer *t, const struct gguf *g, struct err *err)
{
	struct gguf_array a;

	if (!gguf_array(g, "tokenizer.ggml.token_type", &a))
		return 0;
	if (a.n != t->n_tokens || a.type == GGUF_STRING)
		return err_set(err, "tokenizer.ggml.token_type has %llu entries for %u tokens",
			(unsigned long long)a.n, t->n_tokens);
	for (uint32_t i = 0; i < t->n_tokens; i++) {
		int32_t type = gguf_array_i32(&a, i);

		if (type < 0 || type > TOKEN_BYTE)
			return err_set(err,
				"tokenizer.ggml.token_type: type %d of token %u is not one of 0 to "
				"6",
				type, i);
		t->tokens[i].type = type == 0 ? TOKEN_NORMAL : (uint8_t)type;
	}
	return 0;
}

static int
scores_load(struct tokenizer *t, const struct gguf *g, struct err *err)
{
	struct gguf_array a;

	if (!gguf_array(g, "tokenizer.ggml.scores", &a) || a.type != GGUF_F32)
		return err_set(err,
			"tokenizer.ggml.scores is missing (a list of floats): this file has no "
			"whole tokenizer; convert the model again");
	if (a.n != t->n_tokens)
		return err_set(err, "tokenizer.ggml.scores has %llu entries for %u tokens",
			(unsigned long long)a.n, t->n_tokens);
	for (uint32_t i = 0; i < t->n_tokens; i++)
		t->tokens[i].score = gguf_array_f32(&a, i);
	return 0;
}

/* Unused tokens may share a spelling; they are found by the first of them. */
static int
index_build(struct tokenizer *t, struct err *err)
{
	size_t size = 16;

	while (size < (size_t)t->n_tokens * 2)
		size *= 2;
	t->by_text = malloc(size * sizeof(*t->by_text));
	if (t->by_text == NULL)
		return err_set(err, "out of memory");
	memset(t->by_text, 0xff, size * sizeof(*t->by_text));
	t->by_text_mask = size - 1;
	for (uint32_t i = 0; i < t->n_tokens; i++) {
		const struct token *k = &t->tokens[i];
		uint32_t *at;

		if (k->len == 0)
			continue;
		at = place(t, vocab_text(t, i), k->len);
		if (*at == TOKEN_NONE || t->tokens[*at].type == TOKEN_UNUSED)
			*at = i;
		else if (k->type != TOKEN_UNUSED)
			return err_set(err,
				"tokenizer.ggml.tokens: tokens %u and %u are both \"%.*s\"", *at, i,
				(int)(k->len < 80 ? k->len : 80), (const char *)vocab_text(t, i));
	}
	return 0;
}

int
vocab_load(struct tokenizer *t, const struct gguf *g, struct err *err)
{
	struct gguf_array a;

	if (!gguf_array(g, "tokenizer.ggml.tokens", &a) || a.type != GGUF_STRING)
		return err_set(err,
			"tokenizer.ggml.tokens is missing (a list of texts): this file has no "
			"tokenizer; convert the model again");
	if (a.n == 0 || a.n > MAX_TOKENS)
		return err_set(err, "tokenizer.ggml.tokens: %llu tokens; there must be 1 to %u",
			(unsigned long long)a.n, MAX_TOKENS);
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != (ssize_t)sizeof(t->seed))
		t->seed = (uint64_t)(uintptr_t)t *
			  0x9e3779b97f4a7c15u; /* so early after boot: good enough */
	t->n_tokens = (uint32_t)a.n;
	t->tokens = calloc(t->n_tokens, sizeof(*t->tokens));
	if (t->tokens == NULL)
		return err_set(err, "out of memory");
	if (spellings_load(t, &a, err) != 0 || types_load(t, g, err) != 0)
		return -1;
	if (t->model == TOKENIZER_SPM && scores_load(t, g, err) != 0)
		return -1;
	return index_build(t, err);
}
