/* Reasons, in words a person understands. */
#include "sched/plan_int.h"

#include <inttypes.h>
#include <stdio.h>

static void
put_peer(struct candidate *c, uint32_t stage, uint32_t peer)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i <= stage && i < c->n_stages; i++)
		at += c->stage_n[i];
	if (stage == c->n_stages)
		c->stage_n[c->n_stages++] = 1;
	else
		c->stage_n[stage]++;
	memmove(&c->who[at + 1], &c->who[at], (c->n - at) * sizeof *c->who);
	c->who[at] = peer;
	c->n++;
}

/* The best plan with this device too, into scratch[1]: in any of the stages; as one more where there
 * are several, or where it fits in none. -1: there is none. */
static int
with_peer(const struct search *s, const struct candidate *best, uint32_t peer)
{
	struct swarm_plan_alt *a = &s->out->scratch[0], *least = &s->out->scratch[1];
	bool today = s->in->today_only, found = false;

	for (uint32_t i = 0; i < best->n_stages + 1; i++) {
		struct candidate c = *best;

		if (i == 1 && best->n_stages == 1 && found)
			break;
		put_peer(&c, i, peer);
		c.idle = true;
		if (plan_eval(s->in, &c, QUICK, a) < 0 || (today && !a->today))
			continue;
		if (found && a->score >= least->score)
			continue;
		*least = *a;
		found = true;
	}
	return found ? 0 : -1;
}

/* prompts: it is their tokens that take longer, whose rows make sums many bytes. */
static void
why_network(const struct search *s, const struct swarm_plan_alt *b, uint32_t peer, bool prompts,
	char *out, size_t size)
{
	const struct swarm_plan_input *in = s->in;
	uint32_t hub = b->members[b->stages[0].first].peer;
	const struct swarm_plan_link *l = plan_link(in, hub, peer), *other;
	double rtt = 0, bps = INFINITY;
	bool thin;

	for (uint32_t i = 0; i < b->n; i++) {
		if (b->members[i].peer == hub)
			continue;
		other = plan_link(in, hub, b->members[i].peer);
		rtt = fmax(rtt, plan_wait(other, b->n));
		bps = fmin(bps, other->bps);
	}
	thin = l->bps < bps / 1.2;
	if (thin && prompts)
		snprintf(out, size, "because its link carries only %.3g Mbit/s", l->bps * 8 / 1e6);
	else if (plan_wait(l, b->n) > 1.2 * rtt && plan_wait(l, b->n) > 1.5 * l->rtt)
		snprintf(out, size, "because its link has a round trip of up to %.3g ms",
			l->rtt99 * 1e3);
	else if (plan_wait(l, b->n) > 1.2 * rtt)
		snprintf(out, size, "because its link has a round trip of %.3g ms", l->rtt * 1e3);
	else if (thin)
		snprintf(out, size, "because its link carries only %.3g Mbit/s", l->bps * 8 / 1e6);
	else
		snprintf(out, size, "because sums among one more device take longer than it saves");
}

/* What grows most when it takes part. */
static void
why_slower(const struct search *s, const struct swarm_plan_alt *b, const struct swarm_plan_alt *w,
	uint32_t peer, char *out, size_t size)
{
	bool prompts = w->period < b->period;
	const struct swarm_plan_cost *now = prompts ? &b->prompt : &b->token;
	const struct swarm_plan_cost *with = prompts ? &w->prompt : &w->token;
	double network = with->network - now->network, compute = with->compute - now->compute;

	if (with->disk >= with->compute + with->network && with->disk > now->disk)
		snprintf(out, size,
			"because weights would have to be read from its disk at each token");
	else if (network >= compute && network > 0)
		why_network(s, b, peer, prompts, out, size);
	else if (prompts)
		snprintf(out, size, "because it computes only %.2g billion products a second",
			s->in->peers[peer].macs_ps / 1e9);
	else
		snprintf(out, size, "because it computes with only %.2g GB of weights a second",
			s->in->peers[peer].read_bps / 1e9);
}

/* "2.41 ms instead of 0.27 ms" */
static void
put_times(double with_s, double now_s, char *out, size_t size)
{
	int digits = now_s < 10e-3 ? 2 : 1;

	snprintf(
		out, size, "%.*f ms instead of %.*f ms", digits, with_s * 1e3, digits, now_s * 1e3);
}

static void
why_spare(const struct search *s, struct swarm_plan_spare *spare)
{
	const struct swarm_plan_alt *b = &s->out->alts[s->out->best], *w = &s->out->scratch[1];
	char because[128] = "too little gain for one more device that can fail", token[64],
	     prompt[64];

	if (with_peer(s, &s->best[s->out->best], spare->peer) != 0) {
		snprintf(spare->why, sizeof spare->why,
			plan_room(s->in, spare->peer) <= 0
				? "its memory is too little for any part of the model"
				: "it cannot be reached by the others, or its memory is too little "
				  "for a part of the model");
		return;
	}
	spare->with_s = w->period;
	put_times(w->period, b->period, token, sizeof token);
	if (w->score >= b->score)
		why_slower(s, b, w, spare->peer, because, sizeof because);
	if (w->score >= b->score && w->period < b->period) {
		put_times(w->prompt.total, b->prompt.total, prompt, sizeof prompt);
		snprintf(spare->why, sizeof spare->why,
			"with it a token would take %s, but one of a prompt %s, %s", token, prompt,
			because);
	} else {
		snprintf(spare->why, sizeof spare->why, "with it a token would take %s%s %s", token,
			w->score < b->score ? ":" : ",", because);
	}
}

void
plan_spares(struct search *s)
{
	const struct swarm_plan_alt *b = &s->out->alts[s->out->best];

	for (uint32_t i = 0; i < s->in->n; i++) {
		struct swarm_plan_spare *spare;
		bool in = false;

		for (uint32_t k = 0; k < b->n; k++)
			in |= b->members[k].peer == i;
		if (in)
			continue;
		spare = &s->out->spares[s->out->n_spares++];
		*spare = (struct swarm_plan_spare){.peer = i};
		if (!s->in->peers[i].usable)
			snprintf(spare->why, sizeof spare->why, "%s", s->in->peers[i].why);
		else
			why_spare(s, spare);
	}
}

void
plan_impossible(const struct swarm_plan_input *in, struct err *err)
{
	struct load l = plan_load(in, in->model->shape->layers, true);
	double room = 0;

	for (uint32_t i = 0; i < in->n; i++)
		if (in->peers[i].usable)
			room += fmax(plan_room(in, i), 0);
	if (room < l.weights + l.cache)
		err_set(err,
			"no plan is possible: the model's %.0f MB of weights and %.0f MB of KV "
			"cache do not fit into the %.0f MB that the devices have for them, and "
			"what would stream finds too little room: more memory, more devices, or a "
			"smaller context",
			l.weights / 1e6, l.cache / 1e6, room / 1e6);
	else
		err_set(err, "no plan is possible with these devices and what was asked for: they "
			     "cannot reach each other, no single one has room for its part, or "
			     "devices, kind and number exclude each other");
}
