/* Where a query goes: to the small model of this device, to the large one that its swarm runs, or to a
 * cloud. Pure: what is known of the targets and of the query comes in, a choice with its reason goes
 * out. What may leave the house is decided before (sched/privacy.h): a candidate that may not be used
 * comes with its refusal, and nothing here can lift one.
 *
 * The small model answers what it is expected to answer as well as the next one. When the prompt
 * alone does not tell (its gain is too near the threshold, or it is like nothing that was learned
 * from), the small model begins, and its own tokens decide (route_judge): a cascade, whose price is a
 * short answer that is thrown away. */
#ifndef SCHED_ROUTE_H
#define SCHED_ROUTE_H

#include "sched/energy.h"

#include <stdbool.h>
#include <stdint.h>

#define ROUTE_MAX_CANDIDATES 10

enum route_target { ROUTE_SMALL, ROUTE_LARGE, ROUTE_CLOUD, ROUTE_TARGETS };

/* Why a target cannot be used for a query. */
enum route_refusal {
	ROUTE_USABLE,
	ROUTE_ABSENT,     /* none is configured */
	ROUTE_NOT_READY,  /* it is being loaded, its devices are away */
	ROUTE_PRIVACY,    /* the policy keeps the query nearer */
	ROUTE_TAINTED,    /* the conversation holds what was said under a stricter policy */
	ROUTE_UNREDACTED, /* what had to be removed could not be, for certain */
	ROUTE_PRICE,      /* its price is not known */
	ROUTE_BUDGET,     /* it would cost more than is left */
	ROUTE_BREAKER,    /* it has failed lately */
	ROUTE_CONTEXT,    /* the query is too long for it */
	ROUTE_SLOW,       /* it would take longer than max_latency_ms */
	ROUTE_JOULES,     /* it would take more energy than max_joules */
	ROUTE_FORM,       /* the answer has to have a form that it cannot be held to */
	ROUTE_LOGPROBS,   /* it does not tell how probable its tokens were */
	ROUTE_FAILED,     /* it was tried for this query */
	ROUTE_REFUSALS
};

#define ROUTE_UNKNOWN (-1.0) /* a figure that is not known */

struct route_candidate {
	enum route_target kind;
	enum route_refusal refusal;
	double seconds, joules; /* that the answer is expected to take, or ROUTE_UNKNOWN */
	double quality;         /* of a cloud: expected share of right answers; 0: not known */
};

/* What the request said: `auto`, `auto:local`, `auto:home`, `auto:cloud`. */
enum route_ask { ROUTE_AUTO, ROUTE_ASK_LOCAL, ROUTE_ASK_HOME, ROUTE_ASK_CLOUD };

/* A turn of a conversation, as it is remembered until the next. */
struct route_turn {
	enum route_target target;
	uint8_t calm;  /* turns in a row that would have done with the smaller one */
	uint8_t since; /* turns since the conversation moved; UINT8_MAX: it never did, or long ago */
};

struct route_query {
	enum route_ask ask;
	struct route_candidate candidates[ROUTE_MAX_CANDIDATES]; /* clouds in the user's order */
	unsigned n;
	/* What the prompt alone says. gain: P(large right) - P(small right); up: the knob sends it to
	 * the large one (sched/knob.h), from `threshold` on; clear: it would also do so, or not do so,
	 * for a prompt that is nearer. known: it was learned, and the prompt is like what it was
	 * learned from; false: the others mean nothing. */
	double gain, threshold;
	bool known, up, clear;
	/* The same for a cloud over the best at home. Without it a cloud is asked only when the request
	 * names it, or nobody at home can answer. */
	double cloud_gain, cloud_threshold;
	bool cloud_known;
	/* The knob is at an end (all, or nothing, goes up): its word holds in any conversation. */
	bool firm;
	/* A conversation stays where its last turn was: up as soon as the gain exceeds the threshold by
	 * `move`, what reading its history anew costs; down when it has fallen short of it by
	 * `stay` for ROUTE_CALM turns, and none of the last ROUTE_REST turns has moved; which also
	 * holds for moves to a cloud, from which it comes down one step. So no 20 turns move more
	 * than twice, whatever they say, while nobody fails. What answers a tool's result (in_tool) is who made the call. */
	bool had_last, in_tool;
	struct route_turn last;
	double stay, move;
	/* What the request allows; ROUTE_UNKNOWN: as much as it takes. */
	double max_seconds, max_joules;
	/* Where others compute the large model, too: this device is hot, or its battery is low, and what
	 * the small one is not clearly good for goes up, from a gain on that falls short by `spare`
	 * (ENERGY_UP); or one of the others is, and only what exceeds the threshold by that goes up. */
	enum energy_lean lean;
	double spare;
};

enum { ROUTE_CALM = 3, ROUTE_REST = 18 };

enum route_reason {
	ROUTE_ASKED,        /* the request named the target */
	ROUTE_ONLY,         /* no other may or can */
	ROUTE_GAIN,         /* the larger one is expected to do better */
	ROUTE_NO_GAIN,      /* it is not */
	ROUTE_STAYS,        /* the conversation was there, and the gain is too small to move */
	ROUTE_TRIES,        /* the small one begins, its tokens decide */
	ROUTE_TOKENS_SURE,  /* they did: it was sure enough */
	ROUTE_TOKENS_DOUBT, /* they did: it was not */
	ROUTE_SPARED,       /* a device of the other model is spared */
	ROUTE_FELL_BACK,    /* another was tried and failed */
	ROUTE_BY_TOKEN,     /* the small and the large one write together (sched/token_mode.h) */
	ROUTE_NOBODY,       /* there is none */
	ROUTE_REASONS
};

struct route_choice {
	int candidate; /* index; -1: nobody */
	bool cascade;  /* it may be overruled by route_judge */
	enum route_reason reason;
};

/* Refuses the candidates that are expected to exceed a limit; what is not known is held against nobody.
 * The others compete as if those were not there: of all that can keep the limits the best one answers
 * (as in MoE^2: Jin et al., 2025, where the subset of experts is chosen within energy and delay). */
void route_limit(struct route_query *q);
/* Whether a request may be answered there at all, by what it asks for. */
bool route_asked_for(enum route_ask ask, enum route_target kind);
/* Nobody can answer: the candidate whose refusal stands in the way, one by a limit of the request before
 * others, which it could not lift. -1: there is none that the request may ask. */
int route_binding(const struct route_query *q);
/* Whom to ask first. */
struct route_choice route_first(const struct route_query *q);
/* The small model, candidate `small`, has spoken, whole or in part: whether its answer stands. up: what
 * the knob says now that its tokens are known; lead: by how much the gain exceeds the threshold. */
struct route_choice route_judge(const struct route_query *q, bool up, double lead, unsigned small);
/* What is to be remembered of a turn that `target` has answered. */
struct route_turn route_turn_after(const struct route_query *q, enum route_target target);
/* Candidate `failed` could not answer: who is next. It is marked ROUTE_FAILED in q.
 * begun: its client has seen a part of the answer. Then that of a cloud goes on at home, wherever it
 * was asked for, rather than to break off; one of a model at home cannot go on in another's words.
 * Else: A request that
 * named where it is to be answered goes nowhere else, but for `auto:home`, which both models there
 * may answer. */
struct route_choice route_next(struct route_query *q, unsigned failed, bool begun);

/* One word each, for programs: "large", "privacy", "no_gain". */
const char *route_target_name(enum route_target k);
const char *route_refusal_name(enum route_refusal r);
const char *route_reason_name(enum route_reason r);
/* For people. */
const char *route_refusal_words(enum route_refusal r);
const char *route_reason_words(enum route_reason r);

#endif
