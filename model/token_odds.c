#include "model/token_odds.h"

#include <math.h>

struct odds_held {
	struct token_odds odds;
	uint64_t begin, end;
};

static float
logp(const struct best *b, double log_sum, float logit)
{
	double p = (double)candidate_usable(logit) - (double)b->c[0].logit - log_sum;

	return p >= 0.0 ? 0.0f : p > (double)ODDS_LEAST ? (float)p : ODDS_LEAST;
}

void
token_odds_of(struct token_odds *o, const struct best *b, uint32_t picked, float picked_logit,
	uint32_t most)
{
	double log_sum = b->sum >= 1.0 ? log(b->sum) : 0.0; /* its first term is 1 */

	*o = (struct token_odds){.picked = {picked, ODDS_LEAST}};
	if (b->n == 0)
		return;
	o->picked.logp = logp(b, log_sum, picked_logit);
	while (o->n < b->n && o->n < most && o->n < ODDS_MOST) {
		const struct candidate *c = &b->c[o->n];

		o->best[o->n++] = (struct token_chance){c->id, logp(b, log_sum, c->logit)};
	}
}

/* --- the hold ----------------------------------------------------------------------------------- */

void
odds_hold_free(struct odds_hold *h)
{
	buf_free(&h->held);
}

int
odds_hold_add(struct odds_hold *h, const struct token_odds *o, uint64_t begin, uint64_t end)
{
	const struct odds_held one = {.odds = *o, .begin = begin, .end = end};

	return buf_append(&h->held, &one, sizeof one);
}

int
odds_hold_take(struct odds_hold *h, uint64_t said, bool last, struct buf *out)
{
	size_t n = h->held.len / sizeof(struct odds_held), i;
	int rc = 0;

	for (i = 0; i < n && rc == 0; i++) {
		struct odds_held one;

		memcpy(&one, h->held.data + i * sizeof one, sizeof one);
		if (one.end > said && (!last || one.begin >= said))
			break;
		rc = buf_append(out, &one.odds, sizeof one.odds);
	}
	buf_consume(&h->held, last ? h->held.len : i * sizeof(struct odds_held));
	return rc;
}
