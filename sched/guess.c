#include "sched/guess.h"

#include <math.h>

#define LOOK_AGAIN 48
#define PLAIN      16   /* of so many steps one is without guesses */
#define FADES      0.97 /* by this a guess counts less with each new one */
#define KEPT       0.7  /* of what a step took, when another is seen */
#define KNOWN      1000 /* steps after which that may have changed */

/* What is taken for granted before anything was seen: that is worth so many guesses, */
#define PRIOR_GUESSES 4.0
/* and what a row more takes, in steps of one row: little, so that it is tried. */
#define PRIOR_ROW 0.06

/* By how many tokens agreed. */
static const struct {
	uint32_t least;
	double right;
} kinds[GUESS_KINDS] = {{0, 0.3}, {3, 0.45}, {4, 0.6}, {8, 0.75}, {16, 0.9}};

static int
kind_of(uint32_t matched)
{
	int kind = GUESS_KINDS - 1;

	while (matched < kinds[kind].least)
		kind--;
	return kind;
}

double
guess_yield(double a, uint32_t k)
{
	return a < 1 ? (1 - pow(a, k + 1)) / (1 - a) : k + 1;
}

static bool
is_known(const struct guess_pace *p, uint32_t rows)
{
	return p->seen[rows] > 0 && p->steps - p->seen[rows] < KNOWN;
}

/* Seconds of a step. Where none of so many rows was seen, what can be hoped for: little more than with fewer, and no more
 * than between those of fewer and of more; or, where only more were seen, the same for each row. */
static double
cost(const struct guess_pace *p, uint32_t rows)
{
	uint32_t first = 1, below = rows, above = rows;
	double hoped, between;

	while (first < rows && !is_known(p, first))
		first++;
	while (below > 0 && !is_known(p, below))
		below--;
	while (above <= GUESS_ROWS && !is_known(p, above))
		above++;
	if (below == rows)
		return p->seconds[rows];
	if (below == 0)
		return above <= GUESS_ROWS ? p->seconds[above] * rows / above
					   : 1 + PRIOR_ROW * (rows - 1);
	hoped = p->seconds[below] + PRIOR_ROW * p->seconds[first] * (rows - below);
	if (above > GUESS_ROWS)
		return hoped;
	between = p->seconds[below] +
		  (p->seconds[above] - p->seconds[below]) * (rows - below) / (above - below);
	return fmin(hoped, between);
}

bool
guess_pauses(const struct guess_pace *p)
{
	return p->steps % PLAIN == PLAIN - 1;
}

uint32_t
guess_length(struct guess_pace *p, uint32_t matched, uint32_t rows, uint32_t most)
{
	int kind = kind_of(matched);
	struct guess_odds *o = &p->odds[kind];
	double seen = o->right + o->wrong, best = 0;
	double a = (o->right + kinds[kind].right * PRIOR_GUESSES) / (seen + PRIOR_GUESSES);
	uint32_t k = 0;

	if (most == 0 || rows >= GUESS_ROWS || guess_pauses(p))
		return 0;
	for (uint32_t i = 0; i <= most && i <= GUESS_MOST && rows + i <= GUESS_ROWS; i++) {
		double speed = (rows - 1 + guess_yield(a, i)) / cost(p, rows + i);

		if (speed > best) {
			best = speed;
			k = i;
		}
	}
	o->idle = k == 0 ? o->idle + 1 : 0;
	return k == 0 && o->idle % LOOK_AGAIN == 0 ? 1 : k;
}

void
guess_checked(struct guess_pace *p, uint32_t matched, uint32_t checked, uint32_t right)
{
	struct guess_odds *o = &p->odds[kind_of(matched)];

	if (checked == 0 || right > checked)
		return;
	o->right = FADES * o->right + right;
	o->wrong = FADES * o->wrong + (checked - right);
}

void
guess_step(struct guess_pace *p, uint32_t rows, double seconds)
{
	double *s;

	if (rows == 0 || rows > GUESS_ROWS || !(seconds > 0 && seconds < 3600))
		return;
	s = &p->seconds[rows];
	*s = is_known(p, rows) ? KEPT * *s + (1 - KEPT) * seconds : seconds;
	p->seen[rows] = ++p->steps;
}
