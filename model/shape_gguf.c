/* The shape that a GGUF file's keys and tensors say. Keys first, then the bounds, then every
 * tensor against the table of tensors.c. */
#include "model/gguf_int.h"
#include "model/shape_int.h"
#include "model/tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Whether models of an architecture are mixtures of experts. */
enum mixture { NEVER, PERHAPS, ALWAYS };

/* One line per architecture that is computed. */
static const struct arch_info {
	enum model_arch arch;
	bool interleaved; /* how pairs of rotary positions lie */
	bool qk_norm;
	bool qkv_bias; /* always; others have it when the file has its tensors */
	enum mixture experts;
	bool qk_norm_wide;
	bool expert_norm; /* when the file does not say it */
} archs[] = {
	{ARCH_LLAMA, true, false, false, PERHAPS, false, true}, /* with experts: mixtral */
	{ARCH_QWEN2, false, false, true, NEVER, false, false},
	{ARCH_QWEN3, false, true, false, NEVER, false, false},
	{ARCH_QWEN3MOE, false, true, false, ALWAYS, false, true},
	{ARCH_OLMOE, false, true, false, ALWAYS, true, false},
};

/* Keys begin with the name of the architecture. */
struct keys {
	const struct gguf *g;
	const char *arch;
	char key[96];
};

static const char *
key_of(struct keys *k, const char *name)
{
	snprintf(k->key, sizeof k->key, "%s.%s", k->arch, name);
	return k->key;
}

static int
need_u32(struct keys *k, const char *name, uint32_t *v, struct err *err)
{
	if (gguf_u32(k->g, key_of(k, name), v))
		return 0;
	return err_set(err, "key '%s' is missing or is not one positive number", k->key);
}

static void
take_u32(struct keys *k, const char *name, uint32_t *v, uint32_t otherwise)
{
	if (!gguf_u32(k->g, key_of(k, name), v))
		*v = otherwise;
}

static void
take_f32(struct keys *k, const char *name, float *v, float otherwise)
{
	if (!gguf_f32(k->g, key_of(k, name), v))
		*v = otherwise;
}

static bool
str_is(struct gguf_str s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.s, word, s.len) == 0;
}

static const struct arch_info *
find_arch(const struct gguf *g, struct err *err)
{
	struct gguf_str name;

	if (!gguf_string(g, "general.architecture", &name)) {
		err_set(err, "key 'general.architecture' is missing: this is no model file");
		return NULL;
	}
	for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++)
		if (str_is(name, arch_name(archs[i].arch)))
			return &archs[i];
	err_set(err,
		"architecture '%.*s' is not computed yet: llama, qwen2, qwen3, qwen3moe, "
		"olmoe are",
		SHOWN(name));
	return NULL;
}

/* For people only: cut to whole characters, without control characters. */
static void
take_name(const struct gguf *g, char *out, size_t size)
{
	struct gguf_str name;
	size_t n;

	if (!gguf_string(g, "general.name", &name))
		return;
	n = name.len < size ? name.len : size - 1;
	while (n > 0 && n < name.len && ((uint8_t)name.s[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, name.s, n);
	out[n] = '\0';
	for (char *c = out; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

static int
take_sizes(struct keys *k, struct model_shape *s, struct err *err)
{
	uint32_t value_dim;

	if (need_u32(k, "block_count", &s->layers, err) != 0 ||
		need_u32(k, "embedding_length", &s->embd, err) != 0 ||
		need_u32(k, "feed_forward_length", &s->ffn, err) != 0 ||
		need_u32(k, "attention.head_count", &s->heads, err) != 0 ||
		need_u32(k, "context_length", &s->context, err) != 0)
		return -1;
	take_u32(k, "attention.head_count_kv", &s->kv_heads, s->heads);
	take_u32(k, "attention.key_length", &s->head_dim, s->heads > 0 ? s->embd / s->heads : 0);
	take_u32(k, "attention.value_length", &value_dim, s->head_dim);
	if (value_dim != s->head_dim)
		return err_set(err,
			"heads of %" PRIu32 " with values of %" PRIu32
			" (key '%s') are not computed",
			s->head_dim, value_dim, k->key);
	if (!gguf_f32(k->g, key_of(k, "attention.layer_norm_rms_epsilon"), &s->norm_eps))
		return err_set(err, "key '%s' is missing or is no number", k->key);
	return 0;
}

/* Ways to choose among experts and to weigh them that are not computed. */
static int
refuse_other_gating(struct keys *k, struct err *err)
{
	uint32_t gating, groups;

	take_u32(k, "expert_gating_func", &gating, 1);
	if (gating > 1) /* 0 stands for none said, 1 for softmax */
		return err_set(err,
			"experts chosen by function %" PRIu32 " (key '%s') are not computed: those "
			"by softmax (1) are",
			gating, k->key);
	take_u32(k, "expert_group_count", &groups, 1);
	if (groups > 1)
		return err_set(err, "experts in %" PRIu32 " groups (key '%s') are not computed",
			groups, k->key);
	return 0;
}

static int
take_experts(struct keys *k, const struct arch_info *a, struct model_shape *s, struct err *err)
{
	take_u32(k, "expert_count", &s->experts, 0);
	if (a->experts == NEVER && s->experts > 0)
		return err_set(err,
			"a mixture of %" PRIu32 " experts (key '%s') is none that this "
			"architecture has",
			s->experts, k->key);
	if (a->experts == ALWAYS && s->experts == 0)
		return err_set(err, "key '%s' is missing or is not one positive number", k->key);
	if (s->experts == 0)
		return 0;
	if (need_u32(k, "expert_used_count", &s->experts_used, err) != 0)
		return -1;
	take_u32(k, "expert_feed_forward_length", &s->ffn, s->ffn);
	s->expert_norm = a->expert_norm;
	gguf_bool(k->g, key_of(k, "expert_weights_norm"), &s->expert_norm);
	take_f32(k, "expert_weights_scale", &s->expert_scale, 1.0f);
	if (s->expert_scale == 0.0f) /* stands for none said */
		s->expert_scale = 1.0f;
	return refuse_other_gating(k, err);
}

static int
take_scaling(struct keys *k, struct model_shape *s, struct err *err)
{
	struct gguf_str type;
	bool named = gguf_string(k->g, key_of(k, "rope.scaling.type"), &type);

	take_f32(k, "rope.scaling.factor", &s->rope_factor, 0.0f);
	if (s->rope_factor == 0.0f) /* its name in older files */
		take_f32(k, "rope.scale_linear", &s->rope_factor, 1.0f);
	if (!named)
		s->rope_scaling = s->rope_factor == 1.0f ? ROPE_NONE : ROPE_LINEAR;
	else if (str_is(type, "none"))
		s->rope_scaling = ROPE_NONE;
	else if (str_is(type, "linear"))
		s->rope_scaling = ROPE_LINEAR;
	else if (str_is(type, "yarn"))
		s->rope_scaling = ROPE_YARN;
	else if (str_is(type, "llama3"))
		s->rope_scaling = ROPE_LLAMA3;
	else
		return err_set(err,
			"rope scaling '%.*s' is not computed yet: none, linear, yarn, llama3 are",
			SHOWN(type));
	return 0;
}

static int
take_rope(struct keys *k, struct model_shape *s, struct err *err)
{
	take_u32(k, "rope.dimension_count", &s->rope_dim, s->head_dim);
	take_f32(k, "rope.freq_base", &s->rope_base, 10000.0f);
	if (take_scaling(k, s, err) != 0)
		return -1;
	take_u32(k, "rope.scaling.original_context_length", &s->rope_orig_context,
		s->rope_scaling == ROPE_LLAMA3 ? 8192 : s->context);
	take_f32(k, "rope.scaling.low_freq_factor", &s->rope_low_freq, 1.0f);
	take_f32(k, "rope.scaling.high_freq_factor", &s->rope_high_freq, 4.0f);
	take_f32(k, "rope.scaling.attn_factor", &s->yarn_attn_factor, 1.0f);
	take_f32(k, "rope.scaling.yarn_attn_factor", &s->yarn_attn_factor, s->yarn_attn_factor);
	take_f32(k, "rope.scaling.yarn_ext_factor", &s->yarn_ext_factor, 1.0f);
	take_f32(k, "rope.scaling.yarn_beta_fast", &s->yarn_beta_fast, 32.0f);
	take_f32(k, "rope.scaling.yarn_beta_slow", &s->yarn_beta_slow, 1.0f);
	return 0;
}

/* What only the tensors say. */
static int
take_from_tensors(
	const struct gguf *g, const struct arch_info *a, struct model_shape *s, struct err *err)
{
	const struct gguf_tensor *embd = gguf_tensor(g, "token_embd.weight");

	if (embd == NULL)
		return err_set(err, gguf_n_tensors(g) == 0
					    ? "the file has no tensors: it is a vocabulary only"
					    : "tensor 'token_embd.weight' is missing");
	if (embd->n_dims != 2 || embd->dims[1] > UINT32_MAX)
		return err_set(err, "tensor 'token_embd.weight' is no table of token embeddings");
	s->vocab = (uint32_t)embd->dims[1];
	s->tied = gguf_tensor(g, "output.weight") == NULL;
	s->qkv_bias = a->qkv_bias || gguf_tensor(g, "blk.0.attn_q.bias") != NULL;
	return 0;
}

static int
check_tensor(const struct gguf_tensor *t, const struct model_shape *s, enum tensor_role r,
	uint32_t depth, struct err *err)
{
	uint32_t rows, cols;
	bool fits;

	tensor_dims(s, r, &rows, &cols);
	fits = t->dims[0] == cols && t->dims[1] == rows && t->dims[2] == depth && t->dims[3] == 1;
	if (!fits)
		return err_set(err,
			"tensor '%.*s' is %" PRIu64 " x %" PRIu64 " x %" PRIu64 "%s, but the "
			"model's keys say %" PRIu32 " x %" PRIu32 " x %" PRIu32,
			SHOWN(t->name), t->dims[0], t->dims[1], t->dims[2],
			t->dims[3] == 1 ? "" : " x more", cols, rows, depth);
	if (tensor_is_vector(r)
			? t->dtype != DTYPE_F32 && t->dtype != DTYPE_F16 && t->dtype != DTYPE_BF16
			: !dtype_computed(t->dtype))
		return err_set(err, "tensor '%.*s' has type %s, which is not computed yet here",
			SHOWN(t->name), dtype_name(t->dtype));
	return 0;
}

/* The tensors of one unit; *used counts those that the file has, a stack with its first expert. */
static int
check_unit(const struct gguf *g, struct model_shape *s, enum unit_kind kind, uint32_t layer,
	uint32_t expert, size_t *used, struct err *err)
{
	const struct gguf_tensor *t;
	uint32_t depth;
	char name[TENSOR_NAME_MAX];

	for (const enum tensor_role *r = unit_roles(kind); *r != TENSOR_ROLES; r++) {
		if (*r == TENSOR_OUT && s->tied)
			continue; /* checked as the embedding */
		if (tensor_of_all_layers(*r) && layer > 0)
			continue; /* checked, and counted, with the first layer */
		t = tensor_find(g, s, *r, layer, expert, &depth);
		if (t == NULL && tensor_expected(s, *r)) {
			tensor_name(*r, layer, name);
			return err_set(err, "tensor '%s' is missing", name);
		}
		if (t == NULL)
			continue;
		if (check_tensor(t, s, *r, depth, err) != 0)
			return -1;
		*used += expert == 0 || depth == 1;
		if ((*r == TENSOR_O || *r == TENSOR_DOWN || *r == TENSOR_EXPERT_DOWN) &&
			dtype_info(t->dtype)->block > s->col_block)
			s->col_block = dtype_info(t->dtype)->block;
	}
	return 0;
}

/* The number before ".weight" in "blk.3.ffn_up.5.weight"; 0 where there is none. */
static uint32_t
expert_of(const char *name)
{
	const char *at = strstr(name, ".weight");

	while (at != NULL && at > name && at[-1] >= '0' && at[-1] <= '9')
		at--;
	return at != NULL ? (uint32_t)strtoul(at, NULL, 10) : 0;
}

/* Whether one of the model's tensors is this one. */
static bool
is_used(const struct gguf *g, const struct model_shape *s, struct gguf_str have)
{
	char text[TENSOR_NAME_MAX];
	unsigned long layer = 0;
	uint32_t expert;

	if (have.len >= sizeof text)
		return false;
	memcpy(text, have.s, have.len);
	text[have.len] = '\0';
	if (strncmp(text, "blk.", 4) == 0)
		layer = strtoul(text + 4, NULL, 10);
	expert = expert_of(text);
	if (layer >= s->layers || (expert > 0 && expert >= s->experts))
		return false;
	for (enum tensor_role r = 0; r < TENSOR_ROLES; r++) {
		const struct gguf_tensor *t = tensor_find(g, s, r, (uint32_t)layer, expert, NULL);

		if (t != NULL && t->name.s == have.s)
			return true;
	}
	return false;
}

/* Tables that old converters wrote out and that follow from the keys. */
static bool
is_idle(struct gguf_str name)
{
	static const char tail[] = ".attn_rot_embd.weight",
			  tail2[] = ".attention.rotary_emb.inv_freq";

	return (name.len > sizeof tail - 1 &&
		       memcmp(name.s + name.len - (sizeof tail - 1), tail, sizeof tail - 1) == 0) ||
	       (name.len > sizeof tail2 - 1 && memcmp(name.s + name.len - (sizeof tail2 - 1), tail2,
						       sizeof tail2 - 1) == 0);
}

/* A tensor that would be passed over means that the numbers would be wrong. */
static int
refuse_unused(const struct gguf *g, const struct model_shape *s, struct err *err)
{
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		struct gguf_str name = gguf_tensor_at(g, i)->name;

		if (!is_used(g, s, name) && !is_idle(name))
			return err_set(err,
				"tensor '%.*s' has no part in architecture '%s' as it is computed "
				"here",
				SHOWN(name), arch_name(s->arch));
	}
	return 0;
}

static int
check_tensors(const struct gguf *g, struct model_shape *s, struct err *err)
{
	size_t used = 0;

	if (check_unit(g, s, UNIT_EMBED, 0, 0, &used, err) != 0 ||
		check_unit(g, s, UNIT_HEAD, 0, 0, &used, err) != 0)
		return -1;
	for (uint32_t i = 0; i < s->layers; i++) {
		if (check_unit(g, s, UNIT_ATTN, i, 0, &used, err) != 0 ||
			check_unit(g, s, UNIT_FFN, i, 0, &used, err) != 0)
			return -1;
		for (uint32_t e = 0; e < s->experts; e++)
			if (check_unit(g, s, UNIT_EXPERT, i, e, &used, err) != 0)
				return -1;
	}
	return used == gguf_n_tensors(g) ? 0 : refuse_unused(g, s, err);
}

int
shape_from_gguf(const struct gguf *g, struct model_shape *s, struct err *err)
{
	const struct arch_info *a = find_arch(g, err);
	struct keys k = {.g = g};

	*s = (struct model_shape){.col_block = 1};
	if (a == NULL)
		return -1;
	s->arch = a->arch;
	s->rope_interleaved = a->interleaved;
	s->qk_norm = a->qk_norm;
	s->qk_norm_wide = a->qk_norm_wide;
	k.arch = arch_name(a->arch);
	take_name(g, s->name, sizeof s->name);
	if (take_from_tensors(g, a, s, err) != 0 || take_sizes(&k, s, err) != 0 ||
		take_experts(&k, a, s, err) != 0 || take_rope(&k, s, err) != 0 ||
		shape_check(s, err) != 0)
		return -1;
	return check_tensors(g, s, err);
}
