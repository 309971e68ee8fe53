/* What formulas for layers and shares leave to be gained where memory binds: units are coarse, a disk that reads a
 * little longer holds up all, and ways of sums depend on who has what. Layers move from one stage to another and units
 * from one member to another, or are exchanged, while that makes the predicted plan better. */
#include "sched/plan_int.h"

#define PASSES  16
#define WORTH   1e-4  /* a smaller part of the score is not looked for */
#define TRIES   40000 /* predictions, by the number of members that each looks at */
#define FINE    1024  /* the smallest part of a dimension that moves, but for units */
#define COARSER 4     /* and how many times as large the next larger one is */

struct refine {
	struct eval *e;
	struct swarm_plan_alt best;
	uint32_t layers[SWARM_PLAN_PEERS]; /* of the best one's stages */
	int phases;                        /* that move: heads only, or all */
	uint32_t tries;                    /* that are left */
};

/* Keeps the plan as it was changed and predicted, if it is better; else puts the best one back. */
static bool
keep(struct refine *r, int rc)
{
	struct eval *e = r->e;

	r->tries--;
	if (rc == 0 && e->out->score < r->best.score * (1 - WORTH)) {
		r->best = *e->out;
		memcpy(r->layers, e->layers, sizeof r->layers);
		return true;
	}
	*e->out = r->best;
	memcpy(e->layers, r->layers, sizeof r->layers);
	return false;
}

/* --- layers --- */

static bool
move_layer(struct refine *r, uint32_t from, uint32_t to)
{
	struct eval *e = r->e;

	if (e->layers[from] < 2 || r->tries == 0)
		return false;
	e->layers[from]--;
	e->layers[to]++;
	return keep(r, plan_predict_layers(e));
}

static bool
refine_layers(struct refine *r)
{
	uint32_t n = r->e->c->n_stages;
	bool better = false;

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < n; k++)
			while (i != k && move_layer(r, i, k))
				better = true;
	return better;
}

/* --- shares --- */

/* Two members of a stage, ranks, between which something moves. */
struct pair {
	const struct swarm_plan_stage *stage;
	uint32_t from, to;
};

static uint32_t *
length_of(struct slice *sl, int phase)
{
	return phase == ATTN ? &sl->kv_heads : phase == FFN ? &sl->ffn : &sl->vocab;
}

/* Of all that a member would have of this in a stage of one. */
static uint32_t
whole_of(const struct eval *e, int phase)
{
	struct slice whole = slice_whole(e->in->model->shape);

	return *length_of(&whole, phase);
}

/* Bytes of a phase's units that are so many heads, columns or rows long. */
static double
bytes_of(const struct eval *e, const struct swarm_plan_stage *st, int phase, uint32_t length)
{
	struct load l = plan_load(e->in, st->layers, true);

	return (l.part[phase] + (phase == ATTN ? l.cache : 0)) * length / whole_of(e, phase);
}

/* Slices follow each other in the order of ranks. */
static void
line_up(struct swarm_plan_member *m, uint32_t n)
{
	struct slice at = {0};

	for (uint32_t i = 0; i < n; i++) {
		struct slice *sl = &m[i].slice;

		sl->kv_head0 = at.kv_heads;
		sl->ffn0 = at.ffn;
		sl->vocab0 = at.vocab;
		at.kv_heads += sl->kv_heads;
		at.ffn += sl->ffn;
		at.vocab += sl->vocab;
	}
}

/* What is over behind whole units has to stay with the last of them, so that nothing moves where there is such. */
static bool
move(struct refine *r, const struct pair *p, int phase, uint32_t length)
{
	struct swarm_plan_member *m = &r->e->out->members[p->stage->first];
	uint32_t *from = length_of(&m[p->from].slice, phase);

	if (r->tries == 0 || *from < length ||
		whole_of(r->e, phase) % plan_unit(r->e->in, (enum phase)phase) != 0)
		return false;
	*from -= length;
	*length_of(&m[p->to].slice, phase) += length;
	line_up(m, p->stage->n);
	return true;
}

static bool
move_part(struct refine *r, const struct pair *p, int phase, uint32_t length)
{
	return move(r, p, phase, length) && keep(r, plan_predict_slices(r->e));
}

/* For as many bytes of another phase, or all that there are, so that a full member stays as full: it gets hardly less,
 * or, where the other one is full, hardly more. */
static bool
exchange_part(struct refine *r, const struct pair *p, int phase, uint32_t length, int other)
{
	uint32_t unit = plan_unit(r->e->in, (enum phase)other);
	double units =
		bytes_of(r->e, p->stage, phase, length) / bytes_of(r->e, p->stage, other, unit);
	struct pair back = {p->stage, p->to, p->from};

	for (double n = floor(units); n <= ceil(units); n++) {
		uint32_t have =
			*length_of(&r->e->out->members[p->stage->first + p->to].slice, other);

		if (have == 0 || !move(r, p, phase, length))
			return false;
		move(r, &back, other, (uint32_t)fmin(n * unit, have));
		if (keep(r, plan_predict_slices(r->e)))
			return true;
	}
	return false;
}

static bool
refine_pair(struct refine *r, const struct pair *p, int phase)
{
	uint32_t whole = whole_of(r->e, phase), unit = plan_unit(r->e->in, (enum phase)phase);
	uint32_t least = unit * (1 + whole / unit / FINE);
	bool better = false;

	for (uint32_t length = least; length <= whole / 2; length *= COARSER) {
		while (move_part(r, p, phase, length))
			better = true;
		for (int other = phase + 1; other < r->phases; other++)
			while (exchange_part(r, p, phase, length, other))
				better = true;
	}
	return better;
}

static bool
refine_stage(struct refine *r, const struct swarm_plan_stage *st)
{
	bool better = false;

	for (uint32_t i = 0; i < st->n; i++)
		for (uint32_t k = 0; k < st->n; k++)
			for (int p = 0; p < r->phases && i != k; p++)
				better |= refine_pair(r, &(struct pair){st, i, k}, p);
	return better;
}

/* Whether some member streams or has no room for another unit of heads, the coarsest. */
static bool
memory_binds(const struct eval *e)
{
	bool binds = e->bound;

	for (uint32_t i = 0; i < e->c->n_stages; i++) {
		const struct swarm_plan_stage *st = &e->out->stages[i];
		double unit = bytes_of(e, st, ATTN, plan_unit(e->in, ATTN));

		for (uint32_t k = st->first; k < st->first + st->n; k++) {
			const struct swarm_plan_member *m = &e->out->members[k];

			binds |= m->streamed > 0;
			binds |= (double)m->held + unit > (double)e->in->peers[m->peer].memory;
		}
	}
	return binds;
}

/* Whether some member has no heads though there are enough for all: then its sums cannot go by rows. */
static bool
lacks_heads(const struct eval *e)
{
	const struct swarm_plan_model *m = e->in->model;
	bool lacks = false;

	for (uint32_t i = 0; i < e->out->n; i++)
		lacks |= e->out->members[i].slice.kv_heads == 0;
	return lacks && m->made_row_bytes > 0 &&
	       (uint64_t)e->out->n * m->kv_unit <= m->shape->kv_heads;
}

void
plan_refine(struct eval *e)
{
	bool binds = memory_binds(e);
	struct refine r = {.e = e, .phases = binds ? PHASES : ATTN + 1, .tries = TRIES / e->c->n};

	if (!binds && !lacks_heads(e))
		return;
	r.best = *e->out;
	memcpy(r.layers, e->layers, sizeof r.layers);
	for (int i = 0; i < PASSES && binds && e->c->n_stages > 1 && refine_layers(&r); i++)
		;
	for (int i = 0; i < PASSES; i++) {
		bool better = false;

		for (uint32_t k = 0; k < e->c->n_stages; k++)
			better |= refine_stage(&r, &r.best.stages[k]);
		if (!better)
			break;
	}
}
