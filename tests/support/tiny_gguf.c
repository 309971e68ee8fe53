#include "tests/support/tiny_gguf.h"

#include <stdio.h>
#include <stdlib.h>

/* As llama.cpp names them; not taken from the table that is tested. %u: the layer. */
static const struct name {
	enum tensor_role role;
	const char *name;
	const char *own; /* in between layer and expert */
} names[] = {
	{TENSOR_EMBED, "token_embd.weight", NULL},
	{TENSOR_OUT_NORM, "output_norm.weight", NULL},
	{TENSOR_OUT, "output.weight", NULL},
	{TENSOR_ATTN_NORM, "blk.%u.attn_norm.weight", NULL},
	{TENSOR_Q, "blk.%u.attn_q.weight", NULL},
	{TENSOR_K, "blk.%u.attn_k.weight", NULL},
	{TENSOR_V, "blk.%u.attn_v.weight", NULL},
	{TENSOR_Q_NORM, "blk.%u.attn_q_norm.weight", NULL},
	{TENSOR_K_NORM, "blk.%u.attn_k_norm.weight", NULL},
	{TENSOR_O, "blk.%u.attn_output.weight", NULL},
	{TENSOR_FFN_NORM, "blk.%u.ffn_norm.weight", NULL},
	{TENSOR_GATE, "blk.%u.ffn_gate.weight", NULL},
	{TENSOR_UP, "blk.%u.ffn_up.weight", NULL},
	{TENSOR_DOWN, "blk.%u.ffn_down.weight", NULL},
	{TENSOR_ROUTER, "blk.%u.ffn_gate_inp.weight", NULL},
	{TENSOR_EXPERT_GATE, "blk.%u.ffn_gate_exps.weight", ".ffn_gate."},
	{TENSOR_EXPERT_UP, "blk.%u.ffn_up_exps.weight", ".ffn_up."},
	{TENSOR_EXPERT_DOWN, "blk.%u.ffn_down_exps.weight", ".ffn_down."},
};
#define NAMES (sizeof names / sizeof *names)

/* --- keys --------------------------------------------------------------------------------------- */

struct writer {
	const struct tiny_model *m;
	const struct tiny_gguf *o;
	struct buf keys, infos, data;
	uint64_t n_keys, n_tensors;
};

static void
put_str(struct buf *b, const char *s)
{
	buf_u64(b, strlen(s));
	buf_str(b, s);
}

static void
put_key(struct writer *w, const char *key, enum gguf_type type)
{
	char name[128];

	snprintf(name, sizeof name, "%s.%s", arch_name(w->m->shape.arch), key);
	put_str(&w->keys, name);
	buf_u32(&w->keys, type);
	w->n_keys++;
}

static void
put_u32(struct writer *w, const char *key, uint32_t v)
{
	put_key(w, key, GGUF_U32);
	buf_u32(&w->keys, v);
}

static void
put_f32(struct writer *w, const char *key, float v)
{
	uint32_t bits;

	put_key(w, key, GGUF_F32);
	memcpy(&bits, &v, sizeof bits);
	buf_u32(&w->keys, bits);
}

static void
put_keys(struct writer *w)
{
	const struct model_shape *s = &w->m->shape;

	put_str(&w->keys, "general.architecture");
	buf_u32(&w->keys, GGUF_STRING);
	put_str(&w->keys, arch_name(s->arch));
	w->n_keys++;
	put_u32(w, "block_count", s->layers);
	put_u32(w, "embedding_length", s->embd);
	put_u32(w, "context_length", s->context);
	put_u32(w, "attention.head_count", s->heads);
	put_u32(w, "attention.head_count_kv", s->kv_heads);
	put_u32(w, "attention.key_length", s->head_dim);
	put_u32(w, "attention.value_length", s->head_dim);
	put_u32(w, "rope.dimension_count", s->rope_dim);
	put_f32(w, "rope.freq_base", s->rope_base);
	put_f32(w, "attention.layer_norm_rms_epsilon", s->norm_eps);
	/* qwen3moe says the length of a dense network here, which it does not have. */
	put_u32(w, "feed_forward_length", s->arch == ARCH_QWEN3MOE ? 3 * s->ffn : s->ffn);
	if (s->arch == ARCH_QWEN3MOE)
		put_u32(w, "expert_feed_forward_length", s->ffn);
	if (s->experts > 0) {
		put_u32(w, "expert_count", s->experts);
		put_u32(w, "expert_used_count", s->experts_used);
	}
	if (s->experts > 0 && s->expert_scale != 1.0f)
		put_f32(w, "expert_weights_scale", s->expert_scale);
	if (w->o->key != NULL)
		put_u32(w, w->o->key, w->o->value);
}

/* --- tensors ------------------------------------------------------------------------------------ */

static bool
is(const char *a, const char *b)
{
	return a != NULL && strcmp(a, b) == 0;
}

/* depth 0: a matrix, or a vector when it has one row; else a stack of matrices. */
static void
put_tensor(struct writer *w, const char *name, const float *values, uint32_t rows, uint32_t cols,
	uint32_t depth)
{
	uint32_t dims = depth > 0 ? 3 : rows > 1 ? 2 : 1;
	size_t n = (size_t)rows * cols;

	if (is(w->o->omit, name))
		return;
	if (is(w->o->cut, name))
		depth--;
	n *= depth > 0 ? depth : 1;
	put_str(&w->infos, name);
	buf_u32(&w->infos, dims);
	buf_u64(&w->infos, cols);
	if (dims > 1)
		buf_u64(&w->infos, rows);
	if (dims > 2)
		buf_u64(&w->infos, depth);
	buf_u32(&w->infos, DTYPE_F32);
	buf_u64(&w->infos, w->data.len);
	buf_append(&w->data, values, n * sizeof *values);
	while (w->data.len % 32 != 0)
		buf_u8(&w->data, 0);
	w->n_tensors++;
}

/* w->o->own: each with its name; else in one. */
static void
put_experts(struct writer *w, const struct name *n, uint32_t layer, uint32_t rows, uint32_t cols)
{
	const float *values = w->m->w[layer][n->role];
	char name[64];

	for (uint32_t e = 0; w->o->own && e < w->m->shape.experts; e++) {
		snprintf(name, sizeof name, "blk.%u%s%u.weight", layer, n->own, e);
		put_tensor(w, name, values + (size_t)e * rows * cols, rows, cols, 0);
	}
	snprintf(name, sizeof name, "blk.%u%s", layer, n->name + strlen("blk.%u"));
	if (!w->o->own)
		put_tensor(w, name, values, rows, cols, w->m->shape.experts);
}

static void
put_tensors(struct writer *w)
{
	const struct model_shape *s = &w->m->shape;

	for (size_t i = 0; i < NAMES; i++) {
		bool in_layer = strncmp(names[i].name, "blk.", 4) == 0;

		for (uint32_t l = 0; l < (in_layer ? s->layers : 1); l++) {
			const float *values = w->m->w[l][names[i].role];
			uint32_t rows, cols;
			char name[64];

			if (values == NULL)
				continue;
			tiny_model_dims(s, names[i].role, &rows, &cols);
			if (in_layer)
				snprintf(name, sizeof name, "blk.%u%s", l,
					names[i].name + strlen("blk.%u"));
			else
				snprintf(name, sizeof name, "%s", names[i].name);
			if (names[i].own != NULL)
				put_experts(w, &names[i], l, rows, cols);
			else
				put_tensor(w, name, values, rows, cols, 0);
		}
	}
	if (w->o->add != NULL)
		put_tensor(w, w->o->add, (const float[]){1.0f}, 1, 1, 0);
}

void
tiny_gguf_write(const struct tiny_model *m, const struct tiny_gguf *o, struct buf *file)
{
	struct writer w = {.m = m, .o = o};

	buf_init(&w.keys, 0);
	buf_init(&w.infos, 0);
	buf_init(&w.data, 0);
	buf_init(file, 0);
	put_keys(&w);
	put_tensors(&w);
	buf_append(file, "GGUF", 4);
	buf_u32(file, 3);
	buf_u64(file, w.n_tensors);
	buf_u64(file, w.n_keys);
	buf_append(file, w.keys.data, w.keys.len);
	buf_append(file, w.infos.data, w.infos.len);
	while (file->len % 32 != 0)
		buf_u8(file, 0);
	buf_append(file, w.data.data, w.data.len);
	if (file->failed || w.keys.failed || w.infos.failed || w.data.failed)
		abort();
	buf_free(&w.keys);
	buf_free(&w.infos);
	buf_free(&w.data);
}
