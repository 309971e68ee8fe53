/* Electing a coordinator when it is gone for good (`coordinator = auto`): what sched/election decides,
 * carried out. Main thread.
 *
 * A coordinator sends beats on its control links (`beat`, answered by `heard`), with the list of
 * devices for those who do not have it. Devices ask one another on links of their own (LINK_VOTE),
 * dialled to the addresses on the list; only devices on the list are let in. Whatever the election
 * must not forget is in the state file before anything is said that was decided after it changed; a
 * disk that takes nothing makes a device silent, not forgetful.
 *
 * With the part of the coordinator go its duties: planning, the model, and the HTTP API on the new
 * one's address. A device stands that has the file of the model that was served, or its skeleton while
 * the slices on its disk and on those of the devices that answer it make the model together (elect_slices.c,
 * sched/cover.h); the latter lets the former try first. What the old one's desk held ends with it;
 * answers with an Idempotency-Key stay in its journal. */
#ifndef DAEMON_ELECT_H
#define DAEMON_ELECT_H

#include "daemon/swarm.h"

#include <jansson.h>

struct elect;

struct skeleton_id; /* daemon/serve_skeleton.h */

struct elect_host {
	/* This device's part is another one; the state and the swarm say so already. */
	void (*on_role)(void *arg);
	/* [32], the model that is served; NULL: none */
	const uint8_t *(*model)(void *arg);
	/* Its skeleton, as far as this device has it. */
	bool (*skeleton)(void *arg, const uint8_t model_id[32], struct skeleton_id *id);
	/* [32], of the model whose skeleton was kept over a restart; NULL: none. */
	const uint8_t *(*kept)(void *arg);
	/* Member: the coordinator has this one. */
	void (*on_skeleton)(void *arg, const struct skeleton_id *id);
	void *arg;
};

/* NULL: out of memory. */
struct elect *elect_new(uv_loop_t *loop, const struct config *c, struct state *st, struct swarm *s,
	const struct elect_host *host);
void elect_close(struct elect *e); /* NULL is fine, here and below */
void elect_free(struct elect *e);  /* after the loop has ended */

/* Whether this coordinator may serve: it elects nobody, or most of the devices answer. */
bool elect_may_serve(const struct elect *e);
/* Whether this swarm elects: `coordinator` is auto, and there are enough devices. */
bool elect_elects(const struct elect *e);
/* Whether a device may be paired or removed; -1: why not. */
int elect_may_change(const struct elect *e, struct err *err);
/* A person has changed the list of members, or this device's part. */
void elect_sync(struct elect *e);
/* beat, heard. -1 closes the link. */
int elect_control(struct elect *e, struct swarm_peer *p, const Shoal__Envelope *m, struct err *err);
/* A vote link has come in. -1: it is turned away. */
int elect_admit(struct elect *e, const uint8_t key[32], struct link *l,
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err);
/* The file of the model that was served, on this device; "": it has none. */
const char *elect_model(const struct elect *e);
/* [32], that model; NULL: not known. */
const uint8_t *elect_model_id(const struct elect *e);
/* What keeps this device from standing, in words: parts of the model that are on no disk; "": nothing of
 * that kind. */
const char *elect_lacks(const struct elect *e);

/* Why nothing is served, in words. */
void elect_words(const struct elect *e, char *out, size_t size);
json_t *elect_json(const struct elect *e); /* null: nobody is elected */

#endif
