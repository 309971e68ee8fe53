#include "model/plan_model.h"

#include "model/kv.h"
#include "model/shard_int.h"

#include <stdlib.h>

static void
set_cache(const struct model_shape *s, enum kv_type kv, uint32_t slots, uint32_t context,
	struct swarm_plan_model *m)
{
	m->shape = s;
	m->kv_unit = slice_kv_unit(s);
	m->cache_bytes = (double)kv_bytes(kv, 1, slots, 1, context, s->head_dim);
	m->cache_row_bytes = m->cache_bytes / ((double)slots * context);
}

static bool
reads_norm(uint32_t role)
{
	return role == TENSOR_Q || role == TENSOR_K || role == TENSOR_V || role == TENSOR_GATE ||
	       role == TENSOR_UP;
}

void
plan_model_from_header(const struct shard_header *whole, enum kv_type kv, uint32_t slots,
	uint32_t context, struct swarm_plan_model *m)
{
	const struct model_shape *s = &whole->shape;
	double attn = 0, ffn = 0, head = 0, fixed = 0, layer = 0, largest = 0;

	*m = (struct swarm_plan_model){
		.unevenness = 1, .made_row_bytes = (double)act_row_bytes(s->embd)};
	set_cache(s, kv, slots, context, m);
	for (uint32_t i = 0; i < whole->n_extents; i++) {
		const struct shard_extent *e = &whole->extents[i];
		enum unit_kind kind = shard_unit_kind(e->role);
		double bytes = (double)e->bytes;

		if (i == 0 || e->layer != whole->extents[i - 1].layer)
			layer = 0;
		/* A slice's extents end on pages too: half a page more or less, a page at most. */
		fixed += SHARD_ALIGN;
		/* What matrices read that are not quantised is not rounded. */
		if (reads_norm(e->role) && !dtype_quantised(e->dtype))
			m->made_row_bytes = 0;
		if (tensor_is_vector((enum tensor_role)e->role) || e->role == TENSOR_ROUTER)
			fixed += bytes;
		else if (kind == UNIT_HEAD)
			head += bytes;
		else if (kind == UNIT_ATTN)
			attn += bytes;
		else
			ffn += bytes;
		layer += kind == UNIT_HEAD ? 0 : bytes;
		largest = layer > largest ? layer : largest;
	}
	m->kv_head_bytes = attn / s->layers / s->kv_heads;
	m->ffn_col_bytes = ffn / s->layers / s->ffn;
	m->layer_bytes = fixed / s->layers;
	m->vocab_row_bytes = head / s->vocab;
	if (largest > (attn + ffn + fixed) / s->layers)
		m->unevenness = largest * s->layers / (attn + ffn + fixed);
}

void
plan_model_from_shape(const struct model_shape *s, double bytes_per_weight, enum kv_type kv,
	uint32_t slots, uint32_t context, struct swarm_plan_model *m)
{
	double groups = (double)s->heads / s->kv_heads, embd = s->embd;
	double experts = s->experts > 0 ? s->experts : 1;

	*m = (struct swarm_plan_model){.unevenness = 1};
	set_cache(s, kv, slots, context, m);
	m->kv_head_bytes = embd * s->head_dim * (2 * groups + 2) * bytes_per_weight;
	m->ffn_col_bytes = 3 * embd * experts * bytes_per_weight;
	m->layer_bytes = 2 * embd * 4 + (s->experts > 0 ? embd * experts * 4 : 0);
	m->vocab_row_bytes = embd * bytes_per_weight;
	m->made_row_bytes = bytes_per_weight < 2 ? (double)act_row_bytes(s->embd) : 0;
}
