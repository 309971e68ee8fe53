/* The tokenizers: reference ids of three vocabularies, made vocabularies, damaged ones. */
#include "base/file.h"
#include "model/pretok.h"
#include "tests/support/vocab_make.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- helpers --- */

static void
expect_ids(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
	const uint32_t *ids, size_t n)
{
	struct token_list got = {0};
	struct err err;

	ck_assert_int_eq(tokenize(t, text, len, flags, &got, &err), 0);
	ck_assert_msg(got.n == n, "\"%.60s\": %zu tokens, not %zu", text, got.n, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(got.ids[i] == ids[i], "\"%.60s\": token %zu is %u, not %u", text, i,
			got.ids[i], ids[i]);
	token_list_free(&got);
}

#define EXPECT(t, text, flags, ...)                                                                \
	expect_ids(t, text, strlen(text), flags, (const uint32_t[]){__VA_ARGS__},                  \
		COUNT(((const uint32_t[]){__VA_ARGS__})))

static void
expect_round_trip(const struct tokenizer *t, const char *text, size_t len)
{
	struct token_list ids = {0};
	struct buf out = {0};
	struct detok d;
	struct err err;

	ck_assert_int_eq(tokenize(t, text, len, 0, &ids, &err), 0);
	detok_init(&d, t, false);
	for (size_t i = 0; i < ids.n; i++)
		ck_assert_int_eq(detok_push(&d, ids.ids[i], &out), 0);
	ck_assert_int_eq(detok_finish(&d, &out), 0);
	ck_assert_msg(out.len == len && (len == 0 || memcmp(out.data, text, len) == 0),
		"\"%.60s\" came back as \"%.*s\"", text, (int)out.len, (const char *)out.data);
	buf_free(&out);
	token_list_free(&ids);
}

static struct tokenizer *
must_load(struct vocab_make *v)
{
	struct err err;
	struct tokenizer *t = vocab_tokenizer(v, &err);

	ck_assert_msg(t != NULL, "%s", err.msg);
	vocab_make_free(v);
	return t;
}

static void
expect_refused(struct vocab_make *v, const char *why)
{
	struct err err = {""};
	struct tokenizer *t = vocab_tokenizer(v, &err);

	ck_assert_msg(t == NULL, "not refused: %s", why);
	ck_assert_msg(strstr(err.msg, why) != NULL, "\"%s\" does not say \"%s\"", err.msg, why);
	vocab_make_free(v);
}

/* --- the reference --- */

static char shared[4096];

static void
shared_path(char *path, size_t size, const char *name)
{
	ck_assert_int_lt(snprintf(path, size, "%.3000s/vocabs/%s", shared, name), (int)size);
}

static struct tokenizer *
shared_vocab(const char *name)
{
	char path[4096];
	struct err err;
	struct gguf *g;
	struct tokenizer *t;

	shared_path(path, sizeof(path), name);
	g = gguf_open(path, &err);
	ck_assert_msg(g != NULL, "%s", err.msg);
	t = tokenizer_new(g, &err);
	ck_assert_msg(t != NULL, "%s", err.msg);
	gguf_close(g);
	return t;
}

static char *
shared_text(const char *name)
{
	char path[4096];
	struct buf b = {.max = 1 << 20};
	struct err err;

	shared_path(path, sizeof(path), name);
	ck_assert_msg(file_read(path, &b, &err) == 0, "%s", err.msg);
	buf_u8(&b, 0);
	ck_assert(!b.failed);
	return (char *)b.data;
}

static size_t
read_ids(char *line, uint32_t *ids, size_t max)
{
	size_t n = 0;

	for (char *p = strtok(line, " "); p != NULL; p = strtok(NULL, " ")) {
		ck_assert(n < max);
		ids[n++] = (uint32_t)strtoul(p, NULL, 10);
	}
	return n;
}

static const char *const names[] = {"gpt-2", "llama-bpe", "llama-spm"};

START_TEST(reference_ids)
{
	static const char border[] = "\n__ggml_vocab_test__\n";
	char name[64];
	struct tokenizer *t;
	char *texts, *lines, *text, *line, *end;
	uint32_t ids[4096];
	size_t n_texts = 0;

	snprintf(name, sizeof(name), "%s.gguf", names[_i]);
	t = shared_vocab(name);
	snprintf(name, sizeof(name), "%s.inp", names[_i]);
	text = texts = shared_text(name);
	snprintf(name, sizeof(name), "%s.out", names[_i]);
	line = lines = shared_text(name);
	while ((end = strstr(text, border)) != NULL) {
		char *eol = strchr(line, '\n');

		ck_assert_msg(eol != NULL, "fewer lines than texts");
		*end = *eol = '\0';
		expect_ids(t, text, (size_t)(end - text), 0, ids, read_ids(line, ids, COUNT(ids)));
		expect_round_trip(t, text, (size_t)(end - text));
		text = end + strlen(border);
		line = eol + 1;
		n_texts++;
	}
	ck_assert_uint_gt(n_texts, 40);
	ck_assert_msg(*line == '\0' && *text == '\0', "more lines than texts");
	free(texts);
	free(lines);
	tokenizer_free(t);
}
END_TEST

START_TEST(reference_special_tokens)
{
	struct tokenizer *t = shared_vocab("llama-bpe.gguf");
	uint32_t plain[] = {9906};

	ck_assert_str_eq(tokenizer_kind(t), "bpe (llama-bpe)");
	ck_assert_uint_eq(tokenizer_size(t), 128256);
	ck_assert_uint_eq(tokenizer_bos(t), 128000);
	ck_assert_uint_eq(tokenizer_eos(t), 128009);
	ck_assert(tokenizer_is_end(t, 128001) && tokenizer_is_end(t, 128008));
	ck_assert(tokenizer_is_end(t, 128009) && !tokenizer_is_end(t, 128000));
	ck_assert(!tokenizer_is_end(t, 13) && !tokenizer_is_end(t, UINT32_MAX));
	expect_ids(t, "Hello", 5, 0, plain, 1);
	EXPECT(t, "Hello<|eot_id|>Hello", TOKENIZE_SPECIAL | TOKENIZE_BOS, 128000, 9906, 128009,
		9906);
	expect_round_trip(t, "a <|eot_id|> spelled out", 24);
	tokenizer_free(t);

	t = shared_vocab("llama-spm.gguf");
	ck_assert_str_eq(tokenizer_kind(t), "spm");
	ck_assert(tokenizer_adds_bos(t) && tokenizer_is_end(t, 2));
	EXPECT(t, "Hello</s>Hello", TOKENIZE_SPECIAL | TOKENIZE_BOS, 1, 15043, 2, 15043);
	expect_round_trip(t, "plain </s><s><unk><0x41> text", 29);
	tokenizer_free(t);
}
END_TEST

/* Text that is nothing but one long run, in each tokenizer, in n log n. */
START_TEST(long_texts_take_little_time)
{
	static const char *const runs[] = {
		"a", " ", "1", "\n", "!", "\xe4\xb8\xad", "\xff", "ab c", "<"};
	char name[64];
	struct tokenizer *t;
	size_t size = 1 << 18;
	char *text = malloc(size + 4);
	clock_t begin = clock();

	ck_assert_ptr_nonnull(text);
	snprintf(name, sizeof(name), "%s.gguf", names[_i]);
	t = shared_vocab(name);
	for (size_t r = 0; r < COUNT(runs); r++) {
		struct token_list ids = {0};
		struct err err;
		size_t n = strlen(runs[r]);

		for (size_t i = 0; i < size; i += n)
			memcpy(text + i, runs[r], n);
		ck_assert_int_eq(tokenize(t, text, size / n * n, TOKENIZE_SPECIAL, &ids, &err), 0);
		ck_assert_uint_gt(ids.n, 0);
		ck_assert_uint_ge(ids.n, size / n * n / tokenizer_longest(t));
		token_list_free(&ids);
	}
	/* A quadratic way would take minutes; the bound only tells the two apart. */
	ck_assert_int_lt((clock() - begin) / CLOCKS_PER_SEC, 60);
	free(text);
	tokenizer_free(t);
}
END_TEST

/* Of a text with more tokens than are wanted the byte-level tokenizers make the first ones, as of the whole. */
START_TEST(no_more_tokens_than_are_wanted)
{
	static const char words[] = "once upon <|endoftext|> a time ";
	char text[100 * (sizeof words - 1)], name[64];
	struct token_list all = {0}, some = {.most = 50};
	struct tokenizer *t;
	struct err err;

	for (size_t i = 0; i < sizeof text; i += sizeof words - 1)
		memcpy(text + i, words, sizeof words - 1);
	snprintf(name, sizeof name, "%s.gguf", names[_i]);
	t = shared_vocab(name);
	for (unsigned flags = 0; flags <= TOKENIZE_SPECIAL; flags += TOKENIZE_SPECIAL) {
		ck_assert_int_eq(tokenize(t, text, sizeof text, flags, &all, &err), 0);
		ck_assert_int_eq(tokenize(t, text, sizeof text, flags, &some, &err), 0);
		ck_assert_uint_gt(some.n, 50);
		if (strncmp(tokenizer_kind(t), "bpe", 3) == 0)
			ck_assert_uint_lt(some.n, 70);
		ck_assert_mem_eq(all.ids, some.ids, some.n * sizeof *some.ids);
		all.n = some.n = 0;
	}
	token_list_free(&all);
	token_list_free(&some);
	tokenizer_free(t);
}
END_TEST

START_TEST(one_row_for_each_token)
{
	struct tokenizer *t = shared_vocab("gpt-2.gguf");
	uint32_t n = tokenizer_size(t);
	struct err err;

	ck_assert_int_eq(tokenizer_check_rows(t, n, &err), 0);
	ck_assert_int_eq(tokenizer_check_rows(t, n - 1, &err), -1);
	ck_assert_int_eq(tokenizer_check_rows(t, n + 1, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "50257 tokens, and the embedding 50258 rows"));
	ck_assert_uint_eq(
		tokenizer_longest(t), 128); /* bytes, not letters, of which some have two */
	tokenizer_free(t);
}
END_TEST

/* --- made vocabularies --- */

START_TEST(spm_merges_by_score)
{
	static const char *const extra[] = {
		"bc", "ab", "abc", "\xe2\x96\x81", "a", "b", "c", "\342\226\201ab"};
	struct vocab_make v = {0};
	struct tokenizer *t;

	vocab_pieces(&v, extra, NULL, COUNT(extra));
	t = must_load(&v);
	EXPECT(t, "abc", 0, 262, 261); /* bc first, then a+bc */
	EXPECT(t, "ab", 0, 266);       /* the whole word has a token */
	EXPECT(t, "a b", 0, 262, 263, 262, 264);
	EXPECT(t, "\xc3\xa9", 0, 262, 3 + 0xc3, 3 + 0xa9);
	EXPECT(t, "\xc3", 0, 262, 3 + 0xc3);
	tokenizer_free(t);
}
END_TEST

START_TEST(spm_without_prefix)
{
	static const char *const extra[] = {"\xe2\x96\x81", "a"};
	struct vocab_make v = {0};
	struct tokenizer *t;

	vocab_pieces(&v, extra, NULL, COUNT(extra));
	vocab_bool(&v, "tokenizer.ggml.add_space_prefix", false);
	vocab_bool(&v, "tokenizer.ggml.add_eos_token", true);
	t = must_load(&v);
	EXPECT(t, "a", TOKENIZE_BOS, 1, 260, 2);
	expect_round_trip(t, " a", 2);
	tokenizer_free(t);
}
END_TEST

/* Tokens that go over a border of words turn the word-by-word way off. */
START_TEST(spm_tokens_over_spaces)
{
	static const char *const extra[] = {
		"a\xe2\x96\x81", "a\342\226\201b", "\xe2\x96\x81", "a", "b"};
	struct vocab_make v = {0};
	struct tokenizer *t;

	vocab_pieces(&v, extra, NULL, COUNT(extra));
	t = must_load(&v);
	EXPECT(t, "a b", 0, 261, 260);
	tokenizer_free(t);
}
END_TEST

START_TEST(user_tokens_are_always_met)
{
	static const char *const extra[] = {"<x>", "<x>y", "<c>", "<x", "<|im_end|>"};
	static const int32_t types[] = {4, 4, 3, 0, 4};
	struct vocab_make v = {0};
	struct tokenizer *t;

	vocab_bytes(&v, "gpt-2", extra, types, COUNT(extra), NULL, 0);
	t = must_load(&v);
	EXPECT(t, "a<x>yb", 0, 'a', 257, 'b'); /* the longest */
	EXPECT(t, "a<x>b", 0, 'a', 256, 'b');
	EXPECT(t, "<c>", 0, '<', 'c', '>');
	EXPECT(t, "<c>", TOKENIZE_SPECIAL, 258);
	EXPECT(t, "<x<c", TOKENIZE_SPECIAL, '<', 'x', '<', 'c');
	/* a token that ends turns is no text, whatever its type says */
	EXPECT(t, "<|im_end|>", 0, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>');
	EXPECT(t, "<|im_end|>", TOKENIZE_SPECIAL, 260);
	ck_assert(tokenizer_is_end(t, 260));
	ck_assert(!tokenizer_is_end(t, 258));
	tokenizer_free(t);
}
END_TEST

START_TEST(bpe_merges_by_rank)
{
	static const char *const extra[] = {"ab", "bc", "abc", "\304\240a"};
	static const char *const merges[] = {"b c", "a b", "a bc", "\xc4\xa0 a"};
	struct vocab_make v = {0};
	struct tokenizer *t;

	vocab_bytes(&v, "gpt-2", extra, NULL, COUNT(extra), merges, COUNT(merges));
	t = must_load(&v);
	EXPECT(t, "abc", 0, 258);
	EXPECT(t, "abab", 0, 256, 256);
	EXPECT(t, "x a", 0, 'x', 259);
	EXPECT(t,
		"\xff\xfe"
		"ab\xc3",
		0, 0xff, 0xfe, 256, 0xc3); /* not UTF-8: bytes */
	expect_round_trip(t, "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\xa6\x99", 15);
	tokenizer_free(t);
}
END_TEST

START_TEST(bpe_ignores_merges_for_whole_words)
{
	static const char *const extra[] = {"abc", "ab"};
	static const char *const merges[] = {"a b"};
	struct vocab_make v = {0};
	struct tokenizer *t;

	vocab_bytes(&v, "llama-bpe", extra, NULL, COUNT(extra), merges, COUNT(merges));
	t = must_load(&v);
	EXPECT(t, "abc", 0, 256);
	EXPECT(t, "abcd", 0, 257, 'c', 'd');
	tokenizer_free(t);
}
END_TEST

/* --- pre-splitting --- */

struct pieces {
	struct buf text; /* pieces, a '|' behind each */
};

static int
add_piece(void *arg, const uint8_t *word, size_t len)
{
	struct pieces *p = arg;

	ck_assert_uint_gt(len, 0);
	buf_append(&p->text, word, len);
	return buf_u8(&p->text, '|');
}

static void
expect_split(const char *name, const char *text, const char *want)
{
	struct err err;
	struct pretok *p = pretok_new(pretok_find(name, strlen(name)), &err);
	struct pretok_scratch *s;
	struct pieces got = {0};

	ck_assert_msg(p != NULL, "%s", err.msg);
	s = pretok_scratch_new(p);
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(
		pretok_split(p, s, (const uint8_t *)text, strlen(text), add_piece, &got), 0);
	buf_u8(&got.text, 0);
	ck_assert_msg(strcmp((const char *)got.text.data, want) == 0,
		"%s: \"%s\" gives \"%s\", not "
		"\"%s\"",
		name, text, (const char *)got.text.data, want);
	buf_free(&got.text);
	pretok_scratch_free(s);
	pretok_free(p);
}

START_TEST(patterns_split)
{
	expect_split("gpt-2", "I'll go  to 12345 !!\n", "I|'ll| go| | to| 12345| !!|\n|");
	expect_split("llama-bpe", "I'LL go  to 12345 !!\n", "I|'LL| go| | to| |123|45| !!\n|");
	expect_split("qwen2", "a1234 b", "a|1|2|3|4| b|");
	expect_split("starcoder", "ab 123", "ab| |1|2|3|");
	expect_split("falcon", "a+b 12345", "a|+|b| |123|45|");
	expect_split("default", "x 12345", "x| |123|45|");
	expect_split("deepseek-v3", "a1234\xe4\xb8\xad\xe6\x96\x87.x",
		"a|123|4|\xe4\xb8\xad\xe6\x96\x87|.x|");
	expect_split("deepseek-llm", "ab 123\n  ", "ab| |123|\n|  |");
	expect_split("deepseek-coder", "x =12", "x| =|1|2|");
	expect_split("gpt-4o", "camelCase HTTPServer don't", "camel|Case| HTTPServer| don't|");
	expect_split("tekken", "camelCase 12", "camel|Case| |1|2|");
	expect_split("superbpe", "ab 1234567 c", "ab |1|234|567| c|");
	expect_split("afmoe", "12345", "12|345|");
	expect_split("kimi-k2", "ab\xe4\xb8\xad\xe6\x96\x87  cd\xe3\x80\x82",
		"ab|\xe4\xb8\xad\xe6\x96\x87| | cd|\xe3\x80\x82|");
	expect_split("exaone-moe", "one two 3", "one two| |3|");
	expect_split("viking", "ab12", "ab|1|2|");
	expect_split("seed-coder", "a!\n\nb", "a|!|\n\n|b|");
	expect_split("laguna", "a\n\nb", "a|\n\n|b|");
	expect_split("poro-chat", "one, two", "one|,| two|");
}
END_TEST

/* U+180E was white space before Unicode 6.3, and is what is neither letter nor digit to the models. */
START_TEST(white_space_is_what_it_is_to_the_models)
{
	expect_split("llama-bpe", "a\xe1\xa0\x8e(b", "a|\xe1\xa0\x8e(|b|");
	expect_split("gpt-2", "a\xe1\xa0\x8e(b", "a|\xe1\xa0\x8e(|b|");
	expect_split("gpt-4o", "a\xe1\xa0\x8e(b", "a|\xe1\xa0\x8e(|b|");
	expect_split("gpt-4o", "a \xe1\xa0\x8e b", "a| \xe1\xa0\x8e| b|");
	expect_split("poro-chat", "a\xe1\xa0\x8e b", "a\xe1\xa0\x8e| b|");
	expect_split("gpt-2", "a\xe3\x80\x80\xc2\x85(b", "a|\xe3\x80\x80|\xc2\x85|(|b|");
	expect_split("gpt-2",
		"a\t\n\v\f\r \xc2\x85\xc2\xa0\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x8a\xe2\x80\xa8"
		"\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\x9f\xe3\x80\x80",
		"a|\t\n\v\f\r \xc2\x85\xc2\xa0\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x8a\xe2\x80\xa8"
		"\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\x9f\xe3\x80\x80|");
	expect_split("gpt-2", "a \xe2\x80\x8b", "a| \xe2\x80\x8b|");
}
END_TEST

/* Every rule compiles, and the pieces of any text are the text. */
START_TEST(patterns_keep_every_byte)
{
	static const char text[] =
		"Hello, y'all! 12345 \xff\xc3 \xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82 \t\r\n "
		"x=[1,2];\n\n  \xf0\x9f\xa6\x99 <sentinel:3> \xe2\x80\x9cq\xe2\x80\x9d $+<=>^~|`  ";

	for (size_t i = 0; i < pretok_n_rules(); i++) {
		const struct pretok_rule *rule = pretok_rule_at(i);
		struct err err;
		struct pretok *p = pretok_new(rule, &err);
		struct pretok_scratch *s;
		struct pieces got = {0};
		size_t n = 0;

		ck_assert_msg(p != NULL, "%s", err.msg);
		s = pretok_scratch_new(p);
		ck_assert_int_eq(pretok_split(p, s, (const uint8_t *)text, sizeof(text) - 1,
					 add_piece, &got),
			0);
		for (size_t k = 0; k < got.text.len;
			k++) /* the pieces without their borders, and '|' */
			if (n < sizeof(text) - 1 && got.text.data[k] == (uint8_t)text[n])
				n++;
			else
				ck_assert_msg(got.text.data[k] == '|', "%s: a byte came in at %zu",
					rule->name, n);
		ck_assert_msg(n == sizeof(text) - 1, "%s: ends at %zu", rule->name, n);
		ck_assert(pretok_find(rule->name, strlen(rule->name)) == rule);
		buf_free(&got.text);
		pretok_scratch_free(s);
		pretok_free(p);
	}
}
END_TEST

/* --- detokenizing --- */

static void
expect_stream(struct detok *d, uint32_t id, const char *want)
{
	struct buf out = {0};

	ck_assert_int_eq(detok_push(d, id, &out), 0);
	buf_u8(&out, 0);
	ck_assert_str_eq((const char *)out.data, want);
	buf_free(&out);
}

START_TEST(streams_whole_characters)
{
	struct vocab_make v = {0};
	struct tokenizer *t;
	struct detok d;
	struct buf out = {0};

	vocab_bytes(&v, "gpt-2", NULL, NULL, 0, NULL, 0);
	t = must_load(&v);
	detok_init(&d, t, false);
	expect_stream(&d, 'a', "a");
	expect_stream(&d, 0xf0, "");
	expect_stream(&d, 0x9f, "");
	expect_stream(&d, 0xa6, "");
	expect_stream(&d, 0x99, "\xf0\x9f\xa6\x99");
	expect_stream(&d, 0xe2, "");
	expect_stream(&d, 'b',
		"\xef\xbf\xbd"
		"b"); /* cut off by another character */
	expect_stream(&d, 0x80, "\xef\xbf\xbd");
	expect_stream(&d, 0xed, "");
	expect_stream(&d, 0xa0, "\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
	expect_stream(&d, 4000, "");
	expect_stream(&d, 0xe2, "");
	ck_assert_int_eq(detok_finish(&d, &out), 0);
	ck_assert_uint_eq(out.len, 3);
	ck_assert_mem_eq(out.data, "\xef\xbf\xbd", 3);
	ck_assert_int_eq(detok_finish(&d, &out), 0);
	ck_assert_uint_eq(out.len, 3);
	buf_free(&out);
	tokenizer_free(t);
}
END_TEST

START_TEST(special_tokens_spelled_or_not)
{
	static const char *const extra[] = {"\342\226\201a"};
	struct vocab_make v = {0};
	struct tokenizer *t;
	struct detok d;

	vocab_pieces(&v, extra, NULL, COUNT(extra));
	t = must_load(&v);
	detok_init(&d, t, true);
	expect_stream(&d, 1, "<s>");
	expect_stream(&d, 259, "a");
	expect_stream(&d, 259, " a");
	expect_stream(&d, 2, "</s>");
	detok_init(&d, t, false);
	expect_stream(&d, 1, "");
	expect_stream(&d, 259, "a");
	expect_stream(&d, 3 + 'Z', "Z");
	expect_stream(&d, 2, "");
	tokenizer_free(t);
}
END_TEST

/* --- what is refused --- */

START_TEST(other_models_are_refused)
{
	struct vocab_make v = {0};

	expect_refused(&v, "tokenizer.ggml.model is missing");
	vocab_str(&v, "tokenizer.ggml.model", "bert");
	expect_refused(&v, "\"bert\"");
	v = (struct vocab_make){0};
	vocab_bytes(&v, "qwen3", NULL, NULL, 0, NULL, 0);
	expect_refused(&v, "qwen2");
	v = (struct vocab_make){0};
	vocab_bytes(&v, "gemma4", NULL, NULL, 0, NULL, 0);
	expect_refused(&v, "not byte-level");
}
END_TEST

static void
spm_head(struct vocab_make *v, const char *const *tokens, size_t n)
{
	*v = (struct vocab_make){0};
	vocab_str(v, "tokenizer.ggml.model", "llama");
	vocab_strs(v, "tokenizer.ggml.tokens", tokens, n);
}

START_TEST(damaged_vocabularies_are_refused)
{
	static const char *const two[] = {"a", "b"}, *const same[] = {"a", "a"};
	static const float scores[] = {0, 1, 2}, nan_scores[] = {0, 0.0f / 0.0f};
	static const int32_t types[] = {1, 77};
	struct vocab_make v = {0};
	char *huge = calloc(10 << 20, 1);
	const char *big[2] = {"a", huge};

	ck_assert_ptr_nonnull(huge);
	memset(huge, 'x', (10 << 20) - 1);
	vocab_str(&v, "tokenizer.ggml.model", "llama");
	expect_refused(&v, "tokenizer.ggml.tokens is missing");
	spm_head(&v, two, 0);
	expect_refused(&v, "0 tokens");
	spm_head(&v, two, 2);
	expect_refused(&v, "scores is missing");
	spm_head(&v, two, 2);
	vocab_f32s(&v, "tokenizer.ggml.scores", scores, 3);
	expect_refused(&v, "scores has 3 entries for 2 tokens");
	spm_head(&v, two, 2);
	vocab_f32s(&v, "tokenizer.ggml.scores", nan_scores, 2);
	expect_refused(&v, "not a number");
	spm_head(&v, two, 2);
	vocab_f32s(&v, "tokenizer.ggml.scores", scores, 2);
	vocab_i32s(&v, "tokenizer.ggml.token_type", types, 1);
	expect_refused(&v, "token_type has 1 entries");
	spm_head(&v, two, 2);
	vocab_i32s(&v, "tokenizer.ggml.token_type", types, 2);
	expect_refused(&v, "type 77 of token 1");
	spm_head(&v, two, 2);
	vocab_f32s(&v, "tokenizer.ggml.scores", scores, 2);
	vocab_u32(&v, "tokenizer.ggml.eos_token_id", 2);
	expect_refused(&v, "eos_token_id is 2");
	spm_head(&v, same, 2);
	vocab_f32s(&v, "tokenizer.ggml.scores", scores, 2);
	expect_refused(&v, "tokens 0 and 1 are both \"a\"");
	spm_head(&v, big, 2);
	vocab_f32s(&v, "tokenizer.ggml.scores", scores, 2);
	expect_refused(&v, "10485759 bytes");
	free(huge);
}
END_TEST

START_TEST(damaged_merges_are_refused)
{
	static const char *const bad[] = {"ab", "", " ", "a ", "  "};
	static const char *const unknown[] = {"a b"};
	struct vocab_make v = {0};

	for (size_t i = 0; i < COUNT(bad); i++) {
		v = (struct vocab_make){0};
		vocab_bytes(&v, "gpt-2", NULL, NULL, 0, &bad[i], 1);
		expect_refused(&v, "merge 0 is not two tokens");
	}
	v = (struct vocab_make){0};
	vocab_bytes(&v, "gpt-2", NULL, NULL, 0, unknown, 1);
	expect_refused(&v, "names a token that the vocabulary does not have");
	v = (struct vocab_make){0};
	vocab_str(&v, "tokenizer.ggml.model", "gpt2");
	vocab_strs(&v, "tokenizer.ggml.tokens", unknown, 1);
	expect_refused(&v, "merges is missing");
}
END_TEST

static Suite *
suite(bool with_shared)
{
	Suite *s = suite_create("tokenizer");
	TCase *c = tcase_create("tokenizer");

	tcase_set_timeout(c, 120);
	if (with_shared) {
		tcase_add_loop_test(c, reference_ids, 0, COUNT(names));
		tcase_add_test(c, reference_special_tokens);
		tcase_add_loop_test(c, long_texts_take_little_time, 0, COUNT(names));
		tcase_add_loop_test(c, no_more_tokens_than_are_wanted, 0, COUNT(names));
		tcase_add_test(c, one_row_for_each_token);
	}
	tcase_add_test(c, spm_merges_by_score);
	tcase_add_test(c, spm_without_prefix);
	tcase_add_test(c, spm_tokens_over_spaces);
	tcase_add_test(c, user_tokens_are_always_met);
	tcase_add_test(c, bpe_merges_by_rank);
	tcase_add_test(c, bpe_ignores_merges_for_whole_words);
	tcase_add_test(c, patterns_split);
	tcase_add_test(c, white_space_is_what_it_is_to_the_models);
	tcase_add_test(c, patterns_keep_every_byte);
	tcase_add_test(c, streams_whole_characters);
	tcase_add_test(c, special_tokens_spelled_or_not);
	tcase_add_test(c, other_models_are_refused);
	tcase_add_test(c, damaged_vocabularies_are_refused);
	tcase_add_test(c, damaged_merges_are_refused);
	suite_add_tcase(s, c);
	return s;
}

int
main(void)
{
	const char *src = getenv("SHOAL_SRCDIR");
	char probe[4200];
	FILE *f;
	SRunner *r;
	int failed;

	snprintf(shared, sizeof(shared), "%.2000s/../shared", src != NULL ? src : SRCDIR);
	snprintf(probe, sizeof(probe), "%s/vocabs/gpt-2.gguf", shared);
	f = fopen(probe, "rb");
	r = srunner_create(suite(f != NULL));
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	if (f == NULL && failed == 0) {
		puts("SKIP reference_ids: ../shared is not there");
		return 77;
	}
	if (f != NULL)
		fclose(f);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
