/* Slices as the user has fixed them (`shares`, `stages`), or equal ones: every device takes part. */
#include "daemon/serve_int.h"

#include <stdlib.h>

/* The configured share of a device: by the order in which members joined. */
static float
share_of(struct serve *s, const struct swarm_peer *peer)
{
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(s->swarm, &all), place = 0;

	for (uint32_t i = 0; peer != NULL && i < n; i++)
		if (all[i] == peer)
			place = i + 1;
	return place < s->config->n_shares ? s->config->shares[place] : 1;
}

/* Devices of each stage: as configured, as long as there are some; the last one has those that are over.
 * Returns the number of stages. */
static uint32_t
sizes_of(const struct plan *p, uint32_t *sizes)
{
	const struct config *c = p->serve->config;
	uint32_t n = 0, left = p->n, most = p->file->shape.layers;

	if (c->n_stages == 0 || pipelines_are_barred(p->serve)) {
		sizes[0] = p->n;
		return 1;
	}
	for (; n < c->n_stages && n < most && left > 0; n++) {
		sizes[n] = c->stages[n] < left ? c->stages[n] : left;
		left -= sizes[n];
	}
	sizes[n - 1] += left;
	return n;
}

/* One layer to each stage, then one after the other to where it would be computed first. */
static void
deal_layers(uint32_t layers, uint32_t n, const double *speed, uint32_t *out)
{
	for (uint32_t i = 0; i < n; i++)
		out[i] = 1;
	for (uint32_t left = layers - n; left > 0; left--) {
		uint32_t best = 0;

		for (uint32_t i = 1; i < n; i++)
			if ((out[i] + 1) / speed[i] < (out[best] + 1) / speed[best])
				best = i;
		out[best]++;
	}
}

int
plan_cut(struct plan *p, struct err *err)
{
	uint32_t sizes[SLICE_MAX_PEERS], layers[SLICE_MAX_PEERS], at = 0, n = sizes_of(p, sizes);
	const struct model_shape *shape = &p->file->shape;
	double speed[SLICE_MAX_PEERS] = {0};
	float shares[SLICE_MAX_PEERS];

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < sizes[i]; k++, at++) {
			shares[at] = share_of(p->serve, p->members[at].peer);
			speed[i] += (double)shares[at];
		}
	deal_layers(shape->layers, n, speed, layers);
	p->stages.n = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct stage *st = &p->stages.list[i];

		if (stages_add(&p->stages, sizes[i], layers[i], err) != 0 ||
			slice_cut(shape, shares + st->first, st->n, p->slices + st->first, err) !=
				0)
			return -1;
		for (uint32_t k = 0; k < st->n; k++)
			slice_narrow(shape, st->layer0, st->layers, &p->slices[st->first + k]);
	}
	return 0;
}
