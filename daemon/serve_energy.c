/* How the devices are fed that compute the model together. */
#include "daemon/serve_int.h"

void
serve_own_energy(struct serve *s, struct energy_told *out)
{
	energy_gauge_read(&s->gauge, uv_now(s->loop));
	*out = (struct energy_told){true, s->gauge.state, s->gauge.now, s->config->large_watts};
}

void
serve_tell_energy(struct serve *s)
{
	struct energy_told own;

	if (!swarm_is_member(s->swarm))
		return;
	serve_own_energy(s, &own);
	swarm_energy(s->swarm, &own);
}

uint32_t
serve_energy(struct serve *s, struct energy_told devices[SERVE_DEVICES])
{
	const struct plan *p = s->plan;
	uint32_t n = 1;

	serve_own_energy(s, &devices[0]);
	for (uint32_t i = 1; p != NULL && p->state == PLAN_SERVING && i < p->n; i++)
		devices[n++] = p->members[i].peer->energy;
	return n;
}
