/* The stages of a plan: who of its peers computes which layers, and who is linked with whom for that. Peers
 * have numbers, the coordinator's is 0; a stage's peers are numbered one behind the other, its hub first.
 * One stage with all layers is no pipeline: its numbers are ranks. Pure. */
#ifndef DAEMON_STAGES_H
#define DAEMON_STAGES_H

#include "base/err.h"
#include "model/collective.h"
#include "model/slice.h"

struct stage {
	uint32_t first, n; /* its peers */
	uint32_t layer0, layers;
};

struct stages {
	uint32_t n;
	struct stage list[SLICE_MAX_PEERS];
};

/* One for all of `peers` peers. */
void stages_one(struct stages *st, uint32_t peers, uint32_t layers);

/* Takes sizes one by one, as they come over a link; stages_check says whether they make a plan. -1: too
 * many, or a stage without peers or layers. */
int stages_add(struct stages *st, uint32_t peers, uint32_t layers, struct err *err);
int stages_check(const struct stages *st, uint32_t peers, struct err *err);

uint32_t stages_peers(const struct stages *st);
/* Which one a peer is in. */
uint32_t stages_of(const struct stages *st, uint32_t peer);

/* Hub of the stage behind, and of the one before: the ring closes at the coordinator. */
uint32_t stages_behind(const struct stages *st, uint32_t stage);
uint32_t stages_before(const struct stages *st, uint32_t stage);

/* Whether two peers have a tensor link, when sums are added that way; and whether the plan cannot do without
 * it: members of a group may also reach each other over their hub. */
bool stages_linked(const struct stages *st, enum collective_way way, uint32_t a, uint32_t b);
bool stages_need(const struct stages *st, uint32_t a, uint32_t b);

#endif
