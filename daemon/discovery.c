#include "daemon/discovery.h"

#include "daemon/log.h"
#include "proto/beacon.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS   1000
#define OFTEN_MS  2000   /* between beacons, ... */
#define EAGER_MS  120000 /* ... so long after the last coming or going; */
#define SELDOM_MS 15000  /* then */
#define MOST_READ 50     /* datagrams between two ticks */
#define AGED_MS   600000 /* after which an older time counts again: clocks can be set back */

enum family { V4, V6, FAMILIES };

struct discovery {
	uv_loop_t *loop;
	const struct config *config;
	const struct state *state;
	struct swarm *swarm;
	uv_timer_t timer;
	struct {
		uv_udp_t udp;
		bool open;    /* and not being closed */
		bool closing; /* until the loop has closed it */
	} sockets[FAMILIES];
	bool closing;

	bool member;

	/* coordinator */
	uint8_t keys[BEACON_TAGS][BEACON_KEY]; /* of those away, while a beacon is made */
	uint64_t sent, changed;                /* loop times */
	uint64_t time;                         /* of the last beacon */
	uint32_t away;

	/* member */
	uint32_t read;            /* datagrams since the last tick */
	uint64_t heard, heard_at; /* the last beacon's time; loop time */
	uint8_t key[BEACON_KEY];  /* shared with the coordinator, whose public key is: */
	uint8_t key_of[32];
	uint8_t in[BEACON_MOST + 1]; /* longer datagrams are none */
};

/* --- sockets ------------------------------------------------------------------------------------ */

static void
on_closed(uv_handle_t *h)
{
	struct discovery *d = h->data;

	d->sockets[h == (uv_handle_t *)&d->sockets[V6].udp ? V6 : V4].closing = false;
}

static void
close_sockets(struct discovery *d)
{
	for (enum family f = 0; f < FAMILIES; f++) {
		if (!d->sockets[f].open)
			continue;
		d->sockets[f].open = false;
		d->sockets[f].closing = true;
		uv_close((uv_handle_t *)&d->sockets[f].udp, on_closed);
	}
}

static bool
open_socket(struct discovery *d, enum family f)
{
	uv_udp_t *udp = &d->sockets[f].udp;

	if (d->sockets[f].open || d->sockets[f].closing)
		return false;
	if (uv_udp_init_ex(d->loop, udp, f == V4 ? AF_INET : AF_INET6) != 0)
		return false;
	udp->data = d;
	d->sockets[f].open = true;
	return true;
}

/* --- interfaces --------------------------------------------------------------------------------- */

static bool
same_address(const uv_interface_address_t *i, const char *host)
{
	char name[64] = "";

	if (i->address.address4.sin_family == AF_INET)
		uv_ip4_name(&i->address.address4, name, sizeof name);
	else
		uv_ip6_name(&i->address.address6, name, sizeof name);
	return strncmp(name, host, strcspn(host, "%")) == 0 && strlen(name) == strcspn(host, "%");
}

/* Whether links that come in by this address of an interface reach our listener, and the address
 * stands for the interface: of IPv6 addresses the one of the link. */
static bool
is_chosen(const uv_interface_address_t *i, const char *listen)
{
	bool v4 = i->address.address4.sin_family == AF_INET;

	if (strcmp(listen, "::") != 0 && strcmp(listen, "0.0.0.0") != 0)
		return same_address(i, listen);
	if (i->is_internal || (!v4 && strcmp(listen, "0.0.0.0") == 0))
		return false;
	return v4 || IN6_IS_ADDR_LINKLOCAL(&i->address.address6.sin6_addr);
}

/* Calls fn for each chosen address, as text that names the interface as well where that is needed. */
static void
each_interface(
	struct discovery *d, void (*fn)(struct discovery *d, enum family f, const char *name))
{
	uv_interface_address_t *list;
	struct err ignored;
	char listen[256];
	uint16_t port;
	int n;

	if (config_address(d->config->listen, listen, sizeof listen, &port, &ignored) != 0 ||
		uv_interface_addresses(&list, &n) != 0)
		return;
	for (int i = 0; i < n; i++) {
		char name[64 + IF_NAMESIZE] = "";
		size_t len;

		if (!is_chosen(&list[i], listen))
			continue;
		if (list[i].address.address4.sin_family == AF_INET) {
			uv_ip4_name(&list[i].address.address4, name, sizeof name);
			fn(d, V4, name);
		} else {
			uv_ip6_name(&list[i].address.address6, name, 64);
			len = strlen(name);
			snprintf(name + len, sizeof name - len, "%%%s", list[i].name);
			fn(d, V6, name);
		}
	}
	uv_free_interface_addresses(list, n);
}

static void
group_address(const struct discovery *d, enum family f, struct sockaddr_storage *sa)
{
	if (f == V4)
		uv_ip4_addr(
			DISCOVERY_GROUP_V4, (int)d->config->discovery, (struct sockaddr_in *)sa);
	else
		uv_ip6_addr(
			DISCOVERY_GROUP_V6, (int)d->config->discovery, (struct sockaddr_in6 *)sa);
}

/* --- the coordinator sends ---------------------------------------------------------------------- */

/* Each has a time of its own, so that a member may try what it hears on every interface. */
static size_t
make_beacon(struct discovery *d, uint8_t wire[BEACON_MOST])
{
	uint64_t now = (uint64_t)time(NULL) * 1000;

	d->time = now > d->time ? now : d->time + 1;
	return beacon_write(swarm_port(d->swarm), d->time, (const uint8_t(*)[BEACON_KEY])d->keys,
		d->away, wire);
}

/* Shares a key with each member that is away; returns their number. */
static uint32_t
make_keys(struct discovery *d)
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(d->swarm, &peers), away = 0;

	for (uint32_t i = 0; i < n && away < BEACON_TAGS; i++)
		if (peers[i]->control == NULL && beacon_key(d->state->secret, peers[i]->known->key,
							 d->keys[away], NULL) == 0)
			away++;
	return away;
}

static void
send_on(struct discovery *d, enum family f, const char *name)
{
	uint8_t wire[BEACON_MOST];
	size_t len = make_beacon(d, wire);
	uv_buf_t b = uv_buf_init((char *)wire, (unsigned)len);
	struct sockaddr_storage group;
	int rc;

	if (!d->sockets[f].open && !open_socket(d, f))
		return;
	group_address(d, f, &group);
	rc = uv_udp_set_multicast_interface(&d->sockets[f].udp, name);
	if (rc == 0)
		rc = uv_udp_try_send(&d->sockets[f].udp, &b, 1, (const struct sockaddr *)&group);
	if (rc < 0)
		log_debug("no beacon goes out at %s: %s", name, uv_strerror(rc));
}

static void
coordinator_tick(struct discovery *d)
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(d->swarm, &peers), away = 0;
	uint64_t now = uv_now(d->loop);

	for (uint32_t i = 0; i < n; i++)
		away += peers[i]->control == NULL;
	if (away != d->away)
		d->changed = now;
	d->away = away;
	if (away == 0) {
		close_sockets(d);
	} else if (now - d->sent >= (now - d->changed < EAGER_MS ? OFTEN_MS : SELDOM_MS)) {
		d->sent = now;
		d->away = make_keys(d);
		each_interface(d, send_on);
		sodium_memzero(d->keys, sizeof d->keys);
	}
}

/* --- a member listens --------------------------------------------------------------------------- */

static bool
is_newer(struct discovery *d, uint64_t time)
{
	uint64_t now = uv_now(d->loop);

	if (time <= d->heard && now - d->heard_at < AGED_MS)
		return false;
	d->heard = time;
	d->heard_at = now;
	return true;
}

static bool
have_key(struct discovery *d)
{
	const uint8_t *coordinator = d->state->coordinator.key;

	if (memcmp(d->key_of, coordinator, sizeof d->key_of) == 0)
		return true;
	if (beacon_key(d->state->secret, coordinator, d->key, NULL) != 0)
		return false;
	memcpy(d->key_of, coordinator, sizeof d->key_of);
	return true;
}

static void
take_beacon(struct discovery *d, size_t len, const struct sockaddr *from)
{
	char host[64], scope[IF_NAMESIZE] = "", address[160];
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
	uint64_t time;
	uint16_t port;

	if (!have_key(d) || !beacon_read(d->in, len, d->key, &port, &time) || !is_newer(d, time))
		return;
	if (from->sa_family == AF_INET) {
		uv_ip4_name((const struct sockaddr_in *)(const void *)from, host, sizeof host);
		snprintf(address, sizeof address, "%s:%u", host, port);
	} else {
		uv_ip6_name(v6, host, sizeof host);
		if (v6->sin6_scope_id != 0 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
			if_indextoname(v6->sin6_scope_id, scope);
		snprintf(address, sizeof address, "[%s%s%s]:%u", host, scope[0] != '\0' ? "%" : "",
			scope, port);
	}
	swarm_heard_of(d->swarm, address);
}

static void
on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
	struct discovery *d = h->data;

	(void)suggested;
	*out = uv_buf_init((char *)d->in, sizeof d->in);
}

static void
on_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *b, const struct sockaddr *from, unsigned flags)
{
	struct discovery *d = h->data;

	(void)b;
	if (n <= 0 || from == NULL || (flags & UV_UDP_PARTIAL) != 0)
		return;
	if (++d->read > MOST_READ)
		uv_udp_recv_stop(h); /* until the next tick */
	else
		take_beacon(d, (size_t)n, from);
}

static void
join_on(struct discovery *d, enum family f, const char *name)
{
	struct sockaddr_storage any;
	uv_udp_t *udp = &d->sockets[f].udp;
	int rc;

	if (open_socket(d, f)) {
		if (f == V4)
			uv_ip4_addr(
				"0.0.0.0", (int)d->config->discovery, (struct sockaddr_in *)&any);
		else
			uv_ip6_addr("::", (int)d->config->discovery, (struct sockaddr_in6 *)&any);
		rc = uv_udp_bind(udp, (const struct sockaddr *)&any,
			UV_UDP_REUSEADDR | (f == V6 ? UV_UDP_IPV6ONLY : 0));
		if (rc != 0)
			log_debug("beacons are not heard: %s", uv_strerror(rc));
	}
	if (!d->sockets[f].open)
		return;
	/* Again each time: interfaces come and go. That it is joined already is no mistake. */
	uv_udp_set_membership(
		udp, f == V4 ? DISCOVERY_GROUP_V4 : DISCOVERY_GROUP_V6, name, UV_JOIN_GROUP);
	uv_udp_recv_start(udp, on_alloc, on_datagram);
}

static void
member_tick(struct discovery *d)
{
	struct swarm_peer *const *peers;

	d->read = 0;
	if (swarm_peers(d->swarm, &peers) > 0 && peers[0]->control == NULL)
		each_interface(d, join_on);
	else
		close_sockets(d);
}

/* --- life --------------------------------------------------------------------------------------- */

static void
on_tick(uv_timer_t *t)
{
	struct discovery *d = t->data;

	if (d->member != swarm_is_member(d->swarm)) /* other sockets are needed now */
		close_sockets(d);
	d->member = swarm_is_member(d->swarm);
	if (d->member)
		member_tick(d);
	else
		coordinator_tick(d);
}

struct discovery *
discovery_new(uv_loop_t *loop, const struct config *c, const struct state *st, struct swarm *s)
{
	struct discovery *d = c->discovery != 0 ? calloc(1, sizeof *d) : NULL;

	if (d == NULL)
		return NULL;
	d->loop = loop;
	d->config = c;
	d->state = st;
	d->swarm = s;
	d->changed = uv_now(loop);
	uv_timer_init(loop, &d->timer);
	d->timer.data = d;
	uv_timer_start(&d->timer, on_tick, TICK_MS, TICK_MS);
	return d;
}

void
discovery_close(struct discovery *d)
{
	if (d == NULL || d->closing)
		return;
	d->closing = true;
	uv_close((uv_handle_t *)&d->timer, NULL);
	close_sockets(d);
}

void
discovery_free(struct discovery *d)
{
	if (d != NULL)
		sodium_memzero(d->key, sizeof d->key);
	free(d);
}
