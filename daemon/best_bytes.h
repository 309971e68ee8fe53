/* What a LOGITS frame carries of rows of which the best tokens were wanted, and of those of which all
 * logits were: the first ones first, in the order of the step's rows (proto/frame.h). */
#ifndef DAEMON_BEST_BYTES_H
#define DAEMON_BEST_BYTES_H

#include "model/candidates.h"
#include "model/forward.h"
#include "proto/frame.h"

/* Bytes of so many rows of a part of the vocabulary, at most. */
size_t best_bytes(uint32_t rows, uint32_t vocab);

/* Of `wants`, flags of rows: how many want all logits. */
uint32_t best_count_whole(const uint32_t *wants, uint32_t n);

uint8_t *best_pack(const struct best *b, uint8_t *out);
/* -1: they are not the best of vocabulary rows [vocab0, vocab0 + vocab), best first, with a sum just when
 * the row's flags want one. */
int best_unpack(const uint8_t *in, uint32_t vocab0, uint32_t vocab, uint32_t flags, struct best *b,
	struct err *err);

#endif
