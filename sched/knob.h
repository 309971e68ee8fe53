/* From a gain (gain.h) to a decision: the user's knob q in [0, 1] is the share of prompts that go
 * up to the larger model, 0 none, 1 all. A score means something else for every model, prompt and
 * season; a share does not.
 *
 * The score's rank among the last KNOB_WINDOW scores is compared with 1 - q, and stochastic
 * approximation (Robbins and Monro 1951) with a step that never falls below KNOB_STEP moves that
 * edge until the share that really went up is q: it follows a traffic that changes, and splits
 * prompts that all have the same score. From about 300 prompts on the share is within 5 points. One
 * knob serves any q, each request its own, and is monotone in it: what goes up at q goes up at
 * every higher one.
 *
 * Pure, no allocation. Scores that come from other heads (before and after the answer) need knobs
 * of their own. */
#ifndef SCHED_KNOB_H
#define SCHED_KNOB_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { KNOB_WINDOW = 256 };
#define KNOB_STEP 0.02f

/* All zero: nothing was seen; then what has a gain above 1 - 2q goes up. */
struct knob {
	float score[KNOB_WINDOW]; /* a ring */
	uint32_t n, next;
	uint32_t decisions; /* that it learned from; stays at UINT32_MAX */
	float shift;        /* of the edge, in ranks: positive sends more up */
};

/* Forgets, and begins with these scores, as of the rows that a new model was trained on (the
 * cross-fitted ones, struct gain_held). */
void knob_begin(struct knob *k, const float *scores, size_t n);

struct knob_decision {
	bool up;
	float threshold; /* the score that was needed; for people to see */
};
/* q is brought into [0, 1]; a score that is no number counts as the lowest. Changes nothing. */
struct knob_decision knob_decide(const struct knob *k, float q, float score);
/* Takes in a decision that was carried out as the knob said. Those that something else decided (a
 * policy, a promise, q of 0 or 1) leave only their score: knob_saw. */
void knob_learn(struct knob *k, float q, float score, bool up);
void knob_saw(struct knob *k, float score);

enum { KNOB_BYTES = 16 + 4 * KNOB_WINDOW };                    /* what knob_write writes */
int knob_write(const struct knob *k, struct buf *out);         /* -1: out has no room */
int knob_read(struct knob *k, struct rd *in, struct err *err); /* -1: damaged; k is as it was */

/* What was wanted of a knob and what came of it, in the mean of about the last KNOB_WINDOW decisions. All zero: there
 * was none. */
struct knob_share {
	uint32_t n; /* decisions, KNOB_WINDOW at most */
	float wanted, real;
};
void knob_share_add(struct knob_share *s, float q, bool up);

/* --- a promise ------------------------------------------------------------------------------------ */

/* What quality followed from which share, of labelled prompts with scores by heads that had not
 * seen them (struct gain_held). Step i is the share i / KNOB_STEPS. Means over the n prompts, with
 * x the quality that the prompt would have had and l the large model's. */
enum { KNOB_STEPS = 50 };
struct knob_curve {
	uint32_t n;
	float l, ll; /* of l, l^2 */
	struct knob_step {
		float threshold; /* scores from here on go up */
		float x, xx, xl;
	} step[KNOB_STEPS + 1];
};

struct knob_sample {
	float score;
	float small, large; /* labels, 0 to 1 */
};
/* samples[n] are put in order of score. n of 0 makes a curve that promises nothing. */
void knob_curve_make(struct knob_curve *c, struct knob_sample *samples, size_t n);

struct knob_promise {
	/* False: of no share below 1 the labels show that it suffices, as they are too few or all
	 * prompts need the large model. Then threshold and share send everything up. */
	bool kept;
	float threshold; /* scores from here on go up */
	float share;     /* that went up, of the labelled prompts */
	float quality;   /* theirs at that share */
	float slack;     /* the lower bound of quality - r * the large model's, >= 0 where kept */
};
/* The least share whose quality is at least r times the large model's with 95% confidence. From
 * share 1 down, each step is tested until one fails, so that testing many does not make a false
 * promise likelier (fixed-sequence testing, as in Angelopoulos et al., Learn then Test, 2021). Each
 * bound counts one prompt more than there are, of the worst kind, so that a few labels without a
 * loss do not look like certainty. r is brought into [0, 1]. */
struct knob_promise knob_at_least(const struct knob_curve *c, float r);

enum { KNOB_CURVE_BYTES = 12 + 16 * (KNOB_STEPS + 1) };
int knob_curve_write(const struct knob_curve *c, struct buf *out);
int knob_curve_read(struct knob_curve *c, struct rd *in, struct err *err);

#endif
