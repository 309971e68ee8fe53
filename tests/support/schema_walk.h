/* Texts that a grammar lets pass: given ones, byte by byte, and random ones. */
#ifndef TESTS_SUPPORT_SCHEMA_WALK_H
#define TESTS_SUPPORT_SCHEMA_WALK_H

#include "base/buf.h"
#include "model/grammar.h"

/* How many bytes of a text pass; *end: whether it may end behind them. */
size_t walk_text(const struct grammar *g, const char *text, size_t len, bool *end);

/* A text of the grammar, by the seed. It is brought to an end when it is longer than `most` bytes.
 * 1: it found no end in 64 times that. -1: it came into a state from which no byte leads on. */
int walk_random(const struct grammar *g, uint64_t seed, size_t most, struct buf *text);

#endif
