/* What is worth doing instead of a plan that serves. */
#include "sched/plan.h"

static bool
same_devices(const struct swarm_plan_alt *a, const struct swarm_plan_alt *b)
{
	if (a->n != b->n || a->n_stages != b->n_stages)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->members[i].peer != b->members[i].peer)
			return false;
	for (uint32_t i = 0; i < a->n_stages; i++)
		if (a->stages[i].n != b->stages[i].n)
			return false;
	return true;
}

static bool
saves(const struct swarm_plan_alt *a, double part, const struct swarm_plan_alt *serving)
{
	return a->score < (1 - part) * serving->score;
}

/* The best slices for the devices that serve. -1: there are none. */
static int
share_anew(const struct swarm_plan_input *in, const struct swarm_plan_alt *serving,
	struct swarm_plan_alt *out)
{
	*out = *serving;
	return swarm_plan_predict(in, serving->streams, out);
}

const struct swarm_plan_alt *
swarm_plan_better(const struct swarm_plan_input *in, struct swarm_plan_result *r,
	const struct swarm_plan_alt *serving, const struct swarm_plan_worth *worth)
{
	const struct swarm_plan_alt *best = &r->alts[r->best];
	struct swarm_plan_alt *anew = &r->scratch[0];
	bool same = same_devices(best, serving);

	if (saves(best, same ? worth->same : worth->others, serving))
		return best;
	if (same || worth->same >= worth->others || share_anew(in, serving, anew) != 0)
		return NULL;
	return saves(anew, worth->same, serving) ? anew : NULL;
}
