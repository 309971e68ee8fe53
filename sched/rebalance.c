#include "sched/rebalance.h"

#include <math.h>
#include <string.h>

#define MOST_WEIGHT 0.2 /* of one measurement, after a pause: it may be an odd one */

/* Nothing of it counts any more. */
static void
begin_drift(struct rebalance *r)
{
	r->drifting_since = -1;
	r->lag = 0;
	r->looked_at = -1;
}

void
rebalance_init(struct rebalance *r)
{
	memset(r, 0, sizeof *r);
	r->trial.since = -1;
	r->last.wait = REBALANCE_WAIT;
	begin_drift(r);
}

void
rebalance_plan(struct rebalance *r, const struct rebalance_peer *peers, uint32_t n)
{
	r->n = n < REBALANCE_PEERS ? n : REBALANCE_PEERS;
	begin_drift(r);
	for (uint32_t i = 0; i < r->n; i++)
		r->peers[i] = (struct rebalance_peer){.id = peers[i].id,
			.work = peers[i].work,
			.expected_s = peers[i].expected_s,
			.most = peers[i].most};
}

static void
add_to_average(double *average, double *at, double seconds, double now)
{
	double weight = 1 - exp((*at - now) / REBALANCE_AVERAGE);

	if (*average <= 0)
		*average = seconds;
	else
		*average += fmin(fmax(weight, 0), MOST_WEIGHT) * (seconds - *average);
	*at = now;
}

void
rebalance_step(struct rebalance *r, uint32_t peer, double seconds, double now)
{
	if (peer < r->n && seconds > 0)
		add_to_average(
			&r->peers[peer].average_s, &r->peers[peer].measured_at, seconds, now);
}

/* --- trial --------------------------------------------------------------------------------------- */

void
rebalance_whole(struct rebalance *r, double seconds, double now)
{
	if (!(seconds > 0))
		return;
	add_to_average(&r->whole_s, &r->whole_at, seconds, now);
	if (r->trial.since < 0)
		r->trial.since = now;
}

void
rebalance_began(struct rebalance *r, bool asked)
{
	struct rebalance_trial *t = &r->trial;

	r->whole_s = 0;
	t->runs = asked && t->wanted && t->before_s > 0 && t->n == r->n;
	t->wanted = false;
	t->since = -1;
	for (uint32_t i = 0; i < r->n && t->runs; i++)
		t->runs = t->ids[i] == r->peers[i].id; /* of other devices it says nothing */
}

static void
begin_trial(struct rebalance *r, const double *factors)
{
	struct rebalance_trial *t = &r->trial;

	*t = (struct rebalance_trial){
		.wanted = true, .before_s = r->whole_s, .since = -1, .n = r->n};
	for (uint32_t i = 0; i < r->n; i++) {
		t->ids[i] = r->peers[i].id;
		t->factors[i] = factors[i];
	}
}

/* Whether the change that is tried makes a step longer; one that does not has passed. */
static bool
has_failed(struct rebalance *r, double now)
{
	struct rebalance_trial *t = &r->trial;

	if (!t->runs || t->since < 0 || now - t->since < REBALANCE_TRIAL)
		return false;
	t->runs = false;
	return r->whole_s > t->before_s * (1 + REBALANCE_WORSE);
}

static void
take_back(struct rebalance *r, double now, double *factors)
{
	for (uint32_t i = 0; i < r->n; i++)
		factors[i] = 1 / r->trial.factors[i];
	r->back = true;
	r->back_s = r->whole_s;
	r->last.wait = fmin(2 * r->last.wait, REBALANCE_WAIT_MAX);
	r->last.at = now;
	r->last.slower = !r->last.slower;
	begin_drift(r);
}

/* --- what new shares would save ------------------------------------------------------------------ */

enum believed { AS_SEEN, AS_MEASURED /* at most, and as planned where that is not known */ };

/* How much faster than planned it counts as; 1: not known. */
static double
factor(const struct rebalance_peer *p, enum believed believed)
{
	double seen = p->average_s > 0 && p->expected_s > 0 ? p->expected_s / p->average_s : 1;

	if (believed == AS_MEASURED)
		return fmin(seen, fmax(1, p->most / REBALANCE_TRUST));
	return p->most > 0 ? fmin(seen, p->most) : seen;
}

static double
gain_of(const struct rebalance *r, enum believed believed)
{
	double work = 0, speed = 0, planned = 0, now = 0, slowest = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct rebalance_peer *p = &r->peers[i];

		if (!(p->expected_s > 0))
			continue;
		work += p->work;
		planned += p->work / p->expected_s;
		speed += p->work / p->expected_s * factor(p, believed);
		slowest = fmax(slowest, p->expected_s);
		now = fmax(now, p->expected_s / factor(p, believed));
	}
	if (work <= 0 || now <= 0)
		return 0;
	/* work / speed, and above that by slowest / (work / planned). */
	return 1 - planned / speed * slowest / now;
}

double
rebalance_gain(const struct rebalance *r)
{
	return gain_of(r, AS_SEEN);
}

/* The member whose speed has changed most. */
static const struct rebalance_peer *
find_mover(const struct rebalance *r, enum believed believed)
{
	const struct rebalance_peer *most = &r->peers[0];

	for (uint32_t i = 1; i < r->n; i++)
		if (fabs(log(factor(&r->peers[i], believed))) > fabs(log(factor(most, believed))))
			most = &r->peers[i];
	return most;
}

static double
wait_of(const struct rebalance_past *last, const struct rebalance_peer *mover, bool slower,
	double now)
{
	double since = now - last->at;

	if (since >= 10 * last->wait)
		return REBALANCE_WAIT;
	if (mover->id == last->mover && slower != last->slower)
		return fmin(2 * last->wait, REBALANCE_WAIT_MAX);
	return last->wait;
}

/* --- whether it is time ------------------------------------------------------------------------- */

/* A large gain has lasted. */
static bool
drifts(struct rebalance *r, double now)
{
	if (rebalance_gain(r) < REBALANCE_GAIN)
		r->drifting_since = -1;
	else if (r->drifting_since < 0)
		r->drifting_since = now;
	return r->drifting_since >= 0 && now - r->drifting_since >= REBALANCE_DRIFT;
}

/* A small one is there, and has been for long enough. */
static bool
lags(struct rebalance *r, double now)
{
	double gain = gain_of(r, AS_MEASURED), rate = -1, since = now - r->looked_at;

	if (gain >= REBALANCE_GAIN)
		rate = 0;
	else if (gain > REBALANCE_LEAST)
		rate = (gain - REBALANCE_LEAST) / (REBALANCE_GAIN - REBALANCE_LEAST);
	if (r->looked_at >= 0)
		r->lag += rate * (rate > 0 ? fmin(since, REBALANCE_AVERAGE) : since);
	r->lag = fmin(fmax(r->lag, 0), REBALANCE_DRIFT);
	r->looked_at = now;
	return rate > 0 && r->lag >= REBALANCE_DRIFT;
}

bool
rebalance_due(struct rebalance *r, double now, double *factors)
{
	const struct rebalance_peer *mover;
	enum believed believed;
	bool large, small, slower;
	double wait;

	if (has_failed(r, now)) {
		take_back(r, now, factors);
		return true;
	}
	if (r->n < 2)
		return false;
	large = drifts(r, now);
	small = lags(r, now);
	believed = large ? AS_SEEN : AS_MEASURED;
	mover = find_mover(r, believed);
	slower = factor(mover, believed) < 1;
	wait = wait_of(&r->last, mover, slower, now);
	if (large && r->last.small) /* turns of small gains do not hold up a large one */
		wait = fmin(wait, REBALANCE_WAIT);
	if ((!large && !small) || (r->last.changed && now - r->last.at < wait))
		return false;
	r->before = r->last;
	r->last = (struct rebalance_past){.changed = true,
		.at = now,
		.wait = r->last.changed ? wait : REBALANCE_WAIT,
		.mover = mover->id,
		.slower = slower,
		.small = !large};
	r->saving = gain_of(r, believed);
	r->back = false;
	for (uint32_t i = 0; i < r->n; i++)
		factors[i] = factor(&r->peers[i], believed);
	begin_drift(r);
	begin_trial(r, factors);
	return true;
}

void
rebalance_refused(struct rebalance *r)
{
	r->trial.wanted = false;
	if (!r->back)
		r->last = r->before;
}
