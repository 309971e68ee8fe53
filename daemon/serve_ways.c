/* The coordinator's part in links between members: who is told of whom, whether all are there, and
 * the word to start. Where one of them cannot be made, the plan adds its sums over the hub, and says
 * so. */
#include "daemon/log.h"
#include "daemon/serve_int.h"

#include <stdio.h>
#include <stdlib.h>

#define BARRED_MS 600000 /* without pipelines, when stages could not be linked */

bool
plan_has_neighbours(const struct plan *p)
{
	return p->n > 2 && (p->way != WAY_STAR || p->stages.n > 1);
}

/* --- who is told of whom ------------------------------------------------------------------------ */

struct introduction {
	Shoal__Neighbour message;
	char address[80];
};

int
plan_neighbours(const struct plan *p, uint32_t rank, Shoal__Prepare *out, void **room)
{
	struct introduction *list;
	Shoal__Neighbour **pointers;
	size_t n = 0;

	if (!plan_has_neighbours(p))
		return 0;
	*room = malloc(p->n * (sizeof *list + sizeof *pointers));
	if (*room == NULL)
		return -1;
	list = *room;
	pointers = (void *)(list + p->n);
	for (uint32_t i = 1; i < p->n; i++) {
		const struct swarm_peer *peer = p->members[i].peer;
		Shoal__Neighbour *m = &list[n].message;

		if (i == rank)
			continue;
		shoal__neighbour__init(m);
		swarm_reach(peer->control != NULL ? link_address(peer->control) : "", peer->port,
			list[n].address, sizeof list[n].address);
		m->rank = i;
		m->name = (char *)(uintptr_t)peer->known->name;
		m->key = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)peer->known->key};
		m->address = list[n].address;
		m->vocab_first = p->slices[i].vocab0;
		m->vocab = p->slices[i].vocab;
		pointers[n++] = m;
	}
	out->n_neighbours = n;
	out->neighbours = pointers;
	return 0;
}

/* --- all are linked, or will not be ------------------------------------------------------------- */

static void
send_start(struct plan *p)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Start start = SHOAL__START__INIT;

	start.epoch = p->epoch;
	start.direct = p->direct;
	e.body_case = SHOAL__ENVELOPE__BODY_START;
	e.start = &start;
	for (uint32_t i = 1; i < p->n; i++)
		swarm_send(p->members[i].peer, &e);
}

void
plan_check_links(struct plan *p)
{
	bool neighbours = plan_has_neighbours(p);

	if (p->state != PLAN_LINKING)
		return;
	p->direct = true;
	for (uint32_t i = 1; i < p->n; i++) {
		const struct plan_member *m = &p->members[i];

		if ((plan_has_link(p, i) && m->tensor == NULL) || (neighbours && !m->linked))
			return;
		p->direct = p->direct && (!neighbours || m->direct);
	}
	if (neighbours)
		send_start(p);
	log_info("plan %llu: sums by way of %s", (unsigned long long)p->epoch,
		way_name(p->direct ? p->way : WAY_STAR));
	plan_start_engine(p);
}

bool
pipelines_are_barred(const struct serve *s)
{
	return uv_now(s->loop) < s->barred_until;
}

/* Nobody's fault alone: a firewall between two members, or an address that only the coordinator reaches. */
static void
bar_pipelines(struct serve *s, const struct plan_member *m, const char *missing)
{
	char why[600];

	snprintf(why, sizeof why,
		"%s cannot be linked with the stage beside it, so there is no pipeline for %d "
		"minutes: %s",
		m->peer->known->name, BARRED_MS / 60000, missing);
	s->barred_until = uv_now(s->loop) + BARRED_MS;
	choices_news(s);
	plan_fail(s, why);
}

void
plan_linked(struct plan *p, struct plan_member *m, const Shoal__Linked *l)
{
	if (p->state != PLAN_LINKING || m->linked)
		return;
	if (l->lacks_one && p->stages.n > 1) {
		bar_pipelines(p->serve, m, l->why);
		return;
	}
	m->linked = true;
	m->direct = l->direct;
	if (!m->direct)
		log_warning("%s is not linked with all other members, sums go over the hub: %s",
			m->peer->known->name, l->why);
	plan_check_links(p);
}
