/* Who coordinates when the coordinator is gone for good. Pure: messages and times in, decisions out;
 * what they need on disk, and what is to be said to whom, is returned.
 *
 * This is the election of Raft: Ongaro and Ousterhout, In Search of an Understandable Consensus
 * Algorithm, USENIX ATC 2014, 5.2 (terms, one vote a term, a majority) and 5.4.1 (who knows less than
 * the voter is not elected); Ongaro, Consensus: Bridging Theory and Practice, 2014, 9.6 (a trial
 * before terms are disturbed), 4.1 and 4.2.3 (one change of membership at a time, made only when the
 * one before is known to most) and 6.4.1 (a lease). What Raft has in its log is here one thing: the
 * list of devices, which has a version.
 *
 * No two coordinators at a time. A coordinator of a swarm that elects serves while a majority of its
 * list, itself included, has answered a beat that it sent less than ELECTION_LEASE ago. A device that
 * has heard a beat gives its vote to nobody for `wait` ms, at least twice as long, so a lease has
 * ended before the vote, as long as no clock runs twice as fast as another. A device that has just
 * started has forgotten what it heard, and takes it that it has heard one now.
 *
 * Two devices have no majority without each other: a list of fewer than three elects nobody, and its
 * coordinator needs nobody's answer. From a list that elects to one that does not a coordinator is
 * free of its lease only when everybody on it knows the new one.
 *
 * Members are trusted not to lie about terms: a member that does can keep the others from having a
 * coordinator, not give them two. Times are milliseconds of a clock that also runs while the device
 * sleeps. */
#ifndef SCHED_ELECTION_H
#define SCHED_ELECTION_H

#include <stdbool.h>
#include <stdint.h>

#define ELECTION_MAX   64 /* devices on a list */
#define ELECTION_LEAST 3  /* that elect */
#define ELECTION_LEASE 2000
#define ELECTION_WAIT  (2 * ELECTION_LEASE) /* the least `wait` */
#define ELECTION_ROUND 1500                 /* that the answers to one question may take */
#define ELECTION_BEAT  500                  /* between beats */

struct election_key {
	uint8_t b[32];
};

struct election_list {
	uint64_t term, version; /* term: of the coordinator that wrote it; compared in this order */
	bool elects;
	uint32_t n;
	struct election_key keys[ELECTION_MAX];
};

/* On disk, whole, before anything is said that was decided after it changed. */
struct election_saved {
	uint64_t term; /* only grows */
	bool voted;    /* in this term, for: */
	struct election_key vote;
	bool leads; /* this device is the coordinator of that term, or of a swarm without elections */
	bool bound;   /* as the coordinator it needs the majority's answers to serve */
	bool follows; /* as a member it knows the coordinator: */
	struct election_key coordinator;
	struct election_list list; /* n 0: none yet */
};

enum election_state {
	ELECTION_FOLLOWS,
	ELECTION_TRIES, /* asks whether it would be elected */
	ELECTION_RUNS,  /* asks to be elected */
	ELECTION_LEADS
};

struct election {
	struct election_key me;
	struct election_saved saved;
	enum election_state state;
	bool votes;  /* gives votes (`coordinator = auto`) */
	bool stands; /* and would be the coordinator: it has the model, */
	bool late; /* but only what others hold of it, too: it lets those with all of it try first */
	uint64_t wait;  /* ms */
	uint64_t heard; /* a beat, or its own start */
	uint64_t next;  /* when it may try (again), or its question is over */
	uint64_t round; /* number of the question; what answers another one is late */
	uint64_t random;
	uint64_t yes;                 /* devices of the list that said so: bits */
	uint64_t lease[ELECTION_MAX]; /* coordinator: by device of the list, until when */
	bool knows[ELECTION_MAX];     /* it has this very list */
};

/* What a device asks another one, and what that says. */
enum election_kind {
	ELECTION_WHO,   /* who is the coordinator? */
	ELECTION_TRIAL, /* would you vote for me in this term? */
	ELECTION_VOTE,  /* vote for me */
	ELECTION_CLAIM, /* I am the coordinator of this term */
	ELECTION_KINDS
};

struct election_ask {
	enum election_kind kind;
	uint64_t term, round;
	uint64_t list_term, list_version; /* that the asker has */
};

struct election_say {
	uint64_t term, round; /* term: the speaker's own */
	bool yes;
	bool newer; /* it has a newer list, and sends it along */
	bool knows; /* the coordinator of its term, itself perhaps: */
	struct election_key coordinator;
};

struct election_beat { /* from the coordinator to a member, and, with the member's own term and
			* list, back; sent: of the coordinator's clock, as it came */
	uint64_t term, list_term, list_version, sent;
};

/* What is to be done. Save comes before all else; then what was said is sent. */
struct election_todo {
	bool save;
	bool ask; /* this, to all others on the list: */
	struct election_ask what;
	bool changed; /* who the coordinator is: this device (saved.leads), another one (saved.follows)
		       * or nobody who is known */
};

/* saved: as it is on disk, all zero at first (then leads says what this device is). */
void election_init(struct election *e, const struct election_key *me,
	const struct election_saved *saved, uint64_t wait, uint64_t now, uint64_t seed);
/* Looks what is due: some times a second. */
void election_tick(struct election *e, uint64_t now, struct election_todo *todo);
/* Answers a question of a device. Who is not on the list gets a no, and is told nothing. */
void election_asked(struct election *e, const struct election_key *from,
	const struct election_ask *a, uint64_t now, struct election_say *say,
	struct election_todo *todo);
/* What another one says, and the list that it sends along, NULL: none. */
void election_said(struct election *e, const struct election_key *from,
	const struct election_say *say, const struct election_list *list, uint64_t now,
	struct election_todo *todo);

/* Member: its coordinator's beat, and the list that comes with it, NULL: none; *answer goes back. */
void election_beat_heard(struct election *e, const struct election_key *from,
	const struct election_beat *b, const struct election_list *list, uint64_t now,
	struct election_beat *answer, struct election_todo *todo);
/* Coordinator: what a beat is now, and a member's answer to one. */
void election_beat(const struct election *e, uint64_t now, struct election_beat *b);
void election_beat_answered(struct election *e, const struct election_key *from,
	const struct election_beat *answer, uint64_t now, struct election_todo *todo);

/* Whether this coordinator may serve now. */
bool election_may_serve(const struct election *e, uint64_t now);
/* Coordinator: whether that device is known to have this list. */
bool election_has_list(const struct election *e, const struct election_key *key);
/* How many of the list answer, this device included. */
uint32_t election_here(const struct election *e, uint64_t now);
uint32_t election_majority(const struct election_list *l);
/* Whether a device may be added to the list, or taken off it. */
bool election_may_change(const struct election *e, uint64_t now);
/* Coordinator: these are the devices from now on, this one among them; one more or less than before,
 * and only when it may change. elects: as far as there are enough of them. */
void election_change(struct election *e, const struct election_key *keys, uint32_t n, bool elects,
	struct election_todo *todo);

/* <0, 0, >0 as the first (term, version) is older, the same, newer. */
int election_compare(uint64_t term, uint64_t version, const struct election_list *l);

#endif
