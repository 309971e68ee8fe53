/* Devices that elect their coordinator, in virtual time: clocks that run apart, messages that are
 * late, lost, or come twice, partitions (one way, too), devices that die at any moment and know after
 * it only what was saved, devices that join and are removed. One seed is one story.
 *
 * What must hold at every moment is stated in election_sim.c (look()); a story in which it does not
 * ends there, with `broken` saying what. */
#ifndef TESTS_SUPPORT_ELECTION_SIM_H
#define TESTS_SUPPORT_ELECTION_SIM_H

#include "sched/election.h"

#define SIM_DEVICES 7
#define SIM_QUEUE   1024
#define SIM_TERMS   256
#define SIM_DELAY   200 /* ms that a message takes at most */

enum sim_kind { SIM_BEAT, SIM_ANSWER, SIM_ASK, SIM_SAY };

struct sim_message {
	uint64_t at; /* real time when it arrives */
	uint32_t from, to;
	enum sim_kind kind;
	union {
		struct election_beat beat;
		struct election_ask ask;
		struct election_say say;
	} is;
	bool with_list; /* the sender's, as it was: */
	uint32_t list;  /* number of it */
};

struct sim_device {
	struct election e;
	struct election_saved disk;
	bool up, joined;
	bool model;
	double rate;     /* of its clock */
	uint64_t offset; /* the same */
	uint64_t tick, beat,
		turn; /* real times: next tick, next beat, when it dies or comes back */
	uint64_t linked[SIM_DEVICES]; /* when a question and its answer may have passed last */
};

struct election_sim {
	/* the story; set before sim_run */
	uint64_t seed;
	uint32_t n;       /* devices that there are */
	uint32_t members; /* of them on the list at first */
	bool changes;     /* devices join and are removed */
	uint64_t calm;    /* from then on all are up, and messages arrive */
	uint64_t end;
	bool split;    /* but for one partition that stays, of ... */
	uint64_t side; /* these (bits), a majority, from the others */

	/* where it is */
	uint64_t now;
	struct sim_device d[SIM_DEVICES];
	bool deaf[SIM_DEVICES][SIM_DEVICES]; /* what the second sends the first is lost */
	uint64_t weather;                    /* when that changes */
	uint64_t change;                     /* when somebody joins or is removed */
	struct sim_message queue[SIM_QUEUE]; /* a heap by time */
	uint32_t queued;
	struct election_list lists[64]; /* those that travel */
	uint32_t n_lists;
	struct election_key leader[SIM_TERMS]; /* of each term */
	bool led[SIM_TERMS];

	/* what came of it */
	uint32_t elected, deaths, changed, dropped;
	uint64_t served_at; /* real time since which the same one has served; 0: nobody does */
	uint32_t serves;    /* who */
	const char *broken;
};

void sim_run(struct election_sim *s);
uint32_t sim_chance(struct election_sim *s, uint32_t n); /* 0 .. n-1 */

#endif
