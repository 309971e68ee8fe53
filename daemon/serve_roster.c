/* Who takes part in plans: what happens to members, as sched/roster is told it, and what that says.
 * Coordinator. */
#include "daemon/log.h"
#include "daemon/serve_int.h"

#include <stdio.h>

/* A member's word that another one spoilt the plan counts as long as failures in a row have made
 * the pause (serve_plan.c) no longer than this; from then on it is the teller that is held back. */
#define BELIEVED 400

/* --- what the roster says ----------------------------------------------------------------------- */

uint32_t
plan_chosen(struct serve *s, const struct roster_choice *c, struct swarm_peer **out)
{
	struct swarm_peer *const *all;

	swarm_peers(s->swarm, &all);
	for (uint32_t i = 0; i < c->n; i++)
		out[i] = all[c->chosen[i]];
	return c->n;
}

static struct roster_view
view(struct serve *s)
{
	struct swarm_peer *const *all;
	struct roster_view v = {
		.n = swarm_peers(s->swarm, &all),
		.wanted = s->config->peers,
		.served = s->served.id != NULL,
		.planned = s->plan != NULL,
		.serving = s->plan != NULL && s->plan->state == PLAN_SERVING,
		.waiting = s->busy_since != 0,
		.since = s->gathering,
		.busy_since = s->busy_since,
		.now = uv_now(s->loop),
	};

	for (uint32_t i = 0; i < v.n; i++) {
		all[i]->roster.measured = choose_knows(s, all[i]);
		v.members[i] = &all[i]->roster;
	}
	return v;
}

bool
plan_may_go(struct serve *s, const struct swarm_peer *p)
{
	struct roster_view v = view(s);

	return roster_may_go(&v, &p->roster);
}

void
plan_candidates(struct serve *s, struct roster_choice *choice)
{
	struct swarm_peer *members[SLICE_MAX_PEERS];
	struct roster_view v = view(s);
	uint64_t set;
	uint32_t n;

	roster_choose(&v, choice);
	if (!v.serving || choice->step != ROSTER_KEEP)
		return;
	/* Whether it is KEEP because slices are missing takes a plan to find out; and whether with
	 * the same members another one would be better. */
	n = plan_chosen(s, choice, members);
	v.quick = stock_has(s, members, n, &set);
	v.other = v.quick && set != plan_set(s->plan);
	if (v.quick && !v.other)
		choose_leaves_out(s, members, n);
	if (v.quick)
		roster_choose(&v, choice);
}

void
plan_missing(struct serve *s, char *out, size_t size)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(s->swarm, &all), away = 0;
	size_t len = 0;

	out[0] = '\0';
	if (s->config->peers > n + 1) {
		snprintf(out, size, "%u more of the %u devices that 'peers' asks for",
			s->config->peers - n - 1, s->config->peers);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (all[i]->roster.here)
			continue;
		if (len + 40 < size)
			len += (size_t)snprintf(out + len, size - len, "%s%s", away > 0 ? ", " : "",
				all[i]->known->name);
		away++;
	}
}

void
plan_names_spares(struct plan *p)
{
	for (uint32_t i = 0; i < p->n_spares; i++) {
		struct roster_member *m = &p->spares[i].peer->roster;

		if (!m->spare)
			log_info("plan %llu: %s", (unsigned long long)p->epoch, p->spares[i].why);
		m->spare = true;
	}
}

/* Says in the roster who takes part. */
void
plan_takes_part(struct plan *p)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(p->serve->swarm, &all);

	for (uint32_t i = 0; i < n; i++)
		all[i]->roster.in_last = all[i]->roster.spare = false;
	plan_names_spares(p);
	for (uint32_t i = 1; i < p->n; i++)
		p->members[i].peer->roster.in_plan = p->members[i].peer->roster.in_last = true;
}

/* --- what happens to members -------------------------------------------------------------------- */

void
plan_look_anew(struct serve *s)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(s->swarm, &all);

	s->gathering = uv_now(s->loop);
	s->retry_at = s->pause = 0;
	for (uint32_t i = 0; i < n; i++)
		roster_forgive(&all[i]->roster);
}

void
plan_peer_up(struct serve *s, struct swarm_peer *p)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(s->swarm, &all);

	roster_came(&p->roster, uv_now(s->loop));
	stock_came(s, p);
	s->retry_at = s->pause = 0;
	for (uint32_t i = 0; i < n; i++)
		roster_pardon(&all[i]->roster, uv_now(s->loop));
}

void
plan_peer_down(struct serve *s, struct swarm_peer *p, const char *why)
{
	roster_went(&p->roster, uv_now(s->loop));
	if (p->roster.in_plan)
		plan_drop(s, why);
	s->retry_at = 0;
}

void
plan_settled(struct plan *p)
{
	if (p->state != PLAN_SERVING || uv_now(p->serve->loop) - p->since < ROSTER_SETTLED)
		return;
	for (uint32_t i = 1; i < p->n; i++)
		roster_settled(&p->members[i].peer->roster);
}

void
plan_blame(struct serve *s, struct swarm_peer *p, const char *why)
{
	roster_failed(&p->roster, uv_now(s->loop));
	plan_spoil(s, why);
	serve_look_again(s, 0);
}

void
plan_blame_name(struct serve *s, const char *who, const char *why)
{
	struct plan *p = s->plan;

	for (uint32_t i = 1; p != NULL && i < p->n; i++)
		if (strcmp(p->members[i].peer->known->name, who) == 0) {
			plan_blame(s, p->members[i].peer, why);
			return;
		}
	plan_fail(s, why);
}

void
plan_told(struct serve *s, struct swarm_peer *teller, const char *who, const char *why)
{
	/* If the other one is gone indeed, its own link will say so in a moment. */
	if (who[0] != '\0' && strcmp(who, teller->known->name) != 0 && s->pause <= BELIEVED)
		plan_fail(s, why);
	else
		plan_blame(s, teller, why);
}
