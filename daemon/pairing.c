/* How a device becomes a member: the coordinator makes a code, the newcomer dials the address in it and both prove
 * that they know its secret (Noise XXpsk3); from then on each knows the other's key. */
#include <config.h>

#include "daemon/swarm_internal.h"

#include "base/text.h"
#include "daemon/log.h"

#include <net/if.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WRONG_LIMIT 3    /* wrong codes from one address ... */
#define WRONG_PAUSE 5000 /* ... close the door to it for so long, in ms */

static uint64_t
unix_now(void)
{
	return (uint64_t)time(NULL);
}

static int
send_paired(struct swarm *s, struct link *l)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Paired p = SHOAL__PAIRED__INIT;

	p.name = s->state->name;
	p.software = (char *)(uintptr_t)PACKAGE_STRING;
	p.swarm = s->state->name;
	e.body_case = SHOAL__ENVELOPE__BODY_PAIRED;
	e.paired = &p;
	return swarm_pack_send(l, &e);
}

/* --- the coordinator's side --- */

struct newcomer *
swarm_add_newcomer(struct swarm *s, struct link *l)
{
	struct newcomer *n = calloc(1, sizeof *n);

	if (n == NULL)
		return NULL;
	n->swarm = s;
	n->link = l;
	n->next = s->newcomers;
	s->newcomers = n;
	return n;
}

void
swarm_drop_newcomer(struct newcomer *n)
{
	struct newcomer **at = &n->swarm->newcomers;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	free(n);
}

/* The entry of an address without its port, the oldest one given up for a new address. */
static struct wrong_code *
wrong_codes_of(struct swarm *s, const char *address)
{
	size_t n = sizeof s->wrong / sizeof *s->wrong, len = strcspn(address, ":");
	const char *colon = strrchr(address, ':');
	struct wrong_code *oldest = &s->wrong[0];

	if (colon != NULL)
		len = (size_t)(colon - address);
	for (size_t i = 0; i < n; i++) {
		struct wrong_code *w = &s->wrong[i];

		if (strlen(w->host) == len && memcmp(w->host, address, len) == 0)
			return w;
		if (w->last < oldest->last)
			oldest = w;
	}
	*oldest = (struct wrong_code){0};
	snprintf(oldest->host, sizeof oldest->host, "%.*s", (int)len, address);
	return oldest;
}

static int
on_newcomer(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct newcomer *n = arg;
	struct swarm *s = n->swarm;
	struct known_peer known = {.joined = unix_now()};
	Shoal__Envelope *e = control_unpack(msg, len, err);
	struct peer *p;
	int rc = -1;

	if (e == NULL)
		return -1;
	if (e->body_case != SHOAL__ENVELOPE__BODY_PAIRED) {
		err_set(err, "'%s' came instead of 'paired'", control_name(e));
		goto out;
	}
	memcpy(known.key, link_remote(l), 32);
	peer_name(known.key, known.name);
	if (e->paired->name[0] != '\0')
		text_copy(known.name, sizeof known.name, e->paired->name);
	if (s->ev.may_change(s->arg, err) != 0 ||
		state_take_in(s->state, n->invite_id, &known, err) != 0)
		goto out;
	p = swarm_find(s, known.key);
	if (p == NULL)
		p = swarm_new_peer(s, &known);
	if (p == NULL) {
		err_set(err, "out of memory");
		goto out;
	}
	log_info("peer %s: joined from %s", known.name, link_address(l));
	rc = send_paired(s, l);
	s->ev.on_members(s->arg);
out:
	control_free(e);
	return rc;
}

static void
on_newcomer_close(struct link *l, void *arg, const char *why)
{
	struct newcomer *n = arg;

	(void)l, (void)why;
	swarm_drop_newcomer(n);
}

static const struct link_events newcomer_events = {NULL, on_newcomer, on_newcomer_close};

int
pairing_admit(struct swarm *s, struct link *l, const struct hello *h, uint8_t psk[32],
	const struct link_events **ev, void **ev_arg, struct err *err)
{
	struct wrong_code *w = wrong_codes_of(s, link_address(l));
	const struct open_invite *v;
	struct newcomer *n;

	if (w->times >= WRONG_LIMIT && uv_now(s->loop) - w->last < WRONG_PAUSE)
		return err_set(err, "%u wrong codes came from there: it has to wait", w->times);
	v = state_find_invite(s->state, h->who, unix_now(), err);
	if (v == NULL) {
		w->times++;
		w->last = uv_now(s->loop);
		return -1;
	}
	n = swarm_add_newcomer(s, l);
	if (n == NULL)
		return err_set(err, "out of memory");
	w->times = 0;
	memcpy(n->invite_id, h->who, sizeof n->invite_id);
	invite_psk(v->secret, psk);
	*ev = &newcomer_events;
	*ev_arg = n;
	return 0;
}

/* An address at which others may reach this machine: of the first interface that is not the loopback. */
static void
own_address(char *out, size_t size)
{
	uv_interface_address_t *all;
	int n = 0;

	snprintf(out, size, "127.0.0.1");
	if (uv_interface_addresses(&all, &n) != 0)
		return;
	for (int i = 0; i < n; i++) {
		if (all[i].is_internal || all[i].address.address4.sin_family != AF_INET)
			continue;
		uv_ip4_name(&all[i].address.address4, out, size);
		break;
	}
	uv_free_interface_addresses(all, n);
}

static int
invite_address(struct swarm *s, struct invite *i, struct err *err)
{
	char host[256];
	uint16_t port;

	if (s->config->advertise[0] != '\0')
		return config_address(s->config->advertise, i->host, sizeof i->host, &i->port, err);
	if (config_address(s->config->listen, host, sizeof host, &port, err) != 0)
		return -1;
	i->port = swarm_port(s);
	if (strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0)
		own_address(i->host, sizeof i->host);
	else
		snprintf(i->host, sizeof i->host, "%s", host);
	return 0;
}

int
swarm_invite(struct swarm *s, uint32_t seconds, char code[INVITE_TEXT], struct err *err)
{
	struct invite i = {0};
	int rc;

	if (s->state->is_member)
		return err_set(err, "this device is a member: invite on its coordinator, %s",
			s->state->coordinator.name);
	if (s->ev.may_change(s->arg, err) != 0 || invite_address(s, &i, err) != 0)
		return -1;
	memcpy(i.swarm_key, s->state->public, sizeof i.swarm_key);
	randombytes_buf(i.secret, sizeof i.secret);
	rc = state_add_invite(s->state, i.secret, unix_now() + seconds, unix_now(), err);
	if (rc == 0)
		rc = invite_format(&i, code, err);
	sodium_memzero(&i, sizeof i);
	return rc;
}

/* --- the newcomer's side --- */

/* Where a code says that the coordinator is, as an address to dial. */
static void
code_address(const struct invite *i, char *out, size_t size)
{
	snprintf(out, size, strchr(i->host, ':') != NULL ? "[%s]:%u" : "%s:%u", i->host, i->port);
}

static void
join_ended(struct swarm *s, const char *trouble)
{
	void (*done)(void *arg, const char *trouble) = s->join_done;

	s->join_done = NULL;
	sodium_memzero(s->join_invite.secret, sizeof s->join_invite.secret);
	if (done != NULL)
		done(s->join_arg, trouble);
}

static void
on_join_open(struct link *l, void *arg)
{
	/* The other side waits for it: without it both would for ever. */
	if (send_paired(arg, l) != 0)
		link_close(l, "this device's name and version cannot be sent; the log says why");
}

static int
on_join_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct swarm *s = arg;
	struct known_peer c = {.joined = unix_now()};
	Shoal__Envelope *e = control_unpack(msg, len, err);

	if (e == NULL)
		return -1;
	if (e->body_case != SHOAL__ENVELOPE__BODY_PAIRED) {
		control_free(e);
		return err_set(err, "something else than 'paired' came");
	}
	memcpy(c.key, link_remote(l), 32);
	text_copy(c.name, sizeof c.name, e->paired->name);
	code_address(&s->join_invite, c.address, sizeof c.address);
	control_free(e);
	if (state_join(s->state, &c, err) != 0)
		return -1;
	while (s->n_peers > 0)
		swarm_forget_peer(s, s->peers[0], "joined another swarm");
	swarm_new_peer(s, &c);
	s->join_paired = true;
	s->ev.on_members(s->arg);
	swarm_dial_soon(s, 0);
	log_info("joined the swarm of %s at %s", c.name, c.address);
	link_close(l, "");
	return 0;
}

static void
on_join_close(struct link *l, void *arg, const char *why)
{
	struct swarm *s = arg;
	char text[512];

	s->join_link = NULL;
	if (s->join_paired) {
		join_ended(s, NULL);
		return;
	}
	/* A coordinator says nothing to those whom it turns away. */
	if (strstr(why, "closed the connection") != NULL || strstr(why, "reset") != NULL)
		snprintf(text, sizeof text,
			"the code was not accepted at %s: it was used already, has expired, is of "
			"another swarm, or that device runs another version of Shoal; ask for a "
			"new one with 'shoal invite'",
			link_address(l));
	else
		snprintf(text, sizeof text, "cannot join: %s", why);
	join_ended(s, text);
}

static const struct link_events join_events = {on_join_open, on_join_message, on_join_close};

int
swarm_join(struct swarm *s, const char *code, void (*done)(void *arg, const char *trouble),
	void *arg, struct err *err)
{
	struct invite i;
	uint8_t id[8], psk[32];
	char address[280];

	if (invite_parse(code, &i, err) != 0)
		return -1;
	if (memcmp(i.swarm_key, s->state->public, 32) == 0)
		return err_set(err,
			"this is a code of this very device: type it on the one that shall join");
	if (s->state->is_member) {
		if (memcmp(i.swarm_key, s->state->coordinator.key, 32) == 0) {
			/* No mistake: the code may know where the coordinator is now. */
			code_address(&i, address, sizeof address);
			swarm_heard_of(s, address);
			done(arg, NULL);
			return 0;
		}
		return err_set(err, "this device belongs to the swarm of %s: 'shoal leave' first",
			s->state->coordinator.name);
	}
	if (s->n_peers > 0)
		return err_set(err,
			"this device is the coordinator of %u members: remove them first (shoal "
			"leave NAME)",
			s->n_peers);
	if (s->join_link != NULL)
		return err_set(err, "a joining is under way already");
	s->join_invite = i;
	s->join_done = done;
	s->join_arg = arg;
	s->join_paired = false;
	invite_id(i.secret, id);
	invite_psk(i.secret, psk);
	s->join_link = link_dial(s->loop, &s->me, i.host, i.port, LINK_PAIR, i.swarm_key, psk, id,
		SWARM_MESSAGE, &join_events, s);
	sodium_memzero(psk, sizeof psk);
	sodium_memzero(&i, sizeof i);
	return s->join_link != NULL ? 0 : err_set(err, "out of memory");
}
