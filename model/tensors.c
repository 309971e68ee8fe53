#include "model/tensors.h"

#include <inttypes.h>
#include <stdio.h>

/* What a dimension is made of. */
enum dim { DIM_ONE, DIM_EMBD, DIM_Q, DIM_KV, DIM_HEAD, DIM_FFN, DIM_VOCAB, DIM_ROPE };

/* When a model has the tensor. */
enum when { ALWAYS, QKV_BIAS, QK_NORM, PERHAPS };

static const struct spec {
	const char *word; /* for people */
	const char *name; /* in the file; %u is the layer */
	enum dim rows, cols;
	bool cut_rows, cut_cols;
	bool vector;
	enum when when;
} specs[TENSOR_ROLES] = {
	[TENSOR_EMBED] = {"token_embd", "token_embd.weight", DIM_VOCAB, DIM_EMBD},
	[TENSOR_ATTN_NORM] = {"attn_norm", "blk.%u.attn_norm.weight", DIM_ONE, DIM_EMBD,
		.vector = true},
	[TENSOR_Q] = {"attn_q", "blk.%u.attn_q.weight", DIM_Q, DIM_EMBD, .cut_rows = true},
	[TENSOR_K] = {"attn_k", "blk.%u.attn_k.weight", DIM_KV, DIM_EMBD, .cut_rows = true},
	[TENSOR_V] = {"attn_v", "blk.%u.attn_v.weight", DIM_KV, DIM_EMBD, .cut_rows = true},
	[TENSOR_Q_BIAS] = {"attn_q_bias", "blk.%u.attn_q.bias", DIM_ONE, DIM_Q, .cut_cols = true,
		.vector = true, .when = QKV_BIAS},
	[TENSOR_K_BIAS] = {"attn_k_bias", "blk.%u.attn_k.bias", DIM_ONE, DIM_KV, .cut_cols = true,
		.vector = true, .when = QKV_BIAS},
	[TENSOR_V_BIAS] = {"attn_v_bias", "blk.%u.attn_v.bias", DIM_ONE, DIM_KV, .cut_cols = true,
		.vector = true, .when = QKV_BIAS},
	[TENSOR_Q_NORM] = {"attn_q_norm", "blk.%u.attn_q_norm.weight", DIM_ONE, DIM_HEAD,
		.vector = true, .when = QK_NORM},
	[TENSOR_K_NORM] = {"attn_k_norm", "blk.%u.attn_k_norm.weight", DIM_ONE, DIM_HEAD,
		.vector = true, .when = QK_NORM},
	[TENSOR_O] = {"attn_output", "blk.%u.attn_output.weight", DIM_EMBD, DIM_Q,
		.cut_cols = true},
	[TENSOR_FFN_NORM] = {"ffn_norm", "blk.%u.ffn_norm.weight", DIM_ONE, DIM_EMBD,
		.vector = true},
	[TENSOR_GATE] = {"ffn_gate", "blk.%u.ffn_gate.weight", DIM_FFN, DIM_EMBD, .cut_rows = true},
	[TENSOR_UP] = {"ffn_up", "blk.%u.ffn_up.weight", DIM_FFN, DIM_EMBD, .cut_rows = true},
	[TENSOR_DOWN] = {"ffn_down", "blk.%u.ffn_down.weight", DIM_EMBD, DIM_FFN, .cut_cols = true},
	[TENSOR_OUT_NORM] = {"output_norm", "output_norm.weight", DIM_ONE, DIM_EMBD,
		.vector = true},
	[TENSOR_OUT] = {"output", "output.weight", DIM_VOCAB, DIM_EMBD, .cut_rows = true},
	[TENSOR_ROPE_FREQS] = {"rope_freqs", "rope_freqs.weight", DIM_ONE, DIM_ROPE, .vector = true,
		.when = PERHAPS},
};

const char *
tensor_role_name(enum tensor_role r)
{
	return (unsigned)r < TENSOR_ROLES ? specs[r].word : "?";
}

const enum tensor_role *
unit_roles(enum unit_kind kind)
{
	static const enum tensor_role none[] = {TENSOR_ROLES};
	static const enum tensor_role embed[] = {TENSOR_EMBED, TENSOR_ROLES};
	static const enum tensor_role attn[] = {TENSOR_ATTN_NORM, TENSOR_Q, TENSOR_K, TENSOR_V,
		TENSOR_Q_BIAS, TENSOR_K_BIAS, TENSOR_V_BIAS, TENSOR_Q_NORM, TENSOR_K_NORM,
		TENSOR_ROPE_FREQS, TENSOR_O, TENSOR_ROLES};
	static const enum tensor_role ffn[] = {
		TENSOR_FFN_NORM, TENSOR_GATE, TENSOR_UP, TENSOR_DOWN, TENSOR_ROLES};
	static const enum tensor_role head[] = {TENSOR_OUT_NORM, TENSOR_OUT, TENSOR_ROLES};

	switch (kind) {
	case UNIT_EMBED:
		return embed;
	case UNIT_ATTN:
		return attn;
	case UNIT_FFN:
		return ffn;
	case UNIT_HEAD:
		return head;
	default:
		return none;
	}
}

bool
tensor_is_vector(enum tensor_role r)
{
	return specs[r].vector;
}

bool
tensor_expected(const struct model_shape *s, enum tensor_role r)
{
	switch (specs[r].when) {
	case QKV_BIAS:
		return s->qkv_bias;
	case QK_NORM:
		return s->qk_norm;
	case PERHAPS:
		return false;
	default:
		return true;
	}
}

bool
tensor_in_layer(enum tensor_role r, uint32_t layer)
{
	return r != TENSOR_ROPE_FREQS || layer == 0;
}

void
tensor_name(enum tensor_role r, uint32_t layer, char name[static TENSOR_NAME_MAX])
{
	const char *rest = strstr(specs[r].name, "%u");

	if (rest == NULL)
		snprintf(name, TENSOR_NAME_MAX, "%s", specs[r].name);
	else
		snprintf(name, TENSOR_NAME_MAX, "blk.%" PRIu32 "%s", layer, rest + 2);
}

static uint32_t
dim_of(const struct model_shape *s, enum dim d)
{
	switch (d) {
	case DIM_EMBD:
		return s->embd;
	case DIM_Q:
		return s->heads * s->head_dim;
	case DIM_KV:
		return s->kv_heads * s->head_dim;
	case DIM_HEAD:
		return s->head_dim;
	case DIM_FFN:
		return s->ffn;
	case DIM_VOCAB:
		return s->vocab;
	case DIM_ROPE:
		return s->rope_dim / 2;
	default:
		return 1;
	}
}

void
tensor_dims(const struct model_shape *s, enum tensor_role r, uint32_t *rows, uint32_t *cols)
{
	*rows = dim_of(s, specs[r].rows);
	*cols = dim_of(s, specs[r].cols);
}

/* Where a slice's part of a dimension begins and how long it is. */
static void
cut_dim(const struct model_shape *s, const struct slice *sl, enum dim d, uint32_t *from,
	uint32_t *n)
{
	uint32_t group = s->heads / s->kv_heads;

	switch (d) {
	case DIM_Q:
		*from = sl->kv_head0 * group * s->head_dim;
		*n = sl->kv_heads * group * s->head_dim;
		break;
	case DIM_KV:
		*from = sl->kv_head0 * s->head_dim;
		*n = sl->kv_heads * s->head_dim;
		break;
	case DIM_FFN:
		*from = sl->ffn0;
		*n = sl->ffn;
		break;
	case DIM_VOCAB:
		*from = sl->vocab0;
		*n = sl->vocab;
		break;
	default:
		break; /* never cut */
	}
}

struct tensor_cut
tensor_cut(const struct model_shape *s, const struct slice *sl, enum tensor_role r)
{
	struct tensor_cut c = {0};

	tensor_dims(s, r, &c.rows, &c.cols);
	if (specs[r].cut_rows)
		cut_dim(s, sl, specs[r].rows, &c.row0, &c.rows);
	if (specs[r].cut_cols)
		cut_dim(s, sl, specs[r].cols, &c.col0, &c.cols);
	return c;
}

const struct gguf_tensor *
tensor_find(const struct gguf *g, const struct model_shape *s, enum tensor_role r, uint32_t layer)
{
	char name[TENSOR_NAME_MAX];

	if (r == TENSOR_OUT && s->tied)
		r = TENSOR_EMBED;
	if (!tensor_in_layer(r, layer) || (!tensor_expected(s, r) && specs[r].when != PERHAPS))
		return NULL;
	tensor_name(r, layer, name);
	return gguf_tensor(g, name);
}

struct matrix
tensor_view(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	enum tensor_role r, uint32_t layer)
{
	const struct gguf_tensor *t = tensor_find(g, s, r, layer);
	struct tensor_cut c = tensor_cut(s, sl, r);
	struct matrix m = {.rows = c.rows, .cols = c.cols};

	if (t == NULL)
		return (struct matrix){0};
	m.dtype = t->dtype;
	m.stride = dtype_row_bytes(t->dtype, (size_t)t->dims[0]);
	if (c.rows > 0 && c.cols > 0)
		m.data = t->data + c.row0 * m.stride + dtype_row_bytes(t->dtype, c.col0);
	return m;
}
