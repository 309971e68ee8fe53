/* One generation, without the computing: its token ids, its sampler, its text. Whoever computes
 * feeds in logits and gets text out; used by the daemon for many sessions and by the command for
 * one. */
#ifndef MODEL_SESSION_H
#define MODEL_SESSION_H

#include "base/buf.h"
#include "model/grammar.h"
#include "model/sampler.h"
#include "model/token_odds.h"
#include "model/token_signal.h"
#include "model/tokenizer.h"

#define SESSION_MAX_STOPS   16
#define SESSION_MAX_CONTEXT (1u << 24) /* of one that is read */

enum session_end { SESSION_RUNNING, SESSION_STOP, SESSION_LENGTH, SESSION_CONTEXT };

struct session_params {
	struct sampler_params sampler;
	uint32_t max_tokens;      /* new tokens at most; UINT32_MAX: as the context allows */
	uint32_t context;         /* positions there are */
	const char *const *stops; /* texts that end it; never part of the output. Copied. */
	uint32_t n_stops;
	bool ignore_end;      /* generate past end tokens (bench) */
	bool special;         /* spell special tokens out */
	bool signals;         /* keep how sure the model was; needs all logits of each token */
	bool odds;            /* keep what the model gave each token, */
	uint32_t n_odds;      /* and so many alternatives, at most ODDS_MOST (token_odds.h) */
	bool uncached;        /* its prompt is computed, even if another one's rows are there */
	uint32_t max_guesses; /* of session_guess at a time; 0: none, and no memory for them */
	/* What its text may be, or have parts of: only a help for guessing. Copied. */
	const uint32_t *prediction;
	size_t n_prediction;
	/* What the text has to look like; the session holds on to it. NULL: anything. Such a text ends by
	 * itself where nothing may follow, and as cut off where no token of the vocabulary goes on with it. */
	struct grammar *grammar;
};

struct session;

/* prompt: copied. Refuses an empty prompt and one that leaves no room in the context, with numbers.
 */
struct session *session_new(const struct tokenizer *t, const struct session_params *p,
	const uint32_t *prompt, size_t n_prompt, struct err *err);
void session_free(struct session *s);

/* The end of the prompt is the begin of the answer, as its grammar has to know. -1: it does not begin so. */
int session_begun(struct session *s, const char *text, size_t len, struct err *err);

/* All ids so far, prompt first. */
const uint32_t *session_ids(const struct session *s, size_t *n);
size_t session_n_prompt(const struct session *s);

/* Takes the logits[vocab] after the last id (overwrites them), picks the next token, appends text
 * that may be shown now to `text` (a stop text's beginning is held back until it is decided), and
 * says whether the generation goes on. */
enum session_end session_next(struct session *s, float *logits, struct buf *text);
/* The same from the best tokens, where the session needs no more (model/sampler.h). False: they do
 * not decide, and session_next has to be called with all logits. */
enum sampler_needs session_needs(const struct session *s);
bool session_next_best(
	struct session *s, const struct best *best, struct buf *text, enum session_end *end);
/* The same for a token that was picked before, by this session before it was lost: no logits. Takes
 * the sampler as far as that pick took it. */
enum session_end session_repeat(struct session *s, uint32_t id, struct buf *text);
enum session_end session_state(const struct session *s);

/* What its next tokens may be (model/lookup.h): at most `most`, to be computed as rows behind its last id, in the step
 * that computes that. *matched: as lookup_guess says. Picks agree with a guess or not, they never depend on it. */
uint32_t session_guess(struct session *s, uint32_t *out, uint32_t most, uint32_t *matched);
/* Guesses that can be of use, whoever makes them: a step says one token more. */
uint32_t session_guess_room(const struct session *s);

bool session_is_uncached(const struct session *s); /* as it was made */
uint32_t session_last(const struct session *s);    /* the token picked last */
/* How sure the model was of its tokens so far; NULL where signals were not asked for. Those that were
 * repeated do not count. */
const struct token_signals *session_signals(const struct session *s);
/* Whether there are odds of tokens that were not taken yet. */
bool session_holds_odds(const struct session *s);
/* Appends to out (struct token_odds) those of the tokens whose text has been said, each once, where the session
 * keeps odds. Not among them: an end token, and tokens that a stop text cut off. last: nothing more will be said,
 * even if it has not ended. -1: out has no room, or some were lost as there was no memory. */
int session_take_odds(struct session *s, bool last, struct buf *out);
const char *session_end_name(enum session_end e); /* "stop", "length" as the API says */

/* What it was made with; the stop texts are the session's own. */
void session_describe(const struct session *s, struct session_params *p);

/* A session as bytes, to go on elsewhere exactly as it would have here; not one with a grammar. Written
 * are parameters (the seed among them, and what its text may be) and ids only: the sampler's random state
 * and its penalties, stop texts that are half read and text that is held back all follow from these, and
 * session_read brings them about by taking the generated ids again, without computing. What cannot be
 * written cannot contradict. */
int session_write(
	const struct session *s, struct buf *out); /* -1: out has no room, or there is a grammar */
/* text receives what the session has said so far. The bytes may come from a damaged file: every
 * number is checked as session_new does, and memory is bounded by SESSION_MAX_CONTEXT. */
struct session *session_read(
	const struct tokenizer *t, const void *data, size_t len, struct buf *text, struct err *err);

#endif
