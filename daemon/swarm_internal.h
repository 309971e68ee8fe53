/* Inside of membership: swarm.c (peers, control links), swarm_dial.c (a member's dials), swarm_rtt.c (heartbeats), pairing.c (invites and joining). */
#ifndef DAEMON_SWARM_INTERNAL_H
#define DAEMON_SWARM_INTERNAL_H

#include "daemon/swarm.h"
#include "sched/link_speed.h"

#define SWARM_MESSAGE (1u << 20)
#define SWARM_PAUSE   250 /* ms until a member dials again; doubles */

enum { METER_UNDER_WAY = 16 }; /* pings whose answers are waited for, the last ones */

struct meter {                             /* of a control link */
	uint64_t ping;                     /* token of the last one */
	uint64_t sent_us[METER_UNDER_WAY]; /* by token; 0: answered */
	bool counts[METER_UNDER_WAY];
	unsigned quick; /* pings that still follow one another without a pause */
	struct rtt_window rtt;
	struct burst burst;
	bool bursting;
	uint64_t pieces;
};

struct peer {
	struct swarm_peer pub; /* first: what others hold points here */
	struct swarm *swarm;
	struct known_peer known;
	bool up;   /* `about` has come */
	bool gone; /* forgotten; kept until the end because links may still hold it */
	struct peer *next_gone;
	uint64_t heard;     /* loop time of the last message */
	uint64_t second;    /* loop time / 1000, */
	uint32_t in_second; /* and how many messages have come within it */
	struct meter meter;
};

/* A pairing under way on the coordinator's side, or a control link whose `about` has not come. */
struct newcomer {
	struct swarm *swarm;
	struct newcomer *next;
	struct link *link;
	uint8_t invite_id[8];
	uint8_t key[32];
};

struct wrong_code { /* who tried a wrong code, and how often */
	char host[64];
	unsigned times;
	uint64_t last; /* loop time */
};

struct swarm {
	uv_loop_t *loop;
	const struct config *config;
	struct state *state;
	struct swarm_events ev;
	void *arg;
	struct link_identity me;
	struct link_listener *listener;
	uv_timer_t tick;                 /* heartbeats */
	unsigned looks;                  /* ticks so far */
	uv_timer_t dial;                 /* a member's next try */
	uint64_t dial_pause;             /* ms */
	char hearsay[280];               /* where the coordinator may be */
	uint64_t hearsay_next;           /* loop time when that may be tried again */
	const struct link *hearsay_link; /* being dialled there; NULL: none */
	bool closing;
	bool quiet;
	const struct device_speed *speed; /* our own; NULL: not measured yet */
	uint64_t memory;
	struct swarm_offer offer;            /* our own */
	struct energy_told energy;           /* the same */
	struct peer *peers[STATE_MAX_PEERS]; /* by rank */
	struct swarm_peer *list[STATE_MAX_PEERS];
	uint32_t n_peers;
	struct newcomer *newcomers;
	struct peer *gone;
	struct wrong_code wrong[16];

	/* a joining under way */
	struct link *join_link;
	struct invite join_invite;
	void (*join_done)(void *arg, const char *trouble);
	void *join_arg;
	bool join_paired;
};

struct peer *swarm_new_peer(struct swarm *s, const struct known_peer *known);
void swarm_forget_peer(struct swarm *s, struct peer *p, const char *why);
struct peer *swarm_find(struct swarm *s, const uint8_t key[32]);
void swarm_dial_soon(struct swarm *s, uint64_t ms);
struct newcomer *swarm_add_newcomer(struct swarm *s, struct link *l);
void swarm_drop_newcomer(struct newcomer *n);

extern const struct link_events swarm_control_events;

/* swarm_dial.c */
/* A control link is open, or is closed: if it was dialled on hearsay, that was right, or is over. */
void swarm_dialled(struct peer *p, const struct link *l, bool answered);

/* swarm_rtt.c */
void meter_begin(struct peer *p); /* a control link is new */
void meter_ping(struct peer *p);
void meter_pong(struct peer *p, const Shoal__Pong *pong);
void meter_answer(struct swarm *s, struct link *l, uint64_t token); /* a pong */

/* pairing.c */
int pairing_admit(struct swarm *s, struct link *l, const struct hello *h, uint8_t psk[32],
	const struct link_events **ev, void **ev_arg, struct err *err);

#endif
