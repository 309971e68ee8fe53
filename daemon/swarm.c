#include <config.h>

#include "daemon/seal_cost.h"
#include "daemon/swarm_internal.h"

#include "base/text.h"
#include "daemon/log.h"
#include "daemon/speed_message.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "model/thread_choice.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS   100
#define PING_EACH 3    /* looks */
#define SILENT_MS 1600 /* so that silence is noticed within 2 s */

/* --- peers --- */

struct peer *
swarm_find(struct swarm *s, const uint8_t key[32])
{
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (sodium_memcmp(s->peers[i]->known.key, key, 32) == 0)
			return s->peers[i];
	return NULL;
}

struct peer *
swarm_new_peer(struct swarm *s, const struct known_peer *known)
{
	struct peer *p = s->n_peers < STATE_MAX_PEERS ? calloc(1, sizeof *p) : NULL;

	if (p == NULL)
		return NULL;
	p->swarm = s;
	p->known = *known;
	p->pub.known = &p->known;
	s->peers[s->n_peers] = p;
	s->list[s->n_peers++] = &p->pub;
	return p;
}

static void
peer_gone(struct peer *p, const char *why)
{
	bool was_up = p->up;

	p->up = false;
	p->pub.control = NULL;
	p->pub.going = false;
	p->pub.rtt_ms = 0;
	p->pub.energy = (struct energy_told){0};
	if (!was_up)
		return;
	log_info("peer %s: here -> away: %s", p->known.name, why[0] != '\0' ? why : "closed by us");
	p->swarm->ev.on_peer_down(p->swarm->arg, &p->pub, why);
}

void
swarm_forget_peer(struct swarm *s, struct peer *p, const char *why)
{
	uint32_t i = 0;

	if (p->pub.control != NULL) {
		link_set(p->pub.control, &(const struct link_events){0}, NULL);
		link_close(p->pub.control, why);
	}
	peer_gone(p, why);
	while (i < s->n_peers && s->peers[i] != p)
		i++;
	s->n_peers--;
	for (; i < s->n_peers; i++) {
		s->peers[i] = s->peers[i + 1];
		s->list[i] = s->list[i + 1];
	}
	p->gone = true;
	p->next_gone = s->gone;
	s->gone = p;
	if (!s->closing)
		s->ev.on_members(s->arg);
}

int
swarm_pack_send(struct link *l, Shoal__Envelope *e)
{
	struct buf b;
	struct err err;
	int rc;

	buf_init(&b, CONTROL_MAX_BULK);
	rc = control_pack(e, &b, &err);
	if (rc == 0)
		rc = link_send(l, b.data, b.len, NULL, 0);
	else
		log_error("cannot send '%s': %s", control_name(e), err.msg);
	buf_free(&b);
	return rc;
}

int
swarm_send(struct swarm_peer *p, Shoal__Envelope *e)
{
	return p->control != NULL ? swarm_pack_send(p->control, e) : -1;
}

/* --- control links --- */

static int
send_about(struct swarm *s, struct link *l)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__About a = SHOAL__ABOUT__INIT;
	Shoal__Offer offer = SHOAL__OFFER__INIT;
	struct speed_message speed;
	struct kernels k;
	uint32_t features = cpu_detect();
	struct err ignored;

	if (s->config->cpu[0] != '\0')
		cpu_parse(s->config->cpu, &features, &ignored);
	kernels_init(&k, features);
	a.name = s->state->name;
	a.software = (char *)(uintptr_t)PACKAGE_STRING;
	a.cpu = (char *)(uintptr_t)cpu_model();
	a.kernels = (char *)(uintptr_t)k.name;
	a.threads = thread_choice_pool(s->config->threads, s->config->threads_batch, cpu_count());
	a.memory = s->memory;
	if (s->speed != NULL) {
		speed_message_fill(&speed, s->speed);
		a.speed = &speed.message;
	}
	a.port = swarm_port(s);
	offer.model_id = (ProtobufCBinaryData){sizeof s->offer.model_id, s->offer.model_id};
	offer.slots = s->offer.slots;
	offer.context = s->offer.context;
	if (offer.slots > 0)
		a.offer = &offer;
	a.role = (char *)(uintptr_t)(s->state->is_member ? "member" : "coordinator");
	e.body_case = SHOAL__ENVELOPE__BODY_ABOUT;
	e.about = &a;
	return swarm_pack_send(l, &e);
}

static void
take_offer(struct swarm_offer *to, const Shoal__Offer *o)
{
	*to = (struct swarm_offer){0};
	if (o == NULL || o->model_id.len != sizeof to->model_id)
		return;
	memcpy(to->model_id, o->model_id.data, sizeof to->model_id);
	to->slots = o->slots;
	to->context = o->context;
}

static void
rename_peer(struct peer *p, const char *name)
{
	struct known_peer renamed = p->known;
	struct err err;

	text_copy(renamed.name, sizeof renamed.name, name);
	if (state_add_peer(p->swarm->state, &renamed, &err) == 0)
		p->known = renamed;
	else
		log_warning("%s (%s is still called so)", err.msg, p->known.name);
}

static int
take_about(struct peer *p, const Shoal__About *a, struct err *err)
{
	struct swarm *s = p->swarm;
	bool first = !p->up;

	if (strcmp(a->role, s->state->is_member ? "coordinator" : "member") != 0)
		return err_set(err, "%s says that it is a %s", p->known.name, a->role);
	text_copy(p->pub.software, sizeof p->pub.software, a->software);
	text_copy(p->pub.cpu, sizeof p->pub.cpu, a->cpu);
	text_copy(p->pub.kernels, sizeof p->pub.kernels, a->kernels);
	snprintf(p->pub.role, sizeof p->pub.role, "%s", a->role);
	if (a->name[0] != '\0' && strcmp(a->name, p->known.name) != 0 && !s->state->is_member)
		rename_peer(p, a->name);
	p->pub.threads = a->threads;
	p->pub.memory = a->memory;
	if (a->speed != NULL && speed_message_read(a->speed, &p->pub.speed, err) != 0)
		return -1;
	p->pub.port = a->port <= 65535 ? (uint16_t)a->port : 0;
	take_offer(&p->pub.offer, a->offer);
	p->up = true;
	s->dial_pause = SWARM_PAUSE;
	if (first) {
		log_info("peer %s: away -> here: %s, kernels %s, %u threads", p->known.name,
			p->pub.cpu, p->pub.kernels, p->pub.threads);
		meter_begin(p);
		s->ev.on_peer_up(s->arg, &p->pub);
	}
	s->ev.on_speed(s->arg, &p->pub);
	return 0;
}

static void
tell_all(struct swarm *s)
{
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (s->peers[i]->up)
			send_about(s, s->peers[i]->pub.control);
}

void
swarm_tell(struct swarm *s, const struct device_speed *speed, uint64_t memory)
{
	s->speed = speed;
	s->memory = memory;
	tell_all(s);
}

void
swarm_offer(struct swarm *s, const struct swarm_offer *o)
{
	s->offer = *o;
	tell_all(s);
}

void
swarm_energy(struct swarm *s, const struct energy_told *e)
{
	s->energy = *e;
}

/* The other side takes its leave, or tells us that we are no member any more. */
static int
take_leave(struct peer *p, const char *why, struct err *err)
{
	struct swarm *s = p->swarm;

	log_info("peer %s leaves for good: %s", p->known.name, why);
	if (s->state->is_member) {
		if (state_quit(s->state, err) != 0)
			log_warning("%s: this device takes itself for a member still; end that "
				    "with 'shoal leave'",
				err->msg);
		uv_timer_stop(&s->dial);
	} else if (s->ev.may_change(s->arg, err) != 0 ||
		   state_remove_peer(s->state, p->known.key, err) != 0) {
		log_warning("%s stays on the list: %s; remove it later with 'shoal leave %s'",
			p->known.name, err->msg, p->known.name);
		return err_set(err, "left the swarm");
	}
	swarm_forget_peer(s, p, "left the swarm");
	return 0;
}

#define MOST_IN_A_SECOND 5000 /* messages */

/* A peer whose messages leave no time for others is not heard. The words of an answer that come ten seconds late
 * are fewer. */
static int
check_flood(struct peer *p, struct err *err)
{
	uint64_t second = uv_now(p->swarm->loop) / 1000;

	if (second != p->second)
		p->in_second = 0;
	p->second = second;
	if (p->in_second++ < MOST_IN_A_SECOND)
		return 0;
	return err_set(err, "it sent more than %d messages within a second", MOST_IN_A_SECOND);
}

static int
on_control(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct peer *p = arg;
	struct swarm *s = p->swarm;
	Shoal__Envelope *e;
	int rc = 0;

	if (check_flood(p, err) != 0)
		return -1;
	e = control_unpack(msg, len, err);
	if (e == NULL)
		return -1;
	p->heard = uv_now(s->loop);
	switch (e->body_case) {
	case SHOAL__ENVELOPE__BODY_ABOUT:
		rc = take_about(p, e->about, err);
		break;
	case SHOAL__ENVELOPE__BODY_PING:
		meter_answer(s, l, e->ping->token);
		break;
	case SHOAL__ENVELOPE__BODY_PONG:
		meter_pong(p, e->pong);
		break;
	case SHOAL__ENVELOPE__BODY_LEAVE:
		rc = take_leave(p, e->leave->why, err);
		break;
	default:
		if (!p->up)
			rc = err_set(err, "'%s' came before 'about'", control_name(e));
		else
			rc = s->ev.on_control(s->arg, &p->pub, e, err);
	}
	control_free(e);
	return rc;
}

static void
on_control_open(struct link *l, void *arg)
{
	struct peer *p = arg;

	if (p->gone) {
		link_close(l, "it is no member any more");
		return;
	}
	/* A peer that comes back before we noticed that it was gone: the new link counts. */
	if (p->pub.control != NULL && p->pub.control != l) {
		link_set(p->pub.control, &(const struct link_events){0}, NULL);
		link_close(p->pub.control, "replaced by a new link");
		peer_gone(p, "it connected anew");
	}
	p->pub.control = l;
	p->heard = uv_now(p->swarm->loop);
	swarm_dialled(p, l, true);
	send_about(p->swarm, l);
}

static void
on_control_close(struct link *l, void *arg, const char *why)
{
	struct peer *p = arg;
	struct swarm *s = p->swarm;

	swarm_dialled(p, l, false);
	if (p->gone)
		return;
	if (p->pub.control == l)
		peer_gone(p, why);
	else if (s->state->is_member && !s->closing)
		log_debug("%s: %s", link_address(l), why);
	if (s->state->is_member && !s->closing && p->pub.control == NULL)
		swarm_dial_soon(s, s->dial_pause);
}

const struct link_events swarm_control_events = {on_control_open, on_control, on_control_close};

struct link *
swarm_dial_neighbour(struct swarm *s, const char *address, const uint8_t key[32],
	enum link_purpose purpose, size_t max_message, const struct link_events *ev, void *arg)
{
	char host[256];
	uint16_t port;
	struct err err;

	if (config_address(address, host, sizeof host, &port, &err) != 0)
		return NULL;
	return link_dial(
		s->loop, &s->me, host, port, purpose, key, NULL, NULL, max_message, ev, arg);
}

/* --- who may come in --- */

static int
admit(void *arg, struct link *l, const struct hello *h, uint8_t psk[32],
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err)
{
	struct swarm *s = arg;
	struct peer *p;

	if (h->purpose == LINK_VOTE)
		return s->ev.on_vote(s->arg, h->who, l, ev, ev_arg, max_message, err);
	if (s->state->is_member && (h->purpose == LINK_TENSOR || h->purpose == LINK_BULK))
		return s->ev.on_neighbour(s->arg, h->who, l, ev, ev_arg, max_message, err);
	if (s->state->is_member)
		return err_set(err, "this device is a member: only its coordinator takes links");
	if (h->purpose == LINK_PAIR)
		return pairing_admit(s, l, h, psk, ev, ev_arg, err);
	p = swarm_find(s, h->who);
	if (p == NULL)
		return err_set(
			err, "its key is not known here: it was never invited, or was removed");
	if (h->purpose == LINK_CONTROL) {
		if (ev == NULL)
			return 0;
		*ev = &swarm_control_events;
		*ev_arg = p;
		*max_message = SWARM_MESSAGE;
		return 0;
	}
	if (!p->up)
		return err_set(err, "%s has no control link", p->known.name);
	return s->ev.on_link(s->arg, &p->pub, l, ev, ev_arg, max_message, err);
}

/* --- heartbeats --- */

static void
on_tick(uv_timer_t *t)
{
	struct swarm *s = t->data;

	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct peer *p = s->peers[i];

		if (p->pub.control == NULL)
			continue;
		if (uv_now(s->loop) - p->heard > SILENT_MS) {
			link_close(p->pub.control, "nothing heard of it for 1.6 s");
			continue;
		}
		if (s->looks % PING_EACH == 0)
			meter_ping(p);
	}
	s->looks++;
}

/* --- life --- */

/* The peers of a coordinator, or of a member, as the state says. */
static void
take_seats(struct swarm *s)
{
	const struct state *st = s->state;

	for (uint32_t i = 0; !st->is_member && i < st->n_peers; i++)
		swarm_new_peer(s, &st->peers[i]);
	if (!state_has_coordinator(st))
		return;
	swarm_new_peer(s, &st->coordinator);
	swarm_dial_soon(s, 0);
}

void
swarm_turn(struct swarm *s)
{
	while (s->n_peers > 0)
		swarm_forget_peer(s, s->peers[0], "another device coordinates");
	uv_timer_stop(&s->dial);
	s->dial_pause = SWARM_PAUSE;
	take_seats(s);
}

struct swarm *
swarm_new(uv_loop_t *loop, const struct config *c, struct state *st, const struct swarm_events *ev,
	void *arg, struct err *err)
{
	struct swarm *s = calloc(1, sizeof *s);
	struct link_gate gate = {admit, s};
	char host[256] = "";
	uint16_t port;

	if (s == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->loop = loop;
	s->config = c;
	s->state = st;
	s->ev = *ev;
	s->arg = arg;
	s->me = (struct link_identity){st->secret, st->public, seal_costs()};
	s->dial_pause = SWARM_PAUSE;
	s->quiet = true;
	if (config_address(c->listen, host, sizeof host, &port, err) == 0)
		s->listener = link_listen(loop, &s->me, host, port, &gate, err);
	if (s->listener == NULL && strcmp(host, "::") == 0) /* a machine without IPv6 */
		s->listener = link_listen(loop, &s->me, "0.0.0.0", port, &gate, err);
	if (s->listener == NULL) {
		free(s);
		return NULL;
	}
	uv_timer_init(loop, &s->tick);
	uv_timer_init(loop, &s->dial);
	s->tick.data = s->dial.data = s;
	uv_timer_start(&s->tick, on_tick, LOOK_MS, LOOK_MS);
	take_seats(s);
	return s;
}

void
swarm_close(struct swarm *s)
{
	if (s->closing)
		return;
	s->closing = true;
	link_listener_close(s->listener);
	uv_close((uv_handle_t *)&s->tick, NULL);
	uv_close((uv_handle_t *)&s->dial, NULL);
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (s->peers[i]->pub.control != NULL)
			link_close(s->peers[i]->pub.control, "this device ends");
	for (struct newcomer *n = s->newcomers; n != NULL; n = n->next)
		link_close(n->link, "this device ends");
	if (s->join_link != NULL)
		link_close(s->join_link, "this device ends");
}

void
swarm_free(struct swarm *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->n_peers; i++)
		free(s->peers[i]);
	while (s->gone != NULL) {
		struct peer *p = s->gone;

		s->gone = p->next_gone;
		free(p);
	}
	free(s);
}

bool
swarm_is_member(const struct swarm *s)
{
	return s->state->is_member;
}

uint32_t
swarm_peers(const struct swarm *s, struct swarm_peer *const **peers)
{
	*peers = s->list;
	return s->n_peers;
}

uint16_t
swarm_port(const struct swarm *s)
{
	return link_listener_port(s->listener);
}

/* --- leaving --- */

static void
say_leave(struct peer *p, const char *why)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Leave leave = SHOAL__LEAVE__INIT;

	leave.why = (char *)(uintptr_t)why;
	e.body_case = SHOAL__ENVELOPE__BODY_LEAVE;
	e.leave = &leave;
	swarm_send(&p->pub, &e);
}

int
swarm_leave(struct swarm *s, struct err *err)
{
	if (!s->state->is_member)
		return err_set(err, "this device is no member of a swarm; a coordinator removes a "
				    "member by name");
	if (state_quit(s->state, err) != 0)
		return -1;
	if (s->n_peers > 0) {
		say_leave(s->peers[0], "shoal leave");
		swarm_forget_peer(s, s->peers[0], "left the swarm");
	}
	uv_timer_stop(&s->dial);
	s->ev.on_members(s->arg);
	return 0;
}

int
swarm_remove(struct swarm *s, const char *name, struct err *err)
{
	for (uint32_t i = 0; !s->state->is_member && i < s->n_peers; i++) {
		struct peer *p = s->peers[i];

		if (strcmp(p->known.name, name) != 0)
			continue;
		if (s->ev.may_change(s->arg, err) != 0)
			return -1;
		if (state_remove_peer(s->state, p->known.key, err) != 0)
			return -1;
		say_leave(p, "removed by the coordinator");
		swarm_forget_peer(s, p, "removed from the swarm");
		return 0;
	}
	return err_set(err, "there is no member '%s'; 'shoal status' lists them", name);
}
