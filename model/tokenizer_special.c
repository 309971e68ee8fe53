/* Special tokens: which ids the file names, which tokens end an answer, which spellings are to be
 * found in text. */
#include "model/tokenizer_internal.h"

#include <stdlib.h>

/* Tokens that end an answer, whatever the file's keys say. */
static const char *const end_names[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>",
	"<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>",
	"<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>",
	"<eos>", "<turn|>", "<｜end▁of▁sentence｜>", "[e~[", "<|fim_pad|>", "<|fim_repo|>",
	"<|repo_name|>", "<|file_sep|>"};

/* Tokens that frame turns: control tokens even where a file calls them user-defined, so that the
 * text of a message cannot forge them. */
static const char *const frame_names[] = {"<s>", "<|begin_of_text|>", "<|im_start|>",
	"<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "<bos>", "<|user|>",
	"<|assistant|>", "<|system|>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"};

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
make_control(struct tokenizer *t, uint32_t id)
{
	if (t->tokens[id].type != TOKEN_UNKNOWN)
		t->tokens[id].type = TOKEN_CONTROL;
}

static int
id_load(const struct tokenizer *t, const struct gguf *g, const char *key, uint32_t *id,
	struct err *err)
{
	uint32_t v;

	if (!gguf_u32(g, key, &v) || v == UINT32_MAX)
		return 0;
	if (v >= t->n_tokens)
		return err_set(
			err, "%s is %u, but the vocabulary has %u tokens", key, v, t->n_tokens);
	*id = v;
	return 0;
}

static void
end_set(struct tokenizer *t, uint32_t id)
{
	if (id == TOKEN_NONE)
		return;
	t->tokens[id].is_end = true;
	make_control(t, id);
}

static void
ends_by_name(struct tokenizer *t)
{
	bool harmony = (tokenizer_find(t, "<|return|>") != TOKEN_NONE &&
			       tokenizer_find(t, "<|call|>") != TOKEN_NONE) ||
		       (tokenizer_find(t, "<|flush|>") != TOKEN_NONE &&
			       tokenizer_find(t, "<|calls|>") != TOKEN_NONE);

	for (size_t i = 0; i < N(end_names); i++) {
		/* In these formats <|end|> ends a part of an answer, not the answer. */
		if (harmony && strcmp(end_names[i], "<|end|>") == 0)
			continue;
		end_set(t, tokenizer_find(t, end_names[i]));
	}
	for (size_t i = 0; i < N(frame_names); i++) {
		uint32_t id = tokenizer_find(t, frame_names[i]);

		if (id != TOKEN_NONE)
			make_control(t, id);
	}
}

int
special_load(struct tokenizer *t, const struct gguf *g, struct err *err)
{
	uint32_t eot = TOKEN_NONE, eom = TOKEN_NONE;

	if (t->model == TOKENIZER_SPM) { /* SentencePiece's own names, for files without the keys */
		t->bos = tokenizer_find(t, "<s>");
		t->eos = tokenizer_find(t, "</s>");
		t->unk = tokenizer_find(t, "<unk>");
	}
	if (id_load(t, g, "tokenizer.ggml.bos_token_id", &t->bos, err) != 0 ||
		id_load(t, g, "tokenizer.ggml.eos_token_id", &t->eos, err) != 0 ||
		id_load(t, g, "tokenizer.ggml.unknown_token_id", &t->unk, err) != 0 ||
		id_load(t, g, "tokenizer.ggml.eot_token_id", &eot, err) != 0 ||
		id_load(t, g, "tokenizer.ggml.eom_token_id", &eom, err) != 0)
		return -1;
	if (t->unk != TOKEN_NONE && t->model == TOKENIZER_SPM)
		t->tokens[t->unk].type = TOKEN_UNKNOWN;
	if (t->bos != TOKEN_NONE)
		make_control(t, t->bos);
	end_set(t, t->eos);
	end_set(t, eot);
	end_set(t, eom);
	ends_by_name(t);
	return 0;
}

/* --- found in text ------------------------------------------------------------------------------ */

struct entry {
	const uint8_t *text;
	uint32_t len, id;
};

static int
compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	uint32_t n = x->len < y->len ? x->len : y->len;
	int c = memcmp(x->text, y->text, n);

	if (c != 0)
		return c;
	return x->len < y->len ? -1 : x->len > y->len;
}

static bool
is_special(const struct token *k)
{
	return k->len > 0 &&
	       (k->type == TOKEN_CONTROL || k->type == TOKEN_USER || k->type == TOKEN_UNKNOWN);
}

int
special_index_build(struct tokenizer *t, struct err *err)
{
	struct special_index *s = &t->special;
	struct entry *entries;
	size_t n = 0;

	for (uint32_t i = 0; i < t->n_tokens; i++)
		n += is_special(&t->tokens[i]);
	if (n == 0)
		return 0;
	s->ids = malloc(n * sizeof(*s->ids));
	entries = malloc(n * sizeof(*entries));
	if (s->ids == NULL || entries == NULL) {
		free(entries);
		return err_set(err, "out of memory");
	}
	for (uint32_t i = 0; i < t->n_tokens; i++) {
		if (!is_special(&t->tokens[i]))
			continue;
		entries[s->n++] = (struct entry){vocab_text(t, i), t->tokens[i].len, i};
		s->first[1][vocab_text(t, i)[0]] = true;
		if (t->tokens[i].type == TOKEN_USER)
			s->first[0][vocab_text(t, i)[0]] = true;
	}
	qsort(entries, s->n, sizeof(*entries), compare);
	for (size_t i = 0; i < s->n; i++)
		s->ids[i] = entries[i].id;
	free(entries);
	return 0;
}

/* The first of ids[low, high) whose byte at depth is at least c; all share the bytes before. */
static size_t
lower_bound(const struct tokenizer *t, size_t low, size_t high, size_t depth, unsigned c)
{
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		uint32_t id = t->special.ids[mid];

		if (t->tokens[id].len <= depth || vocab_text(t, id)[depth] < c)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint32_t
special_match(const struct tokenizer *t, const uint8_t *text, size_t len, bool any)
{
	size_t low = 0, high = t->special.n;
	uint32_t best = TOKEN_NONE;

	if (!t->special.first[any][text[0]])
		return TOKEN_NONE;
	for (size_t depth = 0; depth < len && low < high; depth++) {
		low = lower_bound(t, low, high, depth, text[depth]);
		high = lower_bound(t, low, high, depth, text[depth] + 1u);
		if (low < high) {
			uint32_t id = t->special.ids[low];

			if (t->tokens[id].len == depth + 1 &&
				(any || t->tokens[id].type == TOKEN_USER))
				best = id;
		}
	}
	return best;
}
