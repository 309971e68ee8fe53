/* The way of a step through the layers, phase by phase. What a phase computes for a row depends on
 * that row alone (and on the cache), in an order that neither the number of rows nor the number of
 * threads changes: a prompt gives the same bits in one chunk, in many, and beside other sessions.
 *
 * So a step can also be divided: two sub-batches of its rows take turns in every phase, and while the sums of
 * one travel the other is computed. The first goes before the second in every layer, since the second may attend
 * to what the first stores in the cache. Each has its own rows of x and of partial, and nothing else has to
 * outlive a turn, so this takes no more memory.
 *
 * A unit is taken once for both. Where it is not all in memory its matrices come in parts, each of which must
 * serve both sub-batches before it goes: there they are computed together, and their sums begin together.
 * Turns would read such a unit twice, and its reading overlaps with the way of sums in any case. So it is
 * where experts are read from disk. */
#include "base/clock.h"
#include "model/forward_int.h"

static void
rope_of_row(void *arg, uint32_t row, unsigned thread)
{
	const struct forward *f = arg;
	size_t at = (size_t)row * f->rope.half;

	(void)thread;
	rope_row(&f->rope, f->rows[row].pos, f->cos + at, f->sin + at);
}

void
forward_use_rows(struct forward *f, uint32_t from, uint32_t n)
{
	f->rows = f->all_rows + from;
	f->n = n;
	f->x = f->all_x + (size_t)from * f->shape.embd;
	f->partial = f->all_partial + (size_t)from * f->shape.embd;
	f->cos = f->all_cos + (size_t)from * f->rope.half;
	f->sin = f->all_sin + (size_t)from * f->rope.half;
	forward_plan_attention(f);
}

/* --- phases --- */

static int
take_unit(struct forward *f, enum phase phase, struct err *err)
{
	int rc = 0;

	if (phase == ATTENTION)
		rc = forward_take_attention(f, err);
	else if (f->shape.experts == 0)
		rc = forward_take_ffn(f, err);
	if (rc == 0)
		forward_learn_norm(f, phase);
	return rc;
}

static int
compute(struct forward *f, enum phase phase, struct err *err)
{
	if (phase == ATTENTION)
		return forward_attention(f, err);
	return f->shape.experts > 0 ? forward_moe(f, err) : forward_ffn(f, err);
}

/* Whether what the phase needs stays in memory while both sub-batches are computed. */
static bool
stays(const struct forward *f, enum phase phase)
{
	if (f->unit == NULL) /* there is nothing to compute, or there are experts */
		return phase == ATTENTION || f->shape.experts == 0 || f->c.weights->hint == NULL;
	for (int r = 0; r < TENSOR_ROLES; r++)
		if (f->unit->t[r].data == NULL && f->unit->in_parts && f->unit->t[r].rows > 0)
			return false;
	return true;
}

/* --- sums --- */

/* Of f->partial over the group. */
static int
begin_sum(struct forward *f, enum phase phase, uint32_t part, struct err *err)
{
	const struct collective_label label = {f->layer, phase, part};
	struct collective *col = f->c.collective;
	double start;

	if (col == NULL)
		return 0;
	start = clock_seconds();
	if (f->spread.on ? forward_begin_rows(f, &label, err) != 0
			 : col->begin(col, f->partial, f->n, f->shape.embd, &label, err) != 0)
		return -1;
	f->waited += clock_seconds() - start;
	return 0;
}

static void
add_row(void *arg, uint32_t row, unsigned thread)
{
	const struct forward *f = arg;
	size_t at = (size_t)row * f->shape.embd;

	(void)thread;
	f->c.kernels->add(f->x + at, f->partial + at, f->shape.embd);
}

/* Of the sum that began first, which is the rows'. It is added to x, by whom it goes to. */
static int
finish_sum(struct forward *f, struct err *err)
{
	struct collective *col = f->c.collective;
	double start;

	if (col != NULL) {
		start = clock_seconds();
		if (col->finish(col, err) != 0)
			return -1;
		f->waited += clock_seconds() - start;
	}
	if (!f->spread.on)
		forward_run(f, add_row, f, f->n);
	return 0;
}

/* --- a step that is not divided --- */

static int
whole_phase(struct forward *f, enum phase phase, struct err *err)
{
	int rc;

	if (take_unit(f, phase, err) != 0)
		return -1;
	rc = compute(f, phase, err);
	forward_release(f);
	return rc != 0 || begin_sum(f, phase, 0, err) != 0 ? -1 : finish_sum(f, err);
}

/* --- sub-batches --- */

/* From now on its rows are computed; what was under way of them has finished. */
static int
turn_to(struct forward *f, struct part *p, struct err *err)
{
	forward_use_rows(f, p->from, p->n);
	if (!p->summing)
		return 0;
	p->summing = false;
	return finish_sum(f, err);
}

static int
compute_in_turns(struct forward *f, enum phase phase, struct err *err)
{
	f->spread.to = 0;
	for (uint32_t i = 0; i < 2; i++) {
		if (turn_to(f, &f->parts[i], err) != 0 || compute(f, phase, err) != 0 ||
			begin_sum(f, phase, i, err) != 0)
			return -1;
		f->parts[i].summing = true;
	}
	return 0;
}

static int
compute_together(struct forward *f, enum phase phase, struct err *err)
{
	for (uint32_t i = 0; i < 2; i++) {
		f->spread.to = f->parts[i].from;
		if (turn_to(f, &f->parts[i], err) != 0)
			return -1;
	}
	forward_use_rows(f, 0, f->all_n);
	if (compute(f, phase, err) != 0)
		return -1;
	for (uint32_t i = 0; i < 2; i++) {
		forward_use_rows(f, f->parts[i].from, f->parts[i].n);
		if (begin_sum(f, phase, i, err) != 0)
			return -1;
		f->parts[i].summing = true;
	}
	return 0;
}

static int
divided_phase(struct forward *f, enum phase phase, struct err *err)
{
	int rc;

	if (take_unit(f, phase, err) != 0)
		return -1;
	rc = stays(f, phase) ? compute_in_turns(f, phase, err) : compute_together(f, phase, err);
	forward_release(f);
	return rc;
}

static int
finish_parts(struct forward *f, struct err *err)
{
	for (uint32_t i = 0; i < 2; i++)
		if (turn_to(f, &f->parts[i], err) != 0)
			return -1;
	return 0;
}

/* --- all of them --- */

int
forward_layers(struct forward *f, struct err *err)
{
	f->parts[0] = (struct part){.n = f->first};
	f->parts[1] = (struct part){.from = f->first, .n = f->all_n - f->first};
	forward_use_rows(f, 0, f->all_n);
	if (f->rope.half > 0)
		forward_run(f, rope_of_row, f, f->n);
	for (uint32_t i = 0; i < f->slice.layers; i++) {
		f->layer = f->slice.layer0 + i;
		for (enum phase phase = ATTENTION; phase < PHASES; phase++)
			if ((f->first > 0 ? divided_phase : whole_phase)(f, phase, err) != 0)
				return -1;
	}
	f->layer = 0;
	if (f->first == 0)
		return 0;
	if (finish_parts(f, err) != 0)
		return -1;
	forward_use_rows(f, 0, f->all_n);
	return 0;
}
