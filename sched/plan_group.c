/* Candidates of several stages. */
#include "sched/plan_int.h"

#define MAX_NEAR  12 /* bounds on the round trip for clusters */
#define MAX_CHAIN 4  /* devices of which every order of stages is tried */
#define MAX_RUNS  6  /* equal runs of devices as groups, at most */

/* Orders stages so that each is near the one before; the first is the coordinator's, or the one
 * nearest to it. */
static void
chain(const struct search *s, struct candidate *c)
{
	struct candidate from = *c;
	bool done[SWARM_PLAN_PEERS] = {false};
	uint32_t at = 0, last = 0, first[SWARM_PLAN_PEERS];

	for (uint32_t i = 0, sum = 0; i < c->n_stages; sum += c->stage_n[i++])
		first[i] = sum;
	for (uint32_t k = 0; k < from.n_stages; k++) {
		uint32_t best = from.n_stages;
		double near = INFINITY;

		for (uint32_t i = 0; i < from.n_stages; i++) {
			double cost;

			if (done[i])
				continue;
			cost = plan_spread(s->in, last, &from.who[first[i]], from.stage_n[i], 1e4);
			if (best == from.n_stages || cost < near) {
				best = i;
				near = cost;
			}
		}
		done[best] = true;
		c->stage_n[k] = from.stage_n[best];
		memcpy(&c->who[at], &from.who[first[best]], from.stage_n[best] * sizeof *c->who);
		last = c->who[at];
		at += c->stage_n[k];
	}
}

/* The first n devices of an order, a stage each; and in equal runs. */
static void
offer_runs(struct search *s, const uint32_t *order, uint32_t n)
{
	struct candidate c;

	for (uint32_t runs = 2; runs <= n; runs++) {
		if (runs > MAX_RUNS && runs < n)
			runs = n;
		c = (struct candidate){.n = n, .n_stages = runs};
		memcpy(c.who, order, n * sizeof *order);
		for (uint32_t i = 0; i < runs; i++)
			c.stage_n[i] = (i + 1) * n / runs - i * n / runs;
		chain(s, &c);
		plan_offer_both(s, &c);
	}
}

static double
distance(const struct search *s, uint32_t i, uint32_t j)
{
	return plan_wait(plan_link(s->in, s->usable[i], s->usable[j]), 1);
}

/* Devices that a chain of links no longer than `near` joins are a stage. Returns their number. */
static uint32_t
cluster(const struct search *s, double near, struct candidate *c)
{
	bool done[SWARM_PLAN_PEERS] = {false};
	uint32_t queue[SWARM_PLAN_PEERS];

	c->n = c->n_stages = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t head = 0, tail = 0;

		if (done[i])
			continue;
		queue[tail++] = i;
		done[i] = true;
		for (; head < tail; head++)
			for (uint32_t k = 0; k < s->n; k++)
				if (!done[k] && distance(s, queue[head], k) <= near) {
					done[k] = true;
					queue[tail++] = k;
				}
		for (uint32_t k = 0; k < tail; k++)
			c->who[c->n++] = s->usable[queue[k]];
		c->stage_n[c->n_stages++] = tail;
	}
	return c->n_stages;
}

/* The clusters in the chain's order, one more at a time. */
static void
offer_clusters(struct search *s, double near)
{
	struct candidate all = {0}, c;
	uint32_t n = cluster(s, near, &all), members = 0;

	if (n < 2 || n == s->n)
		return;
	chain(s, &all);
	for (uint32_t k = 0; k < n; k++) {
		members += all.stage_n[k];
		if (k == 0)
			continue;
		c = all;
		c.n_stages = k + 1;
		c.n = members;
		plan_offer_both(s, &c);
	}
}

/* Distances at which clusters change, from above: the links of a shortest spanning tree. */
static uint32_t
tree_links(const struct search *s, double out[SWARM_PLAN_PEERS])
{
	double near[SWARM_PLAN_PEERS];
	bool in[SWARM_PLAN_PEERS] = {true};
	uint32_t n = 0;

	for (uint32_t i = 1; i < s->n; i++)
		near[i] = distance(s, 0, i);
	for (uint32_t k = 1; k < s->n; k++) {
		uint32_t best = 0, at = n;

		for (uint32_t i = 1; i < s->n; i++)
			if (!in[i] && (best == 0 || near[i] < near[best]))
				best = i;
		in[best] = true;
		for (; at > 0 && out[at - 1] < near[best]; at--)
			out[at] = out[at - 1];
		out[at] = near[best];
		n++;
		for (uint32_t i = 1; i < s->n; i++)
			near[i] = in[i] ? near[i] : fmin(near[i], distance(s, best, i));
	}
	return n;
}

static void
offer_all_clusters(struct search *s)
{
	double links[SWARM_PLAN_PEERS];
	uint32_t n = tree_links(s, links), looked = 0;

	for (uint32_t i = 0; i < n && looked < MAX_NEAR; i++) {
		if (i + 1 < n && links[i + 1] == links[i])
			continue;
		if (i + 1 < n && isfinite(links[i + 1])) {
			offer_clusters(s, links[i + 1]);
			looked++;
		}
	}
}

/* Stages of one device each, in every order, that begin with these. */
static void
offer_chains(struct search *s, struct candidate *c)
{
	if (c->n > 1)
		plan_offer_both(s, c);
	for (uint32_t i = 0; i < s->n; i++) {
		if (plan_has(c, s->usable[i]))
			continue;
		c->stage_n[c->n_stages++] = 1;
		c->who[c->n++] = s->usable[i];
		offer_chains(s, c);
		c->n--;
		c->n_stages--;
	}
}

void
plan_search_stages(struct search *s)
{
	uint32_t order[SWARM_PLAN_PEERS];

	if (s->n < 2)
		return;
	if (s->n <= MAX_CHAIN)
		offer_chains(s, &(struct candidate){0});
	for (int o = 0; o < 2; o++) {
		plan_order(s, o, order);
		for (uint32_t n = 2; n <= s->n; n++)
			offer_runs(s, order, n);
	}
	offer_all_clusters(s);
	for (int stream = 0; stream < 2; stream++) {
		for (int today = 1; today >= 0; today--) {
			plan_improve(s, PLAN_SLOT(SWARM_PIPELINE, stream, today), true);
			plan_improve(s, PLAN_SLOT(SWARM_GROUPS, stream, today), true);
		}
	}
}
