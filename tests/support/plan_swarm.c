#include "tests/support/plan_swarm.h"

#include <stdio.h>

void
swarm_init(struct plan_swarm *s, uint32_t layers, uint32_t embd, uint32_t ffn, uint32_t heads,
	uint32_t kv_heads, uint32_t vocab)
{
	*s = (struct plan_swarm){.shape = {.layers = layers,
					 .embd = embd,
					 .ffn = ffn,
					 .heads = heads,
					 .kv_heads = kv_heads,
					 .head_dim = embd / heads,
					 .vocab = vocab,
					 .context = 4096,
					 .col_block = 32}};
	plan_model_from_shape(&s->shape, Q4_0, KV_F16, 1, 512, &s->model);
	swarm_plan_input_init(&s->in, &s->model);
	s->in.peers = s->peers;
	s->in.links = s->links;
}

void
swarm_mixture(struct plan_swarm *s, uint32_t experts, uint32_t used)
{
	s->shape.experts = experts;
	s->shape.experts_used = used;
	plan_model_from_shape(&s->shape, Q4_0, KV_F16, 1, 512, &s->model);
}

/* The table of links is [n][n]: its rows move apart when a device comes. From the end, so that none is
 * overwritten before it has moved. */
static void
grow(struct plan_swarm *s)
{
	uint32_t old = s->in.n, n = old + 1;

	for (uint32_t i = old; i-- > 0;)
		for (uint32_t j = old; j-- > 0;)
			s->links[i * n + j] = s->links[i * old + j];
	s->in.n = n;
	for (uint32_t i = 0; i < old; i++)
		s->links[i * n + old] = (struct swarm_plan_link){0.2e-3, 0.2e-3, 125e6};
}

struct swarm_plan_peer *
swarm_add(struct plan_swarm *s, const char *name, double gbps, double mb)
{
	struct swarm_plan_peer *p = &s->peers[s->in.n];

	*p = (struct swarm_plan_peer){.read_bps = gbps * 1e9,
		.macs_ps = gbps * 30e9,
		.memory = (uint64_t)(mb * 1e6),
		.overhead = 20000000,
		.usable = true};
	snprintf(p->name, sizeof p->name, "%s", name);
	grow(s);
	return p;
}

void
swarm_link(struct plan_swarm *s, uint32_t i, uint32_t j, double ms, double mbit)
{
	uint32_t at = i < j ? i * s->in.n + j : j * s->in.n + i;

	s->links[at] = (struct swarm_plan_link){ms / 1e3, ms / 1e3, mbit * 1e6 / 8};
}

void
swarm_link_all(struct plan_swarm *s, uint32_t peer, double ms, double mbit)
{
	for (uint32_t i = 0; i < s->in.n; i++)
		if (i != peer)
			swarm_link(s, peer, i, ms, mbit);
}

uint32_t
swarm_rnd(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % n;
}

static void
random_model(struct plan_swarm *s, uint32_t *seed)
{
	static const uint32_t layers[] = {8, 12, 16, 22, 32}, heads[] = {8, 12, 16, 32};
	uint32_t h = heads[swarm_rnd(seed, 4)], embd = h * (swarm_rnd(seed, 2) ? 64 : 128);
	uint32_t kv = swarm_rnd(seed, 2) ? h : swarm_rnd(seed, 2) ? h / 4 : 2, ffn, vocab;

	/* One after another: compilers differ in the order of arguments. */
	vocab = 1000 * (1 + swarm_rnd(seed, 64));
	ffn = embd / 32 * 32 * (2 + swarm_rnd(seed, 3));
	swarm_init(s, layers[swarm_rnd(seed, 5)], embd, ffn, h, kv, vocab);
	if (swarm_rnd(seed, 6) == 0)
		swarm_mixture(s, 8, 2);
	if (swarm_rnd(seed, 4) == 0)
		s->in.sessions = 1 + swarm_rnd(seed, 8);
	if (swarm_rnd(seed, 4) == 0)
		s->in.prompt_ratio = swarm_rnd(seed, 3);
}

void
swarm_random(struct plan_swarm *s, uint32_t seed, uint32_t most)
{
	static const double trips[] = {0.1, 0.2, 0.2, 0.4, 2, 5};
	uint32_t n;
	double mb;
	char name[16];

	seed = seed * 2654435761u + 1;
	random_model(s, &seed);
	mb = (s->shape.layers * (s->model.kv_head_bytes * s->shape.kv_heads +
					s->model.ffn_col_bytes * s->shape.ffn) +
		     s->model.vocab_row_bytes * s->shape.vocab) /
	     1e6;
	n = 1 + swarm_rnd(&seed, most);
	for (uint32_t i = 0; i < n; i++) {
		struct swarm_plan_peer *p;

		snprintf(name, sizeof name, "peer-%u", i);
		p = swarm_add(s, name, 1 + swarm_rnd(&seed, 30), 0);
		p->memory = 30000000 + (uint64_t)(mb * 1e4 * (10 + swarm_rnd(&seed, 130)));
		p->layer_s = swarm_rnd(&seed, 30) * 1e-6;
		p->disk_bps = swarm_rnd(&seed, 2) ? swarm_rnd(&seed, 20) * 1e8 : 0;
	}
	for (uint32_t i = 0; i < n; i++)
		if (swarm_rnd(&seed, 3) == 0) {
			double mbit = swarm_rnd(&seed, 2) ? 1000 : 100;

			swarm_link_all(s, i, trips[swarm_rnd(&seed, 6)], mbit);
		}
	if (swarm_rnd(&seed, 3) == 0)
		s->in.ways = SWARM_ALL_WAYS;
}
