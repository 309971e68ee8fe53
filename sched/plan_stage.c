/* A candidate's stages: who is the hub of each, and what messages add. */
#include "model/collective.h"
#include "sched/plan_int.h"

#define HUBS 8

/* --- who is the hub --- */

static void
swap(uint32_t *a, uint32_t *b)
{
	uint32_t t = *a;

	*a = *b;
	*b = t;
}

static void
sort_up(uint32_t *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		for (uint32_t k = i; k > 0 && v[k] < v[k - 1]; k--)
			swap(&v[k], &v[k - 1]);
}

/* Seconds of a layer with who[0] as hub, when nothing streams. */
static double
layer_with_hub(
	const struct eval *e, const uint32_t *who, uint32_t n, const struct swarm_plan_sum *sum)
{
	double whole[SWARM_PLAN_PEERS], cap[SWARM_PLAN_PEERS], off[SWARM_PLAN_PEERS];
	struct step token = plan_token_step(e->in, e->c->n_stages);
	struct load l = plan_load(e->in, e->in->model->shape->layers, true);
	double unit[PHASES], longest = 0, caps = 0, part = (double)n / e->c->n;

	plan_delays(e->in, SWARM_STAR, who, n, sum, off);
	for (uint32_t i = 0; i < n; i++) {
		plan_unit_seconds(e->in, who[i], &token, unit);
		whole[i] = plan_whole_seconds(e->in, 1, false, unit);
		cap[i] = plan_share_cap(e->in, &l, who[i], false, 0) / part;
		caps += cap[i];
		off[i] = 2 * off[i] + plan_fixed_seconds(e->in, who[i], n);
		longest = fmax(longest, off[i]);
	}
	if (!isfinite(longest))
		return INFINITY;
	return fmax(longest, plan_fill(n, off, whole, cap, fmin(1, caps * 0.999)));
}

/* Puts the hub in front: the coordinator where it is a member, unless any may be. Of large groups
 * the first HUBS members are looked at, which are the fastest in the orders of the search. */
static void
choose_hub(const struct eval *e, uint32_t *who, uint32_t n, const struct swarm_plan_sum *sum)
{
	uint32_t best = 0, hubs = n < HUBS ? n : HUBS;
	double least = INFINITY;

	for (uint32_t i = 0; i < n && !e->c->free_hub; i++)
		if (who[i] == 0) {
			swap(&who[0], &who[i]);
			sort_up(who + 1, n - 1);
			return;
		}
	for (uint32_t i = 0; i < hubs; i++) {
		double cost;

		swap(&who[0], &who[i]);
		cost = layer_with_hub(e, who, n, sum);
		swap(&who[0], &who[i]);
		if (cost < least) {
			least = cost;
			best = i;
		}
	}
	swap(&who[0], &who[best]);
	sort_up(who + 1, n - 1);
}

/* --- messages --- */

/* Of rows whose values take so many bytes. */
static double
row_message(const struct swarm_plan_input *in, double rows, double value)
{
	return 32 + rows * (12 + value * in->model->shape->embd);
}

/* Of a hidden row in a sum of a step of so many. */
static double
row_bytes(const struct eval *e, double rows)
{
	const struct swarm_plan_input *in = e->in;

	if (e->c->n_stages > 1 && in->staged_row_bytes > 0)
		return in->staged_row_bytes;
	return rows >= COLLECTIVE_ROWS_FROM && in->prompt_row_bytes > 0 ? in->prompt_row_bytes
									: in->row_bytes;
}

/* Between stages a value has as many bytes as in a sum, two at least. */
static double
hidden_value(const struct eval *e)
{
	return row_bytes(e, 1) < 4.0 * e->in->model->shape->embd ? 2 : 4;
}

/* From the coordinator to the first stage's hub, from each hub to the next, and from it to its members,
 * without the logits. That last way is the one that sums take, which each reduction counts: only what the
 * embedded rows are longer is added. */
double
plan_hop_seconds(const struct eval *e, uint32_t stage, double rows)
{
	const uint32_t *who = &e->who[e->first[stage]];
	uint32_t from = stage == 0 ? 0 : e->who[e->first[stage - 1]], n = e->c->stage_n[stage];
	double row = row_message(e->in, rows, 4), sum = rows * row_bytes(e, rows), empty, longer;
	double hop = stage == 0 ? row : row_message(e->in, rows, hidden_value(e));

	longer = row > sum ? row - sum : 0;
	empty = plan_spread(e->in, who[0], who, n, 0);
	return plan_spread(e->in, from, who, 1, hop) + plan_spread(e->in, who[0], who, n, longer) -
	       empty;
}

/* Whom members tell of their logits: the coordinator, in a pipeline their stage's hub, which tells it. */
static uint32_t
gatherer(const struct eval *e)
{
	uint32_t last = e->c->n_stages - 1;

	return last > 0 ? e->who[e->first[last]] : 0;
}

/* From the last stage's hub to the coordinator. */
static double
answer_seconds(const struct eval *e, double rows)
{
	const struct swarm_plan_input *in = e->in;
	uint32_t coordinator = 0;

	return plan_spread(in, gatherer(e), &coordinator, 1,
		rows * (in->candidates_bytes + in->logit_bytes * in->model->shape->vocab));
}

/* What the logits take after the last member has them, bytes counted, of so many rows. */
double
plan_logits_seconds(const struct eval *e, double rows)
{
	const struct swarm_plan_input *in = e->in;
	const struct swarm_plan_stage *st = &e->out->stages[e->c->n_stages - 1];
	double bytes[SWARM_PLAN_PEERS];

	for (uint32_t i = 0; i < st->n; i++)
		bytes[i] = rows *
			   (in->candidates_bytes +
				   in->logit_bytes * e->out->members[st->first + i].slice.vocab);
	return plan_gather(in, gatherer(e), &e->who[st->first], st->n, bytes) +
	       answer_seconds(e, rows);
}

/* The last sum's way to a member, and its logits' way to who gathers them. */
static void
set_head_delays(struct eval *e, uint32_t stage, struct delay *d)
{
	const struct swarm_plan_input *in = e->in;
	const uint32_t *who = &e->who[e->first[stage]];
	uint32_t n = e->c->stage_n[stage], to = gatherer(e);
	double rows = plan_token_step(in, e->c->n_stages).logits, port = 0, others = 0;

	for (uint32_t i = 0; i < n; i++) {
		others += who[i] != to;
		if (who[i] != to)
			port = fmax(port, plan_link(in, to, who[i])->bps);
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct swarm_plan_link *l = plan_link(in, to, who[i]);
		double slow = fmin(l->bps, port / others);

		d[i].head = i == 0 ? 0 : d[i].token / 2;
		d[i].head_row = 0;
		if (who[i] == to)
			continue;
		d[i].head +=
			plan_wait(l, (uint32_t)others) / 2 + rows * in->candidates_bytes / slow;
		d[i].head_row = rows * in->logit_bytes / slow;
	}
}

/* The largest part of a prompt's rows that is one member's; 0: they cannot go by rows. */
static double
largest_part(const struct eval *e, const struct swarm_plan_stage *st, bool cut)
{
	const struct swarm_plan_model *m = e->in->model;
	struct slice slices[SWARM_PLAN_PEERS], whole = slice_whole(m->shape);
	uint32_t shares[SWARM_PLAN_PEERS], largest = 0;

	if (!cut)
		return st->n * m->kv_unit <= m->shape->kv_heads &&
				       slice_goes_by_rows(m->shape, &whole)
			       ? 1.0 / st->n
			       : 0;
	for (uint32_t i = 0; i < st->n; i++)
		slices[i] = e->out->members[st->first + i].slice;
	slice_row_shares(m->shape, slices, st->n, shares);
	for (uint32_t i = 0; i < st->n; i++)
		largest = shares[i] > largest ? shares[i] : largest;
	return (double)largest / m->shape->ffn;
}

void
plan_set_prompt(struct eval *e, uint32_t stage, bool cut)
{
	const struct swarm_plan_input *in = e->in;
	struct swarm_plan_stage *st = &e->out->stages[stage];
	const uint32_t *who = &e->who[st->first];
	double rows = plan_prompt_step(in, e->c->n_stages).rows, made = in->model->made_row_bytes;
	struct swarm_plan_sum sum = {.bytes = rows * row_bytes(e, rows)};
	struct prompt_sums *last = &e->prompt_sums[stage];
	double off[SWARM_PLAN_PEERS];

	if (made > 0 && rows >= COLLECTIVE_ROWS_FROM)
		sum.largest = largest_part(e, st, cut);
	if (sum.largest > 0)
		sum.made =
			rows * (made + (4.0 * in->model->shape->embd - made) / (2.0 * st->layers));
	if (last->layers != st->layers || last->largest != sum.largest) {
		*last = (struct prompt_sums){
			st->layers, sum.largest, plan_way(in, who, st->n, &sum)};
		plan_delays(in, last->way, who, st->n, &sum, off);
		for (uint32_t i = 0; i < st->n; i++)
			e->delays[st->first + i].prompt = off[i];
	}
	st->prompt_way = last->way;
}

/* Takes members and a token's ways over into out; the seconds of messages that depend on no share. */
int
plan_set_stages(struct eval *e)
{
	const struct swarm_plan_input *in = e->in;
	double token = plan_token_step(in, e->c->n_stages).rows, delays = 0;
	struct swarm_plan_sum sum = {.bytes = token * row_bytes(e, token)};
	double off[SWARM_PLAN_PEERS];
	uint32_t at = 0;

	memcpy(e->who, e->c->who, e->c->n * sizeof *e->who);
	for (uint32_t i = 0; i < e->c->n_stages; i++) {
		struct swarm_plan_stage *st = &e->out->stages[i];
		uint32_t *who = &e->who[at];

		if (e->given)
			e->layers[i] = st->layers;
		*st = (struct swarm_plan_stage){.first = at, .n = e->c->stage_n[i]};
		e->first[i] = at;
		if (!e->given)
			choose_hub(e, who, st->n, &sum);
		st->token_way = plan_way(in, who, st->n, &sum);
		plan_delays(in, st->token_way, who, st->n, &sum, off);
		for (uint32_t k = 0; k < st->n; k++) {
			e->delays[at + k].token = off[k];
			delays += off[k];
		}
		if (i + 1 == e->c->n_stages)
			set_head_delays(e, i, &e->delays[at]);
		e->hops += plan_hop_seconds(e, i, token);
		at += st->n;
	}
	e->hops += answer_seconds(e, plan_token_step(in, e->c->n_stages).logits);
	return isfinite(e->hops + delays) ? 0 : -1;
}
