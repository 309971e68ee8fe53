/* From logits to a token. Order and defaults are those llama.cpp users know: penalties, then top-k,
 * top-p, min-p, temperature, then a draw; temperature 0 is the arg-max (the lowest id of equals).
 */
#ifndef MODEL_SAMPLER_H
#define MODEL_SAMPLER_H

#include "base/err.h"
#include "model/candidates.h"

#include <stdint.h>

struct sampler_params {
	float temperature;       /* 0.8; 0: greedy */
	uint32_t top_k;          /* 40; 0: all */
	float top_p;             /* 0.95; 1: off */
	float min_p;             /* 0.05; 0: off */
	float repeat_penalty;    /* 1: off */
	float frequency_penalty; /* 0: off */
	float presence_penalty;  /* 0: off */
	uint32_t penalty_last;   /* 64: tokens looked back on; 0: none */
	uint64_t seed;           /* same seed, same logits: same tokens, on every machine */
};

struct sampler;

struct sampler_params sampler_defaults(void);
int sampler_check(const struct sampler_params *p, struct err *err); /* ranges; names the field */
struct sampler *sampler_new(const struct sampler_params *p, uint32_t vocab, struct err *err);
void sampler_free(struct sampler *s);
/* A token of the context (prompt or generated): penalties see it. */
void sampler_accept(struct sampler *s, uint32_t token);
/* logits[vocab] is overwritten. Does not accept the token it returns. */
uint32_t sampler_pick(struct sampler *s, float *logits);
/* Does to the random state what a pick would have done. */
void sampler_skip(struct sampler *s);
/* As it was made: no token was accepted, nothing picked. */
void sampler_reset(struct sampler *s);
const struct sampler_params *sampler_params(const struct sampler *s);

/* What of a distribution the next pick has to see. */
enum sampler_needs {
	SAMPLER_BEST,         /* its best tokens; now and then they do not decide */
	SAMPLER_BEST_AND_SUM, /* and the sum (top-p of the whole vocabulary) */
	SAMPLER_ALL           /* every logit: penalties, a large top-k, no truncation at all */
};
enum sampler_needs sampler_needs(const struct sampler *s);
/* The token that sampler_pick would return for the whole vocabulary, from its best tokens. False:
 * they do not decide it, nothing has changed, and sampler_pick must see all. */
bool sampler_pick_best(struct sampler *s, const struct best *b, uint32_t *token);

#endif
