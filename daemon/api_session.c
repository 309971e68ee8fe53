/* From a request to a session of the model that is to answer it. */
#include "daemon/api_generate.h"

#include "daemon/answers.h"

#include <sodium.h>

/* How much of a text that is too long is tokenized, to say how long it is: so many contexts. It is done between two
 * heartbeats of the swarm. */
#define CONTEXTS_COUNTED 4

static void
too_long(struct http_request *r, const struct api_request *a, uint64_t n, bool at_least,
	uint32_t context)
{
	struct api_error e;

	api_error_set(&e, 400, "context_length_exceeded", api_prompt_param(a),
		"the prompt has %s%llu tokens, and the context holds %u with the answer: send less",
		at_least ? "at least " : "", (unsigned long long)n, context);
	e.n_prompt_tokens = n;
	e.n_ctx = context;
	http_error(r, &e);
}

const char *
api_prompt_param(const struct api_request *a)
{
	return a->kind == API_CHAT ? "messages" : "prompt";
}

int
api_prompt(const struct api_format *f, const struct api_request *a, const struct served_model *m,
	struct token_list *ids, uint64_t *n, struct err *err)
{
	*n = a->text_bytes / tokenizer_longest(m->tokenizer);
	if (*n > m->context)
		return 1;
	ids->most = (size_t)m->context * CONTEXTS_COUNTED;
	if (f->prompt(a, m, ids, err) != 0)
		return -1;
	*n = ids->n;
	return ids->n >= m->context ? 1 : 0;
}

bool
api_make_prompt(struct http_request *r, const struct api_format *f, const struct api_request *a,
	const struct served_model *m, struct token_list *ids)
{
	struct err err;
	uint64_t n;
	int rc = api_prompt(f, a, m, ids, &n, &err);

	if (rc < 0)
		http_fail(r, 400, NULL, api_prompt_param(a), "%s", err.msg);
	else if (rc > 0)
		too_long(r, a, n, n != ids->n || n > ids->most, m->context);
	else if (n == 0)
		http_fail(r, 400, NULL, "prompt", "the prompt is empty");
	else
		return true;
	return false;
}

/* The tokens of the text that the answer may be. What is longer than any answer is of no use. */
static int
make_prediction(const struct api_request *a, const struct served_model *m, struct token_list *ids,
	struct err *err)
{
	size_t len = a->prediction != NULL ? strlen(a->prediction) : 0;
	size_t most = (size_t)m->context * tokenizer_longest(m->tokenizer);

	if (len == 0 || a->max_guesses == 0)
		return 0;
	ids->most = m->context;
	if (tokenize(m->tokenizer, a->prediction, len < most ? len : most, 0, ids, err) != 0)
		return -1;
	ids->n = ids->n < m->context ? ids->n : m->context;
	return 0;
}

struct session *
api_make_session(const struct api_request *a, const struct served_model *m,
	const struct token_list *ids, bool signals, const struct answer_key *key, struct err *err)
{
	struct session_params p = {.sampler = a->sampler,
		.max_tokens = a->max_tokens,
		.uncached = a->uncached,
		.max_guesses = a->max_guesses,
		.context = m->context,
		.stops = a->stops,
		.n_stops = a->n_stops,
		.ignore_end = a->ignore_end,
		.signals = signals,
		.odds = a->logprobs,
		.n_odds = a->top_logprobs,
		.grammar = a->grammar};

	struct token_list prediction = {0};
	struct session *s = NULL;

	if (!a->seeded && key != NULL)
		p.sampler.seed = answer_key_seed(key);
	else if (!a->seeded)
		randombytes_buf(&p.sampler.seed, sizeof p.sampler.seed);
	if (p.sampler.penalty_last > m->context)
		p.sampler.penalty_last = m->context;
	if (make_prediction(a, m, &prediction, err) == 0) {
		p.prediction = prediction.ids;
		p.n_prediction = prediction.n;
		s = session_new(m->tokenizer, &p, ids->ids, ids->n, err);
	}
	token_list_free(&prediction);
	return s;
}

void
api_prompt_text(
	struct buf *text, const struct api_request *a, const struct served_model *m, bool special)
{
	struct detok d;

	if (a->prompt != NULL) {
		buf_str(text, a->prompt);
		return;
	}
	detok_init(&d, m->tokenizer, special);
	for (size_t i = 0; i < a->n_ids; i++)
		detok_push(&d, a->ids[i], text);
	detok_finish(&d, text);
}

void
api_echo(struct buf *text, const struct api_request *a, const struct served_model *m)
{
	if (a->echo)
		api_prompt_text(text, a, m, true);
}
