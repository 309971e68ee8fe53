/* Choosing the kind of tokenizer, and cutting text at special tokens before it does its work. */
#include "model/token_tree.h"
#include "model/tokenizer_internal.h"

#include <stdlib.h>

#define MAX_TEXT (256u << 20)

void
token_list_free(struct token_list *l)
{
	free(l->ids);
	*l = (struct token_list){0};
}

int
token_list_add(struct token_list *l, uint32_t id)
{
	if (l->n == l->cap) {
		size_t cap = l->cap < 64 ? 64 : l->cap * 2;
		uint32_t *ids = realloc(l->ids, cap * sizeof(*ids));

		if (ids == NULL)
			return -1;
		l->ids = ids;
		l->cap = cap;
	}
	l->ids[l->n++] = id;
	return 0;
}

static int
model_load(struct tokenizer *t, const struct gguf *g, struct err *err)
{
	struct gguf_str name;

	if (!gguf_string(g, "tokenizer.ggml.model", &name))
		return err_set(err,
			"tokenizer.ggml.model is missing: this file has no tokenizer; convert "
			"the model again");
	if (name.len == 5 && memcmp(name.s, "llama", 5) == 0)
		t->model = TOKENIZER_SPM;
	else if (name.len == 4 && memcmp(name.s, "gpt2", 4) == 0)
		t->model = TOKENIZER_BPE;
	else
		return err_set(err,
			"tokenizer.ggml.model is \"%.*s\"; supported are \"llama\" "
			"(SentencePiece) and \"gpt2\" (byte-level BPE)",
			(int)(name.len < 80 ? name.len : 80), name.s);
	return 0;
}

/* A letter of a byte-level spelling stands for one byte. */
static size_t
longest_text(const struct tokenizer *t)
{
	size_t longest = 1;

	for (uint32_t i = 0; i < t->n_tokens; i++) {
		const uint8_t *text = vocab_text(t, i);
		bool letters = t->model == TOKENIZER_BPE && t->tokens[i].type == TOKEN_NORMAL;
		size_t n = 0;

		for (uint32_t k = 0; k < t->tokens[i].len; k++)
			n += !letters || (text[k] & 0xc0) != 0x80;
		longest = n > longest ? n : longest;
	}
	return longest;
}

static int
load(struct tokenizer *t, const struct gguf *g, struct err *err)
{
	struct gguf_str pre;
	const struct pretok_rule *rule = NULL;

	if (model_load(t, g, err) != 0 || vocab_load(t, g, err) != 0 ||
		special_load(t, g, err) != 0)
		return -1;
	if (t->model == TOKENIZER_SPM) {
		t->add_bos = t->space_prefix = true;
		if (spm_load(t, err) != 0)
			return -1;
		gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix);
	} else {
		if (bpe_load(t, g, err) != 0)
			return -1;
		if (gguf_string(g, "tokenizer.ggml.pre", &pre))
			rule = pretok_find(pre.s, pre.len);
	}
	gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
	gguf_bool(g, "tokenizer.ggml.add_eos_token", &t->add_eos);
	if (rule != NULL && (rule->flags & PRETOK_NO_BOS) != 0)
		t->bos = TOKEN_NONE;
	t->add_bos = t->add_bos && t->bos != TOKEN_NONE;
	t->add_eos = t->add_eos && t->eos != TOKEN_NONE;
	t->longest = longest_text(t);
	return special_index_build(t, err);
}

struct tokenizer *
tokenizer_new(const struct gguf *g, struct err *err)
{
	struct tokenizer *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	t->bos = t->eos = t->unk = TOKEN_NONE;
	t->tree = calloc(1, sizeof *t->tree);
	if (t->tree == NULL)
		err_set(err, "out of memory");
	if (t->tree == NULL || load(t, g, err) != 0) {
		tokenizer_free(t);
		return NULL;
	}
	return t;
}

void
tokenizer_free(struct tokenizer *t)
{
	if (t == NULL)
		return;
	free(t->tokens);
	free(t->texts);
	free(t->by_text);
	free(t->special.ids);
	free(t->merges);
	pretok_free(t->pretok);
	if (t->tree != NULL)
		token_tree_free(atomic_load(t->tree));
	free(t->tree);
	free(t);
}

/* Text without special tokens in it. prefix: it stands at the begin or behind a special token. */
static int
plain(const struct tokenizer *t, struct merger *m, const uint8_t *text, size_t len, bool prefix,
	struct token_list *out)
{
	if (len == 0)
		return 0;
	if (t->model == TOKENIZER_SPM)
		return spm_tokenize(t, m, text, len, prefix && t->space_prefix, out);
	return bpe_tokenize(t, m, text, len, out);
}

static int
cut_at_special(const struct tokenizer *t, struct merger *m, const uint8_t *text, size_t len,
	bool any, struct token_list *out)
{
	size_t begin = 0, at = 0;
	bool prefix = true;

	while (at < len && !list_is_enough(out)) {
		uint32_t id = special_match(t, text + at, len - at, any);

		if (id == TOKEN_NONE) {
			at++;
			continue;
		}
		if (plain(t, m, text + begin, at - begin, prefix, out) != 0 ||
			token_list_add(out, id) != 0)
			return -1;
		at += t->tokens[id].len;
		begin = at;
		prefix = true;
	}
	return plain(t, m, text + begin, len - begin, prefix, out);
}

int
tokenize(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
	struct token_list *out, struct err *err)
{
	struct merger m = {0};
	size_t n_before = out->n;
	int rc = 0;

	if (len > MAX_TEXT)
		return err_set(err,
			"the text is %zu bytes long, more than the %u that can be tokenized", len,
			MAX_TEXT);
	if ((flags & TOKENIZE_BOS) != 0 && t->add_bos)
		rc = token_list_add(out, t->bos);
	if (rc == 0)
		rc = cut_at_special(
			t, &m, (const uint8_t *)text, len, (flags & TOKENIZE_SPECIAL) != 0, out);
	if (rc == 0 && (flags & TOKENIZE_BOS) != 0 && t->add_eos)
		rc = token_list_add(out, t->eos);
	merger_free(&m);
	if (rc != 0) {
		out->n = n_before;
		return err_set(err, "out of memory for the tokens of %zu bytes of text", len);
	}
	return 0;
}

uint32_t
tokenizer_size(const struct tokenizer *t)
{
	return t->n_tokens;
}

int
tokenizer_check_rows(const struct tokenizer *t, uint32_t rows, struct err *err)
{
	if (t->n_tokens == rows)
		return 0;
	return err_set(err,
		"the tokenizer has %u tokens, and the embedding %u rows: the file is damaged, or "
		"was put together wrongly",
		t->n_tokens, rows);
}

size_t
tokenizer_longest(const struct tokenizer *t)
{
	return t->longest;
}

int
tokenizer_check_prompt(const struct tokenizer *t, uint32_t context, const uint32_t *prompt,
	size_t n, struct err *err)
{
	if (n == 0)
		return err_set(err, "the prompt has no tokens");
	if (n >= context)
		return err_set(err,
			"the prompt has %zu tokens, and the context of %u has no room for an "
			"answer to it",
			n, context);
	for (size_t i = 0; i < n; i++)
		if (prompt[i] >= t->n_tokens)
			return err_set(err, "token %zu of the prompt is %u; the vocabulary has %u",
				i, prompt[i], t->n_tokens);
	return 0;
}

uint32_t
tokenizer_bos(const struct tokenizer *t)
{
	return t->bos;
}

uint32_t
tokenizer_eos(const struct tokenizer *t)
{
	return t->eos;
}

bool
tokenizer_is_end(const struct tokenizer *t, uint32_t id)
{
	return id < t->n_tokens && t->tokens[id].is_end;
}

bool
tokenizer_adds_bos(const struct tokenizer *t)
{
	return t->add_bos;
}

uint32_t
tokenizer_find(const struct tokenizer *t, const char *text)
{
	return vocab_find(t, (const uint8_t *)text, strlen(text));
}

const char *
tokenizer_kind(const struct tokenizer *t)
{
	return t->kind;
}
