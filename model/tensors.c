#include "model/tensors.h"

#include <inttypes.h>
#include <stdio.h>

/* What a dimension is made of. */
enum dim {
	DIM_ONE,
	DIM_EMBD,
	DIM_Q,
	DIM_KV,
	DIM_Q_NORM,
	DIM_K_NORM,
	DIM_FFN,
	DIM_EXPERTS,
	DIM_VOCAB,
	DIM_ROPE
};

/* When a model has the tensor. */
enum when { ALWAYS, QKV_BIAS, QK_NORM, DENSE, EXPERTS, PERHAPS };

static const struct spec {
	const char *word; /* for people */
	const char *name; /* in the file; %u is the layer */
	enum dim rows, cols;
	bool cut_rows, cut_cols;
	bool vector;
	enum when when;
	const char *own; /* name of one expert's in older files: %u the layer, then the expert */
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
	[TENSOR_Q_NORM] = {"attn_q_norm", "blk.%u.attn_q_norm.weight", DIM_ONE, DIM_Q_NORM,
		.vector = true, .when = QK_NORM},
	[TENSOR_K_NORM] = {"attn_k_norm", "blk.%u.attn_k_norm.weight", DIM_ONE, DIM_K_NORM,
		.vector = true, .when = QK_NORM},
	[TENSOR_O] = {"attn_output", "blk.%u.attn_output.weight", DIM_EMBD, DIM_Q,
		.cut_cols = true},
	[TENSOR_FFN_NORM] = {"ffn_norm", "blk.%u.ffn_norm.weight", DIM_ONE, DIM_EMBD,
		.vector = true},
	[TENSOR_GATE] = {"ffn_gate", "blk.%u.ffn_gate.weight", DIM_FFN, DIM_EMBD, .cut_rows = true,
		.when = DENSE},
	[TENSOR_UP] = {"ffn_up", "blk.%u.ffn_up.weight", DIM_FFN, DIM_EMBD, .cut_rows = true,
		.when = DENSE},
	[TENSOR_DOWN] = {"ffn_down", "blk.%u.ffn_down.weight", DIM_EMBD, DIM_FFN, .cut_cols = true,
		.when = DENSE},
	[TENSOR_ROUTER] = {"ffn_gate_inp", "blk.%u.ffn_gate_inp.weight", DIM_EXPERTS, DIM_EMBD,
		.when = EXPERTS},
	[TENSOR_EXPERT_GATE] = {"expert_gate", "blk.%u.ffn_gate_exps.weight", DIM_FFN, DIM_EMBD,
		.cut_rows = true, .when = EXPERTS, .own = "blk.%u.ffn_gate.%u.weight"},
	[TENSOR_EXPERT_UP] = {"expert_up", "blk.%u.ffn_up_exps.weight", DIM_FFN, DIM_EMBD,
		.cut_rows = true, .when = EXPERTS, .own = "blk.%u.ffn_up.%u.weight"},
	[TENSOR_EXPERT_DOWN] = {"expert_down", "blk.%u.ffn_down_exps.weight", DIM_EMBD, DIM_FFN,
		.cut_cols = true, .when = EXPERTS, .own = "blk.%u.ffn_down.%u.weight"},
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
		TENSOR_FFN_NORM, TENSOR_ROUTER, TENSOR_GATE, TENSOR_UP, TENSOR_DOWN, TENSOR_ROLES};
	static const enum tensor_role expert[] = {
		TENSOR_EXPERT_GATE, TENSOR_EXPERT_UP, TENSOR_EXPERT_DOWN, TENSOR_ROLES};
	static const enum tensor_role head[] = {TENSOR_OUT_NORM, TENSOR_OUT, TENSOR_ROLES};

	switch (kind) {
	case UNIT_EMBED:
		return embed;
	case UNIT_ATTN:
		return attn;
	case UNIT_FFN:
		return ffn;
	case UNIT_EXPERT:
		return expert;
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
	case DENSE:
		return s->experts == 0;
	case EXPERTS:
		return s->experts > 0;
	case PERHAPS:
		return false;
	default:
		return true;
	}
}

bool
tensor_is_cut_by_columns(enum tensor_role r)
{
	return specs[r].cut_cols;
}

bool
tensor_of_all_layers(enum tensor_role r)
{
	return r == TENSOR_ROPE_FREQS;
}

bool
tensor_in_layer(const struct slice *sl, enum tensor_role r, uint32_t layer)
{
	return !tensor_of_all_layers(r) || layer == sl->layer0;
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

bool
tensor_name_own(
	enum tensor_role r, uint32_t layer, uint32_t expert, char name[static TENSOR_NAME_MAX])
{
	const char *rest, *end;

	if (specs[r].own == NULL)
		return false;
	rest = strstr(specs[r].own, "%u") + 2;
	end = strstr(rest, "%u");
	snprintf(name, TENSOR_NAME_MAX, "blk.%" PRIu32 "%.*s%" PRIu32 "%s", layer,
		(int)(end - rest), rest, expert, end + 2);
	return true;
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
	case DIM_Q_NORM:
		return s->qk_norm_wide ? s->heads * s->head_dim : s->head_dim;
	case DIM_K_NORM:
		return s->qk_norm_wide ? s->kv_heads * s->head_dim : s->head_dim;
	case DIM_FFN:
		return s->ffn;
	case DIM_EXPERTS:
		return s->experts;
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
tensor_find(const struct gguf *g, const struct model_shape *s, enum tensor_role r, uint32_t layer,
	uint32_t expert, uint32_t *depth)
{
	char name[TENSOR_NAME_MAX];
	const struct gguf_tensor *t;
	uint32_t ignored;

	depth = depth != NULL ? depth : &ignored;
	*depth = 1;
	if (r == TENSOR_OUT && s->tied)
		r = TENSOR_EMBED;
	if (!tensor_expected(s, r) && specs[r].when != PERHAPS)
		return NULL;
	tensor_name(r, layer, name);
	t = gguf_tensor(g, name);
	if (specs[r].own == NULL)
		return t;
	if (t == NULL && tensor_name_own(r, layer, expert, name))
		return gguf_tensor(g, name);
	*depth = s->experts;
	return t;
}

const uint8_t *
tensor_part(const struct gguf_tensor *t, uint32_t expert, uint64_t *bytes)
{
	*bytes = t->bytes / t->dims[2]; /* which is 1 for all but stacks */
	return t->data + (t->dims[2] > 1 ? expert : 0) * *bytes;
}

struct matrix
tensor_view(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	enum tensor_role r, uint32_t layer, uint32_t expert)
{
	const struct gguf_tensor *t = tensor_find(g, s, r, layer, expert, NULL);
	struct tensor_cut c = tensor_cut(s, sl, r);
	struct matrix m = {.rows = c.rows, .cols = c.cols};
	uint64_t bytes;

	if (t == NULL || !tensor_in_layer(sl, r, layer))
		return (struct matrix){0};
	m.dtype = t->dtype;
	m.stride = dtype_row_bytes(t->dtype, (size_t)t->dims[0]);
	if (c.rows > 0 && c.cols > 0)
		m.data = tensor_part(t, expert, &bytes) + c.row0 * m.stride +
			 dtype_row_bytes(t->dtype, c.col0);
	return m;
}
