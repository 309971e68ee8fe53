/* Questions of the election: each device has one link for what it asks another one, which is closed
 * when it has been quiet for a while, and answers on the links that come in. */
#include "daemon/elect_int.h"

#include "daemon/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_MS   10000 /* without a question: then a link is closed */
#define MOST_LINKS 2     /* of one device that asks */
#define MOST_ASKS  20    /* of one link, in a second */

/* --- asking ------------------------------------------------------------------------------------- */

static void
send_ask(struct questioned *q)
{
	Shoal__Envelope envelope = SHOAL__ENVELOPE__INIT;
	Shoal__VoteAsk m = SHOAL__VOTE_ASK__INIT;

	q->asking = false;
	ask_message_fill(&m, &q->ask);
	m.port = swarm_port(q->elect->swarm);
	if (q->elect->has_model)
		m.model_id = (ProtobufCBinaryData){sizeof q->elect->model, q->elect->model};
	envelope.body_case = SHOAL__ENVELOPE__BODY_VOTE_ASK;
	envelope.vote_ask = &m;
	swarm_pack_send(q->link, &envelope);
}

static void
on_open(struct link *l, void *arg)
{
	struct questioned *q = arg;

	(void)l;
	q->open = true;
	if (q->asking)
		send_ask(q);
}

static int
take_say(struct questioned *q, const Shoal__VoteSay *m, struct err *err)
{
	struct elect *e = q->elect;
	struct known_peer devices[ELECTION_MAX];
	struct election_list l;
	struct election_say say;
	struct election_todo todo;

	if (say_message_read(m, &say, err) != 0 ||
		elect_read_devices(m->devices, &l, devices, err) != 0)
		return -1;
	election_said(&e->core, &q->key, &say, l.n > 0 ? &l : NULL, elect_now(), &todo);
	elect_note_devices(e, &l, devices);
	elect_heard_slices(e, &q->key, m);
	if (say.knows)
		elect_heard_of(e, &say.coordinator, m->address);
	elect_carry_out(e, &todo);
	return 0;
}

static int
on_say(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	Shoal__Envelope *m = control_unpack(msg, len, err);
	int rc;

	(void)l;
	if (m == NULL)
		return -1;
	rc = m->body_case == SHOAL__ENVELOPE__BODY_VOTE_SAY
		     ? take_say(arg, m->vote_say, err)
		     : err_set(err, "'%s' came instead of 'vote_say'", control_name(m));
	control_free(m);
	return rc;
}

static void
on_closed(struct link *l, void *arg, const char *why)
{
	struct questioned *q = arg;

	log_debug("%s: no answer to the election: %s", link_address(l), why);
	q->link = NULL;
	q->open = q->asking = false;
}

static struct questioned *
place_for(struct elect *e, const struct election_key *key)
{
	struct questioned *free_place = NULL;

	for (uint32_t i = 0; i < ELECTION_MAX; i++) {
		struct questioned *q = &e->asked[i];

		if (q->link != NULL && memcmp(&q->key, key, sizeof *key) == 0)
			return q;
		if (q->link == NULL && free_place == NULL)
			free_place = q;
	}
	return free_place;
}

static void
ask_one(struct elect *e, const struct known_peer *p, const struct election_ask *a)
{
	static const struct link_events events = {on_open, on_say, on_closed};
	struct election_key key;
	struct questioned *q;

	memcpy(key.b, p->key, sizeof key.b);
	q = place_for(e, &key);
	if (q == NULL || p->address[0] == '\0')
		return;
	q->elect = e;
	q->key = key;
	q->ask = *a;
	q->asking = true;
	q->used = uv_now(e->loop);
	if (q->link == NULL)
		q->link = swarm_dial_neighbour(
			e->swarm, p->address, p->key, LINK_VOTE, ELECT_MESSAGE, &events, q);
	else if (q->open)
		send_ask(q);
}

/* Who has a control link with this coordinator needs no claim. */
static bool
is_linked(const struct elect *e, const uint8_t key[32])
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(e->swarm, &peers);

	for (uint32_t i = 0; i < n; i++)
		if (peers[i]->control != NULL && memcmp(peers[i]->known->key, key, 32) == 0)
			return true;
	return false;
}

void
elect_ask_all(struct elect *e, const struct election_ask *a)
{
	const struct state *st = e->state;

	for (uint32_t i = 0; i < st->n_peers; i++)
		if (a->kind != ELECTION_CLAIM || !is_linked(e, st->peers[i].key))
			ask_one(e, &st->peers[i], a);
}

/* --- being asked -------------------------------------------------------------------------------- */

/* model_id len 0: nobody asked what of it is here. */
static void
send_say(struct questioner *q, const struct election_say *say, const ProtobufCBinaryData *model_id)
{
	struct elect *e = q->elect;
	Shoal__Envelope envelope = SHOAL__ENVELOPE__INIT;
	Shoal__VoteSay m = SHOAL__VOTE_SAY__INIT;
	struct devices_message devices;
	struct cuts_message cuts;
	const struct state *st = e->state;
	const struct holding *own;

	say_message_fill(&m, say);
	if (model_id->len == 32) {
		own = elect_own_slices(e, model_id->data);
		m.n_cuts = cuts_message_fill(&cuts, own->slices, own->n);
		m.cuts = cuts.pointers;
	}
	if (say->knows && st->is_member)
		m.address = (char *)(uintptr_t)st->coordinator.address;
	if (say->newer) {
		elect_fill_devices(e, &devices);
		m.devices = &devices.message;
	}
	envelope.body_case = SHOAL__ENVELOPE__BODY_VOTE_SAY;
	envelope.vote_say = &m;
	swarm_pack_send(q->link, &envelope);
}

static int
take_ask(struct questioner *q, const Shoal__VoteAsk *m, struct err *err)
{
	struct elect *e = q->elect;
	uint64_t now = uv_now(e->loop);
	struct election_ask a;
	struct election_say say;
	struct election_todo todo;
	char address[80];

	if (now - q->since >= 1000) {
		q->since = now;
		q->asks = 0;
	}
	if (++q->asks > MOST_ASKS)
		return err_set(err, "more than %d questions within a second", MOST_ASKS);
	if (ask_message_read(m, &a, err) != 0)
		return -1;
	q->used = now;
	swarm_reach(link_address(q->link), (uint16_t)m->port, address, sizeof address);
	elect_heard_of(e, &q->key, address);
	election_asked(&e->core, &q->key, &a, elect_now(), &say, &todo);
	if (elect_carry_out(e, &todo))
		send_say(q, &say, &m->model_id);
	return 0;
}

static int
on_ask(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	Shoal__Envelope *m = control_unpack(msg, len, err);
	int rc;

	(void)l;
	if (m == NULL)
		return -1;
	rc = m->body_case == SHOAL__ENVELOPE__BODY_VOTE_ASK
		     ? take_ask(arg, m->vote_ask, err)
		     : err_set(err, "'%s' came instead of 'vote_ask'", control_name(m));
	control_free(m);
	return rc;
}

static void
on_asker_closed(struct link *l, void *arg, const char *why)
{
	struct questioner *q = arg, **at = &q->elect->askers;

	(void)l, (void)why;
	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	free(q);
}

static bool
is_listed(const struct elect *e, const uint8_t key[32])
{
	const struct election_list *l = &e->core.saved.list;

	for (uint32_t i = 0; i < l->n; i++)
		if (memcmp(l->keys[i].b, key, 32) == 0)
			return true;
	return false;
}

int
elect_admit(struct elect *e, const uint8_t key[32], struct link *l, const struct link_events **ev,
	void **ev_arg, size_t *max_message, struct err *err)
{
	static const struct link_events events = {NULL, on_ask, on_asker_closed};
	struct questioner *q;
	unsigned links = 0;

	if (e->closing || !is_listed(e, key))
		return err_set(err, "its key is on no list of devices that elect with this one");
	for (q = e->askers; q != NULL; q = q->next)
		links += memcmp(q->key.b, key, 32) == 0;
	if (links >= MOST_LINKS)
		return err_set(err, "it has %u such links already", links);
	if (ev == NULL)
		return 0;
	q = calloc(1, sizeof *q);
	if (q == NULL)
		return err_set(err, "out of memory");
	*q = (struct questioner){.elect = e, .next = e->askers, .link = l};
	memcpy(q->key.b, key, sizeof q->key.b);
	q->used = uv_now(e->loop);
	e->askers = q;
	*ev = &events;
	*ev_arg = q;
	*max_message = ELECT_MESSAGE;
	return 0;
}

/* --- time --------------------------------------------------------------------------------------- */

void
elect_ask_tick(struct elect *e)
{
	uint64_t now = uv_now(e->loop);

	for (uint32_t i = 0; i < ELECTION_MAX; i++)
		if (e->asked[i].link != NULL && now - e->asked[i].used > QUIET_MS)
			link_close(e->asked[i].link, "");
	for (struct questioner *q = e->askers, *next; q != NULL; q = next) {
		next = q->next;
		if (now - q->used > 2 * QUIET_MS)
			link_close(q->link, "");
	}
}

void
elect_ask_close(struct elect *e)
{
	for (uint32_t i = 0; i < ELECTION_MAX; i++)
		if (e->asked[i].link != NULL)
			link_close(e->asked[i].link, "");
	for (struct questioner *q = e->askers, *next; q != NULL; q = next) {
		next = q->next;
		link_close(q->link, "");
	}
}
