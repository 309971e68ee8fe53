#include "sched/overlap.h"

enum {
	LEAST_ROWS = 2,
	PATIENCE =
		32, /* steps until the other kind is tried again; doubled when that changed nothing, */
	PATIENCE_MOST = 256 /* up to so many */
};
#define WORTH  0.97 /* what a divided step must be predicted to take of another, to be tried */
#define BETTER 0.98 /* and what it must be measured to take */

void
overlap_init(struct overlap *o, enum overlap_mode mode)
{
	*o = (struct overlap){.mode = mode};
	for (uint32_t i = 0; i < OVERLAP_CLASSES; i++)
		o->classes[i].patience = PATIENCE;
}

static uint32_t
class_of(uint32_t rows)
{
	uint32_t n = 0;

	while (rows >>= 1)
		n++;
	return n;
}

static double
larger(double a, double b)
{
	return a > b ? a : b;
}

double
overlap_predict(double compute, double sums, double once)
{
	double half = larger(compute / 2, once);

	return larger(2 * half, half + sums);
}

/* Many rows are computed best in eights. */
static uint32_t
half_of(uint32_t rows)
{
	return rows < 64 ? (rows + 1) / 2 : (rows / 2 + 4) / 8 * 8;
}

/* --- the choice --- */

/* Seconds of a row: the least of the last ones, since what disturbs a step makes it longer. */
static double
row_of(const struct overlap_class *c, int kind)
{
	uint32_t n = c->steps[kind] < OVERLAP_KEPT ? c->steps[kind] : OVERLAP_KEPT;
	double least = c->row[kind][0];

	for (uint32_t i = 1; i < n; i++)
		least = c->row[kind][i] < least ? c->row[kind][i] : least;
	return least;
}

static bool
is_tried(const struct overlap_class *c)
{
	return c->steps[0] >= OVERLAP_KEPT && c->steps[1] >= OVERLAP_KEPT;
}

/* The kind that steps have shown to be better. */
static int
better(const struct overlap_class *c)
{
	return row_of(c, 1) < BETTER * row_of(c, 0);
}

static bool
is_worth_trying(const struct overlap *o, const struct overlap_class *c, uint32_t rows)
{
	double compute = c->compute * rows, sums = c->sums * rows;

	return overlap_predict(compute, sums, o->once) < WORTH * (compute + sums);
}

static int
kind_of(const struct overlap *o, uint32_t rows)
{
	const struct overlap_class *c = &o->classes[class_of(rows)];

	if (c->steps[0] == 0)
		return 0;
	if (!is_tried(c)) /* in turns */
		return c->steps[1] < c->steps[0] && is_worth_trying(o, c, rows);
	if (c->since < c->patience)
		return better(c);
	return better(c) ? 0 : is_worth_trying(o, c, rows);
}

uint32_t
overlap_first(const struct overlap *o, uint32_t rows)
{
	if (rows < LEAST_ROWS || o->mode == OVERLAP_OFF)
		return 0;
	return o->mode == OVERLAP_ON || kind_of(o, rows) == 1 ? half_of(rows) : 0;
}

/* --- what steps took --- */

static void
note(struct overlap_class *c, const struct overlap_step *s, int kind)
{
	c->row[kind][c->steps[kind]++ % OVERLAP_KEPT] = s->seconds / s->rows;
	if (kind == 1)
		return;
	c->sums = s->sums / s->rows;
	c->compute = larger(s->seconds - s->sums - s->disk, 0) / s->rows;
}

void
overlap_took(struct overlap *o, const struct overlap_step *s)
{
	struct overlap_class *c = &o->classes[class_of(s->rows)];
	int kind = s->first > 0, before = better(c);
	bool tried = is_tried(c);

	if (s->rows < LEAST_ROWS) {
		o->once = larger(s->seconds - s->sums - s->disk, 0);
		return;
	}
	note(c, s, kind);
	if (tried && kind == before) {
		c->since++;
	} else if (tried) { /* the other one: again soon, if that has changed something */
		c->since = 0;
		if (better(c) != before)
			c->patience = PATIENCE;
		else if (c->patience < PATIENCE_MOST)
			c->patience *= 2;
	}
}
