/* The attention part of a layer. */
#include "model/forward_int.h"

static int
check_attention(const struct forward *f, struct err *err)
{
	bool wide = f->shape.qk_norm_wide;
	uint32_t embd = f->shape.embd, head_dim = f->shape.head_dim;
	uint32_t q_norm = wide ? f->q_width : head_dim, k_norm = wide ? f->kv_width : head_dim;

	if (forward_check_vector(f, TENSOR_ATTN_NORM, embd, err) != 0 ||
		forward_check_matrix(f, TENSOR_Q, f->q_width, embd, err) != 0 ||
		forward_check_matrix(f, TENSOR_K, f->kv_width, embd, err) != 0 ||
		forward_check_matrix(f, TENSOR_V, f->kv_width, embd, err) != 0 ||
		forward_check_matrix(f, TENSOR_O, embd, f->q_width, err) != 0)
		return -1;
	if (f->shape.qkv_bias &&
		(forward_check_vector(f, TENSOR_Q_BIAS, f->q_width, err) != 0 ||
			forward_check_vector(f, TENSOR_K_BIAS, f->kv_width, err) != 0 ||
			forward_check_vector(f, TENSOR_V_BIAS, f->kv_width, err) != 0))
		return -1;
	if (f->shape.qk_norm && (forward_check_vector(f, TENSOR_Q_NORM, q_norm, err) != 0 ||
					forward_check_vector(f, TENSOR_K_NORM, k_norm, err) != 0))
		return -1;
	return 0;
}

static const float *
vector(const struct forward *f, enum tensor_role r)
{
	return (const void *)f->unit->t[r].data;
}

/* Norm over all heads of Q and of K together (olmoe). */
static void
norm_wide(void *arg, uint32_t row, unsigned thread)
{
	const struct forward *f = arg;
	const struct kernels *k = f->c.kernels;
	float *q = f->q + (size_t)row * f->q_width, *key = f->k + (size_t)row * f->kv_width;

	(void)thread;
	k->rmsnorm(q, q, vector(f, TENSOR_Q_NORM), f->q_width, f->shape.norm_eps);
	k->rmsnorm(key, key, vector(f, TENSOR_K_NORM), f->kv_width, f->shape.norm_eps);
}

/* One head vector, after its bias: norm (qwen3), then rotation. */
static void
finish_vector(const struct forward *f, float *x, uint32_t row, enum tensor_role norm)
{
	const struct kernels *k = f->c.kernels;
	size_t at = (size_t)row * f->rope.half;

	if (f->shape.qk_norm && !f->shape.qk_norm_wide)
		k->rmsnorm(x, x, vector(f, norm), f->shape.head_dim, f->shape.norm_eps);
	k->rope(x, f->cos + at, f->sin + at, f->shape.rope_dim, f->shape.rope_interleaved);
}

/* Item: a row and a KV head with its query heads. K and V go to the cache. */
static void
finish_head(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	const struct kernels *k = f->c.kernels;
	uint32_t row = item / f->slice.kv_heads, h = item % f->slice.kv_heads;
	uint32_t dim = f->shape.head_dim, slot = f->rows[row].slot;
	float *q = f->q + (size_t)row * f->q_width + (size_t)h * f->group * dim;
	float *key = f->k + (size_t)row * f->kv_width + (size_t)h * dim;
	float *value = f->v + (size_t)row * f->kv_width + (size_t)h * dim;
	size_t at = kv_offset(&f->kv, h, f->rows[row].pos);

	(void)thread;
	if (f->shape.qkv_bias) {
		k->add(q, vector(f, TENSOR_Q_BIAS) + (size_t)h * f->group * dim, f->group * dim);
		k->add(key, vector(f, TENSOR_K_BIAS) + (size_t)h * dim, dim);
		k->add(value, vector(f, TENSOR_V_BIAS) + (size_t)h * dim, dim);
	}
	for (uint32_t g = 0; g < f->group; g++)
		finish_vector(f, q + (size_t)g * dim, row, TENSOR_Q_NORM);
	finish_vector(f, key, row, TENSOR_K_NORM);
	k->kv_store(f->kv.type, (uint8_t *)kv_k(&f->kv, f->layer, slot) + at, key, dim);
	k->kv_store(f->kv.type, (uint8_t *)kv_v(&f->kv, f->layer, slot) + at, value, dim);
}

static void
attend_head(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	uint32_t row = item / f->slice.kv_heads, h = item % f->slice.kv_heads;
	uint32_t slot = f->rows[row].slot;
	size_t at = (size_t)row * f->q_width;

	(void)thread;
	f->c.kernels->attend(&f->attention, f->q + at, kv_k(&f->kv, f->layer, slot),
		kv_v(&f->kv, f->layer, slot), f->rows[row].pos + 1, h, h + 1, f->attended + at);
}

static void
finish_and_attend_head(void *arg, uint32_t item, unsigned thread)
{
	finish_head(arg, item, thread);
	attend_head(arg, item, thread);
}

/* Rows of one slot see each other's keys, so those must all be stored first; rows of different
 * slots need not wait. */
static void
attend(struct forward *f)
{
	uint32_t items = f->n * f->slice.kv_heads;

	if (f->chained) {
		forward_run(f, finish_head, f, items);
		forward_run(f, attend_head, f, items);
	} else {
		forward_run(f, finish_and_attend_head, f, items);
	}
}

int
forward_attention(struct forward *f, struct err *err)
{
	const struct kernels *k = f->c.kernels;
	const struct matrix *t;

	if (f->slice.kv_heads == 0) {
		forward_no_partial(f);
		return 0;
	}
	if (forward_acquire(f, UNIT_ATTN, check_attention, err) != 0)
		return -1;
	t = f->unit->t;
	forward_norm_rows(f, TENSOR_ATTN_NORM, NULL, f->n,
		forward_quantised(f, TENSOR_Q) || forward_quantised(f, TENSOR_K) ||
			forward_quantised(f, TENSOR_V));
	matmul_run(k, f->c.pool,
		(const struct matmul_job[]){{&t[TENSOR_Q], f->q, f->q_width},
			{&t[TENSOR_K], f->k, f->kv_width}, {&t[TENSOR_V], f->v, f->kv_width}},
		3, &f->act);
	if (f->shape.qk_norm_wide)
		forward_run(f, norm_wide, f, f->n);
	attend(f);
	act_prepare(k, f->c.pool, &f->act, f->attended, f->n, f->q_width,
		forward_quantised(f, TENSOR_O));
	matmul_run(k, f->c.pool,
		&(const struct matmul_job){&t[TENSOR_O], f->partial, f->shape.embd}, 1, &f->act);
	forward_release(f);
	return 0;
}
