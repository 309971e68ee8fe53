#include "sched/rebalance.h"

#include <math.h>
#include <string.h>

#define MOST_WEIGHT 0.2 /* of one measurement, after a pause: it may be an odd one */

void
rebalance_init(struct rebalance *r)
{
	memset(r, 0, sizeof *r);
	r->drifting_since = -1;
	r->wait = REBALANCE_WAIT;
}

void
rebalance_plan(struct rebalance *r, const struct rebalance_peer *peers, uint32_t n)
{
	r->n = n < REBALANCE_PEERS ? n : REBALANCE_PEERS;
	r->drifting_since = -1;
	for (uint32_t i = 0; i < r->n; i++)
		r->peers[i] = (struct rebalance_peer){.id = peers[i].id,
			.work = peers[i].work,
			.expected_s = peers[i].expected_s};
}

void
rebalance_step(struct rebalance *r, uint32_t peer, double seconds, double now)
{
	struct rebalance_peer *p;
	double weight;

	if (peer >= r->n || !(seconds > 0))
		return;
	p = &r->peers[peer];
	if (p->average_s <= 0) {
		p->average_s = seconds;
	} else {
		weight = 1 - exp((p->measured_at - now) / REBALANCE_AVERAGE);
		p->average_s += fmin(fmax(weight, 0), MOST_WEIGHT) * (seconds - p->average_s);
	}
	p->measured_at = now;
}

/* How much faster than planned it is; 1: not known. */
static double
factor(const struct rebalance_peer *p)
{
	return p->average_s > 0 && p->expected_s > 0 ? p->expected_s / p->average_s : 1;
}

double
rebalance_gain(const struct rebalance *r)
{
	double work = 0, speed = 0, planned = 0, now = 0, slowest = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct rebalance_peer *p = &r->peers[i];

		if (!(p->expected_s > 0))
			continue;
		work += p->work;
		planned += p->work / p->expected_s;
		speed += p->work / p->expected_s * factor(p);
		slowest = fmax(slowest, p->expected_s);
		now = fmax(now, p->expected_s / factor(p));
	}
	if (work <= 0 || now <= 0)
		return 0;
	/* work / speed, and above that by slowest / (work / planned). */
	return 1 - planned / speed * slowest / now;
}

/* The member whose speed has changed most. */
static const struct rebalance_peer *
find_mover(const struct rebalance *r)
{
	const struct rebalance_peer *most = &r->peers[0];

	for (uint32_t i = 1; i < r->n; i++)
		if (fabs(log(factor(&r->peers[i]))) > fabs(log(factor(most))))
			most = &r->peers[i];
	return most;
}

static double
wait_of(const struct rebalance *r, const struct rebalance_peer *mover, double now)
{
	double since = now - r->changed_at;

	if (since >= 10 * r->wait)
		return REBALANCE_WAIT;
	if (mover->id == r->mover && (factor(mover) < 1) != r->slower)
		return fmin(2 * r->wait, REBALANCE_WAIT_MAX);
	return r->wait;
}

bool
rebalance_due(struct rebalance *r, double now, double *factors)
{
	const struct rebalance_peer *mover;
	double wait;

	if (r->n < 2 || rebalance_gain(r) < REBALANCE_GAIN) {
		r->drifting_since = -1;
		return false;
	}
	if (r->drifting_since < 0)
		r->drifting_since = now;
	mover = find_mover(r);
	wait = wait_of(r, mover, now);
	if (now - r->drifting_since < REBALANCE_DRIFT || (r->changed && now - r->changed_at < wait))
		return false;
	r->wait = r->changed ? wait : REBALANCE_WAIT;
	r->changed = true;
	r->changed_at = now;
	r->mover = mover->id;
	r->slower = factor(mover) < 1;
	r->drifting_since = -1;
	for (uint32_t i = 0; i < r->n; i++)
		factors[i] = factor(&r->peers[i]);
	return true;
}
