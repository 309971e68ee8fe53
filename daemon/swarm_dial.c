/* A member dials its coordinator: at the address it knows, with growing pauses, and at one where it was
 * heard of (discovery.h), which becomes the known one when the coordinator answers there. */
#include "daemon/swarm_internal.h"

#include "daemon/log.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define PAUSE_MAX  10000
#define HEARSAY_MS 2000 /* between dials to addresses that were heard of */

static struct link *
dial(struct swarm *s, struct peer *p, const char *address, enum link_purpose purpose,
	size_t max_message, const struct link_events *ev, void *arg)
{
	char host[256];
	uint16_t port;
	struct err err;

	if (config_address(address, host, sizeof host, &port, &err) != 0) {
		log_error("the coordinator's address: %s", err.msg);
		return NULL;
	}
	return link_dial(s->loop, &s->me, host, port, purpose, p->known.key, NULL, NULL,
		max_message, ev, arg);
}

static struct peer *
coordinator(struct swarm *s)
{
	return s->state->is_member && s->n_peers > 0 ? s->peers[0] : NULL;
}

static void
on_dial(uv_timer_t *t)
{
	struct swarm *s = t->data;
	struct peer *p = coordinator(s);

	if (p == NULL || p->pub.control != NULL || s->closing)
		return;
	/* The next try waits longer, and not just as long as that of every other member. */
	s->dial_pause = s->dial_pause * 2 > PAUSE_MAX ? PAUSE_MAX : s->dial_pause * 2;
	s->dial_pause += randombytes_uniform((uint32_t)s->dial_pause / 4 + 1);
	dial(s, p, p->known.address, LINK_CONTROL, SWARM_MESSAGE, &swarm_control_events, p);
}

void
swarm_reach(const char *from, uint16_t port, char *out, size_t size)
{
	const char *colon = strrchr(from, ':');
	int len = colon != NULL ? (int)(colon - from) : 0;

	out[0] = '\0';
	if (len == 0 || port == 0)
		return;
	if (strncmp(from, "::ffff:", 7) == 0 && len > 7) { /* IPv4 on an IPv6 socket */
		from += 7;
		len -= 7;
	}
	snprintf(out, size, memchr(from, ':', (size_t)len) != NULL ? "[%.*s]:%u" : "%.*s:%u", len,
		from, port);
}

void
swarm_dial_soon(struct swarm *s, uint64_t ms)
{
	uv_timer_start(&s->dial, on_dial, ms, 0);
}

struct link *
swarm_dial(struct swarm *s, enum link_purpose purpose, size_t max_message,
	const struct link_events *ev, void *arg)
{
	struct peer *p = coordinator(s);

	return p != NULL ? dial(s, p, p->known.address, purpose, max_message, ev, arg) : NULL;
}

/* --- hearsay --- */

void
swarm_heard_of(struct swarm *s, const char *address)
{
	struct peer *p = coordinator(s);
	uint64_t now = uv_now(s->loop);

	if (p == NULL || p->pub.control != NULL || s->closing || s->hearsay_link != NULL ||
		now < s->hearsay_next || strlen(address) >= sizeof s->hearsay)
		return;
	s->hearsay_next = now + HEARSAY_MS;
	strcpy(s->hearsay, address);
	log_debug("the coordinator may be at %s", address);
	s->hearsay_link =
		dial(s, p, address, LINK_CONTROL, SWARM_MESSAGE, &swarm_control_events, p);
}

void
swarm_dialled(struct peer *p, const struct link *l, bool answered)
{
	struct swarm *s = p->swarm;
	struct err err;

	if (l != s->hearsay_link)
		return;
	s->hearsay_link = NULL;
	if (!answered || p->gone || strcmp(p->known.address, s->hearsay) == 0)
		return;
	log_info("peer %s: is now at %s, no longer at %s", p->known.name, s->hearsay,
		p->known.address);
	strcpy(p->known.address, s->hearsay);
	s->state->coordinator = p->known;
	if (state_save(s->state, &err) != 0)
		log_warning("%s (the new address is not kept)", err.msg);
}
