/* What a daemon keeps on disk: its identity (mode 0600), the peers it trusts, who its coordinator
 * is, open invites (so that a restart does not void them), the model it served. Every change is
 * written whole. */
#ifndef DAEMON_STATE_H
#define DAEMON_STATE_H

#include "base/err.h"
#include "proto/invite.h"
#include "sched/election.h"

#include <stdbool.h>
#include <stdint.h>

#define STATE_MAX_PEERS   63
#define STATE_MAX_INVITES 32

struct known_peer {
	uint8_t key[32];
	char name[PEER_NAME];
	char address[280]; /* "host:port" to dial, "" when it dials us */
	uint64_t joined;   /* unix seconds; the order of ranks */
};

struct open_invite {
	uint8_t secret[INVITE_SECRET];
	uint64_t expires; /* unix seconds */
};

struct state {
	char dir[4096];
	uint8_t secret[32], public[32];
	char name[PEER_NAME];
	bool is_member;                /* joined another's swarm */
	struct known_peer coordinator; /* when is_member: whom to dial; a key of zeros: not known,
					* one is being elected */
	struct known_peer peers[STATE_MAX_PEERS]; /* members of ours; of a member: the other
						   * devices, where a coordinator is elected */
	uint32_t n_peers;
	/* What the election must not forget (daemon/elect.h); zeros: there is none. */
	struct election_saved election;
	struct open_invite invites[STATE_MAX_INVITES];
	uint32_t n_invites;
	char model[4096];
	int lock_fd;
};

/* Opens (makes at first) a state directory, takes its lock (a second daemon on it is refused). */
int state_open(struct state *s, const char *dir, const char *name, struct err *err);
void state_close(struct state *s);
int state_save(const struct state *s, struct err *err);
bool state_has_coordinator(const struct state *s); /* a member knows whom to dial */

/* Each of the following is saved, or, with -1, changes nothing. */

/* This device is a member of that coordinator's swarm. */
int state_join(struct state *s, const struct known_peer *coordinator, struct err *err);
/* This device is no member any more, nor does it know any. */
int state_quit(struct state *s, struct err *err);

struct known_peer *state_find_peer(struct state *s, const uint8_t key[32]);
int state_add_peer(struct state *s, const struct known_peer *p, struct err *err);
int state_remove_peer(struct state *s, const uint8_t key[32], struct err *err);
int state_add_invite(struct state *s, const uint8_t secret[INVITE_SECRET], uint64_t expires,
	uint64_t now, struct err *err);
/* Finds an invite by its id; used and expired ones are told apart in the message. */
const struct open_invite *state_find_invite(
	struct state *s, const uint8_t id[8], uint64_t now, struct err *err);
/* A peer that came with the invite of this id, which is gone with that: it is good once. */
int state_take_in(
	struct state *s, const uint8_t id[8], const struct known_peer *p, struct err *err);

#endif
