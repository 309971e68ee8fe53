#include "daemon/serve_leave.h"

#include "daemon/elect.h"
#include "daemon/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct departure {
	struct departure *next;
	uint8_t key[32]; /* coordinator: of the member that is removed */
	char name[PEER_NAME];
	uint64_t until; /* loop time when it is done all the same */
	void (*done)(void *arg, const char *trouble);
	void *arg;
};

static uint64_t
limit(const struct serve *s)
{
	return uv_now(s->loop) + (uint64_t)s->config->stop_timeout * 1000;
}

static struct swarm_peer *
first_peer(const struct serve *s)
{
	struct swarm_peer *const *peers;

	return swarm_peers(s->swarm, &peers) > 0 ? peers[0] : NULL;
}

/* --- member --- */

void
leave_ask(struct serve *s, const char *why)
{
	struct swarm_peer *c = first_peer(s);
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Going going = SHOAL__GOING__INIT;

	if (!swarm_is_member(s->swarm) || s->follow == NULL || c == NULL)
		return;
	going.why = (char *)(uintptr_t)why;
	e.body_case = SHOAL__ENVELOPE__BODY_GOING;
	e.going = &going;
	if (swarm_send(c, &e) != 0)
		return;
	log_info("asked %s to be let go: %s", c->known->name, why);
	s->let_go_by = limit(s);
}

bool
leave_waits(const struct serve *s)
{
	const struct swarm_peer *c = first_peer(s);

	return swarm_is_member(s->swarm) && c != NULL && c->control != NULL &&
	       uv_now(s->loop) < s->let_go_by;
}

void
leave_let_go(struct serve *s)
{
	if (s->let_go_by != 0)
		log_info("no plan needs this device any more");
	s->let_go_by = 0;
	serve_look_again(s, 0);
}

/* --- coordinator --- */

void
leave_heard(struct serve *s, struct swarm_peer *p, const char *why)
{
	log_info("peer %s: means to go: %s", p->known->name, why);
	p->roster.leaving = p->going = true;
	serve_look_again(s, 0);
}

bool
leave_words(const struct serve *s, char *out, size_t size)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(s->swarm, &all);

	for (uint32_t i = 0; i < n; i++)
		if (all[i]->roster.in_plan && all[i]->roster.leaving) {
			snprintf(out, size, "%s leaves", all[i]->known->name);
			return true;
		}
	return false;
}

static void
let_go(struct serve *s)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(s->swarm, &all);

	for (uint32_t i = 0; i < n; i++) {
		struct swarm_peer *p = all[i];
		Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
		Shoal__LetGo m = SHOAL__LET_GO__INIT;

		if (!p->going || !plan_may_go(s, p))
			continue;
		p->going = false;
		log_info("peer %s: no plan needs it any more", p->known->name);
		e.body_case = SHOAL__ENVELOPE__BODY_LET_GO;
		e.let_go = &m;
		swarm_send(p, &e);
	}
}

/* --- what `shoal leave` waits for --- */

/* The member that is removed; NULL: it is no member any more. */
static struct swarm_peer *
member_of(const struct serve *s, const struct departure *d)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(s->swarm, &all);

	for (uint32_t i = 0; i < n; i++)
		if (sodium_memcmp(all[i]->known->key, d->key, 32) == 0)
			return all[i];
	return NULL;
}

static bool
is_due(struct serve *s, const struct departure *d)
{
	const struct swarm_peer *p;

	if (d->name[0] == '\0')
		return !leave_waits(s);
	p = member_of(s, d);
	return p == NULL || p->control == NULL || uv_now(s->loop) >= d->until || plan_may_go(s, p);
}

static void
depart(struct serve *s, struct departure *d)
{
	struct swarm_peer *p = d->name[0] != '\0' ? member_of(s, d) : NULL;
	struct err err = {""};
	int rc = 0;

	if (d->name[0] == '\0' && swarm_is_member(s->swarm))
		rc = swarm_leave(s->swarm, &err);
	else if (p != NULL)
		rc = swarm_remove(s->swarm, d->name, &err);
	if (rc != 0 && p != NULL) { /* it stays, and is used again unless it means to go itself */
		p->roster.leaving = p->going;
		serve_look_again(s, 0);
	}
	d->done(d->arg, rc != 0 ? err.msg : NULL);
	free(d);
}

void
leave_tick(struct serve *s)
{
	struct departure **at = &s->departures;

	if (!swarm_is_member(s->swarm))
		let_go(s);
	while (*at != NULL && !is_due(s, *at))
		at = &(*at)->next;
	if (*at != NULL) {
		struct departure *d = *at;

		*at = d->next; /* before its end, which may lead here again */
		depart(s, d);
	}
}

void
leave_end(struct serve *s)
{
	while (s->departures != NULL) {
		struct departure *d = s->departures;

		s->departures = d->next;
		d->done(d->arg, "shoald is being stopped");
		free(d);
	}
}

static struct swarm_peer *
find_name(const struct serve *s, const char *name)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_is_member(s->swarm) ? 0 : swarm_peers(s->swarm, &all);

	for (uint32_t i = 0; i < n; i++)
		if (strcmp(all[i]->known->name, name) == 0)
			return all[i];
	return NULL;
}

int
serve_leave(struct serve *s, const char *name, void (*done)(void *arg, const char *trouble),
	void *arg, struct err *err)
{
	struct swarm_peer *p = name != NULL ? find_name(s, name) : NULL;
	struct departure *d;

	if (name != NULL && p == NULL)
		return swarm_remove(s->swarm, name, err); /* says what is wrong */
	if (p != NULL && elect_may_change(s->elect, err) != 0)
		return -1;
	if (name == NULL && !swarm_is_member(s->swarm))
		return swarm_leave(s->swarm, err);
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return err_set(err, "out of memory");
	*d = (struct departure){.next = s->departures, .until = limit(s), .done = done, .arg = arg};
	s->departures = d;
	if (p == NULL) {
		leave_ask(s, "shoal leave");
	} else {
		memcpy(d->key, p->known->key, sizeof d->key);
		snprintf(d->name, sizeof d->name, "%s", p->known->name);
		p->roster.leaving = true;
	}
	serve_look_again(s, 0);
	return 0;
}
