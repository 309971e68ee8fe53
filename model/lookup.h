/* What comes next, guessed from what is there: where the last few tokens stood before, what followed them then is
 * likely to follow again (prompt lookup decoding: Saxena, 2023; LLMA: Yang et al., arXiv:2304.04487). A summary
 * quotes, JSON repeats its keys, a text that is corrected is mostly the old one. A guess costs no model: whoever
 * computes puts it behind the last token, has the step say what it would pick behind each, and keeps what agrees.
 *
 * Of the places where the last two tokens stood the one whose text before it agrees for longest counts, and of equals
 * the latest. Adding and guessing take a bounded time, however long the text is. */
#ifndef MODEL_LOOKUP_H
#define MODEL_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#define LOOKUP_LEAST 2  /* tokens that must have stood there before */
#define LOOKUP_MOST  32 /* that are compared */

struct lookup;

/* For at most so many tokens. NULL: out of memory. */
struct lookup *lookup_new(size_t most);
void lookup_free(struct lookup *l);
size_t lookup_bytes(size_t most);

/* They follow those that were added before; what is too much is left out. */
void lookup_add(struct lookup *l, const uint32_t *ids, size_t n);
/* What follows does not continue what was there: no guess reaches over it. Takes the room of a token. */
void lookup_cut(struct lookup *l);

/* Up to `most` tokens that may follow, and in *matched behind how many they did before. 0: nobody knows. */
uint32_t lookup_guess(const struct lookup *l, uint32_t *out, uint32_t most, uint32_t *matched);

#endif
