/* Membership: who belongs to the swarm and who is here. Pairing by invite, control links both ways,
 * redialling with growing pauses, heartbeats. What peers compute together is the plan's matter
 * (daemon/serve_plan.c), which hears of every coming and going here. Main thread. */
#ifndef DAEMON_SWARM_H
#define DAEMON_SWARM_H

#include "daemon/config.h"
#include "daemon/link.h"
#include "daemon/state.h"
#include "model/device_speed.h"
#include "proto/control.h"
#include "sched/energy.h"
#include "sched/pace.h"
#include "sched/roster.h"

struct swarm;

struct swarm_net {               /* what the link with a peer takes; zeros: not measured */
	double rtt_s, rtt_p99_s; /* round trip: median and 99th percentile */
	double bytes_per_s;      /* to the peer, sealed */
	uint64_t measured;       /* unix seconds, of bytes_per_s */
	char host[64];           /* where the peer was then */
};

struct swarm_offer { /* a small model that answers for others too; slots 0: none */
	uint8_t model_id[32];
	uint32_t slots, context; /* requests at once; positions of each */
};

struct swarm_peer { /* as others may see it; owned by the swarm */
	const struct known_peer *known;
	struct link *control; /* NULL: away */
	char software[32], cpu[64], kernels[16], role[16];
	uint32_t threads;
	uint64_t memory;           /* bytes that it may use; 0: it did not say */
	struct device_speed speed; /* by its own account; threads 0: it did not say */
	struct swarm_net net;
	double rtt_ms;               /* of the last heartbeat; 0: not measured yet */
	bool going;                  /* it waits to be let go (daemon/serve_leave.c) */
	struct roster_member roster; /* kept by whoever makes plans (daemon/serve_roster.c) */
	struct pace pace;            /* the same (daemon/serve_balance.c) */
	uint16_t port;               /* where it listens; 0: not said */
	struct swarm_offer offer;
	struct energy_told energy; /* of a member, by its last heartbeat */
};

struct swarm_events {
	/* A control link is open and `about` has been exchanged, or is gone. */
	void (*on_peer_up)(void *arg, struct swarm_peer *p);
	void (*on_peer_down)(void *arg, struct swarm_peer *p, const char *why);
	/* What is known of its speed, or of the link's bandwidth, is new. */
	void (*on_speed)(void *arg, struct swarm_peer *p);
	/* The list of members has changed: one was paired, removed, or left. */
	void (*on_members)(void *arg);
	/* Whether a device may be paired or removed now; -1: not now. Coordinator. */
	int (*may_change)(void *arg, struct err *err);
	/* A control message that is none of membership's own. -1 closes the link. */
	int (*on_control)(
		void *arg, struct swarm_peer *p, const Shoal__Envelope *e, struct err *err);
	/* A tensor or bulk link of a known peer has come in (coordinator): give it its events. */
	int (*on_link)(void *arg, struct swarm_peer *p, struct link *l,
		const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err);
	/* A link of another device of an electing swarm has come in. -1: it is turned away. */
	int (*on_vote)(void *arg, const uint8_t key[32], struct link *l,
		const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err);
	/* A tensor or bulk link of somebody who may be a fellow member has come in (member). -1: it
	 * is turned away. */
	int (*on_neighbour)(void *arg, const uint8_t key[32], struct link *l,
		const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err);
};

struct swarm *swarm_new(uv_loop_t *loop, const struct config *c, struct state *s,
	const struct swarm_events *ev, void *arg, struct err *err);
void swarm_close(struct swarm *s); /* closes listener and links; free after the loop has ended */
void swarm_free(struct swarm *s);

bool swarm_is_member(const struct swarm *s);
uint32_t swarm_peers(const struct swarm *s,
	struct swarm_peer *const **peers); /* of a coordinator: its members by
					    * rank; of a member: the coordinator */
uint16_t swarm_port(const struct swarm *s);

/* Who coordinates has changed, as the state says: the peers are others from now on. */
void swarm_turn(struct swarm *s);
/* Where others reach a device: the host of its link's address, and the port that it listens on.
 * "": not known. */
void swarm_reach(const char *link_address, uint16_t port, char *out, size_t size);

/* The coordinator may be at this address ("host:port"): a member that misses it dials there too. What
 * anybody says may come here: who answers must prove that it is the coordinator, and dials are rare. */
void swarm_heard_of(struct swarm *s, const char *address);

/* What this device says of itself from now on, also to those that are here already. speed: NULL: not
 * measured yet; else it stays the caller's, and unchanged. */
void swarm_tell(struct swarm *s, const struct device_speed *speed, uint64_t memory);

/* The same of its small model. */
void swarm_offer(struct swarm *s, const struct swarm_offer *o);
/* The same of how it is fed; a member says it with its next heartbeat. */
void swarm_energy(struct swarm *s, const struct energy_told *e);

/* --- links as they are (swarm_rtt.c) --- */

/* Whether this device has nothing to compute: only then do round trips count. */
void swarm_quiet(struct swarm *s, bool quiet);
/* Measures the bandwidth to a peer, for a fraction of a second; ends in on_speed, or with the link.
 * false: it is away, or is being measured. */
bool swarm_measure_link(struct swarm_peer *p);
void swarm_host(const char *address, char host[64]); /* "192.168.1.7:51312" without the port */

/* Makes an invite that is good for `seconds`. */
int swarm_invite(struct swarm *s, uint32_t seconds, char code[INVITE_TEXT], struct err *err);
/* Dials the code's address and pairs; done is called once, with NULL or what went wrong in words
 * for the person who typed the code. Refused for a coordinator that has members. */
int swarm_join(struct swarm *s, const char *code, void (*done)(void *arg, const char *trouble),
	void *arg, struct err *err);
/* A member takes its leave (coordinator forgets it), or a coordinator removes a member by name. */
int swarm_leave(struct swarm *s, struct err *err);
int swarm_remove(struct swarm *s, const char *name, struct err *err);

int swarm_send(struct swarm_peer *p, Shoal__Envelope *e);
/* The same on a link of another purpose (bulk). */
int swarm_pack_send(struct link *l, Shoal__Envelope *e);
/* A member dials another link (tensor, bulk) to its coordinator. */
struct link *swarm_dial(struct swarm *s, enum link_purpose purpose, size_t max_message,
	const struct link_events *ev, void *arg);
/* Dials a tensor, bulk or vote link to another device, of which the coordinator has told. */
struct link *swarm_dial_neighbour(struct swarm *s, const char *address, const uint8_t key[32],
	enum link_purpose purpose, size_t max_message, const struct link_events *ev, void *arg);

#endif
