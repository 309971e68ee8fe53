/* A swarm simulated message by message, to measure plans that the planner only predicts: each device
 * computes its part, each message waits for the sender's and the receiver's port and travels half a
 * round trip, and nobody goes on before the sum has come. Star only, one session, no spread of round
 * trips. */
#ifndef TESTS_PLAN_SIM_H
#define TESTS_PLAN_SIM_H

#include "tests/support/plan_swarm.h"

struct sim_stage {
	uint32_t n, layers;
	uint32_t who[8]; /* the hub first */
	struct slice slices[8];
};

/* Seconds from a token to the next; INFINITY: some device's memory is too small. */
double sim_token(const struct plan_swarm *s, const struct sim_stage *stages, uint32_t n);

/* The same of a plan. */
double sim_plan(const struct plan_swarm *s, const struct swarm_plan_alt *a);

/* The least of: every subset as a group with every share in twelfths and every hub; every sequence
 * of up to four devices as a pipeline with every way to deal the layers; every two groups with every
 * way to deal the layers and shares by speed. today: only of groups whose hub is device 0. Up to 6
 * devices. */
double sim_best(const struct plan_swarm *s, bool today, uint32_t *tried);

#endif
