/* A generation that is led from outside: it is given ids in runs, says what it would pick behind the
 * last one of them, may go on by itself for a while, and can be taken back to any earlier place. So
 * two models write one text together, and a small one drafts what a large one may say. Like a session
 * it computes nothing itself: whoever does asks which row it waits for, and feeds it its logits.
 *
 * It picks as a session of the same sampler does (model/session.h): the nth new token takes the nth
 * number of the seed, whoever picks it and however often it is picked, so that a seed gives the
 * text that it would give one model alone where that model picks every token.
 *
 * One thread at a time has it. */
#ifndef MODEL_GUIDE_H
#define MODEL_GUIDE_H

#include "model/sampler.h"
#include "model/tokenizer.h"

#define GUIDE_MOST 32 /* choices of one run */

struct guide_params {
	struct sampler_params sampler;
	uint32_t context; /* ids that there can be */
	bool margins;     /* it says how sure it was of its choices */
	bool ignore_end;  /* it goes on behind end tokens */
	bool uncached;    /* its rows are computed, even if others' are there */
};

struct guide_choice {
	uint32_t id;
	float margin; /* by which the best logit leads the second, up to TOKEN_MARGIN; 0: not asked for */
};

struct guide_run {
	size_t keep;         /* ids that stay, at least the prompt; those behind are taken back */
	const uint32_t *ids; /* [n] that follow them */
	size_t n;
	/* Behind the last id it says what it picks. So many tokens it then goes on by itself, each one more
	 * choice; but not behind a choice of no greater margin, nor behind an end token. */
	uint32_t more;
	float margin;
};

struct guide;

/* prompt: copied. Refuses what session_new would. */
struct guide *guide_new(const struct tokenizer *t, const struct guide_params *p,
	const uint32_t *prompt, size_t n_prompt, struct err *err);
void guide_free(struct guide *g);

/* What it is to do next; while it rests. Refuses, changing nothing, ids beyond the vocabulary or the
 * context, more choices than GUIDE_MOST, and a place before the prompt's end. Of `more` it does what
 * the context has room for. */
int guide_lead(struct guide *g, const struct guide_run *run, struct err *err);
/* It waits for no logits: all that the last run asked for is said. */
bool guide_rests(const struct guide *g);
size_t guide_context(const struct guide *g);
bool guide_is_uncached(const struct guide *g); /* as it was made */

/* --- for whoever computes ----------------------------------------------------------------------- */

const uint32_t *guide_ids(const struct guide *g, size_t *n);
/* Rows of ids from here on were taken back or are wanted again by the last run. Says it once: then
 * SIZE_MAX, until the next run. */
size_t guide_stale(struct guide *g);
/* What of their logits it needs. */
enum sampler_needs guide_needs(const struct guide *g);
/* Takes the logits[vocab] behind the last id (overwrites them). */
void guide_take(struct guide *g, float *logits, struct guide_choice *c);
/* The same from the best tokens. False: they do not decide, and nothing has changed. */
bool guide_take_best(struct guide *g, const struct best *best, struct guide_choice *c);

#endif
