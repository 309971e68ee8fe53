/* Which tokens a grammar allows: masks beside each token by itself, on vocabularies as they are in the
 * field, and sessions whose text is held to a grammar. */
#include "base/clock.h"
#include "model/candidates.h"
#include "model/constraint.h"
#include "model/json_schema.h"
#include "model/session.h"
#include "model/token_tree.h"
#include "tests/support/shared_dir.h"
#include "tests/support/vocab_make.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PERSON                                                                                     \
	"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":40},"    \
	"\"age\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":150},\"mood\":{\"enum\":["        \
	"\"good\","                                                                                \
	"\"bad\",\"gone\"]},\"note\":{\"type\":\"string\"}},\"required\":[\"name\",\"age\","       \
	"\"mood\","                                                                                \
	"\"note\"]}"
/* Two ways in which the same begin may be meant. */
#define UNION                                                                                      \
	"{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"string\","             \
	"\"maxLength\":20},"                                                                       \
	"\"a\":{\"type\":\"null\"}},\"required\":[\"n\",\"a\"]},{\"type\":\"object\","             \
	"\"properties\":{"                                                                         \
	"\"n\":{\"type\":\"string\",\"minLength\":2},\"b\":{\"type\":\"null\"}},\"required\":["    \
	"\"n\",\"b\"],"                                                                            \
	"\"additionalProperties\":{\"type\":\"string\"}}]}"
#define ANY "{\"type\":\"object\"}"
/* Names and texts that are among few, or any others. */
#define OTHERS                                                                                     \
	"{\"type\":\"object\",\"properties\":{\"name\":{\"anyOf\":[{\"enum\":[\"red\",\"\xc3\xa9"  \
	"\"]},"                                                                                    \
	"{\"type\":\"string\",\"maxLength\":70}]},\"nation\":{\"type\":\"string\"},\"\xc3\xa9"     \
	"\":{}},"                                                                                  \
	"\"additionalProperties\":{\"type\":\"string\",\"maxLength\":2}}"

static struct grammar *
grammar_of(const char *schema)
{
	struct err err = {""};
	json_t *o = json_loads(schema, JSON_DECODE_ANY, NULL);
	struct grammar *g = json_schema_grammar(o, &err);

	ck_assert_msg(g != NULL, "%s: %s", schema, err.msg);
	json_decref(o);
	return g;
}

static struct tokenizer *
open_vocabulary(const char *path)
{
	struct err err;
	struct gguf *g = gguf_open(path, &err);
	struct tokenizer *t;

	ck_assert_msg(g != NULL, "%s", err.msg);
	t = tokenizer_new(g, &err);
	ck_assert_msg(t != NULL, "%s", err.msg);
	gguf_close(g);
	return t;
}

/* --- masks ---------------------------------------------------------------------------------------- */

struct masks {
	const struct tokenizer *t;
	const struct token_tree *tree;
	struct grammar *g;
	struct grammar_state *room;
	uint64_t *mask;
	struct buf bytes;
};

static bool
lives(struct masks *m, uint32_t id)
{
	struct grammar_state *s = calloc(2, sizeof *s);
	size_t i = 0;

	buf_clear(&m->bytes);
	token_bytes(m->t, id, false, false, &m->bytes);
	grammar_copy(&s[0], &m->room[0]);
	while (i < m->bytes.len && grammar_feed(m->g, &s[i % 2], m->bytes.data[i], &s[(i + 1) % 2]))
		i++;
	free(s);
	return i == m->bytes.len && i > 0 && i <= TOKEN_TREE_BYTES && !tokenizer_is_end(m->t, id);
}

static void
expect_mask(struct masks *m, const char *where)
{
	memset(m->mask, 0, token_tree_words(m->tree) * sizeof *m->mask);
	token_tree_mask(m->tree, m->g, m->room, m->mask);
	for (uint32_t id = 0; id < tokenizer_size(m->t); id++)
		ck_assert_msg((m->mask[id / 64] >> id % 64 & 1) == lives(m, id),
			"behind '%s' token %u '%.*s' is %s", where, id, (int)m->bytes.len,
			(const char *)m->bytes.data, lives(m, id) ? "allowed" : "not allowed");
}

static void
masks_init(struct masks *m, const struct tokenizer *t, const char *schema)
{
	struct err err;

	*m = (struct masks){.t = t, .tree = tokenizer_tree(t, &err), .g = grammar_of(schema)};
	ck_assert_msg(m->tree != NULL, "%s", err.msg);
	m->room = calloc(TOKEN_TREE_BYTES + 1, sizeof *m->room);
	m->mask = calloc(token_tree_words(m->tree), sizeof *m->mask);
	grammar_start(m->g, &m->room[0]);
}

static void
masks_free(struct masks *m)
{
	grammar_unref(m->g);
	free(m->room);
	free(m->mask);
	buf_free(&m->bytes);
}

static void
go_on(struct masks *m, const char *text)
{
	for (; *text != '\0'; text++) {
		ck_assert_msg(
			grammar_feed(m->g, &m->room[0], (uint8_t)*text, &m->room[1]), "%s", text);
		grammar_copy(&m->room[0], &m->room[1]);
	}
}

/* Places in a text of the schema, one behind the other. */
static const struct {
	const char *schema, *places[16];
} walks[] = {
	{PERSON, {"", "{", "\"na", "me\": ", "\"", "J\xc3", "\xa9\\", "u00", "e9 Doe", "\",\n  ",
			 "\"age\":", "1", "5", ", \"mood\": \"go", "od\", \"note\": \"",
			 "\xe2\x82"}},
	{UNION, {"{\"n\": \"", "x", "seventeen letters", "more", "\", \"", "b\": null, \"", "bc",
			"\": \""}},
	{ANY, {"", "{\"", "a\\", "n\":", " [", "1.5", ", {\"b", "\": \"x", "\"}", "]", ",",
		      "\"c\":tr"}},
	{OTHERS, {"{\"", "n", "ame\": \"", "re", "d", "y", "\", \"", "\xc3", "\xa9", "s\\",
			 "t\": \"", "xy", "\", \"na"}},
};

static void
check_masks(const char *path)
{
	struct tokenizer *t = open_vocabulary(path);

	for (size_t w = 0; w < sizeof walks / sizeof *walks; w++) {
		struct masks m;

		masks_init(&m, t, walks[w].schema);
		for (size_t i = 0; i < 16 && walks[w].places[i] != NULL; i++) {
			go_on(&m, walks[w].places[i]);
			expect_mask(&m, walks[w].places[i]);
		}
		masks_free(&m);
	}
	tokenizer_free(t);
}

START_TEST(masks_are_those_of_each_token)
{
	static const char *const names[] = {
		"vocabs/llama-bpe.gguf", "vocabs/llama-spm.gguf", "vocabs/gpt-2.gguf"};
	const char *path = shared_file(names[_i]);

	if (path != NULL)
		check_masks(path);
	else
		fprintf(stderr, "SKIP masks of %s: ../shared/%s is not there\n", names[_i],
			names[_i]);
}
END_TEST

START_TEST(masks_of_the_own_models_are_too)
{
	check_masks(SRCDIR "/models/hearth-small.gguf");
}
END_TEST

static double
time_of_mask(struct masks *m)
{
	double best = 1, begin;

	for (unsigned k = 0; k < 5; k++) {
		begin = clock_cpu_seconds();
		token_tree_mask(m->tree, m->g, m->room, m->mask);
		begin = clock_cpu_seconds() - begin;
		best = begin < best ? begin : best;
	}
	return best;
}

/* What 128,000 tokens cost. A bound that only another kind of algorithm misses: sanitizers and other work on
 * the machine are slow. */
START_TEST(masks_take_no_time)
{
	const char *path = shared_file("vocabs/llama-bpe.gguf");
	struct tokenizer *t;
	struct masks m;

	if (path == NULL) {
		fprintf(stderr,
			"SKIP the time of masks: ../shared/vocabs/llama-bpe.gguf is not there\n");
		return;
	}
	t = open_vocabulary(path);
	masks_init(&m, t, walks[_i].schema);
	for (size_t i = 0; i < 16 && walks[_i].places[i] != NULL; i++) {
		double seconds;

		go_on(&m, walks[_i].places[i]);
		seconds = time_of_mask(&m);
		if (getenv("SHOW") != NULL)
			fprintf(stderr, "%-20s %8.1f us\n", walks[_i].places[i], seconds * 1e6);
		ck_assert_double_lt(seconds, 0.05);
	}
	masks_free(&m);
	tokenizer_free(t);
}
END_TEST

/* --- sessions ------------------------------------------------------------------------------------- */

/* Tokens behind the 256 bytes. */
enum { END = 256, OPEN, TRUE_WORD, VOCAB };

static struct tokenizer *tokenizer;

static void
setup(void)
{
	static const char *const words[] = {"<|end|>", "{\"", "true}"};
	static const int32_t kinds[] = {3, 1, 1};
	struct err err = {""};

	tokenizer = vocab_with_end(words, kinds, VOCAB - END, &err);
	ck_assert_str_eq(err.msg, "");
}

static void
end_sessions(void)
{
	tokenizer_free(tokenizer);
}

static struct session *
start(const char *schema, float temperature, uint32_t top_k, uint32_t max_tokens)
{
	static const uint32_t prompt[] = {'a', 'b', 'c'};
	struct grammar *g = grammar_of(schema);
	struct session_params p = {.sampler = {.temperature = temperature,
					   .top_k = top_k,
					   .top_p = 1,
					   .repeat_penalty = 1,
					   .seed = 7},
		.max_tokens = max_tokens,
		.context = 4000,
		.grammar = g};
	struct err err;
	struct session *s = session_new(tokenizer, &p, prompt, 3, &err);

	ck_assert_msg(s != NULL, "%s", err.msg);
	grammar_unref(g);
	return s;
}

/* As a model that would rather say anything else. */
static void
some_logits(float *logits, size_t n)
{
	for (uint32_t id = 0; id < VOCAB; id++)
		logits[id] = (float)((id * 2654435761u + n * 40503u) % 1000) / 100;
}

static void
run(struct session *s, struct buf *text)
{
	float logits[VOCAB];
	enum session_end end = SESSION_RUNNING;
	size_t n;

	while (end == SESSION_RUNNING) {
		session_ids(s, &n);
		some_logits(logits, n);
		end = session_next(s, logits, text);
	}
}

START_TEST(texts_are_of_the_schema)
{
	for (unsigned i = 0; i < 8; i++) {
		struct session *s =
			start(PERSON, i % 2 == 0 ? 0.0f : 1.5f, i < 4 ? 0 : 20, UINT32_MAX);
		struct buf text = {0};
		json_t *o;

		run(s, &text);
		if (session_state(s) ==
			SESSION_STOP) { /* a string without bound may fill the context */
			o = json_loadb((const char *)text.data, text.len, 0, NULL);
			ck_assert_msg(json_is_integer(json_object_get(o, "age")), "%.*s",
				(int)text.len, (const char *)text.data);
			json_decref(o);
		}
		buf_free(&text);
		session_free(s);
	}
}
END_TEST

/* A text ends where nothing may follow, without an end token; where something may, by one. */
START_TEST(ends_are_those_of_the_grammar)
{
	struct session *s =
		start("{\"type\":\"object\",\"properties\":{\"a\":{\"const\":true}},\"required\":"
		      "[\"a\"]}",
			0, 0, UINT32_MAX);
	float logits[VOCAB] = {0};
	struct buf text = {0};

	logits[OPEN] = logits['a'] = logits['"'] = logits[':'] = 1;
	logits[END] = 9;
	logits[TRUE_WORD] = 5;
	for (unsigned i = 0; session_state(s) == SESSION_RUNNING; i++) {
		float now[VOCAB];

		memcpy(now, logits, sizeof now);
		session_next(s, now, &text);
	}
	ck_assert_int_eq(session_state(s), SESSION_STOP);
	ck_assert_msg(text.len == 10 && memcmp(text.data, "{\"a\":true}", 10) == 0, "%.*s",
		(int)text.len, (const char *)text.data);
	ck_assert_uint_eq(session_last(s), TRUE_WORD);
	session_free(s);
	buf_clear(&text);
	s = start("{\"type\":\"integer\"}", 0, 0, UINT32_MAX);
	memset(logits, 0, sizeof logits);
	logits['7'] = 1;
	logits[END] = 2;
	ck_assert_int_eq(session_next(s, logits, &text), SESSION_RUNNING);
	memset(logits, 0, sizeof logits);
	logits['7'] = 1;
	logits[END] = 2;
	ck_assert_int_eq(session_next(s, logits, &text), SESSION_STOP);
	ck_assert_msg(text.len == 1 && text.data[0] == '7', "%.*s", (int)text.len,
		(const char *)text.data);
	session_free(s);
	buf_free(&text);
}
END_TEST

START_TEST(what_is_cut_off_says_so)
{
	struct session *s = start(PERSON, 0, 0, 5);
	struct buf text = {0};

	run(s, &text);
	ck_assert_str_eq(session_end_name(session_state(s)), "length");
	session_free(s);
	buf_free(&text);
}
END_TEST

/* The best tokens decide as all of them do, or they do not decide. */
START_TEST(the_best_tokens_say_the_same)
{
	unsigned decided = 0;

	for (unsigned kind = 0; kind < 3; kind++) {
		float temperature = kind == 0 ? 0.0f : 1.0f;
		uint32_t top_k = kind == 2 ? 0 : 3;
		struct session *all = start(PERSON, temperature, top_k, 300),
			       *best = start(PERSON, temperature, top_k, 300);
		struct buf text = {0}, other = {0};
		enum session_end end = SESSION_RUNNING, same;
		float logits[VOCAB];
		struct best b;
		size_t n;

		while (end == SESSION_RUNNING) {
			session_ids(all, &n);
			some_logits(logits, n);
			best_of(&b, logits, VOCAB, 0, session_needs(best) == SAMPLER_BEST_AND_SUM);
			if (session_needs(best) != SAMPLER_ALL &&
				session_next_best(best, &b, &other, &same))
				decided++;
			else
				same = session_next(best, logits, &other);
			some_logits(logits, n);
			end = session_next(all, logits, &text);
			ck_assert_int_eq(end, same);
			ck_assert_uint_eq(session_last(all), session_last(best));
		}
		ck_assert(text.len == other.len && memcmp(text.data, other.data, text.len) == 0);
		buf_free(&text);
		buf_free(&other);
		session_free(all);
		session_free(best);
	}
	ck_assert_uint_gt(decided, 100);
}
END_TEST

/* It goes on behind tokens that were picked before, and has no form as bytes. */
START_TEST(repeated_tokens_count)
{
	struct session *s = start(PERSON, 0, 0, UINT32_MAX);
	struct buf text = {0}, bytes = {0};
	float logits[VOCAB] = {0};

	session_repeat(s, OPEN, &text);
	logits['x'] = logits['a'] = 2;
	logits['n'] = 1;
	session_next(s, logits, &text);
	ck_assert_uint_eq(session_last(s), 'n');
	ck_assert_int_eq(session_write(s, &bytes), -1);
	session_free(s);
	buf_free(&text);
	buf_free(&bytes);
}
END_TEST

/* It goes on behind what another one has said, which is in its prompt. */
START_TEST(answers_go_on)
{
	static const char said[] = " {\"name\": \"Jo";
	struct session *s = start(PERSON, 0, 0, UINT32_MAX);
	struct buf text = {0};
	float logits[VOCAB] = {0};
	struct err err;

	ck_assert_int_eq(session_begun(s, said, sizeof said - 1, &err), 0);
	logits['\n'] = logits[END] = 3; /* no string has such a byte, and the end comes too early */
	logits['"'] = 2;
	session_next(s, logits, &text);
	ck_assert_uint_eq(session_last(s), '"');
	ck_assert_int_eq(session_begun(s, "name", 4, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "no begin"));
	session_free(s);
	buf_free(&text);
}
END_TEST

START_TEST(broken_logits_break_no_form)
{
	struct session *s = start("{\"const\":\"\\u4e2d\"}", 0, 0, UINT32_MAX);
	float logits[VOCAB];
	struct buf text = {0};

	for (unsigned i = 0; i < VOCAB; i++)
		logits[i] = NAN;
	ck_assert_int_eq(session_next(s, logits, &text), SESSION_RUNNING);
	ck_assert_uint_eq(session_last(s), '\n'); /* the lowest id that may be */
	session_free(s);
	buf_free(&text);
}
END_TEST

/* Of a vocabulary that cannot spell it: cut off, and nothing else is said. */
START_TEST(what_cannot_be_spelled_ends)
{
	static const char *const few[] = {"\"", "a", "<|end|>"};
	static const int32_t kinds[] = {1, 1, 3};
	static const uint32_t prompt[] = {1};
	struct grammar *g = grammar_of("{\"enum\":[\"ab\"]}");
	struct session_params p = {.sampler = {.top_p = 1, .repeat_penalty = 1},
		.max_tokens = 9,
		.context = 20,
		.grammar = g};
	struct vocab_make v = {0};
	struct tokenizer *t;
	struct session *s;
	struct buf text = {0};
	struct err err;

	vocab_str(&v, "tokenizer.ggml.model", "gpt2");
	vocab_str(&v, "tokenizer.ggml.pre", "gpt-2");
	vocab_strs(&v, "tokenizer.ggml.tokens", few, 3);
	vocab_i32s(&v, "tokenizer.ggml.token_type", kinds, 3);
	vocab_strs(&v, "tokenizer.ggml.merges", NULL, 0);
	vocab_u32(&v, "tokenizer.ggml.eos_token_id", 2);
	t = vocab_tokenizer(&v, &err);
	ck_assert_msg(t != NULL, "%s", err.msg);
	s = session_new(t, &p, prompt, 1, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	for (unsigned i = 0; i < 3; i++) {
		float logits[3] = {0, 1, 2};

		ck_assert_int_eq(
			session_next(s, logits, &text), i < 2 ? SESSION_RUNNING : SESSION_LENGTH);
	}
	ck_assert_msg(text.len == 2 && memcmp(text.data, "\"a", 2) == 0, "%.*s", (int)text.len,
		(const char *)text.data);
	session_free(s);
	grammar_unref(g);
	tokenizer_free(t);
	vocab_make_free(&v);
	buf_free(&text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("constraint");
	TCase *t = tcase_create("masks");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 300);
	tcase_add_loop_test(t, masks_are_those_of_each_token, 0, 3);
	tcase_add_test(t, masks_of_the_own_models_are_too);
	tcase_add_loop_test(t, masks_take_no_time, 0, sizeof walks / sizeof *walks);
	suite_add_tcase(s, t);
	t = tcase_create("sessions");
	tcase_add_checked_fixture(t, setup, end_sessions);
	tcase_add_test(t, texts_are_of_the_schema);
	tcase_add_test(t, ends_are_those_of_the_grammar);
	tcase_add_test(t, what_is_cut_off_says_so);
	tcase_add_test(t, the_best_tokens_say_the_same);
	tcase_add_test(t, repeated_tokens_count);
	tcase_add_test(t, answers_go_on);
	tcase_add_test(t, broken_logits_break_no_form);
	tcase_add_test(t, what_cannot_be_spelled_ends);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
