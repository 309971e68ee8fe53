/* Shapes in themselves: their bounds, their bytes, and what can be counted from them. How a GGUF
 * file says its shape is in shape_gguf.c. */
#include "model/shape_int.h"
#include "model/tensors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *
arch_name(enum model_arch a)
{
	static const char *const names[] = {"llama", "qwen2", "qwen3", "qwen3moe", "olmoe"};

	return (unsigned)a < sizeof names / sizeof names[0] ? names[a] : "?";
}

static int
check_sizes(const struct model_shape *s, struct err *err)
{
	const struct {
		const char *what;
		uint32_t value, max;
	} sizes[] = {
		{"number of layers", s->layers, 4096},
		{"embedding length", s->embd, 1u << 18},
		{"feed-forward length", s->ffn, 1u << 22},
		{"number of heads", s->heads, 4096},
		{"number of KV heads", s->kv_heads, 4096},
		{"head size", s->head_dim, 4096},
		{"size of the vocabulary", s->vocab, 1u << 24},
		{"context length", s->context, 1u << 30},
		{"number of rotated dimensions", s->rope_dim, 4096},
		{"column block", s->col_block, 1024},
	};

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		if (sizes[i].value < 1 || sizes[i].value > sizes[i].max)
			return err_set(err,
				"the %s is %" PRIu32 ", which is not from 1 to %" PRIu32,
				sizes[i].what, sizes[i].value, sizes[i].max);
	if (s->heads % s->kv_heads != 0)
		return err_set(err, "%" PRIu32 " heads cannot share %" PRIu32 " KV heads evenly",
			s->heads, s->kv_heads);
	if (s->heads * s->head_dim > 1u << 20)
		return err_set(err, "%" PRIu32 " heads of %" PRIu32 " are too wide", s->heads,
			s->head_dim);
	if (s->rope_dim % 2 != 0 || s->rope_dim > s->head_dim)
		return err_set(err,
			"%" PRIu32 " rotated dimensions do not fit into heads of %" PRIu32,
			s->rope_dim, s->head_dim);
	return 0;
}

static bool
within(float v, float min, float max)
{
	return isfinite(v) && v >= min && v <= max;
}

#define MAX_EXPERTS     1024
#define MAX_EXPERTS_ALL (1u << 18) /* in all layers: units have tables */

static int
check_experts(const struct model_shape *s, struct err *err)
{
	if (s->experts == 0)
		return s->experts_used == 0
			       ? 0
			       : err_set(err, "%" PRIu32 " experts are used, and there are none",
					 s->experts_used);
	if (s->experts > MAX_EXPERTS || s->experts * s->layers > MAX_EXPERTS_ALL)
		return err_set(err,
			"%" PRIu32 " experts in each of %" PRIu32 " layers are too many",
			s->experts, s->layers);
	if (s->experts_used < 1 || s->experts_used > s->experts)
		return err_set(err, "%" PRIu32 " of %" PRIu32 " experts cannot be used by a row",
			s->experts_used, s->experts);
	if (!within(s->expert_scale, 1e-6f, 1e6f))
		return err_set(err, "the scale of experts is %g, which is not above 0",
			(double)s->expert_scale);
	return 0;
}

static int
check_rope(const struct model_shape *s, struct err *err)
{
	if (!within(s->rope_base, 1.0f, 1e12f))
		return err_set(err, "the rope base is %g, which is not from 1 to 1e12",
			(double)s->rope_base);
	if (s->rope_scaling == ROPE_NONE)
		return 0;
	if (!within(s->rope_factor, 1e-6f, 1e6f))
		return err_set(err, "the rope scaling factor is %g, which is not above 0",
			(double)s->rope_factor);
	if (s->rope_scaling == ROPE_LINEAR)
		return 0;
	if (s->rope_orig_context < 1 || s->rope_orig_context > 1u << 30)
		return err_set(err, "the original context of rope scaling is %" PRIu32,
			s->rope_orig_context);
	if (s->rope_scaling == ROPE_LLAMA3 && (!within(s->rope_low_freq, 1e-6f, 1e6f) ||
						      !within(s->rope_high_freq, 1e-6f, 1e6f) ||
						      s->rope_high_freq <= s->rope_low_freq))
		return err_set(err,
			"llama3 rope scaling has frequency factors %g and %g: the second must be "
			"the larger",
			(double)s->rope_low_freq, (double)s->rope_high_freq);
	if (s->rope_scaling == ROPE_YARN && (!within(s->yarn_attn_factor, 1e-6f, 1e6f) ||
						    !within(s->yarn_ext_factor, 0.0f, 1e6f) ||
						    !within(s->yarn_beta_fast, 1e-6f, 1e6f) ||
						    !within(s->yarn_beta_slow, 1e-6f, 1e6f)))
		return err_set(err, "yarn rope scaling has a parameter that is no positive number");
	return 0;
}

int
shape_check(const struct model_shape *s, struct err *err)
{
	if (check_sizes(s, err) != 0)
		return -1;
	if (!within(s->norm_eps, 0.0f, 1.0f))
		return err_set(err, "the epsilon of norms is %g, which is not from 0 to 1",
			(double)s->norm_eps);
	if (s->qk_norm_wide && (!s->qk_norm || s->qkv_bias))
		return err_set(err, "a norm over all heads of Q and K does not go with their "
				    "biases");
	if (check_experts(s, err) != 0)
		return -1;
	return check_rope(s, err);
}

/* The fields of each kind, in the order of their bytes. */
#define NUMBERS(s)                                                                                 \
	{                                                                                          \
		&(s)->layers, &(s)->embd, &(s)->ffn, &(s)->heads, &(s)->kv_heads, &(s)->head_dim,  \
			&(s)->vocab, &(s)->context, &(s)->rope_dim, &(s)->rope_orig_context,       \
			&(s)->col_block, &(s)->experts, &(s)->experts_used                         \
	}
#define FLOATS(s)                                                                                  \
	{                                                                                          \
		&(s)->norm_eps, &(s)->rope_base, &(s)->rope_factor, &(s)->rope_low_freq,           \
			&(s)->rope_high_freq, &(s)->yarn_attn_factor, &(s)->yarn_ext_factor,       \
			&(s)->yarn_beta_fast, &(s)->yarn_beta_slow, &(s)->expert_scale             \
	}
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum flag {
	FLAG_TIED = 1,
	FLAG_QK_NORM = 2,
	FLAG_QKV_BIAS = 4,
	FLAG_INTERLEAVED = 8,
	FLAG_QK_NORM_WIDE = 16,
	FLAG_EXPERT_NORM = 32,
	FLAGS_END = 64
};

void
shape_write(const struct model_shape *s, struct buf *b)
{
	const uint32_t *const numbers[] = NUMBERS(s);
	const float *const floats[] = FLOATS(s);

	buf_u32(b, (uint32_t)s->arch);
	buf_u32(b, (uint32_t)s->rope_scaling);
	buf_u32(b, (s->tied ? FLAG_TIED : 0u) | (s->qk_norm ? FLAG_QK_NORM : 0u) |
			   (s->qkv_bias ? FLAG_QKV_BIAS : 0u) |
			   (s->rope_interleaved ? FLAG_INTERLEAVED : 0u) |
			   (s->qk_norm_wide ? FLAG_QK_NORM_WIDE : 0u) |
			   (s->expert_norm ? FLAG_EXPERT_NORM : 0u));
	for (size_t i = 0; i < COUNT(numbers); i++)
		buf_u32(b, *numbers[i]);
	for (size_t i = 0; i < COUNT(floats); i++)
		buf_f32(b, *floats[i]);
	buf_append(b, s->name, sizeof s->name);
}

int
shape_read(struct rd *r, struct model_shape *s, struct err *err)
{
	*s = (struct model_shape){0};

	uint32_t *const numbers[] = NUMBERS(s);
	float *const floats[] = FLOATS(s);
	uint32_t arch = rd_u32(r), scaling = rd_u32(r), flags = rd_u32(r);
	const char *name;

	for (size_t i = 0; i < COUNT(numbers); i++)
		*numbers[i] = rd_u32(r);
	for (size_t i = 0; i < COUNT(floats); i++)
		*floats[i] = rd_f32(r);
	name = rd_bytes(r, sizeof s->name);
	if (name == NULL)
		return err_set(err, "the shape of the model is cut off");
	if (arch > ARCH_OLMOE || scaling > ROPE_YARN || flags >= FLAGS_END)
		return err_set(err, "the shape is of a kind that is not known");
	s->arch = (enum model_arch)arch;
	s->rope_scaling = (enum rope_scaling)scaling;
	s->tied = (flags & FLAG_TIED) != 0;
	s->qk_norm = (flags & FLAG_QK_NORM) != 0;
	s->qkv_bias = (flags & FLAG_QKV_BIAS) != 0;
	s->rope_interleaved = (flags & FLAG_INTERLEAVED) != 0;
	s->qk_norm_wide = (flags & FLAG_QK_NORM_WIDE) != 0;
	s->expert_norm = (flags & FLAG_EXPERT_NORM) != 0;
	/* What stands behind its end would not come back when the shape is written again. */
	snprintf(s->name, sizeof s->name, "%.*s", (int)sizeof s->name - 1, name);
	return shape_check(s, err);
}

static uint64_t
unit_params(const struct model_shape *s, enum unit_kind kind)
{
	uint64_t sum = 0;
	uint32_t rows, cols;

	for (const enum tensor_role *r = unit_roles(kind); *r != TENSOR_ROLES; r++) {
		if (!tensor_expected(s, *r) || (*r == TENSOR_OUT && s->tied))
			continue;
		tensor_dims(s, *r, &rows, &cols);
		sum += (uint64_t)rows * cols;
	}
	return sum;
}

static uint64_t
params(const struct model_shape *s, uint32_t experts)
{
	return unit_params(s, UNIT_EMBED) + unit_params(s, UNIT_HEAD) +
	       s->layers * (unit_params(s, UNIT_ATTN) + unit_params(s, UNIT_FFN) +
				   experts * unit_params(s, UNIT_EXPERT));
}

uint64_t
shape_params(const struct model_shape *s)
{
	return params(s, s->experts);
}

uint64_t
shape_params_active(const struct model_shape *s)
{
	return params(s, s->experts_used);
}
