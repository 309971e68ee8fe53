/* Attention for one set: included by its file after its attend_*.h and tile_matmul.h. The rule is that
 * of attention.h; plain_attend.c says it in plain C.
 *
 * A pass takes up to ATTEND_COLS columns (query heads of one KV head, of one or several rows) over a
 * span. Both products are one kernel: 32 lanes (keys for the scores, values for the results) times
 * some columns, step after step. A K or V that meets more columns than fit in registers is brought to
 * floats first, once. */
#ifndef KERNELS_ATTEND_BODY_H
#define KERNELS_ATTEND_BODY_H

#include "kernels/attend_scratch.h"
#include "kernels/kv_layout.h"

enum {
	LINE = 32, /* lanes of a step: KV_GROUP keys or BLOCK values */
	LINE_REGS = LINE / ROW_LANES,
	KV_FETCH = 4096 /* bytes ahead, into the second-level cache */
};

/* --- the product --------------------------------------------------------------------------------- */

/* How many of the columns that are left go together. */
INLINE uint32_t
columns_of(uint32_t left)
{
	if (left >= MULTIPLY_COLS && left != 7 && left != 8)
		return MULTIPLY_COLS;
	if (left >= 8 && MULTIPLY_COLS >= 8)
		return 8;
	if (left >= 7)
		return 4;
	return left == 5 ? 3 : left;
}

/* Register r of those that p begins. */
INLINE vfloats
lanes_load(enum kv_type t, const uint8_t *p, uint32_t r)
{
	if (t == KV_F16)
		return floats_f16(p + r / STRIPS * TILE_ROWS * 2, r % STRIPS);
	return floats_load((const float *)(const void *)p + r * ROW_LANES);
}

/* out[c][lane] (+)= sum over `count` steps of a[step][lane] * b[c][step], for n columns (a constant).
 * b[c][step] lies at b + c * b_col + step * b_step. */
INLINE void
multiply(enum kv_type t, const uint8_t *a, uint32_t count, const float *b, size_t b_col,
	size_t b_step, uint32_t n, bool add, float *out, size_t out_stride)
{
	const uint32_t regs = n > 3 && LINE_REGS > 2 ? LINE_REGS / 2 : LINE_REGS;
	const size_t bytes = t == KV_F16 ? 2 : 4;

	UNROLL
	for (uint32_t first = 0; first < LINE_REGS; first += regs) {
		const uint8_t *from = a + first * ROW_LANES * bytes;
		float *to = out + first * ROW_LANES;
		vfloats acc[LINE_REGS][MULTIPLY_COLS], w[LINE_REGS];

		UNROLL
		for (uint32_t c = 0; c < n; c++) {
			UNROLL
			for (uint32_t r = 0; r < regs; r++)
				acc[r][c] = add ? floats_load(to + c * out_stride + r * ROW_LANES)
						: floats_set1(0.0f);
		}
		for (uint32_t k = 0; k < count; k++) {
			if (first == 0)
				fetch_far(from + KV_FETCH);
			UNROLL
			for (uint32_t r = 0; r < regs; r++)
				w[r] = lanes_load(t, from, r);
			UNROLL
			for (uint32_t c = 0; c < n; c++) {
				vfloats x = floats_set1(b[c * b_col + k * b_step]);

				UNROLL
				for (uint32_t r = 0; r < regs; r++)
					acc[r][c] = floats_fma(w[r], x, acc[r][c]);
			}
			from += LINE * bytes;
		}
		UNROLL
		for (uint32_t c = 0; c < n; c++) {
			UNROLL
			for (uint32_t r = 0; r < regs; r++)
				floats_store(to + c * out_stride + r * ROW_LANES, acc[r][c]);
		}
	}
}

/* All columns. With `scores` b is what pack() made of the queries, else it is the scores. */
INLINE void
multiply_columns(enum kv_type t, bool scores, const uint8_t *a, uint32_t count, const float *b,
	uint32_t cols, float *out, size_t out_stride)
{
	for (uint32_t c = 0, n; c < cols; c += n) {
		const float *in = b + c * (scores ? count : (size_t)SCORE_STRIDE);
		float *to = out + c * out_stride;

		n = columns_of(cols - c);
#define WITH(columns)                                                                              \
	case columns:                                                                              \
		if (columns <= MULTIPLY_COLS)                                                      \
			multiply(t, a, count, in, scores ? 1 : SCORE_STRIDE, scores ? columns : 1, \
				columns <= MULTIPLY_COLS ? columns : 1, !scores, to, out_stride);  \
		break
		switch (n) {
			WITH(12);
			WITH(8);
			WITH(6);
			WITH(4);
			WITH(3);
			WITH(2);
			WITH(1);
		default:
			break;
		}
#undef WITH
	}
}

/* The queries as multiply_columns reads them: of the columns that go together, step by step. */
static void
pack(const float *q, uint32_t dim, uint32_t width, uint32_t cols, float *packed)
{
	for (uint32_t c = 0, n; c < cols; c += n) {
		n = columns_of(cols - c);
		for (uint32_t j = 0; j < n; j++)
			for (uint32_t i = 0; i < dim; i++)
				packed[(size_t)i * n + j] = q[(size_t)(c + j) * width + i];
		packed += (size_t)dim * n;
	}
}

static void
score_columns(enum kv_type t, const uint8_t *k, uint32_t dim, const float *packed, uint32_t cols,
	float *score)
{
	if (t == KV_F16)
		multiply_columns(KV_F16, true, k, dim, packed, cols, score, SCORE_STRIDE);
	else
		multiply_columns(KV_F32, true, k, dim, packed, cols, score, SCORE_STRIDE);
}

static void
gather_columns(enum kv_type t, const uint8_t *v, uint32_t count, const float *e, uint32_t cols,
	float *o, size_t stride)
{
	if (t == KV_F16)
		multiply_columns(KV_F16, false, v, count, e, cols, o, stride);
	else
		multiply_columns(KV_F32, false, v, count, e, cols, o, stride);
}

/* --- to floats ----------------------------------------------------------------------------------- */

static void
widen_f16(const uint8_t *p, uint32_t n, float *out)
{
	for (uint32_t i = 0; i < n; i += TILE_ROWS) {
		fetch_far(p + (size_t)2 * i + KV_FETCH);
		UNROLL
		for (uint32_t s = 0; s < STRIPS; s++)
			floats_store(out + i + s * ROW_LANES, floats_f16(p + (size_t)2 * i, s));
	}
}

/* The first n positions of 32 values of V in Q8_0. */
static void
widen_q8_0(const uint8_t *part, uint32_t n, float *out)
{
	const uint8_t *codes = part + (size_t)2 * KV_GROUP;

	for (uint32_t p = 0; p < n; p++, codes += BLOCK, out += BLOCK) {
		uint16_t half;
		vfloats d;

		memcpy(&half, part + (size_t)2 * p, sizeof half);
		d = floats_set1(half_to_float(half));
		fetch_far(codes + KV_FETCH);
		UNROLL
		for (uint32_t i = 0; i < BLOCK; i += ROW_LANES)
			floats_store(
				out + i, floats_mul(d, floats_i8(codes + i / TILE_ROWS * TILE_ROWS,
							       i % TILE_ROWS / ROW_LANES)));
	}
}

/* --- a pass -------------------------------------------------------------------------------------- */

struct pass {
	const struct attention *a;
	const struct attend_rows *r;
	struct attend_scratch s;
	uint32_t head, heads; /* of each row */
	uint32_t cols;        /* rows times heads */
	uint32_t dim, width;
	size_t group;  /* bytes of a group of K or V */
	size_t stride; /* floats of a partial */
};

/* Takes heads from `head` on of all rows: their queries, scaled, in the form that K needs. */
static void
pass_begin(struct pass *p, const struct attention *a, const struct attend_rows *r, uint32_t head,
	void *scratch)
{
	struct act act;

	*p = (struct pass){.a = a, .r = r, .head = head, .dim = a->head_dim};
	attend_scratch_take(&p->s, a, scratch);
	p->heads = a->group - head < ATTEND_COLS ? a->group - head : ATTEND_COLS;
	p->cols = r->rows * p->heads;
	p->width = kv_width(a->head_dim);
	p->group = kv_head_bytes(a->type, a->head_dim, KV_GROUP);
	p->stride = partial_floats(a);
	for (uint32_t c = 0; c < p->cols; c++) {
		const float *q =
			r->q + c / p->heads * r->stride + (size_t)(head + c % p->heads) * p->dim;
		float *to = p->s.q + (size_t)c * p->width;

		for (uint32_t i = 0; i < p->dim; i++)
			to[i] = q[i] * a->scale;
		memset(to + p->dim, 0, (p->width - p->dim) * sizeof *to);
	}
	if (a->type != KV_Q8_0) {
		pack(p->s.q, p->dim, p->width, p->cols, p->s.packed);
		return;
	}
	act = (struct act){.rows = p->cols,
		.cols = p->width,
		.f = p->s.q,
		.q = p->s.codes,
		.d = p->s.d,
		.sum = p->s.sum,
		.half = p->s.half};
	quantize(&act, 0, p->cols);
}

/* Scores of all columns for n positions from `first` on, and some behind them that nobody reads. */
static void
pass_scores(struct pass *p, uint32_t first, uint32_t n)
{
	const uint8_t *k = (const uint8_t *)p->r->k + first / KV_GROUP * p->group;
	bool widen = p->a->type == KV_F16 && p->cols > MULTIPLY_COLS;

	if (p->a->type == KV_Q8_0) {
		struct matrix m = kv_matrix(p->a, p->r->k, first, n);
		struct act act = {p->cols, p->width, p->s.q, p->s.codes, p->s.d, p->s.sum,
			p->s.half, p->cols, p->width};

		tile_matmul_Q8_0(&m, 0, n, &act, p->s.score, SCORE_STRIDE);
		return;
	}
	for (uint32_t at = 0; at < n; at += KV_GROUP, k += p->group) {
		if (widen)
			widen_f16(k, p->dim * KV_GROUP, p->s.wide);
		score_columns(widen ? KV_F32 : p->a->type, widen ? (const uint8_t *)p->s.wide : k,
			p->dim, p->s.packed, p->cols, p->s.score + at);
	}
}

/* Scores of a column become e; the rest of the last lanes becomes 0. */
static void
weigh(float *score, uint32_t n, float *max, float *sum)
{
	vfloats lanes[STRIPS], m = floats_set1(-INFINITY);
	uint32_t end = (n + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
	float most, part[TILE_ROWS];

	for (uint32_t i = n; i < end; i++)
		score[i] = -INFINITY;
	for (uint32_t i = 0; i < end; i += ROW_LANES)
		m = floats_max(floats_load(score + i), m);
	most = floats_greatest(m);
	UNROLL
	for (uint32_t s = 0; s < STRIPS; s++)
		lanes[s] = floats_set1(0.0f);
	for (uint32_t i = 0; i < end; i += TILE_ROWS) {
		UNROLL
		for (uint32_t s = 0; s < STRIPS; s++) {
			float *at = score + i + s * ROW_LANES;
			vfloats e = floats_exp(floats_sub(floats_load(at), floats_set1(most)));

			floats_store(at, e);
			lanes[s] = floats_add(lanes[s], e);
		}
	}
	UNROLL
	for (uint32_t s = 0; s < STRIPS; s++)
		floats_store(part + s * ROW_LANES, lanes[s]);
	*max = most;
	*sum = v8_join(v8_add(v8_load(part), v8_load(part + LANES)));
}

static uint32_t
clamp_sub(uint32_t a, uint32_t b, uint32_t most)
{
	uint32_t d = a > b ? a - b : 0;

	return d < most ? d : most;
}

/* Positions of a span that a row sees. */
static uint32_t
row_count(const struct pass *p, uint32_t row, uint32_t first)
{
	return clamp_sub(p->r->pos + row + 1, first, ATTEND_SPAN);
}

/* A part of a group of V for rows from `row` on: what all of them see in one product, then what each
 * further row sees. */
static void
gather_part(struct pass *p, enum kv_type t, const uint8_t *part, uint32_t row, uint32_t first,
	uint32_t at, float *o)
{
	const float *e = p->s.score + (size_t)row * p->heads * SCORE_STRIDE + at;
	uint32_t joint = clamp_sub(row_count(p, row, first), at, KV_GROUP);
	size_t step = (size_t)LINE * (t == KV_F16 ? 2 : 4);

	if (joint > 0)
		gather_columns(t, part, joint, e, (p->r->rows - row) * p->heads, o, p->stride);
	for (uint32_t i = 1; joint < KV_GROUP && row + i < p->r->rows; i++) {
		uint32_t more = clamp_sub(row_count(p, row + i, first), at, KV_GROUP) - joint;

		if (more > 0)
			gather_columns(t, part + joint * step, more,
				e + (size_t)i * p->heads * SCORE_STRIDE + joint, p->heads,
				o + (size_t)i * p->heads * p->stride, p->stride);
	}
}

/* The results of rows from `row` on. */
static void
pass_gather(struct pass *p, uint32_t row, uint32_t first, uint32_t n, float *o)
{
	const uint8_t *v = (const uint8_t *)p->r->v + first / KV_GROUP * p->group;
	enum kv_type type = p->a->type;
	bool widen = type == KV_F16 && (p->r->rows - row) * p->heads > MULTIPLY_COLS;

	for (uint32_t at = 0; at < n; at += KV_GROUP, v += p->group) {
		const uint8_t *part = v;
		uint32_t count = clamp_sub(n, at, KV_GROUP);

		for (uint32_t i = 0; i < p->width; i += BLOCK, part += v_part_bytes(type)) {
			if (type == KV_Q8_0)
				widen_q8_0(part, count, p->s.wide);
			else if (widen)
				widen_f16(part, count * BLOCK, p->s.wide);
			if (type == KV_Q8_0 || widen)
				gather_part(p, KV_F32, (const uint8_t *)p->s.wide, row, first, at,
					o + i);
			else
				gather_part(p, type, part, row, first, at, o + i);
		}
	}
}

/* One span. Returns the first row that reaches it; those before it have no partial. */
static uint32_t
pass_span(struct pass *p, uint32_t span, float *partial)
{
	uint32_t first = span * ATTEND_SPAN, rows = p->r->rows;
	uint32_t n = row_count(p, rows - 1, first);
	uint32_t row = clamp_sub(first, p->r->pos, rows);

	if (row == rows)
		return rows;
	pass_scores(p, first, n);
	for (uint32_t c = row * p->heads; c < p->cols; c++) {
		float *o = partial + c * p->stride;

		weigh(p->s.score + (size_t)c * SCORE_STRIDE, row_count(p, c / p->heads, first),
			&o[p->width], &o[p->width + 1]);
		memset(o, 0, p->width * sizeof *o);
	}
	pass_gather(p, row, first, n, partial + row * p->heads * p->stride);
	return row;
}

/* --- results ------------------------------------------------------------------------------------- */

/* total becomes total and one more span, of one column. */
static void
merge(float *total, const float *more, uint32_t width)
{
	float max = more[width] > total[width] ? more[width] : total[width];
	float old = exp_one(total[width] - max), fresh = exp_one(more[width] - max);

	for (uint32_t i = 0; i < width; i += ROW_LANES)
		floats_store(
			total + i, floats_fma(floats_load(more + i), floats_set1(fresh),
					   floats_mul(floats_load(total + i), floats_set1(old))));
	total[width] = max;
	total[width + 1] = fmaf(more[width + 1], fresh, total[width + 1] * old);
}

static void
finish(const float *total, uint32_t dim, float *out)
{
	float inverse = 1.0f / total[kv_width(dim) + 1];
	uint32_t i = 0;

	for (; i + ROW_LANES <= dim; i += ROW_LANES)
		floats_store(out + i, floats_mul(floats_load(total + i), floats_set1(inverse)));
	for (; i < dim; i++)
		out[i] = total[i] * inverse;
}

/* --- the kernels --------------------------------------------------------------------------------- */

static void
attend(const struct attention *a, const struct attend_rows *r, void *scratch)
{
	uint32_t last = (r->pos + r->rows - 1) / ATTEND_SPAN;
	struct pass p;

	for (uint32_t head = 0; head < a->group; head += p.heads) {
		pass_begin(&p, a, r, head, scratch);
		pass_span(&p, 0, p.s.total);
		for (uint32_t span = 1; span <= last; span++) {
			uint32_t c = pass_span(&p, span, p.s.partial) * p.heads;

			for (; c < p.cols; c++)
				merge(p.s.total + c * p.stride, p.s.partial + c * p.stride,
					p.width);
		}
		for (uint32_t c = 0; c < p.cols; c++)
			finish(p.s.total + c * p.stride, p.dim,
				r->out + c / p.heads * r->stride +
					(size_t)(head + c % p.heads) * p.dim);
	}
}

static void
attend_span(const struct attention *a, const struct attend_rows *r, uint32_t span, float *partial,
	void *scratch)
{
	struct pass p;

	/* More than one pass only for a single row. */
	for (uint32_t head = 0; head < a->group; head += p.heads) {
		pass_begin(&p, a, r, head, scratch);
		pass_span(&p, span, partial + head * p.stride);
	}
}

static void
attend_merge(const struct attention *a, const struct attend_rows *r, float *partials, size_t stride)
{
	size_t floats = partial_floats(a);

	for (uint32_t c = 0; c < r->rows * a->group; c++) {
		uint32_t row = c / a->group, last = (r->pos + row) / ATTEND_SPAN;
		float *total = partials + c * floats;

		for (uint32_t span = 1; span <= last; span++)
			merge(total, total + span * stride, kv_width(a->head_dim));
		finish(total, a->head_dim,
			r->out + row * r->stride + (size_t)(c % a->group) * a->head_dim);
	}
}

#define ATTENTION_KERNELS                                                                          \
	.kv_store = kv_store, .attend = attend, .attend_span = attend_span,                        \
	.attend_merge = attend_merge

#endif
