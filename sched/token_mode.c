#include "sched/token_mode.h"

#include "sched/guess.h"

#include <math.h>

#define FADES      0.97 /* by this an observation counts less with each new one */
#define LOOK_AGAIN 48

/* What is taken for granted before anything was seen: 7 of 10 accepted, worth this many tokens. */
#define PRIOR_TOKENS   4.0
#define PRIOR_ACCEPTED 0.7
#define PRIOR_DRAFT    0.1 /* of a step */

float
token_mode_margin(float threshold)
{
	if (!(threshold > 0))
		return -1;
	return threshold < 1 ? -log1pf(-threshold) : INFINITY;
}

/* --- what was seen ------------------------------------------------------------------------------ */

void
token_pace_checked(struct token_pace *p, uint32_t checked, uint32_t accepted)
{
	if (checked == 0 || accepted > checked)
		return;
	p->accepted = FADES * p->accepted + accepted;
	p->rejected = FADES * p->rejected + (checked - accepted);
}

static void
add(struct token_line *l, uint32_t count, double seconds)
{
	double x = count;

	if (count == 0 || !(seconds > 0 && seconds < 3600))
		return;
	l->n = FADES * l->n + 1;
	l->x = FADES * l->x + x;
	l->y = FADES * l->y + seconds;
	l->xx = FADES * l->xx + x * x;
	l->xy = FADES * l->xy + x * seconds;
}

void
token_pace_drafted(struct token_pace *p, uint32_t tokens, double seconds)
{
	add(&p->drafts, tokens, seconds);
}

void
token_pace_step(struct token_pace *p, uint32_t rows, double seconds)
{
	add(&p->steps, rows, seconds);
}

/* --- how much to draft -------------------------------------------------------------------------- */

/* By least squares. Where all points had the same count, by what one of it costs if nothing is fixed
 * (each), or if all is. */
static double
value_at(const struct token_line *l, double count, bool each)
{
	double spread = l->n * l->xx - l->x * l->x, slope = each ? l->y / l->x : 0;

	if (spread > 0.05 * l->n * l->n)
		slope = fmin(fmax((l->n * l->xy - l->x * l->y) / spread, 0), l->y / l->x);
	return l->y / l->n + slope * (count - l->x / l->n);
}

/* Seconds of a round with k drafted tokens; before both models were timed, in steps. */
static double
round_at(const struct token_pace *p, uint32_t k)
{
	if (!(p->steps.n > 0) || !(p->drafts.n > 0))
		return 1 + PRIOR_DRAFT * k;
	return value_at(&p->steps, k + 1, false) + (k > 0 ? value_at(&p->drafts, k, true) : 0);
}

uint32_t
token_pace_draft(struct token_pace *p)
{
	double seen = p->accepted + p->rejected, best = 0, speed;
	double a = (p->accepted + PRIOR_ACCEPTED * PRIOR_TOKENS) / (seen + PRIOR_TOKENS);
	uint32_t k = 0;

	for (uint32_t i = 0; i <= TOKEN_DRAFT_MOST; i++) {
		speed = guess_yield(a, i) / round_at(p, i);
		if (speed > best) {
			best = speed;
			k = i;
		}
	}
	p->idle = k == 0 ? p->idle + 1 : 0;
	return k == 0 && p->idle % LOOK_AGAIN == 0 ? 1 : k;
}

uint32_t
token_pace_in_time(struct token_pace *p, double *patience)
{
	uint32_t k = token_pace_draft(p);
	double step = p->steps.n > 0 ? value_at(&p->steps, 1, false) : 0;

	*patience = p->idle > 0 ? step : fmax(TOKEN_PATIENCE, 2 * step);
	while (k > 1 && p->drafts.n > 0 && value_at(&p->drafts, k, true) > *patience / 2)
		k--;
	return k;
}
