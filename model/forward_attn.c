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

/* The cache has the slice's layers only. */
static uint32_t
cache_layer(const struct forward *f)
{
	return f->layer - f->slice.layer0;
}

/* One row of a KV head with its query heads. K and V go to the cache. */
static void
finish_row(const struct forward *f, uint32_t row, uint32_t h)
{
	const struct kernels *k = f->c.kernels;
	uint32_t dim = f->shape.head_dim, slot = f->rows[row].slot, layer = cache_layer(f);
	float *q = f->q + (size_t)row * f->q_width + (size_t)h * f->group * dim;
	float *key = f->k + (size_t)row * f->kv_width + (size_t)h * dim;
	float *value = f->v + (size_t)row * f->kv_width + (size_t)h * dim;

	if (f->shape.qkv_bias) {
		k->add(q, vector(f, TENSOR_Q_BIAS) + (size_t)h * f->group * dim, f->group * dim);
		k->add(key, vector(f, TENSOR_K_BIAS) + (size_t)h * dim, dim);
		k->add(value, vector(f, TENSOR_V_BIAS) + (size_t)h * dim, dim);
	}
	for (uint32_t g = 0; g < f->group; g++)
		finish_vector(f, q + (size_t)g * dim, row, TENSOR_Q_NORM);
	finish_vector(f, key, row, TENSOR_K_NORM);
	k->kv_store(&f->attention, kv_k(&f->kv, layer, slot, h), kv_v(&f->kv, layer, slot, h),
		f->rows[row].pos, key, value);
}

/* --- attending ----------------------------------------------------------------------------------- */

/* Positions that the run's last row sees. */
static uint32_t
run_end(const struct forward *f, const struct run *r)
{
	return f->rows[r->row].pos + r->rows;
}

/* Runs of one slot's rows, of at most `most`. */
static void
find_runs(struct forward *f, uint32_t most)
{
	f->n_runs = 0;
	for (uint32_t i = 0; i < f->n; i++) {
		struct run *last = f->n_runs > 0 ? &f->runs[f->n_runs - 1] : NULL;

		if (last != NULL && last->rows < most && f->rows[i].slot == f->rows[i - 1].slot)
			last->rows++;
		else
			f->runs[f->n_runs++] = (struct run){i, 1};
	}
}

void
forward_plan_attention(struct forward *f)
{
	uint32_t longest = 0;

	f->split = false;
	if (f->slice.kv_heads == 0)
		return;
	find_runs(f, attend_most_rows(f->group));
	for (uint32_t i = 0; i < f->n_runs; i++)
		longest = run_end(f, &f->runs[i]) > longest ? run_end(f, &f->runs[i]) : longest;
	f->split = f->n <= f->split_rows && longest > SPLIT_FROM && pool_threads(f->c.pool) > 1 &&
		   f->n_runs * f->slice.kv_heads < SPLIT_PIECES * pool_threads(f->c.pool);
	f->spans = (longest - 1) / ATTEND_SPAN + 1;
}

static struct attend_rows
rows_of(const struct forward *f, const struct run *r, uint32_t h)
{
	uint32_t slot = f->rows[r->row].slot, layer = cache_layer(f);
	size_t at = (size_t)r->row * f->q_width + (size_t)h * f->group * f->shape.head_dim;

	return (struct attend_rows){.q = f->q + at,
		.out = f->attended + at,
		.stride = f->q_width,
		.rows = r->rows,
		.pos = f->rows[r->row].pos,
		.k = kv_k(&f->kv, layer, slot, h),
		.v = kv_v(&f->kv, layer, slot, h)};
}

static void *
scratch_of(const struct forward *f, unsigned thread)
{
	return f->scratch + thread * f->scratch_bytes;
}

/* Floats from a span's partials to the next's. */
static size_t
span_stride(const struct forward *f)
{
	return (size_t)f->slice.kv_heads * f->split_rows * f->group * partial_floats(&f->attention);
}

static float *
partials_of(const struct forward *f, const struct run *r, uint32_t h)
{
	return f->partials +
	       ((size_t)h * f->split_rows + r->row) * f->group * partial_floats(&f->attention);
}

/* Item: a run and a KV head. */
static void
finish_run(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	const struct run *r = &f->runs[item / f->slice.kv_heads];

	(void)thread;
	for (uint32_t i = 0; i < r->rows; i++)
		finish_row(f, r->row + i, item % f->slice.kv_heads);
}

static void
attend_run(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	struct attend_rows r =
		rows_of(f, &f->runs[item / f->slice.kv_heads], item % f->slice.kv_heads);

	f->c.kernels->attend(&f->attention, &r, scratch_of(f, thread));
}

static void
finish_and_attend_run(void *arg, uint32_t item, unsigned thread)
{
	finish_run(arg, item, thread);
	attend_run(arg, item, thread);
}

/* Item: a run, a KV head and a span. */
static void
attend_span(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	uint32_t span = item % f->spans, piece = item / f->spans, h = piece % f->slice.kv_heads;
	const struct run *run = &f->runs[piece / f->slice.kv_heads];
	struct attend_rows r = rows_of(f, run, h);

	if (span * ATTEND_SPAN < run_end(f, run))
		f->c.kernels->attend_span(&f->attention, &r, span,
			partials_of(f, run, h) + span * span_stride(f), scratch_of(f, thread));
}

static void
attend_merge(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	const struct run *run = &f->runs[item / f->slice.kv_heads];
	uint32_t h = item % f->slice.kv_heads;
	struct attend_rows r = rows_of(f, run, h);

	(void)thread;
	f->c.kernels->attend_merge(&f->attention, &r, partials_of(f, run, h), span_stride(f));
}

/* Rows of one slot see each other's keys, so those must all be stored first; so must those of a run
 * that several threads attend. Other rows need not wait. */
static void
attend(struct forward *f)
{
	uint32_t items = f->n_runs * f->slice.kv_heads;

	if (f->split) {
		forward_run(f, finish_run, f, items);
		forward_run(f, attend_span, f, items * f->spans);
		forward_run(f, attend_merge, f, items);
	} else if (f->chained) {
		forward_run(f, finish_run, f, items);
		forward_run(f, attend_run, f, items);
	} else {
		forward_run(f, finish_and_attend_run, f, items);
	}
}

int
forward_take_attention(struct forward *f, struct err *err)
{
	return f->slice.kv_heads == 0 ? 0 : forward_acquire(f, UNIT_ATTN, check_attention, err);
}

int
forward_attention(struct forward *f, struct err *err)
{
	const struct product qkv[] = {{TENSOR_Q, f->q}, {TENSOR_K, f->k}, {TENSOR_V, f->v}};
	const struct product out = {TENSOR_O, f->partial};

	if (f->slice.kv_heads == 0) {
		forward_no_partial(f);
		return 0;
	}
	forward_norm_rows(f, TENSOR_ATTN_NORM, NULL, f->n,
		forward_quantised(f, TENSOR_Q) || forward_quantised(f, TENSOR_K) ||
			forward_quantised(f, TENSOR_V));
	if (forward_multiply(f, qkv, 3, err) != 0)
		return -1;
	if (f->shape.qk_norm_wide)
		forward_run(f, norm_wide, f, f->n);
	attend(f);
	forward_tend(f);
	act_prepare(f->c.kernels, f->c.pool, &f->act, f->attended, f->n, f->q_width,
		forward_quantised(f, TENSOR_O));
	return forward_multiply(f, &out, 1, err);
}
