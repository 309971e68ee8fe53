#include "sched/segments.h"

/* --- when to ask -------------------------------------------------------------------------------- */

enum segment_word
segment_token(struct segment_doubt *d, bool doubtful, bool last)
{
	enum segment_word word = SEGMENT_HELD;

	if (d->held == 0 && !doubtful)
		return SEGMENT_SURE;
	d->held++;
	d->doubts += doubtful;
	if (d->doubts == SEGMENT_DOUBTS)
		word = SEGMENT_ASK;
	else if (last || d->held == SEGMENT_HOLD)
		word = SEGMENT_SURE;
	if (word != SEGMENT_HELD)
		*d = (struct segment_doubt){0};
	return word;
}

/* --- for how much ------------------------------------------------------------------------------- */

/* Tokens of the whole answer. */
static uint64_t
length(const struct segment_query *q)
{
	uint64_t least = (uint64_t)q->said + SEGMENT_LEAST;

	return q->expected > least ? q->expected : least;
}

uint64_t
segment_whole(const struct segment_query *q)
{
	return purse_cost(&q->price, q->prompt, length(q));
}

/* Each of them reads the prompt and what was said before it. Those that follow lie a round apart, which is
 * what the small model and the cloud have said, on the mean, from one segment's end to the next; the
 * small model's part of it comes first. */
uint64_t
segment_forecast(const struct segment_query *q, uint32_t tokens)
{
	uint64_t all = length(q), left = all - q->said, out = tokens < left ? tokens : left;
	uint64_t end = q->said + out, round = end / ((uint64_t)q->asked + 1);
	uint64_t small, more, in, cost;

	if (round < tokens)
		round = tokens;
	small = round - tokens;
	more = (all - end) / round;
	in = (uint64_t)q->prompt + q->said;
	if (more > 0)
		in += more * (q->prompt + end + small) + round * (more * (more - 1) / 2);
	cost = purse_cost(&q->price, in, out + more * tokens);
	return cost > PURSE_UNKNOWN - 1 - q->spent ? PURSE_UNKNOWN : cost + q->spent;
}

uint32_t
segment_next(const struct segment_query *q)
{
	uint64_t whole = segment_whole(q);

	if (whole == PURSE_UNKNOWN || q->most < SEGMENT_LEAST)
		return 0;
	for (uint64_t n = SEGMENT_LEAST; n < q->most; n *= 2)
		if (segment_forecast(q, (uint32_t)n) <= whole)
			return (uint32_t)n;
	return segment_forecast(q, q->most) <= whole ? q->most : 0;
}
