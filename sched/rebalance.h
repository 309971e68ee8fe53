/* When shares should be changed while a plan runs: a phone throttles, a device gets busy, one that was
 * busy is free again. What each member was predicted to compute in a step and what it took are
 * compared all the time; when new shares would save enough, for long enough, it is time for a new
 * plan with the speeds that were seen.
 *
 *   averages      of each member's seconds, exponential, over about REBALANCE_AVERAGE seconds
 *   now           the slowest member's average
 *   then          all members' work by the sum of their speeds as seen, as far above it as the plan
 *                 itself stood above its own ideal (units are coarse, memory binds)
 *   gain          1 - then / now. All slower alike (a longer context) is no gain.
 *
 * Against flapping: the gain must have been above REBALANCE_GAIN for REBALANCE_DRIFT seconds without a
 * break, and between two changes lies a wait, REBALANCE_WAIT at first. A change that takes the last one
 * back doubles the wait, up to REBALANCE_WAIT_MAX; a plan that stood ten waits makes it short again.
 *
 * A smaller gain, above REBALANCE_LEAST, counts where nobody is taken for faster than planned, or than it was measured
 * to be: a device has become slower, or is as fast again as it was. Seconds of it are summed up, half as much for a
 * gain half way between the two bounds, of a longer look REBALANCE_AVERAGE of them; seconds without one are taken off
 * (a cumulative sum, Page 1954). It is time when the sum is REBALANCE_DRIFT. After a small change a large gain
 * waits no longer than REBALANCE_WAIT.
 *
 * Of a device that computes faster than it was measured to when it had nothing else to do, only so much
 * is believed as its `most` says: it is seen in short spells with pauses between, and one that is held to a
 * part of a core, or cools down meanwhile, is fast in those. A new measurement may say more.
 *
 * What counts in the end is the whole step. A device may compute fast whenever one looks, and have no
 * time left for more: one that is held to a part of a core, say. When REBALANCE_TRIAL seconds after a
 * change a whole step takes longer than before by REBALANCE_WORSE, the change is taken back.
 *
 * Pure: time is an argument, in seconds of any clock that does not go back. */
#ifndef SCHED_REBALANCE_H
#define SCHED_REBALANCE_H

#include <stdbool.h>
#include <stdint.h>

#define REBALANCE_PEERS    64
#define REBALANCE_AVERAGE  2.0
#define REBALANCE_GAIN     0.10
#define REBALANCE_LEAST    0.05
#define REBALANCE_DRIFT    10.0
#define REBALANCE_WAIT     60.0
#define REBALANCE_WAIT_MAX 3600.0
#define REBALANCE_TRIAL    10.0
#define REBALANCE_WORSE    0.10
#define REBALANCE_TRUST    1.25 /* how much more than was measured a device is believed to do */

struct rebalance_peer {
	uint32_t id;       /* stays the same from plan to plan */
	double work;       /* its part of the model, in any unit: swarm_plan_member.share */
	double expected_s; /* its computing in a step: swarm_plan_member.compute_s */
	double most;       /* times faster than expected that it may count for; 0: any */
	double average_s, measured_at; /* average 0: nothing measured yet */
};

struct rebalance_past {  /* the last change */
	bool changed;    /* there was one: */
	double at, wait; /* when, and how long none may follow */
	uint32_t mover;  /* the peer whose speed had changed most, */
	bool slower;     /* and which way */
	bool small;      /* it was for a small gain */
};

struct rebalance_trial { /* of the last change */
	bool wanted, runs;
	double before_s, since;
	uint32_t n, ids[REBALANCE_PEERS];
	double factors[REBALANCE_PEERS];
};

struct rebalance {
	struct rebalance_peer peers[REBALANCE_PEERS];
	uint32_t n;
	double drifting_since;              /* below 0: it does not drift */
	double lag;                         /* the sum of small gains, */
	double looked_at;                   /* and when it was made; below 0: not yet */
	struct rebalance_past last, before; /* and what was the last one before that */
	double saving;                      /* the gain for which the last one was */
	double whole_s, whole_at;           /* average of whole steps; 0: nothing measured yet */
	struct rebalance_trial trial;
	bool back;     /* the last change took the one before back: */
	double back_s; /* a step of that had become so long, instead of trial.before_s */
};

/* No plan, and no history. */
void rebalance_init(struct rebalance *r);

/* A plan begins: ids, work and expected_s are set, the rest need not be; n up to REBALANCE_PEERS. History
 * of changes is kept. */
void rebalance_plan(struct rebalance *r, const struct rebalance_peer *peers, uint32_t n);

/* A member computed so long in a step (of one row, as expected_s is). */
void rebalance_step(struct rebalance *r, uint32_t peer, double seconds, double now);

/* So long a whole step of one row took, waiting and all. */
void rebalance_whole(struct rebalance *r, double seconds, double now);

/* Another plan serves, as rebalance_plan was told; asked: that for which rebalance_due had asked. */
void rebalance_began(struct rebalance *r, bool asked);

/* What new shares would save, as a part of a step's time: for people, too. */
double rebalance_gain(const struct rebalance *r);

/* Whether it is time to plan anew; factors[n]: by what each one's planned speed is to be multiplied
 * (1: as planned, or not measured). That counts as a change: the wait begins. Ask now and then, about
 * once a second. r->back: it leads back to how things were. */
bool rebalance_due(struct rebalance *r, double now, double *factors);

/* The planner found nothing that is worth it: there was no change, and the wait is that of the one before. Where it was to
 * lead back, the longer wait stays: the change before was one too many. */
void rebalance_refused(struct rebalance *r);

#endif
