/* A swarm's coming and going in virtual time, for sched/roster: a coordinator and members with good
 * and bad habits, requests that come and go, and a plan's life (made, serving, dropped) as
 * daemon/serve_plan.c leads it. Nothing ticks: the roster is asked again when something happens, or
 * at the time that it named itself. One seed is one story.
 *
 * What must hold at every moment is stated in roster_sim.c (demand()); a story in which it does not
 * ends there, with `broken` saying what. */
#ifndef TESTS_SUPPORT_ROSTER_SIM_H
#define TESTS_SUPPORT_ROSTER_SIM_H

#include "sched/roster.h"

#define SIM_MEMBERS 7

enum sim_habit {
	SIM_STABLE,  /* comes once and stays */
	SIM_ROAMS,   /* goes and comes back at any time */
	SIM_DIES,    /* whenever it takes part, it goes soon, and comes back */
	SIM_TROUBLE, /* whenever it takes part, it soon has trouble */
	SIM_CRASHES, /* whenever it takes part, it has trouble, goes, and comes back */
	SIM_LEAVES,  /* whenever it takes part, it soon means to go, waits to be let go, but not for
		      * ever, goes, and comes back */
	SIM_HABITS
};

enum sim_load { SIM_IDLE, SIM_BUSY, SIM_MIXED };

struct sim_member {
	struct roster_member r;
	enum sim_habit habit;
	uint64_t next;     /* when it comes or goes */
	uint64_t fails;    /* when its part in this plan goes wrong */
	uint64_t goes;     /* when it goes although it is not let go */
	uint32_t failures; /* how often its part went wrong */
};

struct roster_sim {
	/* the story; set before sim_run */
	uint64_t seed;
	uint32_t n, wanted;
	enum sim_habit habits[SIM_MEMBERS];
	enum sim_load load;
	bool quick;    /* slices are on disk where they are wanted; in the end they always are */
	uint64_t calm; /* from then on nobody has a bad habit, and all are here */
	uint64_t end;

	/* where it is */
	uint64_t now;
	struct sim_member m[SIM_MEMBERS];
	bool planned, serving, served;
	uint64_t epoch, since, ready,
		free; /* since: of the state; free: the old engine has ended */
	uint64_t retry, pause, until, busy, load_changes;

	/* what came of it */
	uint32_t plans, lost, blamed, improved, interrupted;
	uint32_t let_go, stood; /* of these let go, those for whom answers stood still */
	uint64_t digest;        /* of all that happened */
	const char *broken;     /* what does not hold; NULL: all does */
	uint64_t old;           /* members of the plan that made room for a better one; bits */
	bool improving;
};

void sim_run(struct roster_sim *s);
/* Members of the plan that serves, without the coordinator; 0: none does. */
uint32_t sim_serving(const struct roster_sim *s);
uint32_t sim_random(struct roster_sim *s, uint32_t n); /* 0 .. n-1 */

#endif
