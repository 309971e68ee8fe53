/* Which layers the stages of a pipeline get. */
#include "sched/plan_int.h"

#define STEPS 40 /* of a bisection */

/* One to each, the others to the fastest first. */
static int
deal_in_order(uint32_t layers, uint32_t n, const double *seconds, const double *caps, uint32_t *out)
{
	bool done[SWARM_PLAN_PEERS] = {false};
	double left = layers - (double)n, more;

	for (uint32_t i = 0; i < n; i++) {
		out[i] = 1;
		if (caps[i] < 1)
			return -1;
	}
	for (uint32_t k = 0; k < n && left > 0; k++) {
		uint32_t best = n;

		for (uint32_t i = 0; i < n; i++)
			if (!done[i] && (best == n || seconds[i] < seconds[best]))
				best = i;
		done[best] = true;
		more = fmin(left, floor(caps[best]) - 1);
		out[best] += (uint32_t)more;
		left -= more;
	}
	return left == 0 ? 0 : -1;
}

static int
deal_layers(uint32_t layers, uint32_t n, const double *seconds, const double *caps, bool even,
	uint32_t *out)
{
	static const double none[SWARM_PLAN_PEERS];

	return even ? plan_divide(layers, n, none, seconds, caps, out)
		    : deal_in_order(layers, n, seconds, caps, out);
}

/* Seconds of one layer on a stage without memory's bounds, its reductions included. */
double
plan_layer_seconds(const struct eval *e, uint32_t stage)
{
	const struct swarm_plan_input *in = e->in;
	double whole[SWARM_PLAN_PEERS], cap[SWARM_PLAN_PEERS], off[SWARM_PLAN_PEERS], longest = 0;
	struct step token = plan_token_step(in, e->c->n_stages);
	uint32_t n = e->c->stage_n[stage];
	double unit[PHASES];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t peer = e->who[e->first[stage] + i];

		plan_unit_seconds(in, peer, &token, unit);
		whole[i] = plan_whole_seconds(in, 1, false, unit);
		cap[i] = 1;
		off[i] = 2 * e->delays[e->first[stage] + i].token + plan_fixed_seconds(in, peer, n);
		longest = fmax(longest, off[i]);
	}
	return fmax(longest, plan_fill(n, off, whole, cap, 1));
}

/* --- with memory's bounds --- */

struct dealing {
	struct eval *e;
	bool even;
	double seconds[SWARM_PLAN_PEERS]; /* of a layer on each stage */
	/* Layers that each stage can hold at the ends of the seconds that are looked at. */
	double least[SWARM_PLAN_PEERS], most[SWARM_PLAN_PEERS];
};

/* Layers that a stage's members can hold when their disks have so many seconds, of those between. */
static double
layer_cap(const struct eval *e, uint32_t stage, double seconds, double low, double high)
{
	const struct swarm_plan_input *in = e->in;
	uint32_t n = e->c->stage_n[stage];
	bool head = stage + 1 == e->c->n_stages;

	/* Of a group's memory some stays unused at the ends of units. */
	while (high - low >= 1) {
		double mid = floor((low + high + 1) / 2), sum = 0;
		struct load l = plan_load(in, (uint32_t)mid, head);

		for (uint32_t i = 0; i < n; i++)
			sum += plan_share_cap(
				in, &l, e->who[e->first[stage] + i], e->c->stream, seconds);
		if (sum >= (n > 1 ? 1.02 : 1))
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

static double
deal(const struct dealing *d, double disk_s, double *caps)
{
	struct eval *e = d->e;
	double sum = e->hops;
	uint32_t n = e->c->n_stages;

	for (uint32_t i = 0; i < n; i++)
		caps[i] = layer_cap(e, i, disk_s, d->least[i], d->most[i]);
	if (deal_layers(e->in->model->shape->layers, n, d->seconds, caps, d->even, e->layers) != 0)
		return INFINITY;
	for (uint32_t i = 0; i < n; i++)
		sum += e->layers[i] * d->seconds[i];
	return sum;
}

/* A bound on the seconds that disks have moves, and with it what stages can hold. */
static void
move_bound(double *bound, double seconds, double *bound_caps, const double *caps, uint32_t n)
{
	*bound = seconds;
	memcpy(bound_caps, caps, n * sizeof *caps);
}

/* Deals the layers; with streaming for the shortest step in which disks can read what they must. */
int
plan_deal_stages(struct eval *e, bool even, double *step)
{
	struct dealing d = {.e = e, .even = even};
	double caps[SWARM_PLAN_PEERS], low = 0, high = 1e-3, mid;
	uint32_t n = e->c->n_stages;

	for (uint32_t i = 0; i < n; i++) {
		d.seconds[i] = plan_layer_seconds(e, i);
		d.most[i] = e->in->model->shape->layers;
	}
	*step = deal(&d, 0, caps);
	for (uint32_t i = 0; i < n && isfinite(*step); i++)
		e->bound |= e->layers[i] + 1 > caps[i] && caps[i] < d.most[i];
	if (!e->c->stream)
		return isfinite(*step) ? 0 : -1;
	memcpy(d.least, caps, n * sizeof *caps);
	while (deal(&d, high, caps) > high) {
		move_bound(&low, high, d.least, caps, n);
		high *= 2;
		if (high > 1e6)
			return -1;
	}
	memcpy(d.most, caps, n * sizeof *caps);
	/* Where the ends hold the same, so do all between. */
	for (int i = 0; i < STEPS && high - low > 1e-3 * high &&
			memcmp(d.least, d.most, n * sizeof *caps) != 0;
		i++) {
		mid = (low + high) / 2;
		if (deal(&d, mid, caps) > mid)
			move_bound(&low, mid, d.least, caps, n);
		else
			move_bound(&high, mid, d.most, caps, n);
	}
	*step = deal(&d, high, caps);
	return 0;
}
