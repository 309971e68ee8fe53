/* The election's messages: as sched/election knows them, and as they travel. What comes is bounded:
 * terms, versions, counts, keys; -1 with the reason where it is not what it should be. */
#ifndef DAEMON_ELECT_MESSAGE_H
#define DAEMON_ELECT_MESSAGE_H

#include "daemon/state.h"
#include "proto/control.h"
#include "sched/election.h"

#define ELECT_MAX_NUMBER (1ull << 48) /* terms, versions and rounds are less */

struct devices_message { /* a list, and room for what it points to */
	Shoal__Devices message;
	Shoal__Device devices[ELECTION_MAX];
	Shoal__Device *pointers[ELECTION_MAX];
	struct known_peer peers[ELECTION_MAX];
};

/* The list; devices: key, name and address of each, in its order. */
void devices_message_fill(struct devices_message *m, const struct election_list *l,
	const struct known_peer devices[]);
int devices_message_read(const Shoal__Devices *m, struct election_list *l,
	struct known_peer devices[ELECTION_MAX], struct err *err);

void beat_message_fill(Shoal__Beat *m, const struct election_beat *b);
int beat_message_read(const Shoal__Beat *m, struct election_beat *b, struct err *err);
void ask_message_fill(Shoal__VoteAsk *m, const struct election_ask *a);
int ask_message_read(const Shoal__VoteAsk *m, struct election_ask *a, struct err *err);
/* s must outlive m. */
void say_message_fill(Shoal__VoteSay *m, const struct election_say *s);
int say_message_read(const Shoal__VoteSay *m, struct election_say *s, struct err *err);

#endif
