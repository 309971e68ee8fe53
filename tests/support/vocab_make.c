#include "tests/support/vocab_make.h"

#include "model/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_EXTRA 64

static void
put_str(struct buf *b, const char *s)
{
	buf_u64(b, strlen(s));
	buf_str(b, s);
}

static void
put_key(struct vocab_make *v, const char *key, enum gguf_type type)
{
	put_str(&v->keys, key);
	buf_u32(&v->keys, type);
	v->n_keys++;
}

static void
put_array(struct vocab_make *v, const char *key, enum gguf_type type, size_t n)
{
	put_key(v, key, GGUF_ARRAY);
	buf_u32(&v->keys, type);
	buf_u64(&v->keys, n);
}

void
vocab_make_free(struct vocab_make *v)
{
	buf_free(&v->keys);
	buf_free(&v->file);
}

void
vocab_str(struct vocab_make *v, const char *key, const char *value)
{
	put_key(v, key, GGUF_STRING);
	put_str(&v->keys, value);
}

void
vocab_u32(struct vocab_make *v, const char *key, uint32_t value)
{
	put_key(v, key, GGUF_U32);
	buf_u32(&v->keys, value);
}

void
vocab_bool(struct vocab_make *v, const char *key, bool value)
{
	put_key(v, key, GGUF_BOOL);
	buf_u8(&v->keys, value);
}

void
vocab_strs(struct vocab_make *v, const char *key, const char *const *values, size_t n)
{
	put_array(v, key, GGUF_STRING, n);
	for (size_t i = 0; i < n; i++)
		put_str(&v->keys, values[i]);
}

void
vocab_i32s(struct vocab_make *v, const char *key, const int32_t *values, size_t n)
{
	put_array(v, key, GGUF_I32, n);
	for (size_t i = 0; i < n; i++)
		buf_u32(&v->keys, (uint32_t)values[i]);
}

void
vocab_f32s(struct vocab_make *v, const char *key, const float *values, size_t n)
{
	put_array(v, key, GGUF_F32, n);
	for (size_t i = 0; i < n; i++) {
		uint32_t bits;

		memcpy(&bits, &values[i], sizeof(bits));
		buf_u32(&v->keys, bits);
	}
}

const struct buf *
vocab_file(struct vocab_make *v)
{
	buf_clear(&v->file);
	buf_str(&v->file, "GGUF");
	buf_u32(&v->file, 3);
	buf_u64(&v->file, 0);
	buf_u64(&v->file, v->n_keys);
	buf_append(&v->file, v->keys.data, v->keys.len);
	while (v->file.len % 32 != 0)
		buf_u8(&v->file, 0);
	return &v->file;
}

struct tokenizer *
vocab_tokenizer(struct vocab_make *v, struct err *err)
{
	const struct buf *b = vocab_file(v);
	struct gguf *g = gguf_parse(b->data, b->len, err);
	struct tokenizer *t = g != NULL ? tokenizer_new(g, err) : NULL;

	gguf_close(g);
	return t;
}

void
vocab_bytes(struct vocab_make *v, const char *pre, const char *const *extra, const int32_t *types,
	size_t n_extra, const char *const *merges, size_t n_merges)
{
	const char *tokens[256 + MAX_EXTRA];
	char letters[256][3];
	int32_t type[256 + MAX_EXTRA];

	for (unsigned b = 0; b < 256; b++) {
		uint32_t c = bpe_letter((uint8_t)b);

		if (c < 0x80)
			snprintf(letters[b], 3, "%c", (char)c);
		else
			snprintf(letters[b], 3, "%c%c", (char)(0xc0 | c >> 6),
				(char)(0x80 | (c & 0x3f)));
		tokens[b] = letters[b];
		type[b] = 1;
	}
	for (size_t i = 0; i < n_extra && i < MAX_EXTRA; i++) {
		tokens[256 + i] = extra[i];
		type[256 + i] = types != NULL && types[i] != 0 ? types[i] : 1;
	}
	vocab_str(v, "tokenizer.ggml.model", "gpt2");
	if (pre != NULL)
		vocab_str(v, "tokenizer.ggml.pre", pre);
	vocab_strs(v, "tokenizer.ggml.tokens", tokens, 256 + n_extra);
	vocab_i32s(v, "tokenizer.ggml.token_type", type, 256 + n_extra);
	vocab_strs(v, "tokenizer.ggml.merges", merges, n_merges);
}

void
vocab_pieces(struct vocab_make *v, const char *const *extra, const int32_t *types, size_t n_extra)
{
	const char *tokens[259 + MAX_EXTRA] = {"<unk>", "<s>", "</s>"};
	char bytes[256][7];
	int32_t type[259 + MAX_EXTRA] = {2, 3, 3};
	float score[259 + MAX_EXTRA] = {0};

	for (unsigned b = 0; b < 256; b++) {
		snprintf(bytes[b], 7, "<0x%02X>", b);
		tokens[3 + b] = bytes[b];
		type[3 + b] = 6;
	}
	for (size_t i = 0; i < n_extra && i < MAX_EXTRA; i++) {
		tokens[259 + i] = extra[i];
		type[259 + i] = types != NULL && types[i] != 0 ? types[i] : 1;
		score[259 + i] = -(float)i;
	}
	vocab_str(v, "tokenizer.ggml.model", "llama");
	vocab_strs(v, "tokenizer.ggml.tokens", tokens, 259 + n_extra);
	vocab_i32s(v, "tokenizer.ggml.token_type", type, 259 + n_extra);
	vocab_f32s(v, "tokenizer.ggml.scores", score, 259 + n_extra);
	vocab_u32(v, "tokenizer.ggml.bos_token_id", 1);
	vocab_u32(v, "tokenizer.ggml.eos_token_id", 2);
	vocab_u32(v, "tokenizer.ggml.unknown_token_id", 0);
}

struct tokenizer *
vocab_with_end(const char *const *extra, const int32_t *types, size_t n_extra, struct err *err)
{
	struct vocab_make v = {0};
	struct tokenizer *t;

	vocab_bytes(&v, "gpt-2", extra, types, n_extra, NULL, 0);
	vocab_u32(&v, "tokenizer.ggml.eos_token_id", 256);
	t = vocab_tokenizer(&v, err);
	vocab_make_free(&v);
	return t;
}
