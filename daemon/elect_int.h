/* Inside of electing: elect.c (the device's part, beats), elect_ask.c (questions on links of their
 * own), elect_slices.c (who has what of the model), elect_message.c (to and from what travels). */
#ifndef DAEMON_ELECT_INT_H
#define DAEMON_ELECT_INT_H

#include "daemon/cuts_message.h"
#include "daemon/elect.h"
#include "daemon/elect_message.h"
#include "daemon/serve_skeleton.h"
#include "sched/election.h"

#define ELECT_MESSAGE (64u << 10) /* bytes of one, at most */

struct questioned { /* a device that this one asks */
	struct elect *elect;
	struct election_key key;
	struct link *link; /* NULL: none */
	bool open, asking; /* asking: when it is open, this: */
	struct election_ask ask;
	uint64_t used; /* loop time of the last question */
};

struct questioner { /* a device that asks this one */
	struct elect *elect;
	struct questioner *next;
	struct link *link;
	struct election_key key;
	uint64_t since; /* loop time; of the count of */
	unsigned asks;
	uint64_t used;
};

struct holding { /* what a device says that it has of the model */
	struct election_key key;
	uint64_t at; /* loop time when it said so; 0: this place is free */
	uint32_t n;
	struct slice slices[SHELF_MAX];
};

struct elect {
	uv_loop_t *loop;
	const struct config *config;
	struct state *state;
	struct swarm *swarm;
	struct elect_host host;
	uv_timer_t tick;
	bool closing;
	struct election core;
	bool news;    /* addresses are to be saved */
	bool unsaved; /* the disk took nothing: not a word until it does */
	uint64_t ticks, beats;

	uint8_t model[32]; /* that is served, by the coordinator's word */
	bool has_model;    /* it is known; and this device has it in: */
	char path[4096];   /* "": it does not */
	uint64_t look_at;  /* loop time when it is looked for again */

	bool has_shape; /* the skeleton is here: */
	struct model_shape shape;
	struct holding own, others[ELECTION_MAX];
	char lacks[256]; /* elect_lacks */

	struct questioned asked[ELECTION_MAX];
	struct questioner *askers;
};

uint64_t elect_now(void);
/* Does what was decided, saves first. false: it could not be saved, nothing may be said. */
bool elect_carry_out(struct elect *e, const struct election_todo *todo);
/* A list that may have come along (d NULL: none, l->n is 0 then). */
int elect_read_devices(const Shoal__Devices *d, struct election_list *l, struct known_peer *devices,
	struct err *err);
/* Names and addresses of it, when it is the list that counts now. Ahead of elect_carry_out. */
void elect_note_devices(
	struct elect *e, const struct election_list *l, const struct known_peer *devices);
/* The list as it is sent. */
void elect_fill_devices(const struct elect *e, struct devices_message *m);
/* A device listens there. Kept with the next elect_carry_out. */
void elect_heard_of(struct elect *e, const struct election_key *key, const char *address);

/* What this device has of a model; looked at again when that was long ago. */
const struct holding *elect_own_slices(struct elect *e, const uint8_t model_id[32]);
void elect_heard_slices(struct elect *e, const struct election_key *key, const Shoal__VoteSay *m);
/* Whether this device could serve the model from slices; it has no file of it. */
bool elect_has_slices(struct elect *e);

void elect_ask_all(struct elect *e, const struct election_ask *a);
void elect_ask_tick(struct elect *e);
void elect_ask_close(struct elect *e);

#endif
