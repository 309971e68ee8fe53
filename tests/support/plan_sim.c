#include "tests/support/plan_sim.h"

#include <math.h>
#include <string.h>

/* --- one step --- */

static const struct swarm_plan_link *
link_of(const struct plan_swarm *s, uint32_t i, uint32_t j)
{
	return &s->links[i < j ? i * s->in.n + j : j * s->in.n + i];
}

/* Bytes a second of a device's port: as fast as its fastest link. */
static double
port_of(const struct plan_swarm *s, uint32_t i)
{
	double fastest = 0;

	for (uint32_t j = 0; j < s->in.n; j++)
		if (j != i)
			fastest = fmax(fastest, link_of(s, i, j)->bps);
	return fastest;
}

struct ports {
	double out[8], in[8]; /* by peer: until when they are busy */
};

/* A message that could leave at `at`; returns when it has come. */
static double
send_message(const struct plan_swarm *s, struct ports *p, uint32_t from, uint32_t to, double bytes,
	double at)
{
	const struct swarm_plan_link *l = link_of(s, from, to);
	double arrives;

	if (from == to)
		return at;
	at = fmax(at, p->out[from]);
	p->out[from] = at + bytes / port_of(s, from);
	arrives = at + l->rtt / 2 + bytes / l->bps;
	arrives = fmax(arrives, p->in[to] + bytes / port_of(s, to));
	p->in[to] = arrives;
	return arrives;
}

static double
part_seconds(const struct plan_swarm *s, uint32_t peer, const struct slice *sl, int phase)
{
	double bytes = phase == 0   ? sl->kv_heads * s->model.kv_head_bytes
		       : phase == 1 ? sl->ffn * s->model.ffn_col_bytes
				    : sl->vocab * s->model.vocab_row_bytes;

	return bytes / s->peers[peer].read_bps + (phase == 0 ? s->peers[peer].layer_s : 0);
}

static void
reduce(const struct plan_swarm *s, struct ports *p, const struct sim_stage *st, double *at)
{
	double bytes = s->in.row_bytes, sum = at[0];

	for (uint32_t i = 1; i < st->n; i++)
		sum = fmax(sum, send_message(s, p, st->who[i], st->who[0], bytes, at[i]));
	at[0] = sum;
	for (uint32_t i = 1; i < st->n; i++)
		at[i] = send_message(s, p, st->who[0], st->who[i], bytes, sum);
}

static double
held_seconds(const struct plan_swarm *s, const struct sim_stage *st, uint32_t i)
{
	const struct swarm_plan_peer *p = &s->peers[st->who[i]];
	const struct slice *sl = &st->slices[i];
	double ffn = sl->ffn * s->model.ffn_col_bytes, attn = sl->kv_heads * s->model.kv_head_bytes;
	double weights = st->layers * (ffn + attn + s->model.layer_bytes) +
			 sl->vocab * s->model.vocab_row_bytes;
	double cache = st->layers * (sl->kv_heads * s->model.cache_bytes);
	double room = (double)p->memory - (double)p->overhead - cache, ring;

	if (weights <= room)
		return 0;
	/* A ring for one piece of a matrix, and 8 MB that it reads ahead where there is room. */
	ring = 3u << 19;
	if (p->disk_bps <= 0 || room < ring)
		return INFINITY;
	return fmin(weights, weights - room + ring + fmin(8 << 20, room - ring)) / p->disk_bps;
}

double
sim_token(const struct plan_swarm *s, const struct sim_stage *stages, uint32_t n)
{
	struct ports p = {{0}, {0}};
	double at[8], now = 0, disk = 0, row = 4.0 * s->shape.embd, end = 0;
	uint32_t from = 0;

	for (uint32_t g = 0; g < n; g++) {
		const struct sim_stage *st = &stages[g];

		for (uint32_t i = 0; i < st->n; i++) {
			disk = fmax(disk, held_seconds(s, st, i));
			at[i] = i == 0 ? send_message(s, &p, from, st->who[0], row, now)
				       : send_message(s, &p, st->who[0], st->who[i], row, at[0]);
		}
		for (uint32_t k = 0; k < 2 * st->layers; k++) {
			for (uint32_t i = 0; i < st->n; i++)
				at[i] += part_seconds(s, st->who[i], &st->slices[i], k % 2);
			reduce(s, &p, st, at);
		}
		from = st->who[0];
		now = at[0];
		for (uint32_t i = 0; i < st->n && g + 1 == n; i++)
			end = fmax(end,
				send_message(s, &p, st->who[i], n > 1 ? from : 0,
					st->slices[i].vocab * s->in.logit_bytes,
					at[i] + part_seconds(s, st->who[i], &st->slices[i], 2)));
	}
	if (n > 1) /* the hub tells the coordinator */
		end = send_message(s, &p, from, 0, s->shape.vocab * s->in.logit_bytes, end);
	return fmax(end, disk);
}

double
sim_plan(const struct plan_swarm *s, const struct swarm_plan_alt *a)
{
	struct sim_stage stages[8];

	for (uint32_t g = 0; g < a->n_stages; g++) {
		stages[g] = (struct sim_stage){.n = a->stages[g].n, .layers = a->stages[g].layers};
		for (uint32_t i = 0; i < a->stages[g].n; i++) {
			stages[g].who[i] = a->members[a->stages[g].first + i].peer;
			stages[g].slices[i] = a->members[a->stages[g].first + i].slice;
		}
	}
	return sim_token(s, stages, a->n_stages);
}

/* --- all of them --- */

#define GRID 12

struct all {
	const struct plan_swarm *s;
	bool today;
	double best;
	uint32_t tried;
};

static void
measure(struct all *a, const struct sim_stage *stages, uint32_t n)
{
	double t = sim_token(a->s, stages, n);

	a->tried++;
	a->best = fmin(a->best, t);
}

static void
cut_stage(const struct all *a, struct sim_stage *st, const float *shares, bool head)
{
	slice_cut(&a->s->shape, shares, st->n, st->slices, NULL);
	for (uint32_t i = 0; i < st->n && !head; i++)
		st->slices[i].vocab = 0;
}

/* Every share in twelfths from member `at` on. */
static void
all_shares(struct all *a, struct sim_stage *st, float *shares, uint32_t at, uint32_t left)
{
	if (at + 1 == st->n) {
		shares[at] = (float)left;
		cut_stage(a, st, shares, true);
		measure(a, st, 1);
		return;
	}
	for (uint32_t k = 1; k + (st->n - at - 1) <= left; k++) {
		shares[at] = (float)k;
		all_shares(a, st, shares, at + 1, left - k);
	}
}

static void
all_groups(struct all *a)
{
	float shares[8];

	for (uint32_t subset = 1; subset < 1u << a->s->in.n; subset++) {
		struct sim_stage st = {.layers = a->s->shape.layers};

		for (uint32_t i = 0; i < a->s->in.n; i++)
			if ((subset & 1u << i) != 0)
				st.who[st.n++] = i;
		if (a->today && st.who[0] != 0)
			continue;
		for (uint32_t hub = 0; hub < (a->today ? 1 : st.n); hub++) {
			uint32_t first = st.who[0];

			st.who[0] = st.who[hub];
			st.who[hub] = first;
			all_shares(a, &st, shares, 0, GRID);
		}
	}
}

static void
all_layers(struct all *a, struct sim_stage *st, uint32_t n, uint32_t at, uint32_t left)
{
	if (at + 1 == n) {
		st[at].layers = left;
		measure(a, st, n);
		return;
	}
	for (uint32_t k = 1; k + (n - at - 1) <= left; k++) {
		st[at].layers = k;
		all_layers(a, st, n, at + 1, left - k);
	}
}

/* Every sequence of devices that begins with these. */
static void
all_sequences(struct all *a, struct sim_stage *st, uint32_t n, uint32_t used)
{
	float one = 1;

	if (n > 1) {
		for (uint32_t i = 0; i < n; i++)
			cut_stage(a, &st[i], &one, i + 1 == n);
		all_layers(a, st, n, 0, a->s->shape.layers);
	}
	for (uint32_t i = 0; i < a->s->in.n && n < 4; i++) {
		if ((used & 1u << i) != 0 || (a->today && n == 0 && i > 0))
			continue;
		st[n] = (struct sim_stage){.n = 1, .who = {i}};
		all_sequences(a, st, n + 1, used | 1u << i);
	}
}

static void
all_pairs_of_groups(struct all *a)
{
	uint32_t n = a->s->in.n, ways = 1;

	for (uint32_t i = 0; i < n; i++)
		ways *= 3;
	for (uint32_t way = 0; way < ways; way++) {
		struct sim_stage st[2] = {{0}, {0}};
		float shares[2][8];

		for (uint32_t i = 0, rest = way; i < n; i++, rest /= 3) {
			uint32_t g = rest % 3;

			if (g == 2)
				continue;
			shares[g][st[g].n] = (float)a->s->peers[i].read_bps;
			st[g].who[st[g].n++] = i;
		}
		if (st[0].n == 0 || st[1].n == 0 || (a->today && st[0].who[0] != 0))
			continue;
		cut_stage(a, &st[0], shares[0], false);
		cut_stage(a, &st[1], shares[1], true);
		all_layers(a, st, 2, 0, a->s->shape.layers);
	}
}

double
sim_best(const struct plan_swarm *s, bool today, uint32_t *tried)
{
	struct all a = {.s = s, .today = today, .best = INFINITY};
	struct sim_stage st[4];

	all_groups(&a);
	all_sequences(&a, st, 0, 0);
	all_pairs_of_groups(&a);
	*tried = a.tried;
	return a.best;
}
