#include "model/candidates.h"

#include <float.h>
#include <math.h>
#include <string.h>

float
candidate_usable(float logit)
{
	if (isnan(logit) || logit < -FLT_MAX)
		return -FLT_MAX;
	return logit > FLT_MAX ? FLT_MAX : logit;
}

static int
say_broken(struct err *err)
{
	return err_set(err,
		"the model's numbers are broken: what it computed for the next token is not a "
		"number; its file is damaged, or not what it says: compare its checksum with its "
		"source, or fetch it again");
}

int
logits_check(const float *logits, uint32_t n, struct err *err)
{
	for (uint32_t i = 0; i < n; i++)
		if (isfinite(logits[i]))
			return 0;
	return say_broken(err);
}

bool
candidate_better(struct candidate a, struct candidate b)
{
	return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* --- heaps -------------------------------------------------------------------------------------- */

/* Lets h[at] sink. */
void
candidates_sink(struct candidate *h, uint32_t n, uint32_t at, bool best_first)
{
	struct candidate c = h[at];

	for (;;) {
		uint64_t child = 2 * (uint64_t)at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && candidate_better(h[child + 1], h[child]) == best_first)
			child++;
		if (candidate_better(h[child], c) != best_first)
			break;
		h[at] = h[child];
		at = (uint32_t)child;
	}
	h[at] = c;
}

void
candidates_heap(struct candidate *h, uint32_t n, bool best_first)
{
	for (uint32_t i = n / 2; i-- > 0;)
		candidates_sink(h, n, i, best_first);
}

/* --- the best ----------------------------------------------------------------------------------- */

/* The worst one sinks to the end of a heap that has it at its root, then the next one before it. */
static void
sort_best_first(struct candidate *h, uint32_t n)
{
	while (n > 1) {
		struct candidate worst = h[0];

		h[0] = h[--n];
		h[n] = worst;
		candidates_sink(h, n, 0, false);
	}
}

void
best_of(struct best *b, const float *logits, uint32_t n, uint32_t id0, bool sum)
{
	b->n = n < BEST_TOKENS ? n : BEST_TOKENS;
	b->sum = 0;
	for (uint32_t i = 0; i < b->n; i++)
		b->c[i] = (struct candidate){candidate_usable(logits[i]), id0 + i};
	candidates_heap(b->c, b->n, false);
	for (uint32_t i = b->n; i < n; i++) {
		struct candidate c = {candidate_usable(logits[i]), id0 + i};

		if (c.logit > b->c[0].logit) { /* an equal one has the higher id */
			b->c[0] = c;
			candidates_sink(b->c, b->n, 0, false);
		}
	}
	sort_best_first(b->c, b->n);
	for (uint32_t i = 0; sum && i < n; i++)
		b->sum += exp((double)candidate_usable(logits[i]) - b->c[0].logit);
}

int
best_check(const struct best *b, struct err *err)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (fabsf(b->c[i].logit) < FLT_MAX) /* candidate_usable */
			return 0;
	return say_broken(err);
}

void
best_merge(struct best *b, const struct best *other)
{
	struct best own = *b;
	uint32_t i = 0, k = 0;

	if (other->n == 0)
		return;
	for (b->n = 0; b->n < BEST_TOKENS && (i < own.n || k < other->n); b->n++) {
		bool first =
			k == other->n || (i < own.n && candidate_better(own.c[i], other->c[k]));

		b->c[b->n] = first ? own.c[i++] : other->c[k++];
	}
	b->sum = other->sum * exp((double)other->c[0].logit - b->c[0].logit);
	if (own.n > 0)
		b->sum += own.sum * exp((double)own.c[0].logit - b->c[0].logit);
}
