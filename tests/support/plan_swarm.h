/* Swarms to plan for: models without weights, devices, links. */
#ifndef TESTS_PLAN_SWARM_H
#define TESTS_PLAN_SWARM_H

#include "model/plan_model.h"

struct plan_swarm {
	struct model_shape shape;
	struct swarm_plan_model model;
	struct swarm_plan_peer peers[SWARM_PLAN_PEERS];
	struct swarm_plan_link links[SWARM_PLAN_PEERS * SWARM_PLAN_PEERS];
	struct swarm_plan_input in;
};

#define Q4_0 (18.0 / 32) /* bytes of a weight */

/* A dense model; kv_heads divides heads. Nothing is in the swarm yet. */
void swarm_init(struct plan_swarm *s, uint32_t layers, uint32_t embd, uint32_t ffn, uint32_t heads,
	uint32_t kv_heads, uint32_t vocab);
/* Makes its layers mixtures; their feed-forward is of each expert. */
void swarm_mixture(struct plan_swarm *s, uint32_t experts, uint32_t used);
/* A device with so many GB/s for weights and MB of memory, 30 times that in GMAC/s for prompts.
 * Linked to all others by a good wire: 0.2 ms, 1 Gbit/s. */
struct swarm_plan_peer *swarm_add(struct plan_swarm *s, const char *name, double gbps, double mb);
/* All its links, or that of two. ms: round trip. */
void swarm_link_all(struct plan_swarm *s, uint32_t peer, double ms, double mbit);
void swarm_link(struct plan_swarm *s, uint32_t i, uint32_t j, double ms, double mbit);

/* A random swarm of up to `most` devices with a random model: speeds 1 to 30, memory from a tenth
 * of the model to all of it, wires and Wi-Fi, some disks, sums by the star or by all ways. The same
 * seed gives the same. */
void swarm_random(struct plan_swarm *s, uint32_t seed, uint32_t most);
uint32_t swarm_rnd(uint32_t *seed, uint32_t n);

#endif
