/* How fast the devices are, as far as serving has to do with it: when this one has nothing to do, and
 * what `shoal peers` shows. */
#include <config.h>

#include "daemon/energy_message.h"
#include "daemon/serve_int.h"
#include "kernels/cpu.h"

/* Getting ready takes the disk and the processor too. */
static bool
getting_ready(const struct serve *s)
{
	const struct follow *f = s->follow;

	if (s->closing || s->ending > 0)
		return true;
	if ((s->plan != NULL && s->plan->state != PLAN_SERVING) || stock_busy(s) ||
		s->spare != NULL)
		return true;
	return f != NULL && f->state != FOLLOW_READY && f->state != FOLLOW_COMPUTING;
}

static bool
is_busy(void *arg, uint64_t *steps)
{
	struct serve *s = arg;
	struct engine_stats st;

	serve_figures(s, &st);
	*steps = st.steps;
	return desk_requests(s->desk) > 0 || getting_ready(s);
}

static void
on_measured(void *arg)
{
	choices_news(arg);
}

struct speeds *
serve_speeds_new(struct serve *s, struct err *err)
{
	const struct speeds_host host = {is_busy, on_measured, s};

	return speeds_new(s->loop, s->config, s->state, s->swarm, &s->kernels, &host, err);
}

/* --- JSON --------------------------------------------------------------------------------------- */

static json_t *
self_json(struct serve *s)
{
	bool measuring = speeds_measuring(s->speeds);
	struct energy_told energy;
	json_t *o = json_pack("{s:s,s:s,s:b,s:b,s:s,s:s,s:s,s:s,s:I}", "name", s->state->name,
		"address", s->config->listen, "connected", true, "self", true, "state",
		measuring ? "this device, measuring" : "this device", "software", PACKAGE_STRING,
		"cpu", cpu_model(), "kernels", s->kernels.name, "threads",
		(json_int_t)serve_threads(s));

	speeds_json(s->speeds, NULL, o);
	serve_own_energy(s, &energy);
	json_object_set_new(o, "energy", energy_json(&energy));
	return o;
}

static json_t *
peer_json(const struct serve *s, const struct swarm_peer *p)
{
	bool here = p->control != NULL;
	const char *address = here ? link_address(p->control) : p->known->address;
	json_t *o = json_pack("{s:s,s:s,s:b,s:b,s:s,s:s,s:s,s:s,s:I}", "name", p->known->name,
		"address", address, "connected", here, "self", false, "state",
		!here                   ? "away"
		: p->speed.threads == 0 ? "here, not measured"
					: "here",
		"software", p->software, "cpu", p->cpu, "kernels", p->kernels, "threads",
		(json_int_t)p->threads);

	speeds_json(s->speeds, p, o);
	json_object_set_new(o, "energy", energy_json(&p->energy));
	return o;
}

json_t *
serve_peers(struct serve *s)
{
	bool member = swarm_is_member(s->swarm);
	json_t *list = json_array();
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(s->swarm, &peers);

	if (!member)
		json_array_append_new(list, self_json(s));
	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(list, peer_json(s, peers[i]));
	if (member)
		json_array_append_new(list, self_json(s));
	return json_pack("{s:s,s:o}", "role", member ? "member" : "coordinator", "peers", list);
}
