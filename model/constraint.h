/* A grammar over the tokens of a vocabulary, and where a text stands in it. One thread at a time has it. */
#ifndef MODEL_CONSTRAINT_H
#define MODEL_CONSTRAINT_H

#include "model/candidates.h"
#include "model/grammar.h"
#include "model/tokenizer.h"

struct constraint;

/* Holds on to g; t outlives it. */
struct constraint *constraint_new(const struct tokenizer *t, struct grammar *g, struct err *err);
void constraint_free(struct constraint *c);
struct grammar *constraint_grammar(const struct constraint *c);

/* The text begins so, whatever tokens it was made of. False: it may not. */
bool constraint_begin(struct constraint *c, const char *text, size_t len);
/* Whether a token may be next. An end token may where the text may end. */
bool constraint_allows(struct constraint *c, uint32_t id);
/* Makes the logits[vocab] of all others lower than any. False: there is no other one: no token of this
 * vocabulary goes on with the text. */
bool constraint_apply(struct constraint *c, float *logits);
/* The lowest id that the last constraint_apply has left. */
uint32_t constraint_first(const struct constraint *c);
/* Those of b that may be next, in their order; without their sum. */
void constraint_filter(struct constraint *c, const struct best *b, struct best *out);
/* The text goes on with a token that was allowed; another one changes nothing. */
void constraint_accept(struct constraint *c, uint32_t id);
/* The text is whole, and nothing may follow. */
bool constraint_ended(const struct constraint *c);

#endif
