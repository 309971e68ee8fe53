#include "sched/route.h"

#define NONE (-1)

/* The first usable one of a kind, in the user's order; of clouds the best one that is known to be
 * better than the first. */
static int
usable(const struct route_query *q, enum route_target kind)
{
	int best = NONE;

	for (unsigned i = 0; i < q->n; i++) {
		const struct route_candidate *c = &q->candidates[i];

		if (c->kind != kind || c->refusal != ROUTE_USABLE)
			continue;
		if (best == NONE || c->quality > q->candidates[best].quality)
			best = (int)i;
	}
	return best;
}

static struct route_choice
choose(int candidate, enum route_reason reason)
{
	return (struct route_choice){.candidate = candidate, .reason = reason};
}

/* The first of two that is there. */
static struct route_choice
either(int first, enum route_reason reason, int second)
{
	if (first != NONE)
		return choose(first, reason);
	return choose(second, second != NONE ? ROUTE_ONLY : ROUTE_NOBODY);
}

/* Whether the conversation is with the larger one already, and the gain not so small that it would be
 * worth going back. */
static bool
stays(const struct route_query *q, enum route_target larger, double gain, double threshold)
{
	return q->had_last && q->last == larger && gain > threshold - q->stay;
}

/* Between the small and the large model. */
static struct route_choice
at_home(const struct route_query *q, int small, int large)
{
	if (small == NONE || large == NONE)
		return either(large, ROUTE_ONLY, small);
	if (!q->known && q->had_last && q->last == ROUTE_LARGE)
		return choose(large, ROUTE_STAYS);
	if (!q->known || !q->clear)
		return (struct route_choice){
			.candidate = small, .cascade = true, .reason = ROUTE_TRIES};
	if (q->up)
		return choose(large, ROUTE_GAIN);
	if (stays(q, ROUTE_LARGE, q->gain, q->threshold))
		return choose(large, ROUTE_STAYS);
	return choose(small, ROUTE_NO_GAIN);
}

struct route_choice
route_first(const struct route_query *q)
{
	int small = usable(q, ROUTE_SMALL), large = usable(q, ROUTE_LARGE),
	    cloud = usable(q, ROUTE_CLOUD);

	switch (q->ask) {
	case ROUTE_ASK_LOCAL:
		return either(small, ROUTE_ASKED, NONE);
	case ROUTE_ASK_HOME:
		return either(large, ROUTE_ASKED, small);
	case ROUTE_ASK_CLOUD:
		return either(cloud, ROUTE_ASKED, NONE);
	case ROUTE_AUTO:
		break;
	}
	if (small == NONE && large == NONE)
		return either(cloud, ROUTE_ONLY, NONE);
	if (cloud != NONE && q->cloud_known && q->cloud_gain > q->cloud_threshold)
		return choose(cloud, ROUTE_GAIN);
	if (cloud != NONE && q->cloud_known &&
		stays(q, ROUTE_CLOUD, q->cloud_gain, q->cloud_threshold))
		return choose(cloud, ROUTE_STAYS);
	return at_home(q, small, large);
}

struct route_choice
route_judge(const struct route_query *q, bool up, unsigned small)
{
	int large = usable(q, ROUTE_LARGE);

	if (large == NONE)
		return choose((int)small, ROUTE_ONLY);
	return up ? choose(large, ROUTE_TOKENS_DOUBT) : choose((int)small, ROUTE_TOKENS_SURE);
}

struct route_choice
route_next(struct route_query *q, unsigned failed, bool begun)
{
	enum route_target kind = q->candidates[failed].kind;
	int small, large, cloud;

	q->candidates[failed].refusal = ROUTE_FAILED;
	small = usable(q, ROUTE_SMALL);
	large = usable(q, ROUTE_LARGE);
	cloud = usable(q, ROUTE_CLOUD);
	if (begun && kind != ROUTE_CLOUD)
		return choose(NONE, ROUTE_NOBODY);
	if (begun)
		cloud = NONE;
	else if (q->ask == ROUTE_ASK_LOCAL || q->ask == ROUTE_ASK_CLOUD)
		small = large = NONE;
	if (q->ask == ROUTE_ASK_LOCAL || q->ask == ROUTE_ASK_HOME)
		cloud = NONE;
	/* Another cloud for one that failed; else the largest at home; a cloud at last. */
	if (kind == ROUTE_CLOUD && cloud != NONE)
		return choose(cloud, ROUTE_FELL_BACK);
	if (large == NONE)
		large = small;
	if (large == NONE)
		large = cloud;
	return choose(large, large != NONE ? ROUTE_FELL_BACK : ROUTE_NOBODY);
}

/* --- words -------------------------------------------------------------------------------------- */

const char *
route_target_name(enum route_target k)
{
	static const char *const names[ROUTE_TARGETS] = {"small", "large", "cloud"};

	return names[k];
}

static const struct {
	const char *name, *words;
} refusals[ROUTE_REFUSALS] =
	{
		[ROUTE_USABLE] = {"usable", "it can be used"},
		[ROUTE_ABSENT] = {"absent", "none is configured"},
		[ROUTE_NOT_READY] = {"not_ready", "it is not ready"},
		[ROUTE_PRIVACY] = {"privacy", "the privacy policy keeps this query nearer"},
		[ROUTE_TAINTED] = {"tainted",
			"the conversation holds what was said under a stricter policy"},
		[ROUTE_UNREDACTED] = {"unredacted",
			"what must not leave could not be removed for certain"},
		[ROUTE_PRICE] = {"price", "its price is not known"},
		[ROUTE_BUDGET] = {"budget", "it could cost more than the budget has left"},
		[ROUTE_BREAKER] = {"breaker",
			"it has failed lately, and is left alone for a while"},
		[ROUTE_CONTEXT] = {"context", "the query is too long for it"},
		[ROUTE_SLOW] = {"slow", "it would take longer than max_latency_ms"},
		[ROUTE_FAILED] = {"failed", "it was tried and failed"},
},
  reasons[ROUTE_REASONS] = {
	  [ROUTE_ASKED] = {"asked", "the request named it"},
	  [ROUTE_ONLY] = {"only", "no other may or can answer"},
	  [ROUTE_GAIN] = {"gain", "it is expected to do better"},
	  [ROUTE_NO_GAIN] = {"no_gain", "a larger model is not expected to do better"},
	  [ROUTE_STAYS] = {"stays", "the conversation is there already"},
	  [ROUTE_TRIES] = {"tries", "it begins, and how sure it is decides"},
	  [ROUTE_TOKENS_SURE] = {"tokens_sure", "it was sure of its answer"},
	  [ROUTE_TOKENS_DOUBT] = {"tokens_doubt", "the smaller model was not sure of its answer"},
	  [ROUTE_FELL_BACK] = {"fell_back", "another was asked first, and failed"},
	  [ROUTE_BY_TOKEN] = {"by_token", "it and the small model wrote together"},
	  [ROUTE_NOBODY] = {"nobody", "nobody may or can answer"},
};

const char *
route_refusal_name(enum route_refusal r)
{
	return refusals[r].name;
}

const char *
route_refusal_words(enum route_refusal r)
{
	return refusals[r].words;
}

const char *
route_reason_name(enum route_reason r)
{
	return reasons[r].name;
}

const char *
route_reason_words(enum route_reason r)
{
	return reasons[r].words;
}
