/* Tokens with their logits in the order in which a sampler sees them, and what peers that hold parts
 * of the vocabulary say of their part: its best tokens, and its sum, instead of all of it. */
#ifndef MODEL_CANDIDATES_H
#define MODEL_CANDIDATES_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct candidate {
	float logit;
	uint32_t id;
};

/* What a broken model may yield is made a number that can be compared. */
float candidate_usable(float logit);
/* Fails where none of n logits is a finite number: a model whose numbers are broken says nothing. Mostly it looks at the
 * first one alone. */
int logits_check(const float *logits, uint32_t n, struct err *err);
/* The higher logit is better, of equals the lower id. */
bool candidate_better(struct candidate a, struct candidate b);

/* Heaps of n whose root is the best one (best_first) or the worst one. */
void candidates_heap(struct candidate *h, uint32_t n, bool best_first);
void candidates_sink(struct candidate *h, uint32_t n, uint32_t at, bool best_first);

#define BEST_TOKENS 64

/* The best of some tokens: all of them where there are no more than BEST_TOKENS. */
struct best {
	uint32_t n;
	struct candidate c[BEST_TOKENS]; /* best first */
	/* Of exp(logit - c[0].logit) over all the tokens; as its terms are added in no fixed order,
	 * good to about 1e-12 of it. 0: not asked for. */
	double sum;
};

/* Of logits[n], whose ids begin at id0. */
void best_of(struct best *b, const float *logits, uint32_t n, uint32_t id0, bool sum);
/* As logits_check, of what is known of them. */
int best_check(const struct best *b, struct err *err);
/* Of b's tokens and other's, which share none. */
void best_merge(struct best *b, const struct best *other);

#endif
