/* Texts for the tests of the wall, generated: text i is always the same. */
#ifndef TESTS_PRIVACY_TEXTS_H
#define TESTS_PRIVACY_TEXTS_H

#include "base/buf.h"

#define INJECTION_TEXTS 200

/* Where a text stands in a conversation. */
enum injection_place { IN_PROMPT, IN_DOCUMENT, IN_TOOL_RESULT, IN_ANSWER, INJECTION_PLACES };

/* A text that asks for a looser policy, in the manner of its place. i < INJECTION_TEXTS. */
void injection_text(unsigned i, struct buf *out);
enum injection_place injection_place(unsigned i);

/* The i-th of any number: what people ask a home for, with numbers, times, temperatures, shares and
 * prices in it, and nothing personal. */
void home_command(unsigned i, struct buf *out);

uint64_t texts_next(uint64_t *state); /* splitmix64 */

#endif
