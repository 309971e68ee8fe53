/* Whether two models have one vocabulary, so that one can say tokens for the other. */
#ifndef DAEMON_VOCABULARY_PAIR_H
#define DAEMON_VOCABULARY_PAIR_H

#include "daemon/serve.h"

/* The two that were compared last: that takes milliseconds where vocabularies are large. All 0: none were. */
struct vocabulary_pair {
	uint8_t ids[2][32]; /* model_id */
	bool known, differ;
	struct err why; /* they differ */
};

/* -1: they differ, with the first token in which. */
int vocabulary_pair_check(struct vocabulary_pair *p, const struct served_model *a,
	const struct served_model *b, struct err *why);

#endif
