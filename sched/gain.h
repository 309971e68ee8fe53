/* Whether a larger model would do better on a prompt: a predictor of how likely each model is to
 * answer it right, learned at home from labelled prompts. What counts is the gain, P(large right)
 * - P(small right), not whether the small one is wrong: a prompt that no model can do is not worth
 * the large one's time (ROUTING.md, section 3).
 *
 * Two predictors, each with a head per model:
 *   before   logistic heads on the prompt's hashed words (route_text.h), trained by AdaGrad (Duchi
 *            et al., JMLR 2011) on sparse rows
 *   after    logistic heads on how sure the small model was of its answer (model/token_signal.h)
 *            together with what `before` said, trained by Newton's method with a ridge
 * `before` is taught not only by the labels: where an answer has figures, its label is drawn towards the
 * chance that they give it (gain_train.c), for each model for which that meets unseen labels better.
 * Its APGR rose by it from 0.693 to 0.717 with 100 labels and from 0.747 to 0.761 with 300 (make
 * bench-route).
 * `after` is trained, and all heads are calibrated (Platt 1999), on what heads that had not seen a
 * row said of it (cross-fitting in GAIN_FOLDS parts).
 *
 * What was tried and left out, measured on the splits train and tune of make bench-route: forests of 100 or
 * 200 trees, of both signals and of how rare a prompt's words are, in place of the heads `after` or beside
 * them (APGR with 300 labels 0.826 at best, where the mean of the heads has 0.821); the six least sure
 * tokens (0.826 after 0.823 with 3,200 labels); how many words of the answer are in the prompt (0.833
 * after 0.827, likewise). None of them tells the kinds "degrees" and "ask" apart, not even with labels
 * of the same kind: 0.53 to 0.57 where an oracle has 0.68, and 0.50 to 0.57 of 0.74. There the small
 * model guesses a temperature, and whether the guess is a lucky one nobody knows beforehand.
 *
 * Pure: no clock, no I/O; the same rows in the same order give the same model on the same machine.
 * An estimate allocates nothing; of 2 kB of text it takes a few microseconds. The model has at most
 * 1 MiB, here and as bytes. Rows hold hashes and numbers, never text. */
#ifndef SCHED_GAIN_H
#define SCHED_GAIN_H

#include "base/buf.h"
#include "base/err.h"
#include "model/token_signal.h"
#include "sched/route_text.h"

#include <stdbool.h>

/* Whose heads there are. The third is any further model, as a cloud's. */
enum gain_model { GAIN_SMALL, GAIN_LARGE, GAIN_CLOUD, GAIN_MODELS };

/* --- rows to learn from ------------------------------------------------------------------------- */

#define GAIN_UNKNOWN (-1.0f) /* a label that is not known */

struct gain_row {
	/* How right each model's answer was (or would have been), 0 to 1. Where two answers were
	 * the same but nobody knows whether they were right, both have the same label, as 0.5. */
	float label[GAIN_MODELS];
	float figure[TOKEN_FIGURES]; /* of the small model's answer */
	bool answered;               /* there are figures */
	uint16_t n;
	uint16_t bucket[ROUTE_FEATURES]; /* ascending, so that they do not tell the words' order */
};

enum {
	GAIN_ROWS = 20000, /* that gain_train takes */
	GAIN_ROW_BYTES = 4 + 4 * GAIN_MODELS + 4 * TOKEN_FIGURES + 2 * ROUTE_FEATURES
};

/* figures: NULL where there are none (as after token_signals_figures() was false). */
void gain_row_make(struct gain_row *r, const struct route_text *t, const float *figures,
	const float label[static GAIN_MODELS]);
/* At most GAIN_ROW_BYTES. -1: out has no room. */
int gain_row_write(const struct gain_row *r, struct buf *out);
/* Takes one row off `in`; the bytes may be damaged. */
int gain_row_read(struct gain_row *r, struct rd *in, struct err *err);

/* --- the model ------------------------------------------------------------------------------------ */

struct gain;

/* One that was never trained. */
struct gain *gain_new(struct err *err);
void gain_free(struct gain *g);

/* What a row would have got from a model that had not been trained on it: for the knob (knob.h). */
struct gain_held {
	float before, after; /* gains, large over small; after: equal to before without figures */
};

enum {
	GAIN_LEAST_ROWS = 30, /* fewer teach nothing that could be relied on */
	GAIN_FOLDS = 4
};

/* Forgets what was learned and learns from these rows, newest last. held: NULL, or receives n.
 * Needs, of each of the small and the large model, GAIN_LEAST_ROWS labels. -1 (too few, too many,
 * no memory, nothing that differs) leaves g as it was. To go back after an update, keep the bytes
 * of before. */
int gain_train(struct gain *g, const struct gain_row *rows, size_t n, struct gain_held *held,
	struct err *err);

struct gain_facts {
	uint32_t rows, answered; /* that it was trained on, and those of them with figures */
	uint32_t labels[GAIN_MODELS];
	uint32_t buckets; /* ever seen */
};
void gain_facts(const struct gain *g, struct gain_facts *f);

enum { GAIN_BYTES = 1 << 20 }; /* at most */
/* Versioned and checked: gain_read gives an error for bytes that are cut, damaged or of another
 * version, and takes no more memory for them than for good ones. -1: out has no room. */
int gain_write(const struct gain *g, struct buf *out);
struct gain *gain_read(const void *data, size_t len, struct err *err);

/* --- estimates ------------------------------------------------------------------------------------ */

/* What an estimate rests on. */
enum gain_reason {
	GAIN_NOTHING, /* not trained, and there is no answer yet: gain is 0 and means nothing */
	/* Not trained, or only on words that are not these: gain is a score, e^-(least margin), and no
	 * difference of probabilities. */
	GAIN_MARGIN,
	GAIN_TEXT,           /* the words */
	GAIN_TEXT_UNKNOWN,   /* the words, of which too few were ever seen: not to be relied on */
	GAIN_ANSWER,         /* how sure the small model was; too few of the words were ever seen */
	GAIN_TEXT_AND_ANSWER /* both */
};
const char *gain_reason_name(enum gain_reason r); /* "text-and-answer", ... */

/* Fewer of the buckets of a prompt's words and pairs than this, and its words are not to be relied
 * on. */
#define GAIN_KNOWN 0.3f

enum { GAIN_WHY = 3, GAIN_WHY_FIGURE = 1 << 16 };
struct gain_why {
	/* A feature of the route_text, or GAIN_WHY_FIGURE + an enum token_figure. */
	uint32_t feature;
	float part; /* of ln odds(large right) - ln odds(small right), before the last calibration */
};

struct gain_estimate {
	enum gain_reason reason;
	float p[GAIN_MODELS]; /* that each one is right; 0.5 where its head was never trained */
	float gain;           /* of the large model over the small one, -1 to 1 */
	float known;          /* share of its words and pairs that were ever seen in training */
	struct gain_why why[GAIN_WHY]; /* the largest parts, largest first; n_why of them */
	uint32_t n_why;
};

/* figures: of the small model's answer (token_signals_figures), or NULL before there is one. */
void gain_estimate(const struct gain *g, const struct route_text *t, const float *figures,
	struct gain_estimate *e);

/* What a person would call why[i]: `"two degrees"`, or "its least sure token". */
void gain_why_name(const struct gain_why *w, const struct route_text *t, const char *text,
	size_t len, char name[static ROUTE_NAME]);

#endif
