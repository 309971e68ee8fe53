/* Stop texts are followed byte by byte, each by its own automaton (Knuth, Morris and Pratt), so that
 * what a stop text costs does not grow with what is held back. Text that could be the beginning of
 * one is held until it is decided. */
#include "model/session.h"

#include "model/constraint.h"
#include "model/lookup.h"

#include <stdlib.h>

#define MAX_STOP 4096 /* bytes of a stop text */

struct stop {
	uint8_t *text;
	uint32_t *back; /* [len] how much of the beginning still matches when byte i does not */
	uint32_t len;
	uint32_t matched; /* bytes of it that end what has been read */
};

struct session {
	const struct tokenizer *t;
	struct sampler *sampler;
	struct detok detok;
	uint32_t *ids;
	size_t n, n_prompt, most;
	uint32_t max_tokens, context;
	bool ignore_end;
	struct constraint *constraint; /* NULL: there is no grammar */
	float *raw; /* [vocab] the logits before the sampler works on them; NULL: neither signals nor odds */
	bool keeps_signals, keeps_odds;
	struct token_signals signals;
	uint32_t n_odds;
	struct token_odds odds; /* of the token that is being taken, */
	bool odds_known;        /* whose logits were there */
	struct odds_hold odds_hold;
	uint64_t made, said;   /* bytes of text: of the tokens, and of these those that were said */
	struct lookup *lookup; /* NULL: not yet, or no guesses */
	size_t looked_up;      /* ids that it has */
	uint32_t max_guesses;
	bool uncached;
	uint32_t *prediction;
	size_t n_prediction;
	struct stop stops[SESSION_MAX_STOPS];
	const char *stop_texts[SESSION_MAX_STOPS]; /* of stops, for session_params */
	uint32_t n_stops;
	struct buf fresh; /* text of one token */
	struct buf held;  /* text that may be the beginning of a stop */
	enum session_end end;
};

/* --- stop texts -------------------------------------------------------------------------------- */

static void
stop_prepare(struct stop *s)
{
	uint32_t k = 0;

	s->back[0] = 0;
	for (uint32_t i = 1; i < s->len; i++) {
		while (k > 0 && s->text[i] != s->text[k])
			k = s->back[k - 1];
		if (s->text[i] == s->text[k])
			k++;
		s->back[i] = k;
	}
}

/* Reads a byte; true when the stop text is complete. */
static bool
stop_read(struct stop *s, uint8_t c)
{
	while (s->matched > 0 && s->text[s->matched] != c)
		s->matched = s->back[s->matched - 1];
	if (s->text[s->matched] == c)
		s->matched++;
	return s->matched == s->len;
}

static int
stop_add(struct session *s, const char *text, struct err *err)
{
	struct stop *stop = &s->stops[s->n_stops];
	size_t len = strlen(text);

	if (len == 0)
		return err_set(err, "stop text %u is empty: leave it out", s->n_stops + 1);
	if (len > MAX_STOP)
		return err_set(err, "stop text %u has %zu bytes: at most %d are possible",
			s->n_stops + 1, len, MAX_STOP);
	if (((uint8_t)text[0] & 0xc0) == 0x80)
		return err_set(err, "stop text %u begins inside a character", s->n_stops + 1);
	stop->len = (uint32_t)len;
	stop->text = malloc(len + 1);
	stop->back = calloc(len, sizeof *stop->back);
	s->stop_texts[s->n_stops++] = (const char *)stop->text;
	if (stop->text == NULL || stop->back == NULL)
		return err_set(err, "out of memory");
	memcpy(stop->text, text, len + 1);
	stop_prepare(stop);
	return 0;
}

static void
say(struct session *s, size_t len, struct buf *text)
{
	buf_append(text, s->held.data, len);
	s->said += len;
}

/* Reads what is fresh and appends to `text` what is decided. True when a stop text is complete:
 * what came before it has been said, the rest is dropped. */
static bool
read_fresh(struct session *s, struct buf *text)
{
	size_t before = s->held.len;
	uint32_t open = 0;

	buf_append(&s->held, s->fresh.data, s->fresh.len);
	s->made += s->fresh.len;
	buf_clear(&s->fresh);
	for (size_t i = before; i < s->held.len; i++) {
		uint32_t whole = 0;

		for (uint32_t k = 0; k < s->n_stops; k++)
			if (stop_read(&s->stops[k], s->held.data[i]) && s->stops[k].len > whole)
				whole = s->stops[k].len;
		if (whole > 0) {
			say(s, i + 1 - whole, text);
			buf_clear(&s->held);
			return true;
		}
	}
	for (uint32_t k = 0; k < s->n_stops; k++)
		if (s->stops[k].matched > open)
			open = s->stops[k].matched;
	say(s, s->held.len - open, text);
	buf_consume(&s->held, s->held.len - open);
	return false;
}

/* --- life -------------------------------------------------------------------------------------- */

static int
check_prompt(const struct tokenizer *t, const struct session_params *p, const uint32_t *prompt,
	size_t n, struct err *err)
{
	if (tokenizer_check_prompt(t, p->context, prompt, n, err) != 0)
		return -1;
	if (p->max_tokens == 0)
		return err_set(err, "0 new tokens are wanted: at least 1 is needed");
	if (p->n_stops > SESSION_MAX_STOPS)
		return err_set(err, "%u stop texts: at most %d are possible", p->n_stops,
			SESSION_MAX_STOPS);
	return 0;
}

/* The ids that there can be: the prompt, and new ones as far as asked for and as there is room. */
static size_t
most_ids(const struct session_params *p, size_t n_prompt)
{
	size_t room = p->context - n_prompt;

	return n_prompt + (p->max_tokens < room ? p->max_tokens : room);
}

static int
fill(struct session *s, const struct session_params *p, const uint32_t *prompt, size_t n_prompt,
	struct err *err)
{
	s->sampler = sampler_new(&p->sampler, tokenizer_size(s->t), err);
	if (s->sampler == NULL)
		return -1;
	s->most = most_ids(p, n_prompt);
	s->ids = calloc(s->most, sizeof *s->ids);
	if (p->signals || p->odds)
		s->raw = malloc(tokenizer_size(s->t) * sizeof *s->raw);
	if (s->ids == NULL || ((p->signals || p->odds) && s->raw == NULL))
		return err_set(err, "out of memory for %zu tokens", s->most);
	if (p->max_guesses > 0 && p->n_prediction > 0) {
		s->prediction = malloc(p->n_prediction * sizeof *s->prediction);
		if (s->prediction == NULL)
			return err_set(err, "out of memory for %zu tokens", p->n_prediction);
		memcpy(s->prediction, p->prediction, p->n_prediction * sizeof *s->prediction);
		s->n_prediction = p->n_prediction;
	}
	if (p->grammar != NULL) {
		s->constraint = constraint_new(s->t, p->grammar, err);
		if (s->constraint == NULL)
			return -1;
	}
	for (uint32_t i = 0; i < p->n_stops; i++)
		if (stop_add(s, p->stops[i], err) != 0)
			return -1;
	for (size_t i = 0; i < n_prompt; i++) {
		s->ids[i] = prompt[i];
		sampler_accept(s->sampler, prompt[i]);
	}
	return 0;
}

struct session *
session_new(const struct tokenizer *t, const struct session_params *p, const uint32_t *prompt,
	size_t n_prompt, struct err *err)
{
	struct session *s;

	if (check_prompt(t, p, prompt, n_prompt, err) != 0)
		return NULL;
	s = calloc(1, sizeof *s);
	if (s == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->t = t;
	s->n = s->n_prompt = n_prompt;
	s->max_tokens = p->max_tokens;
	s->context = p->context;
	s->ignore_end = p->ignore_end;
	s->max_guesses = p->max_guesses;
	s->uncached = p->uncached;
	s->keeps_signals = p->signals;
	s->keeps_odds = p->odds;
	s->n_odds = p->n_odds;
	detok_init(&s->detok, t, p->special);
	s->detok.started = true; /* what follows a prompt keeps its leading blank */
	if (fill(s, p, prompt, n_prompt, err) != 0) {
		session_free(s);
		return NULL;
	}
	return s;
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	sampler_free(s->sampler);
	constraint_free(s->constraint);
	for (uint32_t i = 0; i < s->n_stops; i++) {
		free(s->stops[i].text);
		free(s->stops[i].back);
	}
	buf_free(&s->fresh);
	buf_free(&s->held);
	odds_hold_free(&s->odds_hold);
	lookup_free(s->lookup);
	free(s->prediction);
	free(s->ids);
	free(s->raw);
	free(s);
}

int
session_begun(struct session *s, const char *text, size_t len, struct err *err)
{
	if (s->constraint == NULL || constraint_begin(s->constraint, text, len))
		return 0;
	return err_set(err, "what was said of the answer is no begin of what it has to look like");
}

const uint32_t *
session_ids(const struct session *s, size_t *n)
{
	*n = s->n;
	return s->ids;
}

size_t
session_n_prompt(const struct session *s)
{
	return s->n_prompt;
}

uint32_t
session_last(const struct session *s)
{
	return s->ids[s->n - 1];
}

/* --- the next token ---------------------------------------------------------------------------- */

/* A character that was cut off is said as such, and what was held back is no stop text any more. */
static enum session_end
finish(struct session *s, enum session_end end, struct buf *text)
{
	detok_finish(&s->detok, &s->fresh);
	if (read_fresh(s, text))
		return SESSION_STOP;
	say(s, s->held.len, text);
	buf_clear(&s->held);
	return end;
}

/* What the token says is in s->fresh, and behind it, if it has begun a character. */
static void
hold_odds(struct session *s)
{
	uint64_t end = s->made + s->fresh.len + (s->detok.n_pending > 0);

	if (s->odds_known)
		odds_hold_add(&s->odds_hold, &s->odds, s->made, end);
}

static enum session_end
take(struct session *s, uint32_t id, struct buf *text)
{
	if (!s->ignore_end && tokenizer_is_end(s->t, id))
		return finish(s, SESSION_STOP, text);
	detok_push(&s->detok, id, &s->fresh);
	hold_odds(s);
	if (read_fresh(s, text))
		return SESSION_STOP;
	if (s->constraint != NULL && constraint_ended(s->constraint))
		return finish(s, SESSION_STOP, text);
	if (s->n - s->n_prompt >= s->max_tokens)
		return finish(s, SESSION_LENGTH, text);
	if (s->n >= s->context)
		return finish(s, SESSION_CONTEXT, text);
	return SESSION_RUNNING;
}

static enum session_end
go_on(struct session *s, uint32_t id, struct buf *text)
{
	sampler_accept(s->sampler, id);
	if (s->constraint != NULL)
		constraint_accept(s->constraint, id);
	s->ids[s->n++] = id;
	s->end = take(s, id, text);
	s->odds_known = false;
	/* Text that found no memory here is missing in the middle of an answer: say so to whom
	 * reads it. */
	text->failed |= s->fresh.failed || s->held.failed;
	return s->end;
}

/* Where a model has broken logits, those of a refused token may be as good as any. */
static uint32_t
pick(struct session *s, float *logits)
{
	uint32_t id = sampler_pick(s->sampler, logits);

	if (s->constraint != NULL && !constraint_allows(s->constraint, id))
		return constraint_first(s->constraint);
	return id;
}

/* What the model made of the token that was picked from s->raw. */
static void
look_at_pick(struct session *s, uint32_t id)
{
	uint32_t vocab = tokenizer_size(s->t);
	struct token_signal sure;
	struct best best;

	if (s->keeps_signals) {
		token_signal_of(&sure, s->raw, vocab, id);
		token_signals_add(&s->signals, &sure);
	}
	if (!s->keeps_odds)
		return;
	best_of(&best, s->raw, vocab, 0, true);
	token_odds_of(&s->odds, &best, id, s->raw[id], s->n_odds);
	s->odds_known = true;
}

enum session_end
session_next(struct session *s, float *logits, struct buf *text)
{
	uint32_t vocab = tokenizer_size(s->t), id;

	if (s->end != SESSION_RUNNING)
		return s->end;
	if (s->raw != NULL)
		memcpy(s->raw, logits, vocab * sizeof *logits);
	if (s->constraint != NULL && !constraint_apply(s->constraint, logits)) {
		s->end = finish(s, SESSION_LENGTH, text);
		return s->end;
	}
	id = pick(s, logits);
	if (s->raw != NULL)
		look_at_pick(s, id);
	return go_on(s, id, text);
}

enum sampler_needs
session_needs(const struct session *s)
{
	enum sampler_needs needs = sampler_needs(s->sampler);

	if (s->keeps_signals || (s->constraint != NULL && needs == SAMPLER_BEST_AND_SUM))
		return SAMPLER_ALL;
	return s->keeps_odds && needs == SAMPLER_BEST ? SAMPLER_BEST_AND_SUM : needs;
}

/* The best of the allowed ones are known as far as they are among the best of all: enough where one is
 * wanted, or no more than top-k leaves. */
static bool
pick_allowed(struct session *s, const struct best *best, uint32_t *id)
{
	const struct sampler_params *p = sampler_params(s->sampler);
	uint32_t enough = p->temperature <= 0.0f ? 1 : p->top_k;
	struct best allowed;

	constraint_filter(s->constraint, best, &allowed);
	return enough > 0 && allowed.n >= enough && sampler_pick_best(s->sampler, &allowed, id);
}

/* Only one of the best can have been picked from them. */
static void
keep_odds(struct session *s, const struct best *best, uint32_t id)
{
	uint32_t i = 0;

	while (i < best->n && best->c[i].id != id)
		i++;
	if (i == best->n)
		return;
	token_odds_of(&s->odds, best, id, best->c[i].logit, s->n_odds);
	s->odds_known = true;
}

bool
session_next_best(
	struct session *s, const struct best *best, struct buf *text, enum session_end *end)
{
	uint32_t id;

	*end = s->end;
	if (s->end != SESSION_RUNNING)
		return true;
	if (s->keeps_odds && best->sum < 1.0) /* there is no sum */
		return false;
	if (s->constraint != NULL ? !pick_allowed(s, best, &id)
				  : !sampler_pick_best(s->sampler, best, &id))
		return false;
	if (s->keeps_odds)
		keep_odds(s, best, id);
	*end = go_on(s, id, text);
	return true;
}

enum session_end
session_repeat(struct session *s, uint32_t id, struct buf *text)
{
	if (s->end != SESSION_RUNNING)
		return s->end;
	sampler_skip(s->sampler);
	return go_on(s, id, text);
}

enum session_end
session_state(const struct session *s)
{
	return s->end;
}

void
session_describe(const struct session *s, struct session_params *p)
{
	*p = (struct session_params){.sampler = *sampler_params(s->sampler),
		.max_tokens = s->max_tokens,
		.context = s->context,
		.stops = s->stop_texts,
		.n_stops = s->n_stops,
		.ignore_end = s->ignore_end,
		.special = s->detok.special,
		.signals = s->keeps_signals,
		.odds = s->keeps_odds,
		.n_odds = s->n_odds,
		.uncached = s->uncached,
		.max_guesses = s->max_guesses,
		.prediction = s->prediction,
		.n_prediction = s->n_prediction,
		.grammar = s->constraint != NULL ? constraint_grammar(s->constraint) : NULL};
}

bool
session_is_uncached(const struct session *s)
{
	return s->uncached;
}

/* --- guesses ----------------------------------------------------------------------------------- */

/* Made when it is asked for first: many sessions never are. Where there is no memory for it, there are no guesses. */
static bool
look_up(struct session *s)
{
	if (s->lookup == NULL && s->max_guesses > 0) {
		s->lookup = lookup_new(s->n_prediction + 1 + s->most);
		if (s->lookup != NULL) {
			lookup_add(s->lookup, s->prediction, s->n_prediction);
			lookup_cut(s->lookup);
		}
	}
	if (s->lookup == NULL) {
		s->max_guesses = 0;
		return false;
	}
	lookup_add(s->lookup, s->ids + s->looked_up, s->n - s->looked_up);
	s->looked_up = s->n;
	return true;
}

uint32_t
session_guess_room(const struct session *s)
{
	size_t left = s->most - s->n; /* new tokens */

	if (s->end != SESSION_RUNNING || left < 2)
		return 0;
	return left - 1 < s->max_guesses ? (uint32_t)(left - 1) : s->max_guesses;
}

uint32_t
session_guess(struct session *s, uint32_t *out, uint32_t most, uint32_t *matched)
{
	uint32_t room = session_guess_room(s);

	if (room == 0 || !look_up(s))
		return 0;
	return lookup_guess(s->lookup, out, most < room ? most : room, matched);
}

const struct token_signals *
session_signals(const struct session *s)
{
	return s->keeps_signals ? &s->signals : NULL;
}

bool
session_holds_odds(const struct session *s)
{
	return s->odds_hold.held.len > 0;
}

int
session_take_odds(struct session *s, bool last, struct buf *out)
{
	int rc = odds_hold_take(&s->odds_hold, s->said, last || s->end != SESSION_RUNNING, out);

	return s->odds_hold.held.failed ? -1 : rc;
}

const char *
session_end_name(enum session_end e)
{
	static const char *const names[] = {"running", "stop", "length", "length"};

	return names[e];
}
