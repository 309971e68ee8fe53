/* Where the forward pass gets its weights. A unit is the smallest piece that is loaded and dropped
 * as one; a source hands out the slice of it that this peer computes. A single device, a shard on
 * disk, a streaming window differ only in the source. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "base/err.h"
#include "kernels/kernels.h"
#include "model/shape.h"
#include "model/slice.h"

/* In a layer of a mixture of experts UNIT_FFN holds the norm and the router, and every expert is a
 * unit of its own. */
enum unit_kind { UNIT_EMBED, UNIT_ATTN, UNIT_FFN, UNIT_EXPERT, UNIT_HEAD, UNIT_KINDS };

/* The tensors of all units. Shapes as the slice has them: rows x cols. */
enum tensor_role {
	TENSOR_EMBED,     /* vocab x embd (whole; only where the embedding is computed) */
	TENSOR_ATTN_NORM, /* 1 x embd, float32 */
	TENSOR_Q,         /* heads*head_dim x embd */
	TENSOR_K,         /* kv_heads*head_dim x embd */
	TENSOR_V,         /* kv_heads*head_dim x embd */
	TENSOR_Q_BIAS,    /* 1 x heads*head_dim, float32 */
	TENSOR_K_BIAS,
	TENSOR_V_BIAS,
	TENSOR_Q_NORM, /* 1 x head_dim, float32; with qk_norm_wide as long as a row of Q */
	TENSOR_K_NORM,
	TENSOR_O,           /* embd x heads*head_dim (columns of the slice) */
	TENSOR_FFN_NORM,    /* 1 x embd, float32 */
	TENSOR_GATE,        /* ffn x embd */
	TENSOR_UP,          /* ffn x embd */
	TENSOR_DOWN,        /* embd x ffn (columns of the slice) */
	TENSOR_ROUTER,      /* experts x embd */
	TENSOR_EXPERT_GATE, /* of one expert, as GATE, UP, DOWN */
	TENSOR_EXPERT_UP,
	TENSOR_EXPERT_DOWN,
	TENSOR_OUT_NORM, /* 1 x embd, float32 */
	TENSOR_OUT,      /* vocab x embd */
	TENSOR_ROPE_FREQS, /* 1 x rope_dim/2, float32: factors; in UNIT_ATTN of the slice's first layer */
	TENSOR_ROLES
};

struct unit {
	struct matrix t[TENSOR_ROLES]; /* those of the unit; .data NULL where the model has none */
	bool in_parts; /* or where it is not all in memory: see weight_source.rows */
};

/* What a source did since it was made. */
struct weights_stats {
	uint64_t bytes;    /* all units' */
	uint64_t resident; /* of these, those that stay in memory */
	uint64_t ring;     /* memory through which the others stream */
	uint64_t streamed; /* bytes that were read through it, */
	uint64_t passes;   /* in so many passes over the model */
	double reading;    /* seconds in which something was being read, */
	double waiting;    /* and seconds in which acquire waited for it */
};

/* Interface. acquire may wait (streaming); it returns NULL with err when the weights cannot be had.
 * expert is 0 for units that are of no expert. Every acquire is followed by a release before the
 * next step ends. at_once: how many may be held at the same time (experts of a layer, which are
 * then computed together); 0 stands for 1. One thread at a time. */
struct weight_source {
	const struct unit *(*acquire)(struct weight_source *ws, enum unit_kind kind, uint32_t layer,
		uint32_t expert, struct err *err);
	void (*release)(struct weight_source *ws, const struct unit *u);
	void (*free)(struct weight_source *ws);
	/* Any thread. NULL: all units are in memory. */
	void (*stats)(struct weight_source *ws, struct weights_stats *st);
	uint32_t at_once;
	/* Whether units are being moved to where they are faster to read, so that how long steps take says little of
	 * how long they will. NULL: never. */
	bool (*moving)(struct weight_source *ws);
	/* Some rows of a matrix of a unit in_parts, from `row` on: *part is as the whole matrix, but
	 * for data and rows. It is good until the next call or the unit's release, and may have to be
	 * waited for. For matrices without data, in the order of their roles, each from row 0 to its
	 * end. NULL: units are always whole. */
	int (*rows)(struct weight_source *ws, const struct unit *u, enum tensor_role r,
		uint32_t row, struct matrix *part, struct err *err);
	/* These experts of the layer will be acquired next, in this order; none is held. NULL: no
	 * need to say so. */
	void (*hint)(struct weight_source *ws, uint32_t layer, const uint32_t *experts, uint32_t n);
};

/* The tensors of a unit kind, in the order in which they are used and stored: a list that ends with
 * TENSOR_ROLES. */
const enum tensor_role *unit_roles(enum unit_kind kind);
const char *tensor_role_name(enum tensor_role r); /* "attn_q" */

/* Weights straight from a mapped GGUF file: views, nothing copied (norms that are not float32 are
 * widened once). g must outlive the source. with_embed: UNIT_EMBED can be acquired. */
struct weight_source *weights_from_gguf(const struct gguf *g, const struct model_shape *s,
	const struct slice *sl, bool with_embed, struct err *err);

#endif
