/* A file as GGUF with a tokenizer, and a text (what follows the last "\nTEXT\n") through it and
 * back. Since few mutated files are still whole, the text also goes through a tokenizer that is:
 * the one of the seed that its first byte names. */
#include "tests/fuzz/fuzz.h"
#include "tests/support/vocab_make.h"

#include <stdlib.h>

static const char mark[] = "\nTEXT\n";

static size_t
text_begin(const uint8_t *data, size_t size)
{
	size_t n = sizeof(mark) - 1;

	for (size_t i = size; i >= n; i--)
		if (memcmp(data + i - n, mark, n) == 0)
			return i;
	return size;
}

static void
through(const struct tokenizer *t, const uint8_t *text, size_t len, unsigned flags)
{
	struct token_list ids = {0};
	struct buf out = {0};
	struct detok d;
	struct err err;

	if (tokenize(t, (const char *)text, len, flags, &ids, &err) != 0)
		abort();
	detok_init(&d, t, (flags & TOKENIZE_SPECIAL) != 0);
	for (size_t i = 0; i < ids.n; i++)
		if (ids.ids[i] >= tokenizer_size(t) || detok_push(&d, ids.ids[i], &out) != 0)
			abort();
	detok_finish(&d, &out);
	buf_free(&out);
	token_list_free(&ids);
}

#define N_WHOLE 12

static const struct tokenizer *
whole(unsigned i)
{
	static struct tokenizer *made[N_WHOLE];
	static uint8_t file[FUZZ_MAX];
	struct err err;
	struct gguf *g;
	size_t size;

	if (made[i] != NULL)
		return made[i];
	size = fuzz_seed(i, file, sizeof(file));
	g = gguf_parse(file, text_begin(file, size), &err);
	made[i] = g != NULL ? tokenizer_new(g, &err) : NULL;
	gguf_close(g);
	if (made[i] == NULL)
		abort();
	return made[i];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t begin = text_begin(data, size);
	struct err err;
	struct gguf *g = gguf_parse(data, begin, &err);
	struct tokenizer *t = g != NULL ? tokenizer_new(g, &err) : NULL;

	gguf_close(g);
	if (t != NULL) {
		through(t, data + begin, size - begin, 0);
		through(t, data + begin, size - begin, TOKENIZE_SPECIAL | TOKENIZE_BOS);
	}
	tokenizer_free(t);
	if (begin == size) /* no text: all of it */
		begin = 0;
	if (begin < size)
		through(whole(data[begin] % N_WHOLE), data + begin, size - begin, data[begin] & 3u);
	return 0;
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm",
		"deepseek-v3", "gpt-4o", "kimi-k2", "superbpe", "tiny_aya", "falcon", "chameleon"};
	static const char *const extra[] = {"ab", "abc", "<c>", "<c>d", "<u>"};
	static const int32_t types[] = {1, 1, 3, 3, 4};
	static const char *const merges[] = {"a b", "ab c"};
	static const char *const pieces[] = {
		"ab", "abc", "<c>", "<c>d", "<u>", "\xe2\x96\x81", "a", "b", "c", "\342\226\201a"};
	static const int32_t piece_types[] = {1, 1, 3, 3, 4, 1, 1, 1, 1, 1};
	static const char text[] =
		"\nTEXT\nabc <c>d<u> I'll 1234567 \xe4\xb8\xad\xe6\x96\x87 \xff\xc3\n\n  \t!";
	size_t n_pres = sizeof(pres) / sizeof(pres[0]);
	struct vocab_make v = {0};
	const struct buf *b;
	size_t size = 0;

	if (i > n_pres)
		return 0;
	if (i < n_pres)
		vocab_bytes(&v, pres[i], extra, types, 5, merges, 2);
	else
		vocab_pieces(&v, pieces, piece_types, 10);
	b = vocab_file(&v);
	if (b->len + sizeof(text) - 1 <= max) {
		memcpy(out, b->data, b->len);
		memcpy(out + b->len, text, sizeof(text) - 1);
		size = b->len + sizeof(text) - 1;
	}
	vocab_make_free(&v);
	return size;
}
