/* What messages cost: see "The model of time" in sched/plan.h. */
#include "sched/plan_int.h"

#define LN_50 3.912023005428146

/* By rows each member adds, norms and rounds its part of the rows, by other ways all of them. In a half layer that
 * saves about so much, which decides between ways, and is no part of what is predicted. */
#define ROWS_SAVE_S 0.5e-3

const struct swarm_plan_link *
plan_link(const struct swarm_plan_input *in, uint32_t i, uint32_t j)
{
	return i < j ? &in->links[(size_t)i * in->n + j] : &in->links[(size_t)j * in->n + i];
}

/* How far the slowest of so many is from the median to the 99th percentile. */
static double
slowest_of(uint32_t waits)
{
	return waits < 2 ? 0 : log((waits + 1) / 2.0) / LN_50;
}

static double
wait_until(const struct swarm_plan_link *l, double part)
{
	double tail = l->rtt99 > l->rtt ? l->rtt99 - l->rtt : 0;

	return l->bps <= 0 ? INFINITY : l->rtt + tail * part;
}

double
plan_wait(const struct swarm_plan_link *l, uint32_t waits)
{
	return wait_until(l, slowest_of(waits));
}

/* What a device has to do with its links to some others. */
struct fan {
	uint32_t n;
	double wait; /* longest round trip */
	double port; /* bytes a second of its fastest link */
	double slow; /* and of its slowest */
	double last; /* longest of (round trip / 2 + bytes / bandwidth) */
};

static struct fan
fan_of(const struct swarm_plan_input *in, uint32_t from, const uint32_t *who, uint32_t n,
	double bytes)
{
	struct fan f = {.slow = INFINITY};
	uint32_t others = 0;
	double part;

	for (uint32_t i = 0; i < n; i++)
		others += who[i] != from;
	part = slowest_of(others);
	for (uint32_t i = 0; i < n; i++) {
		const struct swarm_plan_link *l;
		double wait;

		if (who[i] == from)
			continue;
		l = plan_link(in, from, who[i]);
		wait = wait_until(l, part);
		f.wait = fmax(f.wait, wait);
		f.port = fmax(f.port, l->bps);
		f.slow = fmin(f.slow, l->bps);
		f.last = fmax(f.last, wait / 2 + bytes / l->bps);
	}
	f.n = others;
	return f;
}

/* Behind the slowest member's part in the sum and its return. */
static double
star(const struct swarm_plan_input *in, const uint32_t *who, uint32_t n,
	const struct swarm_plan_sum *sum)
{
	double off[SWARM_PLAN_PEERS], longest = 0;

	plan_delays(in, SWARM_STAR, who, n, sum, off);
	for (uint32_t i = 0; i < n; i++)
		longest = fmax(longest, off[i]);
	return longest;
}

static double
direct(const struct swarm_plan_input *in, const uint32_t *who, uint32_t n, double bytes)
{
	double longest = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct fan f = fan_of(in, who[i], who, n, bytes);

		longest = fmax(longest, fmax(f.last, f.wait / 2 + (n - 1) * bytes / f.port));
	}
	return longest + 2 * (n - 2) * in->message_s;
}

double
swarm_plan_reduction(const struct swarm_plan_input *in, enum swarm_way way, const uint32_t *members,
	uint32_t n, const struct swarm_plan_sum *sum)
{
	if (n < 2)
		return 0;
	switch (way) {
	case SWARM_STAR:
		return star(in, members, n, sum);
	case SWARM_DIRECT:
		return direct(in, members, n, sum->bytes);
	case SWARM_ROWS:
		return direct(in, members, n, sum->largest * sum->bytes) +
		       direct(in, members, n, sum->largest * sum->made);
	default:
		return 2 * direct(in, members, n, sum->bytes / n);
	}
}

enum swarm_way
plan_way(const struct swarm_plan_input *in, const uint32_t *who, uint32_t n,
	const struct swarm_plan_sum *sum)
{
	double best = INFINITY;
	enum swarm_way way = SWARM_STAR;

	for (int w = 0; w < SWARM_WAYS && n > 1; w++) {
		double cost;

		if ((in->ways & 1u << w) == 0 || (w == SWARM_ROWS && sum->made <= 0))
			continue;
		cost = swarm_plan_reduction(in, (enum swarm_way)w, who, n, sum);
		if (w == SWARM_ROWS)
			cost -= ROWS_SAVE_S;
		if (cost < best) {
			best = cost;
			way = (enum swarm_way)w;
		}
	}
	return way;
}

void
plan_delays(const struct swarm_plan_input *in, enum swarm_way way, const uint32_t *who, uint32_t n,
	const struct swarm_plan_sum *sum, double *off)
{
	double bytes = sum->bytes;
	struct fan f;

	if (n < 2 || way != SWARM_STAR) {
		double all = swarm_plan_reduction(in, way, who, n, sum);

		for (uint32_t i = 0; i < n; i++)
			off[i] = all;
		return;
	}
	f = fan_of(in, who[0], who, n, bytes);
	off[0] = 2 * (n - 1) * in->message_s;
	for (uint32_t i = 1; i < n; i++) {
		const struct swarm_plan_link *l = plan_link(in, who[0], who[i]);

		off[i] = plan_wait(l, n - 1) + 2 * fmax(bytes / l->bps, (n - 1) * bytes / f.port) +
			 2 * (n - 2) * in->message_s;
	}
}

double
plan_spread(const struct swarm_plan_input *in, uint32_t from, const uint32_t *who, uint32_t n,
	double bytes)
{
	struct fan f = fan_of(in, from, who, n, bytes);

	if (f.n == 0)
		return 0;
	return fmax(f.last, f.wait / 2 + f.n * bytes / f.port) + (f.n - 1) * in->message_s;
}

double
plan_gather(const struct swarm_plan_input *in, uint32_t to, const uint32_t *who, uint32_t n,
	const double *bytes)
{
	struct fan f = fan_of(in, to, who, n, 0);
	double sum = 0, last = 0;

	if (f.n == 0)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct swarm_plan_link *l;

		if (who[i] == to)
			continue;
		l = plan_link(in, to, who[i]);
		sum += bytes[i];
		last = fmax(last, plan_wait(l, f.n) / 2 + bytes[i] / l->bps);
	}
	return fmax(last, f.wait / 2 + sum / f.port) + (f.n - 1) * in->message_s;
}

const char *
swarm_way_name(enum swarm_way way)
{
	static const char *const names[] = {"star", "direct exchange", "reduce-scatter", "by rows"};

	return names[way];
}
