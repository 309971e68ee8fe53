/* What is computed for a client, without the computing: sessions as the journal keeps them, guides that are
 * led by whoever leads them, conversations as prompts. The first byte of an input says which. */
#include "model/chat.h"
#include "model/guide.h"
#include "model/session.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/vocab_make.h"

enum part { SESSION, GUIDE, CHAT, PARTS };

#define CONTEXT 64

static const struct tokenizer *
vocabulary(void)
{
	static const char *const pieces[] = {"<|im_start|>", "<|im_end|>", "[INST]", "[/INST]",
		"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>",
		"<end_of_turn>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>",
		"\xe2\x96\x81", "ab", "abc"};
	static const int32_t types[] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1, 1, 1};
	static struct tokenizer *t;
	struct vocab_make v = {0};
	struct err err = {""};

	if (t != NULL)
		return t;
	vocab_pieces(&v, pieces, types, sizeof types / sizeof *types);
	t = vocab_tokenizer(&v, &err);
	require(t != NULL);
	vocab_make_free(&v);
	return t;
}

/* --- sessions ------------------------------------------------------------------------------------- */

static void
try_session(const uint8_t *data, size_t size)
{
	struct err err = {""};
	struct session *s, *again;
	struct buf text, text2, once, twice;

	buf_init(&text, 1u << 20);
	buf_init(&text2, 1u << 20);
	buf_init(&once, 0);
	buf_init(&twice, 0);
	s = session_read(vocabulary(), data, size, &text, &err);
	if (s == NULL) {
		require(err.msg[0] != '\0');
	} else {
		require(session_write(s, &once) == 0);
		again = session_read(vocabulary(), once.data, once.len, &text2, &err);
		require(again != NULL && session_write(again, &twice) == 0);
		require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
		require(text.len == text2.len && session_state(s) == session_state(again));
		session_free(again);
	}
	session_free(s);
	buf_free(&text);
	buf_free(&text2);
	buf_free(&once);
	buf_free(&twice);
}

/* --- guides --------------------------------------------------------------------------------------- */

/* Feeds it what it waits for, and a little more than that is noticed. */
static void
compute(struct guide *g, float *logits, uint32_t n_vocab, uint8_t salt)
{
	struct guide_choice c;
	size_t n;

	for (unsigned i = 0; !guide_rests(g); i++) {
		guide_ids(g, &n);
		require(n <= CONTEXT && i <= CONTEXT);
		for (uint32_t k = 0; k < n_vocab; k++)
			logits[k] = (float)((k * 7 + salt * i) % 23);
		guide_take(g, logits, &c);
		require(c.id < n_vocab);
	}
}

/* Runs as bytes: keep, number of ids, more, margin, then the ids. */
static void
try_guide(const uint8_t *data, size_t size)
{
	static const uint32_t prompt[] = {1, 20, 30};
	const struct guide_params p = {
		.sampler = sampler_defaults(), .context = CONTEXT, .margins = true};
	uint32_t n_vocab = tokenizer_size(vocabulary()), ids[256];
	float *logits = malloc(n_vocab * sizeof *logits);
	struct rd r = rd_init(data, size);
	struct err err = {""};
	struct guide *g = guide_new(vocabulary(), &p, prompt, 3, &err);
	size_t before, after;

	require(logits != NULL && g != NULL);
	while (rd_left(&r) >= 4) {
		struct guide_run run = {.keep = rd_u8(&r), .n = rd_u8(&r), .ids = ids};

		run.more = rd_u8(&r);
		run.margin = (float)rd_u8(&r);
		for (size_t i = 0; i < run.n; i++)
			ids[i] = rd_left(&r) > 0 ? rd_u8(&r) * 2u : 0;
		guide_ids(g, &before);
		if (guide_lead(g, &run, &err) != 0) {
			guide_ids(g, &after);
			require(err.msg[0] != '\0' && before == after && guide_rests(g));
			continue;
		}
		guide_ids(g, &after);
		require(after == run.keep + run.n && after <= CONTEXT && run.keep >= 3);
		compute(g, logits, n_vocab, (uint8_t)run.more);
	}
	guide_free(g);
	free(logits);
}

/* --- conversations -------------------------------------------------------------------------------- */

static void
check_prompt(enum chat_family f, const struct chat_message *m, size_t n)
{
	struct token_list out = {0};
	struct err err = {""};

	if (chat_tokens(f, vocabulary(), m, n, &out, &err) != 0)
		require(err.msg[0] != '\0');
	for (size_t i = 0; i < out.n; i++)
		require(out.ids[i] < tokenizer_size(vocabulary()));
	token_list_free(&out);
}

/* Lines that begin with a letter for the role. */
static void
try_chat(const uint8_t *data, size_t size)
{
	static const char *const roles[] = {"user", "assistant", "system", "developer", "tool"};
	struct chat_message m[32];
	char *text = malloc(size + 1), *at = text, *save = NULL;
	size_t n = 0;

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	for (at = strtok_r(text, "\n", &save); at != NULL && n < 32;
		at = strtok_r(NULL, "\n", &save))
		m[n++] = (struct chat_message){roles[(uint8_t)at[0] % 5], at + 1};
	for (int f = CHAT_NONE; f <= CHAT_PHI3; f++)
		check_prompt((enum chat_family)f, m, n);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const all[PARTS])(const uint8_t *, size_t) = {
		[SESSION] = try_session, [GUIDE] = try_guide, [CHAT] = try_chat};

	if (size > 0)
		all[data[0] % PARTS](data + 1, size - 1);
	return 0;
}

/* --- seeds ---------------------------------------------------------------------------------------- */

static void
seed_session(struct buf *b)
{
	static const char *const stops[] = {"abab", "c\n"};
	static const uint32_t prompt[] = {1, 20, 30}, prediction[] = {100, 101, 7};
	struct session_params p = {.sampler = sampler_defaults(),
		.max_tokens = 20,
		.context = CONTEXT,
		.stops = stops,
		.n_stops = 2,
		.uncached = true,
		.max_guesses = 4,
		.prediction = prediction,
		.n_prediction = 3};
	struct err err = {""};
	struct session *s = session_new(vocabulary(), &p, prompt, 3, &err);
	struct buf text;

	require(s != NULL);
	buf_init(&text, 0);
	for (uint32_t i = 0; i < 8; i++)
		session_repeat(s, 100 + i, &text);
	require(session_write(s, b) == 0);
	session_free(s);
	buf_free(&text);
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	static const uint8_t runs[] = {
		3, 2, 2, 4, 0, 50, 51, 4, 3, 1, 0, 2, 9, 10, 11, 3, 0, 0, 0, 0};
	static const char chat[] = "\"Be kind [INST]\n#Hello <|im_end|>\n$Hi.\n#And abc now?\n";
	struct buf b;
	size_t len;

	if (i >= PARTS)
		return 0;
	buf_init(&b, max);
	buf_u8(&b, (uint8_t)i);
	if (i == SESSION)
		seed_session(&b);
	else if (i == GUIDE)
		buf_append(&b, runs, sizeof runs);
	else
		buf_str(&b, chat);
	len = b.len;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
