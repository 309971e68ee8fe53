#include "kernels/cpu.h"
#include "model/forward_int.h"

#include <math.h>
#include <stdlib.h>

#define BLOCK_ALIGN 64

/* Choices whose experts are computed together: those of one row at least, and all rows' of one
 * expert. */
static uint32_t
moe_room(const struct forward_config *c)
{
	uint32_t used = c->shape->experts_used;

	return c->max_rows > used ? c->max_rows : used;
}

static uint32_t
max_cols(const struct model_shape *s, const struct slice *sl)
{
	uint32_t cols = s->embd;
	uint32_t q_width = sl->kv_heads * (s->heads / s->kv_heads) * s->head_dim;

	if (cols < q_width)
		cols = q_width;
	return cols < sl->ffn ? sl->ffn : cols;
}

/* One range of a slice: [first, first + n) of what the model has. */
static int
check_range(const char *what, uint32_t first, uint32_t n, uint32_t all, struct err *err)
{
	if (first > all || n > all - first)
		return err_set(err, "slice: %s [%u, %u + %u) of a model with %u", what, first,
			first, n, all);
	return 0;
}

static int
check_shape(const struct model_shape *s, struct err *err)
{
	if (s->layers == 0 || s->embd == 0 || s->ffn == 0 || s->heads == 0 || s->kv_heads == 0 ||
		s->head_dim == 0 || s->vocab == 0)
		return err_set(err,
			"model shape: %u layers, width %u, ffn %u, heads %u of %u, KV heads %u, "
			"vocab %u: "
			"none may be 0",
			s->layers, s->embd, s->ffn, s->heads, s->head_dim, s->kv_heads, s->vocab);
	if (s->heads % s->kv_heads != 0)
		return err_set(err, "model shape: %u heads do not divide by %u KV heads", s->heads,
			s->kv_heads);
	if (s->experts_used > s->experts || (s->experts > 0 && s->experts_used == 0))
		return err_set(err, "model shape: %u of %u experts cannot be used by a row",
			s->experts_used, s->experts);
	if ((uint64_t)s->heads * s->head_dim > INT32_MAX || s->embd > INT32_MAX ||
		s->ffn > INT32_MAX || s->vocab > INT32_MAX)
		return err_set(err,
			"model shape: width %u, heads %u of %u, ffn %u or vocab %u is too large",
			s->embd, s->heads, s->head_dim, s->ffn, s->vocab);
	return 0;
}

static int
check_config(const struct forward_config *c, struct err *err)
{
	const struct slice *sl = c->slice;
	bool is_last = sl->layer0 + sl->layers == c->shape->layers;

	if (check_shape(c->shape, err) != 0 ||
		check_range("layers", sl->layer0, sl->layers, c->shape->layers, err) != 0 ||
		check_range("KV heads", sl->kv_head0, sl->kv_heads, c->shape->kv_heads, err) != 0 ||
		check_range("ffn columns", sl->ffn0, sl->ffn, c->shape->ffn, err) != 0 ||
		check_range("vocabulary rows", sl->vocab0, sl->vocab, c->shape->vocab, err) != 0)
		return -1;
	if (c->shape->qk_norm_wide && sl->kv_heads != 0 && sl->kv_heads != c->shape->kv_heads)
		return err_set(err, "slice: %u of %u KV heads of a model that norms all together",
			sl->kv_heads, c->shape->kv_heads);
	if (sl->layers == 0)
		return err_set(err, "slice: it has no layers");
	if (c->max_rows == 0 || c->slots == 0 || c->context == 0)
		return err_set(err, "%u rows in a step, %u sessions of %u positions: none may be 0",
			c->max_rows, c->slots, c->context);
	if ((uint64_t)c->max_rows * c->shape->heads > INT32_MAX ||
		(uint64_t)moe_room(c) * c->shape->ffn > INT32_MAX ||
		(uint64_t)c->max_rows * c->shape->experts > INT32_MAX)
		return err_set(err, "%u rows in a step are too many", c->max_rows);
	if (kv_type_name(c->kv) == NULL)
		return err_set(err, "KV cache type %d: there is none of this number", (int)c->kv);
	if (c->collective == NULL &&
		(sl->kv_heads != c->shape->kv_heads || sl->ffn != c->shape->ffn ||
			sl->vocab != (is_last ? c->shape->vocab : 0)))
		return err_set(err, "the slice is a part of its layers and there is no collective");
	return 0;
}

/* Hands out parts of a block, or with base NULL only adds up what they would take. */
struct arena {
	uint8_t *base;
	size_t used;
	bool overflow;
};

static void *
take(struct arena *a, size_t rows, size_t cols, size_t element)
{
	size_t bytes, at = a->used;

	if (__builtin_mul_overflow(rows, cols, &bytes) ||
		__builtin_mul_overflow(bytes, element, &bytes) ||
		__builtin_add_overflow(at, bytes, &a->used) ||
		__builtin_add_overflow(a->used, BLOCK_ALIGN - 1, &a->used))
		a->overflow = true;
	a->used -= a->used % BLOCK_ALIGN;
	return a->base == NULL || a->overflow ? NULL : a->base + at;
}

/* Threads that may take part; before there is a pool, as many as there could be. */
static uint32_t
threads_of(const struct forward_config *c)
{
	return c->pool != NULL ? pool_size(c->pool) : cpu_count();
}

/* Rows in a step up to which attention may be divided by positions: with more, there are enough
 * pieces without. 0 when a context is too short. */
static uint32_t
split_rows(const struct forward_config *c)
{
	uint32_t heads = c->slice->kv_heads, rows = SPLIT_ROWS, threads = threads_of(c);

	if (c->context <= SPLIT_FROM || heads == 0)
		return 0;
	if (rows < SPLIT_PIECES * threads / heads)
		rows = SPLIT_PIECES * threads / heads;
	return rows < c->max_rows ? rows : c->max_rows;
}

static void
lay_out_attention(struct forward *f, struct arena *a, const struct forward_config *c)
{
	const struct model_shape *s = c->shape;
	const struct attention attention = {.head_dim = s->head_dim};
	size_t heads = (size_t)c->slice->kv_heads * (s->heads / s->kv_heads);
	size_t spans = c->context / ATTEND_SPAN + 1;

	if (heads == 0)
		return;
	f->runs = take(a, c->max_rows, 1, sizeof(struct run));
	f->scratch_bytes = attend_scratch_bytes(s->heads / s->kv_heads, s->head_dim);
	f->scratch = take(a, threads_of(c), f->scratch_bytes, 1);
	f->split_rows = split_rows(c);
	f->partials =
		take(a, f->split_rows * heads, spans, partial_floats(&attention) * sizeof(float));
}

static void
lay_out_moe(struct moe *m, struct arena *a, const struct forward_config *c)
{
	const struct model_shape *s = c->shape;
	size_t n = c->max_rows;

	m->room = moe_room(c);
	m->router = take(a, n, s->experts, sizeof(float));
	m->expert = take(a, n, s->experts_used, sizeof(uint32_t));
	m->weight = take(a, n, s->experts_used, sizeof(float));
	m->first = take(a, (size_t)s->experts + 1, 1, sizeof(uint32_t));
	m->chosen = take(a, s->experts, 1, sizeof(uint32_t));
	m->choices = take(a, n, s->experts_used, sizeof(uint32_t));
	m->rows = take(a, m->room, s->embd, sizeof(float));
}

static uint32_t
moe_cols(const struct forward_config *c)
{
	return c->shape->embd > c->slice->ffn ? c->shape->embd : c->slice->ffn;
}

static void
lay_out(struct forward *f, struct arena *a, const struct forward_config *c)
{
	const struct model_shape *s = c->shape;
	const struct slice *sl = c->slice;
	size_t n = c->max_rows, kv_width = (size_t)sl->kv_heads * s->head_dim;
	size_t q_width = kv_width * (s->heads / s->kv_heads);
	size_t ffn_rows = s->experts > 0 ? moe_room(c) : n;

	f->all_cos = take(a, n, s->rope_dim / 2, sizeof(float));
	f->all_sin = take(a, n, s->rope_dim / 2, sizeof(float));
	f->norm = take(a, n, s->embd, sizeof(float));
	f->q = take(a, n, q_width, sizeof(float));
	f->k = take(a, n, kv_width, sizeof(float));
	f->v = take(a, n, kv_width, sizeof(float));
	f->attended = take(a, n, q_width, sizeof(float));
	f->gate = take(a, ffn_rows, sl->ffn, sizeof(float));
	f->up = take(a, ffn_rows, sl->ffn, sizeof(float));
	f->all_partial = take(a, n, s->embd, sizeof(float));
	f->logits = take(a, n, sl->vocab, sizeof(float));
	f->wanted = take(a, n, 1, sizeof(uint32_t));
	lay_out_attention(f, a, c);
	f->filled = take(a, c->slots, 1, sizeof(uint32_t));
	f->next = take(a, c->slots, 1, sizeof(uint32_t));
	if (s->experts > 0)
		lay_out_moe(&f->moe, a, c);
	if (forward_may_spread(s, sl))
		f->spread.norms = take(a, (size_t)sl->layers * PHASES, s->embd, sizeof(float));
}

static size_t
add_sat(size_t a, size_t b)
{
	size_t r;

	return __builtin_add_overflow(a, b, &r) ? SIZE_MAX : r;
}

static size_t
cache_bytes(const struct forward_config *c)
{
	return kv_bytes(c->kv, c->slice->layers, c->slots, c->slice->kv_heads, c->context,
		c->shape->head_dim);
}

size_t
forward_bytes(const struct forward_config *c)
{
	struct forward f;
	struct arena a = {0};

	lay_out(&f, &a, c);
	if (a.overflow)
		return SIZE_MAX;
	a.used = add_sat(a.used, BLOCK_ALIGN + sizeof f);
	a.used = add_sat(a.used, c->shape->rope_dim / 2 * sizeof(double));
	a.used = add_sat(a.used, act_bytes(c->max_rows, max_cols(c->shape, c->slice)));
	if (c->shape->experts > 0)
		a.used = add_sat(a.used, act_bytes(moe_room(c), moe_cols(c)));
	if (forward_may_spread(c->shape, c->slice))
		a.used = add_sat(a.used, act_bytes(c->max_rows, c->shape->embd));
	return add_sat(a.used, cache_bytes(c));
}

static int
make_buffers(struct forward *f, struct err *err)
{
	struct arena a = {0};

	lay_out(f, &a, &f->c);
	if (!a.overflow && a.used < PTRDIFF_MAX - BLOCK_ALIGN)
		f->block = calloc(a.used + BLOCK_ALIGN, 1);
	if (f->block == NULL)
		return err_set(err, "no memory for steps of %u rows (%zu MiB): use fewer rows",
			f->c.max_rows, a.used >> 20);
	a = (struct arena){
		.base = f->block + (BLOCK_ALIGN - (uintptr_t)f->block % BLOCK_ALIGN) % BLOCK_ALIGN};
	lay_out(f, &a, &f->c);
	if (act_init(&f->act, f->c.max_rows, max_cols(&f->shape, &f->slice), err) != 0 ||
		(f->spread.norms != NULL &&
			act_init(&f->spread.mine, f->c.max_rows, f->shape.embd, err) != 0))
		return -1;
	return f->shape.experts > 0 ? act_init(&f->moe.act, f->moe.room, moe_cols(&f->c), err) : 0;
}

/* The file's frequency factors come with the attention of the slice's first layer; heads need them. */
static int
make_rope(struct forward *f, struct err *err)
{
	struct weight_source *ws = f->c.weights;
	const struct unit *u;
	const struct matrix *m;
	int rc;

	if (f->slice.kv_heads == 0)
		return 0;
	u = ws->acquire(ws, UNIT_ATTN, f->slice.layer0, 0, err);
	if (u == NULL)
		return -1;
	m = &u->t[TENSOR_ROPE_FREQS];
	if (m->data != NULL &&
		(m->dtype != DTYPE_F32 || m->rows != 1 || m->cols != f->shape.rope_dim / 2))
		rc = err_set(err, "rope_freqs.weight: %u x %u of type %s, not 1 x %u of float32",
			m->rows, m->cols, dtype_name(m->dtype), f->shape.rope_dim / 2);
	else
		rc = rope_init(&f->rope, &f->shape, (const void *)m->data, err);
	ws->release(ws, u);
	return rc;
}

struct forward *
forward_new(const struct forward_config *c, struct err *err)
{
	struct forward *f;

	if (check_config(c, err) != 0)
		return NULL;
	f = calloc(1, sizeof *f);
	if (f == NULL) {
		err_set(err, "no memory for a forward pass");
		return NULL;
	}
	f->c = *c;
	f->shape = *c->shape;
	f->slice = *c->slice;
	f->c.shape = &f->shape;
	f->c.slice = &f->slice;
	f->group = f->shape.heads / f->shape.kv_heads;
	f->kv_width = f->slice.kv_heads * f->shape.head_dim;
	f->q_width = f->kv_width * f->group;
	thread_choice_init(&f->threads, c->threads, c->threads_batch, pool_size(c->pool));
	f->attention = (struct attention){.group = f->group,
		.head_dim = f->shape.head_dim,
		.scale = 1.0f / sqrtf((float)f->shape.head_dim),
		.type = c->kv};
	if (make_rope(f, err) != 0 ||
		kv_init(&f->kv, c->kv, f->slice.layers, c->slots, f->slice.kv_heads, c->context,
			f->shape.head_dim, err) != 0 ||
		make_buffers(f, err) != 0) {
		forward_free(f);
		return NULL;
	}
	return f;
}

void
forward_free(struct forward *f)
{
	if (f == NULL)
		return;
	kv_deinit(&f->kv);
	rope_deinit(&f->rope);
	act_deinit(&f->act);
	act_deinit(&f->moe.act);
	act_deinit(&f->spread.mine);
	free(f->block);
	free(f);
}
