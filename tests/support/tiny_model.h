/* Models of a few thousand random weights, made in memory, and what they compute, written down
 * plainly in double precision: one position after the other, one sum after the other. */
#ifndef TESTS_SUPPORT_TINY_MODEL_H
#define TESTS_SUPPORT_TINY_MODEL_H

#include "model/weights.h"

#define TINY_MAX_LAYERS 4

struct tiny_model {
	struct model_shape shape;
	/* Those that are not of a layer: in layer 0. Those of experts: one behind the other. */
	float *w[TINY_MAX_LAYERS][TENSOR_ROLES];
	bool rope_factors; /* it has TENSOR_ROPE_FREQS */
};

/* shape is filled but for `name`. */
void tiny_model_make(
	struct tiny_model *m, const struct model_shape *shape, bool rope_factors, uint32_t seed);
void tiny_model_free(struct tiny_model *m);

/* Of a tensor (of one expert); rows is 0 when the model has none. */
void tiny_model_dims(
	const struct model_shape *s, enum tensor_role r, uint32_t *rows, uint32_t *cols);

/* A slice's weights; m must outlive them. `spoil`: called on every unit that is handed out, may be
 * NULL. */
struct weight_source *tiny_model_weights(const struct tiny_model *m, const struct slice *sl,
	void (*spoil)(struct unit *u, enum unit_kind kind, uint32_t layer));

/* How many units of experts were acquired of a source that tiny_model_weights made. */
uint32_t tiny_model_experts(const struct weight_source *ws);

/* logits[n][vocab] after each of n tokens. */
void tiny_model_compute(
	const struct tiny_model *m, const uint32_t *tokens, uint32_t n, double *logits);

#endif
