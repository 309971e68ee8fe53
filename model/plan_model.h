/* A model's numbers for sched/plan. */
#ifndef MODEL_PLAN_MODEL_H
#define MODEL_PLAN_MODEL_H

#include "kernels/kernels.h"
#include "model/shard.h"
#include "sched/plan.h"

/* From the header of a shard of the whole model. slots, context: of the KV cache. m points to
 * whole->shape. */
void plan_model_from_header(const struct shard_header *whole, enum kv_type kv, uint32_t slots,
	uint32_t context, struct swarm_plan_model *m);

/* Of a model of which there is only the shape: every matrix takes so many bytes for a weight. m
 * points to s. */
void plan_model_from_shape(const struct model_shape *s, double bytes_per_weight, enum kv_type kv,
	uint32_t slots, uint32_t context, struct swarm_plan_model *m);

#endif
