/* The way of a step through the layers, phase by phase. What a phase computes for a row depends on
 * that row alone (and on the cache), in an order that neither the number of rows nor the number of
 * threads changes: a prompt gives the same bits in one chunk, in many, and beside other sessions.
 */
#include "model/forward_int.h"

#define SILU_CHUNK 2048 /* columns in one item of work */

/* --- rows ------------------------------------------------------------------------------------ */

/* A single item is not worth waking threads for. */
static void
run(struct forward *f, void (*fn)(void *arg, uint32_t item, unsigned thread), void *arg, uint32_t n)
{
	if (n == 1)
		fn(arg, 0, 0);
	else if (n > 1)
		pool_run(f->c.pool, fn, arg, n);
}

struct norm_rows {
	const struct forward *f;
	const float *weight;
	const uint32_t *which; /* rows of x, or NULL: all of them */
};

static void
norm_row(void *arg, uint32_t row, unsigned thread)
{
	const struct norm_rows *j = arg;
	const struct forward *f = j->f;
	size_t embd = f->shape.embd, from = j->which != NULL ? j->which[row] : row;

	(void)thread;
	f->c.kernels->rmsnorm(f->norm + row * embd, f->x + from * embd, j->weight, f->shape.embd,
		f->shape.norm_eps);
}

/* Norms n rows of x into f->norm, ready for the matrices that read them. */
static void
norm_rows(struct forward *f, enum tensor_role weight, const uint32_t *which, uint32_t n,
	bool quantised)
{
	struct norm_rows j = {f, (const void *)f->unit->t[weight].data, which};

	run(f, norm_row, &j, n);
	act_prepare(f->c.kernels, f->c.pool, &f->act, f->norm, n, f->shape.embd, quantised);
}

static void
add_row(void *arg, uint32_t row, unsigned thread)
{
	const struct forward *f = arg;
	size_t at = (size_t)row * f->shape.embd;

	(void)thread;
	f->c.kernels->add(f->x + at, f->partial + at, f->shape.embd);
}

/* Sums f->partial over the group and adds it to x. */
static int
reduce_and_add(struct forward *f, uint32_t phase, struct err *err)
{
	struct collective *col = f->c.collective;

	if (col != NULL &&
		col->allreduce(col, f->partial, f->n, f->shape.embd, f->layer, phase, err) != 0)
		return -1;
	run(f, add_row, f, f->n);
	return 0;
}

static void
no_partial(struct forward *f)
{
	memset(f->partial, 0, (size_t)f->n * f->shape.embd * sizeof(float));
}

/* --- weights --------------------------------------------------------------------------------- */

static bool
quantised(const struct forward *f, enum tensor_role r)
{
	return dtype_quantised(f->unit->t[r].dtype);
}

static int
check_matrix(
	const struct forward *f, enum tensor_role r, uint32_t rows, uint32_t cols, struct err *err)
{
	const struct matrix *m = &f->unit->t[r];

	if (m->data == NULL)
		return err_set(err, "%s: is missing", tensor_role_name(r));
	if (m->rows != rows || m->cols != cols)
		return err_set(err, "%s: is %u x %u, not %u x %u", tensor_role_name(r), m->rows,
			m->cols, rows, cols);
	if (m->dtype >= DTYPE_COUNT || f->c.kernels->matmul[m->dtype] == NULL)
		return err_set(err, "%s: type %s is not computed", tensor_role_name(r),
			dtype_name(m->dtype));
	if (m->stride < dtype_row_bytes(m->dtype, cols))
		return err_set(
			err, "%s: rows of %zu bytes overlap", tensor_role_name(r), m->stride);
	return 0;
}

static int
check_vector(const struct forward *f, enum tensor_role r, uint32_t cols, struct err *err)
{
	if (check_matrix(f, r, 1, cols, err) != 0)
		return -1;
	if (f->unit->t[r].dtype != DTYPE_F32)
		return err_set(err, "%s: type %s, not float32", tensor_role_name(r),
			dtype_name(f->unit->t[r].dtype));
	return 0;
}

static int
check_attention(const struct forward *f, struct err *err)
{
	uint32_t embd = f->shape.embd, head_dim = f->shape.head_dim;

	if (check_vector(f, TENSOR_ATTN_NORM, embd, err) != 0 ||
		check_matrix(f, TENSOR_Q, f->q_width, embd, err) != 0 ||
		check_matrix(f, TENSOR_K, f->kv_width, embd, err) != 0 ||
		check_matrix(f, TENSOR_V, f->kv_width, embd, err) != 0 ||
		check_matrix(f, TENSOR_O, embd, f->q_width, err) != 0)
		return -1;
	if (f->shape.qkv_bias && (check_vector(f, TENSOR_Q_BIAS, f->q_width, err) != 0 ||
					 check_vector(f, TENSOR_K_BIAS, f->kv_width, err) != 0 ||
					 check_vector(f, TENSOR_V_BIAS, f->kv_width, err) != 0))
		return -1;
	if (f->shape.qk_norm && (check_vector(f, TENSOR_Q_NORM, head_dim, err) != 0 ||
					check_vector(f, TENSOR_K_NORM, head_dim, err) != 0))
		return -1;
	return 0;
}

static int
check_ffn(const struct forward *f, struct err *err)
{
	uint32_t embd = f->shape.embd, ffn = f->slice.ffn;

	return check_vector(f, TENSOR_FFN_NORM, embd, err) != 0 ||
			       check_matrix(f, TENSOR_GATE, ffn, embd, err) != 0 ||
			       check_matrix(f, TENSOR_UP, ffn, embd, err) != 0 ||
			       check_matrix(f, TENSOR_DOWN, embd, ffn, err) != 0
		       ? -1
		       : 0;
}

static int
check_head(const struct forward *f, struct err *err)
{
	return check_vector(f, TENSOR_OUT_NORM, f->shape.embd, err) != 0 ||
			       check_matrix(f, TENSOR_OUT, f->slice.vocab, f->shape.embd, err) != 0
		       ? -1
		       : 0;
}

static void
release(struct forward *f)
{
	f->c.weights->release(f->c.weights, f->unit);
	f->unit = NULL;
}

/* Sizes are looked at whenever a unit is taken: it may have come from another machine. */
static int
acquire(struct forward *f, enum unit_kind kind,
	int (*check)(const struct forward *f, struct err *err), struct err *err)
{
	f->unit = f->c.weights->acquire(f->c.weights, kind, f->layer, err);
	if (f->unit == NULL)
		return -1;
	if (check(f, err) == 0)
		return 0;
	release(f);
	return kind == UNIT_HEAD ? -1 : err_prefix(err, "layer %u: ", f->layer);
}

/* --- attention ------------------------------------------------------------------------------- */

static void
rope_of_row(void *arg, uint32_t row, unsigned thread)
{
	const struct forward *f = arg;
	size_t at = (size_t)row * f->rope.half;

	(void)thread;
	rope_row(&f->rope, f->rows[row].pos, f->cos + at, f->sin + at);
}

static const float *
vector(const struct forward *f, enum tensor_role r)
{
	return (const void *)f->unit->t[r].data;
}

/* One head vector, after its bias: norm (qwen3), then rotation. */
static void
finish_vector(const struct forward *f, float *x, uint32_t row, enum tensor_role norm)
{
	const struct kernels *k = f->c.kernels;
	size_t at = (size_t)row * f->rope.half;

	if (f->shape.qk_norm)
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
		run(f, finish_head, f, items);
		run(f, attend_head, f, items);
	} else {
		run(f, finish_and_attend_head, f, items);
	}
}

static int
attention(struct forward *f, struct err *err)
{
	const struct kernels *k = f->c.kernels;
	const struct matrix *t;

	if (f->slice.kv_heads == 0) {
		no_partial(f);
		return 0;
	}
	if (acquire(f, UNIT_ATTN, check_attention, err) != 0)
		return -1;
	t = f->unit->t;
	norm_rows(f, TENSOR_ATTN_NORM, NULL, f->n,
		quantised(f, TENSOR_Q) || quantised(f, TENSOR_K) || quantised(f, TENSOR_V));
	matmul_run(k, f->c.pool,
		(const struct matmul_job[]){{&t[TENSOR_Q], f->q, f->q_width},
			{&t[TENSOR_K], f->k, f->kv_width}, {&t[TENSOR_V], f->v, f->kv_width}},
		3, &f->act);
	attend(f);
	act_prepare(k, f->c.pool, &f->act, f->attended, f->n, f->q_width, quantised(f, TENSOR_O));
	matmul_run(k, f->c.pool,
		&(const struct matmul_job){&t[TENSOR_O], f->partial, f->shape.embd}, 1, &f->act);
	release(f);
	return 0;
}

/* --- feed-forward ---------------------------------------------------------------------------- */

static uint32_t
silu_chunks(const struct forward *f)
{
	return (f->slice.ffn + SILU_CHUNK - 1) / SILU_CHUNK;
}

static void
silu_part(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	uint32_t chunks = silu_chunks(f), from = item % chunks * SILU_CHUNK;
	uint32_t n = f->slice.ffn - from < SILU_CHUNK ? f->slice.ffn - from : SILU_CHUNK;
	size_t at = (size_t)(item / chunks) * f->slice.ffn + from;

	(void)thread;
	f->c.kernels->silu_mul(f->gate + at, f->up + at, n);
}

static int
feed_forward(struct forward *f, struct err *err)
{
	const struct kernels *k = f->c.kernels;
	const struct matrix *t;
	uint32_t ffn = f->slice.ffn;

	if (ffn == 0) {
		no_partial(f);
		return 0;
	}
	if (acquire(f, UNIT_FFN, check_ffn, err) != 0)
		return -1;
	t = f->unit->t;
	norm_rows(f, TENSOR_FFN_NORM, NULL, f->n,
		quantised(f, TENSOR_GATE) || quantised(f, TENSOR_UP));
	matmul_run(k, f->c.pool,
		(const struct matmul_job[]){
			{&t[TENSOR_GATE], f->gate, ffn}, {&t[TENSOR_UP], f->up, ffn}},
		2, &f->act);
	run(f, silu_part, f, f->n * silu_chunks(f));
	act_prepare(k, f->c.pool, &f->act, f->gate, f->n, ffn, quantised(f, TENSOR_DOWN));
	matmul_run(k, f->c.pool,
		&(const struct matmul_job){&t[TENSOR_DOWN], f->partial, f->shape.embd}, 1, &f->act);
	release(f);
	return 0;
}

/* --- ends ------------------------------------------------------------------------------------ */

/* Only for rows whose logits are wanted, gathered. */
static int
output(struct forward *f, struct err *err)
{
	if (f->n_wanted == 0 || f->slice.vocab == 0)
		return 0;
	if (acquire(f, UNIT_HEAD, check_head, err) != 0)
		return -1;
	norm_rows(f, TENSOR_OUT_NORM, f->wanted, f->n_wanted, quantised(f, TENSOR_OUT));
	matmul_run(f->c.kernels, f->c.pool,
		&(const struct matmul_job){&f->unit->t[TENSOR_OUT], f->logits, f->slice.vocab}, 1,
		&f->act);
	release(f);
	return 0;
}

int
forward_embed(struct forward *f, const uint32_t *tokens, uint32_t n, float *out, struct err *err)
{
	struct weight_source *ws = f->c.weights;
	uint32_t embd = f->shape.embd, vocab = f->shape.vocab;
	const struct unit *u;
	const struct matrix *m;
	int rc = 0;

	for (uint32_t i = 0; i < n; i++)
		if (tokens[i] >= vocab)
			return err_set(err, "token id %u: the vocabulary has %u", tokens[i], vocab);
	u = ws->acquire(ws, UNIT_EMBED, 0, err);
	if (u == NULL)
		return -1;
	m = &u->t[TENSOR_EMBED];
	if (m->data == NULL || m->rows != vocab || m->cols != embd || !dtype_computed(m->dtype) ||
		m->stride < dtype_row_bytes(m->dtype, embd))
		rc = err_set(err, "%s: %u x %u of type %s, not %u x %u of a computed type",
			tensor_role_name(TENSOR_EMBED), m->rows, m->cols, dtype_name(m->dtype),
			vocab, embd);
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		dequantize(m->dtype, m->data + tokens[i] * m->stride, out + (size_t)i * embd, embd);
	ws->release(ws, u);
	return rc;
}

/* --- the step -------------------------------------------------------------------------------- */

static int
check_row(struct forward *f, uint32_t i, const struct step_row *r, struct err *err)
{
	uint32_t held = f->filled[r->slot], next = f->next[r->slot];

	if (r->pos >= f->c.context)
		return err_set(
			err, "row %u: position %u of a context of %u", i, r->pos, f->c.context);
	if (next == UINT32_MAX && r->pos > held)
		return err_set(err,
			"row %u: position %u of session %u, which holds %u: none between may be "
			"left out",
			i, r->pos, r->slot, held);
	if (next != UINT32_MAX && r->pos != next)
		return err_set(err,
			"row %u: position %u of session %u must be %u, after its row before", i,
			r->pos, r->slot, next);
	return 0;
}

/* Rows may come from the wire. Also finds what the step needs to know about them. */
static int
check_rows(struct forward *f, const struct step_row *rows, uint32_t n, struct err *err)
{
	if (n == 0 || n > f->c.max_rows)
		return err_set(
			err, "a step of %u rows: there is room for 1 to %u", n, f->c.max_rows);
	for (uint32_t i = 0; i < n; i++) {
		if (rows[i].slot >= f->c.slots)
			return err_set(
				err, "row %u: session slot %u of %u", i, rows[i].slot, f->c.slots);
		f->next[rows[i].slot] = UINT32_MAX;
	}
	f->n_wanted = 0;
	f->chained = false;
	for (uint32_t i = 0; i < n; i++) {
		if (check_row(f, i, &rows[i], err) != 0)
			return -1;
		f->chained |= f->next[rows[i].slot] != UINT32_MAX;
		f->next[rows[i].slot] = rows[i].pos + 1;
		if ((rows[i].flags & STEP_LOGITS) != 0)
			f->wanted[f->n_wanted++] = i;
	}
	return 0;
}

static int
layers(struct forward *f, struct err *err)
{
	if (f->rope.half > 0)
		run(f, rope_of_row, f, f->n);
	for (f->layer = 0; f->layer < f->shape.layers; f->layer++)
		if (attention(f, err) != 0 || reduce_and_add(f, 0, err) != 0 ||
			feed_forward(f, err) != 0 || reduce_and_add(f, 1, err) != 0)
			return -1;
	f->layer = 0;
	return output(f, err);
}

int
forward_step(struct forward *f, const struct step_row *rows, uint32_t n, float *x,
	const float **logits, struct err *err)
{
	if (check_rows(f, rows, n, err) != 0)
		return -1;
	f->rows = rows;
	f->n = n;
	f->x = x;
	/* Until the step has succeeded, its positions hold nothing. */
	for (uint32_t i = 0; i < n; i++)
		if (f->filled[rows[i].slot] > rows[i].pos)
			f->filled[rows[i].slot] = rows[i].pos;
	if (layers(f, err) != 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		f->filled[rows[i].slot] = rows[i].pos + 1;
	*logits = f->logits;
	return 0;
}
