/* Who takes part. The coordinator knows members that come, go, and spoil plans; this says over
 * which of them the next plan is made, how long it waits for the others, and when a running plan is
 * given up. Pure: events and times in, decisions out. Times are milliseconds of a clock that only
 * grows.
 *
 * A member that was lost from a plan, or spoilt it, is held back for ROSTER_HOLD_MIN, and for twice
 * as long each time until it has served for ROSTER_SETTLED: what fails again and again must not
 * interrupt the others again and again.
 *
 * A newcomer does not interrupt what serves before it is measured, since it may well be left out
 * then, or get another slice; but for ROSTER_MEASURE at most, since who is busy is not measured.
 *
 * A member that means to go is taken out of the plan while it still computes: at once when nobody
 * waits for an answer, else as soon as the slices of the plan without it are on disk, so that the
 * answers stand still for the change only. It waits for that only so long (the daemon's matter);
 * when it goes sooner, that is a loss. */
#ifndef SCHED_ROSTER_H
#define SCHED_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#define ROSTER_MAX      63     /* members, without the coordinator */
#define ROSTER_GATHER   5000   /* before the first plan: until all have come, at most */
#define ROSTER_HOLD_MIN 500    /* after the first failure */
#define ROSTER_HOLD_MAX 300000 /* after many */
#define ROSTER_MEASURE  20000  /* that a newcomer is waited for until it is measured */
#define ROSTER_SETTLED  60000  /* of serving, after which a member's failures are forgotten */
#define ROSTER_PARDONS  3 /* times that a member's trouble is overlooked because another one came */
#define ROSTER_PATIENCE                                                                            \
	20000 /* of requests without a pause: then a plan is changed between steps */

struct roster_member {
	bool here;         /* its link is open */
	bool in_plan;      /* of the plan that is there */
	bool spare;        /* it could take part in that plan, which is faster without it */
	bool in_last;      /* of the last plan that was made, be it there or not */
	bool measured;     /* what it does is known, or nobody asks */
	bool leaving;      /* it is here, and means to go: no plan may need it any more */
	bool was_lost;     /* what it is held back for: it went; else: it is here and had trouble */
	uint64_t came;     /* when, the last time */
	unsigned failures; /* since it settled */
	unsigned pardons;  /* since it settled */
	uint64_t held_until; /* it is not used before */
};

void roster_came(struct roster_member *m, uint64_t now);
void roster_went(struct roster_member *m, uint64_t now);
void roster_failed(
	struct roster_member *m, uint64_t now); /* it is here, but its part did not work */
void roster_settled(struct roster_member *m);
/* Another member has come, with which what this one had trouble with may work: it may try at once,
 * but for ROSTER_PARDONS times only, or two bad members would free each other for ever. */
void roster_pardon(struct roster_member *m, uint64_t now);
/* Another model is wanted: what the last one gave trouble with does not count. */
void roster_forgive(struct roster_member *m);

struct roster_view {
	const struct roster_member *members[ROSTER_MAX]; /* in the order of ranks */
	uint32_t n;
	uint32_t wanted;     /* devices, the coordinator included, that the user asks for; 0: all */
	bool served;         /* a plan of this model has served before */
	bool planned;        /* there is a plan: of the members with in_plan */
	bool serving;        /* it computes */
	bool waiting;        /* requests are there */
	bool other;          /* with the same members another plan would be better */
	bool quick;          /* what the next plan's members need is on their disks */
	uint64_t since;      /* when the coordinator began to look for members for this model */
	uint64_t busy_since; /* when the requests began that have come without a pause; 0: idle */
	uint64_t now;
};

enum roster_step {
	ROSTER_WAIT, /* no plan yet: look again on the next event, or at `until` */
	ROSTER_PLAN, /* make a plan of the chosen */
	ROSTER_KEEP, /* the plan is as it should be, or cannot be changed now */
	ROSTER_DROP  /* the plan must go (a member of it has), or can make room for a better one */
};

struct roster_choice {
	enum roster_step step;
	uint64_t until; /* 0: only an event changes anything */
	uint32_t n;     /* chosen members: who the next plan would have */
	uint32_t chosen[ROSTER_MAX];
};

void roster_choose(const struct roster_view *v, struct roster_choice *c);
/* Whether a member that means to go can go without being missed: another plan serves by now, or
 * nobody waits for one. */
bool roster_may_go(const struct roster_view *v, const struct roster_member *m);

#endif
