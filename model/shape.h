/* What a model is, in numbers: everything the forward pass, slicing and planning need to know of
 * it beside its weights. A plain struct, so that sched/ can use it and a shard can hold it. */
#ifndef MODEL_SHAPE_H
#define MODEL_SHAPE_H

#include "base/buf.h"
#include "base/err.h"
#include "model/gguf.h"

enum model_arch { ARCH_LLAMA, ARCH_QWEN2, ARCH_QWEN3, ARCH_QWEN3MOE, ARCH_OLMOE };
enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN };

struct model_shape {
	enum model_arch arch;
	char name[64]; /* general.name, cut to whole characters; for people */
	uint32_t layers;
	uint32_t embd;     /* width of a row (hidden size) */
	uint32_t ffn;      /* feed-forward columns; of a mixture of experts: of each */
	uint32_t heads;    /* query heads */
	uint32_t kv_heads; /* heads % kv_heads == 0 */
	uint32_t head_dim; /* not always embd / heads */
	uint32_t vocab;
	uint32_t context; /* trained length */
	float norm_eps;
	bool tied;         /* the output head is the embedding */
	bool qk_norm;      /* qwen3, olmoe */
	bool qk_norm_wide; /* olmoe: over all heads of a row together, not each for itself */
	bool qkv_bias;     /* qwen2 */
	/* mixture of experts: of each layer's experts a row is computed by those to which the
	 * softmax over the router's values gives most, and their sum is weighted by it */
	uint32_t experts;      /* of a layer; 0: no mixture */
	uint32_t experts_used; /* by a row */
	bool expert_norm;      /* weights are divided by their sum (not olmoe) */
	float expert_scale;    /* then multiplied by this, usually 1 */
	/* rope */
	uint32_t rope_dim;     /* rotated part of a head */
	bool rope_interleaved; /* pairs (2i, 2i+1) instead of (i, i + rope_dim/2) */
	float rope_base;
	enum rope_scaling rope_scaling;
	float rope_factor; /* linear, yarn, llama3 */
	uint32_t rope_orig_context;
	float rope_low_freq, rope_high_freq; /* llama3 */
	float yarn_attn_factor, yarn_ext_factor, yarn_beta_fast, yarn_beta_slow;
	/* Which tensors of each unit exist and their types are in the weight source. llama3
	 * frequency factors of a file (rope_freqs.weight) come through it too (TENSOR_ROPE_FREQS).
	 */
	uint32_t col_block; /* multiple in which columns of wo and down can be cut: the largest
			     * quantisation block of these tensors (1 for float types) */
};

/* Reads and checks the shape of a model whose architecture is computed, including that every tensor
 * is there with the dimensions the shape says and a computed type. */
int shape_from_gguf(const struct gguf *g, struct model_shape *s, struct err *err);

/* The shape as bytes (in a shard's header), and back; the reader checks every bound. */
void shape_write(const struct model_shape *s, struct buf *b);
int shape_read(struct rd *r, struct model_shape *s, struct err *err);

/* Weights in all, without the embedding when tied: what people call the parameter count. active:
 * those that one token is computed with. */
uint64_t shape_params(const struct model_shape *s);
uint64_t shape_params_active(const struct model_shape *s);
const char *arch_name(enum model_arch a);

#endif
