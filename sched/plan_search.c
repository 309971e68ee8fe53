/* Candidates that are one group, and what improves any candidate: see "Search" in sched/plan.h. */
#include "sched/plan_int.h"

#define MAX_TRIED 6000 /* candidates; improving ends there */
#define MAX_BOUND 12   /* bounds on the round trip that are looked at */
#define PASSES    8

/* --- offering --- */

#define SIZE_SLOTS 16 /* slots from here on: groups of 2, 3, ... */

static void
keep(struct search *s, uint32_t slot, const struct candidate *c, const struct swarm_plan_alt *a)
{
	if (s->used[slot] && s->out->alts[slot].score <= a->score)
		return;
	s->used[slot] = true;
	s->best[slot] = *c;
	s->out->alts[slot] = *a;
}

/* What the user asked for. */
static bool
allowed(const struct search *s, const struct candidate *c)
{
	bool in[SWARM_PLAN_PEERS] = {false};

	if (s->in->members != 0 && c->n != s->in->members)
		return false;
	for (uint32_t i = 0; i < c->n; i++)
		in[c->who[i]] = true;
	for (uint32_t i = 0; i < s->in->n; i++)
		if (s->in->peers[i].wanted && !in[i])
			return false;
	return true;
}

double
plan_offer(struct search *s, const struct candidate *c)
{
	struct swarm_plan_alt *a = &s->out->scratch[0];
	int rc;

	s->bound = false;
	if (!allowed(s, c))
		return INFINITY;
	s->out->tried++;
	rc = plan_eval(s->in, c, QUICK, a);
	s->bound = rc != 0;
	if (rc < 0 || (s->in->kinds != 0 && (s->in->kinds & 1u << a->kind) == 0))
		return INFINITY;
	keep(s, PLAN_SLOT(a->kind, a->streams, a->today), c, a);
	if (a->kind == SWARM_TENSOR && a->n >= 2 && SIZE_SLOTS + a->n - 2 < SWARM_PLAN_ALTS)
		keep(s, SIZE_SLOTS + a->n - 2, c, a);
	return a->score;
}

void
plan_offer_both(struct search *s, struct candidate *c)
{
	c->stream = false;
	plan_offer(s, c);
	if (!s->bound || !s->disks)
		return;
	c->stream = true;
	plan_offer(s, c);
}

/* --- one group --- */

bool
plan_has(const struct candidate *c, uint32_t peer)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->who[i] == peer)
			return true;
	return false;
}

/* As one group, with the coordinator as hub and with whoever serves best. */
static void
offer_group(struct search *s, struct candidate *c)
{
	c->n_stages = 1;
	c->stage_n[0] = c->n;
	c->free_hub = false;
	plan_offer_both(s, c);
	if (c->n < 3 || !plan_has(c, 0))
		return;
	c->free_hub = true;
	plan_offer_both(s, c);
}

static void
offer_subset(struct search *s, uint32_t subset)
{
	struct candidate c = {0};

	for (uint32_t i = 0; i < s->n; i++)
		if ((subset & 1u << i) != 0)
			c.who[c.n++] = s->usable[i];
	offer_group(s, &c);
}

/* --- many devices: by order --- */

enum order { BY_SPEED, BY_ROOM, ORDERS };

static double
merit(const struct search *s, uint32_t peer, enum order order)
{
	double unit[PHASES];

	if (s->in->peers[peer].wanted)
		return INFINITY;
	if (order == BY_ROOM)
		return plan_room(s->in, peer);
	plan_goal_seconds(s->in, peer, 1, unit);
	return 1 / plan_whole_seconds(s->in, s->in->model->shape->layers, true, unit);
}

void
plan_order(const struct search *s, int order, uint32_t *out)
{
	double m[SWARM_PLAN_PEERS];

	for (uint32_t i = 0; i < s->n; i++) {
		double own = merit(s, s->usable[i], (enum order)order);
		uint32_t k = i;

		for (; k > 0 && m[k - 1] < own; k--) {
			m[k] = m[k - 1];
			out[k] = out[k - 1];
		}
		m[k] = own;
		out[k] = s->usable[i];
	}
}

/* Round trips to the coordinator, rising, thinned out to MAX_BOUND. Returns their number. */
static uint32_t
bounds(const struct search *s, double out[MAX_BOUND])
{
	double all[SWARM_PLAN_PEERS];
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t k = n;
		double rtt;

		if (s->usable[i] == 0)
			continue;
		rtt = plan_wait(plan_link(s->in, 0, s->usable[i]), s->n);
		for (; k > 0 && all[k - 1] > rtt; k--)
			all[k] = all[k - 1];
		all[k] = rtt;
		n++;
	}
	for (uint32_t i = 0; i < MAX_BOUND && i < n; i++) {
		double v = all[n <= MAX_BOUND ? i : (i + 1) * n / MAX_BOUND - 1];

		if (isfinite(v) && (kept == 0 || out[kept - 1] < v))
			out[kept++] = v;
	}
	return kept;
}

static void
offer_orders(struct search *s)
{
	double bound[MAX_BOUND];
	uint32_t order[SWARM_PLAN_PEERS], n = bounds(s, bound);

	for (int o = 0; o < ORDERS; o++) {
		plan_order(s, o, order);
		for (uint32_t b = 0; b < n; b++) {
			struct candidate c = {0};

			for (uint32_t i = 0; i < s->n; i++) {
				if (order[i] != 0 &&
					plan_wait(plan_link(s->in, 0, order[i]), s->n) > bound[b] &&
					!s->in->peers[order[i]].wanted)
					continue;
				c.who[c.n++] = order[i];
				offer_group(s, &c);
			}
		}
	}
}

/* The same with the coordinator always in: what the daemon runs today. */
static void
offer_with_coordinator(struct search *s)
{
	uint32_t order[SWARM_PLAN_PEERS];

	if (s->usable[0] != 0)
		return;
	for (int o = 0; o < ORDERS; o++) {
		struct candidate c = {.n = 1};

		plan_order(s, o, order);
		for (uint32_t i = 0; i < s->n; i++) {
			if (order[i] == 0)
				continue;
			c.who[c.n++] = order[i];
			offer_group(s, &c);
		}
	}
}

/* --- improving --- */

static void
take_out(struct candidate *c, uint32_t at)
{
	uint32_t stage = 0, end = c->stage_n[0];

	while (end <= at)
		end += c->stage_n[++stage];
	memmove(&c->who[at], &c->who[at + 1], (c->n - at - 1) * sizeof *c->who);
	c->n--;
	if (--c->stage_n[stage] > 0)
		return;
	c->n_stages--;
	memmove(&c->stage_n[stage], &c->stage_n[stage + 1],
		(c->n_stages - stage) * sizeof *c->stage_n);
}

/* Where one more device may go: places below n_stages are the ends of the stages, and those from there on are
 * new stages, before each and behind the last. */
static uint32_t
places(const struct candidate *c, bool stages)
{
	return stages ? 2 * c->n_stages + 1 : c->n_stages;
}

static void
put_in(struct candidate *c, uint32_t place, uint32_t peer)
{
	uint32_t stage = place < c->n_stages ? place : place - c->n_stages, at = 0;

	for (uint32_t i = 0; i < stage; i++)
		at += c->stage_n[i];
	if (place >= c->n_stages) {
		memmove(&c->stage_n[stage + 1], &c->stage_n[stage],
			(c->n_stages - stage) * sizeof *c->stage_n);
		c->stage_n[stage] = 0;
		c->n_stages++;
	}
	at += c->stage_n[stage]++;
	memmove(&c->who[at + 1], &c->who[at], (c->n - at) * sizeof *c->who);
	c->who[at] = peer;
	c->n++;
}

struct climb {
	struct search *s;
	struct candidate best;
	double score;
	bool stages; /* may open and close stages */
	bool better;
};

static void
try_step(struct climb *k, const struct candidate *c)
{
	double score;

	if (k->s->out->tried >= MAX_TRIED)
		return;
	score = plan_offer(k->s, c);
	if (score >= k->score * (1 - 1e-9))
		return;
	k->best = *c;
	k->score = score;
	k->better = true;
}

/* Without, moved to another stage, exchanged for one that has no part or another position. */
static void
change_one(struct climb *k, uint32_t at)
{
	const struct candidate from = k->best;
	struct candidate c = from;

	if (from.n > 1) {
		take_out(&c, at);
		try_step(k, &c);
		for (uint32_t i = 0; k->stages && i < places(&c, true); i++) {
			struct candidate moved = c;

			put_in(&moved, i, from.who[at]);
			try_step(k, &moved);
		}
	}
	for (uint32_t i = 0; i < k->s->n; i++) {
		c = from;
		if (plan_has(&from, k->s->usable[i]))
			continue;
		c.who[at] = k->s->usable[i];
		try_step(k, &c);
	}
	for (uint32_t i = 0; from.n_stages > 1 && i < at; i++) {
		c = from;
		c.who[at] = from.who[i];
		c.who[i] = from.who[at];
		try_step(k, &c);
	}
}

static void
add_one(struct climb *k, uint32_t peer)
{
	const struct candidate from = k->best;

	if (plan_has(&from, peer))
		return;
	for (uint32_t i = 0; i < places(&from, k->stages); i++) {
		struct candidate c = from;

		put_in(&c, i, peer);
		try_step(k, &c);
	}
}

void
plan_improve(struct search *s, uint32_t slot, bool stages)
{
	struct climb k = {.s = s, .stages = stages};

	if (!s->used[slot])
		return;
	k.best = s->best[slot];
	k.score = s->out->alts[slot].score;
	for (int pass = 0; pass < PASSES; pass++) {
		k.better = false;
		for (uint32_t i = 0; i < s->n; i++)
			add_one(&k, s->usable[i]);
		for (uint32_t i = 0; i < k.best.n; i++)
			change_one(&k, i);
		if (!k.better)
			return;
	}
}

void
plan_search_tensor(struct search *s)
{
	if (s->n <= SWARM_PLAN_EXACT) {
		for (uint32_t subset = 1; subset < 1u << s->n; subset++)
			offer_subset(s, subset);
		return;
	}
	for (uint32_t i = 0; i < s->n; i++) {
		struct candidate c = {.n = 1, .who = {s->usable[i]}};

		offer_group(s, &c);
	}
	offer_orders(s);
	offer_with_coordinator(s);
	for (int k = 0; k < 4; k++)
		plan_improve(s, PLAN_SLOT(SWARM_TENSOR, k / 2, k % 2), false);
}
