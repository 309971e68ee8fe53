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

/* --- conversations ------------------------------------------------------------------------------ */

static bool
was_with(const struct route_query *q, enum route_target kind)
{
	return q->had_last && q->last.target == kind;
}

/* Whether this turn alone would do with a smaller one than the conversation is with. */
static bool
falls_short(const struct route_query *q)
{
	if (q->last.target == ROUTE_CLOUD)
		return !q->cloud_known || q->cloud_gain <= q->cloud_threshold - q->stay;
	return q->known && q->gain <= q->threshold - q->stay;
}

/* Whether a conversation that is with a larger one remains there. */
static bool
stays(const struct route_query *q)
{
	return !falls_short(q) || q->last.calm + 1 < ROUTE_CALM || q->last.since < ROUTE_REST;
}

/* Whether it is worth that a larger one reads the conversation, which the small one has read. */
static bool
worth_moving(const struct route_query *q, double lead)
{
	return q->firm || !was_with(q, ROUTE_SMALL) || lead > q->move;
}

/* Whether it may go to a cloud unasked-for, from where it is. */
static bool
may_rise(const struct route_query *q)
{
	return !q->had_last || q->last.target == ROUTE_CLOUD || q->last.since >= ROUTE_REST;
}

struct route_turn
route_turn_after(const struct route_query *q, enum route_target target)
{
	struct route_turn t = {target, 0, UINT8_MAX};

	if (!q->had_last)
		return t;
	if (target != q->last.target) {
		t.since = 0;
		return t;
	}
	if (q->in_tool)
		return q->last; /* its turn goes on */
	if (q->last.since < UINT8_MAX)
		t.since = q->last.since + 1;
	if (falls_short(q))
		t.calm = q->last.calm < UINT8_MAX ? q->last.calm + 1 : UINT8_MAX;
	return t;
}

/* --- the choice --------------------------------------------------------------------------------- */

static bool
exceeds(double expected, double most)
{
	return most >= 0 && expected > most;
}

void
route_limit(struct route_query *q)
{
	for (unsigned i = 0; i < q->n; i++) {
		struct route_candidate *c = &q->candidates[i];

		if (c->refusal != ROUTE_USABLE)
			continue;
		if (exceeds(c->seconds, q->max_seconds))
			c->refusal = ROUTE_SLOW;
		else if (exceeds(c->joules, q->max_joules))
			c->refusal = ROUTE_JOULES;
	}
}

bool
route_asked_for(enum route_ask ask, enum route_target kind)
{
	return ask == ROUTE_AUTO || (ask == ROUTE_ASK_LOCAL && kind == ROUTE_SMALL) ||
	       (ask == ROUTE_ASK_HOME && kind != ROUTE_CLOUD) ||
	       (ask == ROUTE_ASK_CLOUD && kind == ROUTE_CLOUD);
}

/* How much a refusal says to who asked: a limit can be lifted, one that is absent cannot be had. */
static int
weight(enum route_refusal r)
{
	return r == ROUTE_SLOW || r == ROUTE_JOULES || r == ROUTE_BUDGET || r == ROUTE_FORM
		       ? 2
		       : r != ROUTE_ABSENT;
}

int
route_binding(const struct route_query *q)
{
	int best = NONE;

	for (unsigned i = 0; i < q->n; i++)
		if (route_asked_for(q->ask, q->candidates[i].kind) &&
			(best == NONE || weight(q->candidates[i].refusal) >
						 weight(q->candidates[best].refusal)))
			best = (int)i;
	return best;
}

/* Whether the small model had better answer although the large one is expected to do so much better than
 * it must: a device of the large one's is to be spared. */
static bool
spares_others(const struct route_query *q, double lead)
{
	return q->lean == ENERGY_DOWN && !q->firm && lead <= q->spare;
}

/* Between the small and the large model. */
static struct route_choice
at_home(const struct route_query *q, int small, int large)
{
	if (small == NONE || large == NONE)
		return either(large, ROUTE_ONLY, small);
	if (was_with(q, ROUTE_LARGE) && !q->firm && stays(q))
		return choose(large, ROUTE_STAYS);
	if (was_with(q, ROUTE_CLOUD) && !q->firm) /* one step down */
		return choose(large, ROUTE_NO_GAIN);
	if (q->lean == ENERGY_UP && !q->firm && (!q->known || q->gain > q->threshold - q->spare))
		return choose(large, ROUTE_SPARED);
	if (!q->known || !q->clear)
		return (struct route_choice){
			.candidate = small, .cascade = true, .reason = ROUTE_TRIES};
	if (!q->up)
		return choose(small, ROUTE_NO_GAIN);
	if (spares_others(q, q->gain - q->threshold))
		return choose(small, ROUTE_SPARED);
	return worth_moving(q, q->gain - q->threshold) ? choose(large, ROUTE_GAIN)
						       : choose(small, ROUTE_STAYS);
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
	if (q->in_tool && q->had_last && !q->firm && usable(q, q->last.target) != NONE)
		return choose(usable(q, q->last.target), ROUTE_STAYS);
	if (small == NONE && large == NONE)
		return either(cloud, ROUTE_ONLY, NONE);
	if (cloud != NONE && q->cloud_known && q->cloud_gain > q->cloud_threshold && may_rise(q))
		return choose(cloud, ROUTE_GAIN);
	/* Where nothing is known of its gain, it is not asked unasked-for. */
	if (cloud != NONE && q->cloud_known && was_with(q, ROUTE_CLOUD) && stays(q))
		return choose(cloud, ROUTE_STAYS);
	return at_home(q, small, large);
}

struct route_choice
route_judge(const struct route_query *q, bool up, double lead, unsigned small)
{
	int large = usable(q, ROUTE_LARGE);

	if (large == NONE)
		return choose((int)small, ROUTE_ONLY);
	if (up && !worth_moving(q, lead))
		return choose((int)small, ROUTE_STAYS);
	if (up && spares_others(q, lead))
		return choose((int)small, ROUTE_SPARED);
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
		[ROUTE_FORM] = {"form", "it cannot be held to what the answer has to look like"},
		[ROUTE_LOGPROBS] = {"logprobs",
			"its answers have no logprobs: leave these out, or ask a model at home"},
		[ROUTE_SLOW] = {"slow", "it would take longer than max_latency_ms"},
		[ROUTE_JOULES] = {"energy", "it would take more energy than max_joules"},
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
	  [ROUTE_SPARED] = {"spared", "a device of the other model is hot, or its battery is low"},
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
