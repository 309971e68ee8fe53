/* Attention as attention.h defines it, one query head after the other. */
#include "kernels/attend_scratch.h"
#include "kernels/exp.h"
#include "kernels/kv_layout.h"
#include "kernels/plain.h"
#include "kernels/sets.h"

/* --- K and V in memory --------------------------------------------------------------------------- */

/* Of a group of K or V. */
static size_t
group_bytes(const struct attention *a)
{
	return kv_head_bytes(a->type, a->head_dim, KV_GROUP);
}

/* Numbers of the float types: place `at` of the group that holds the position. */
static void
put(const struct attention *a, void *base, uint32_t pos, size_t at, float value)
{
	uint8_t *group = (uint8_t *)base + pos / KV_GROUP * group_bytes(a);

	if (a->type == KV_F32)
		((float *)(void *)group)[at] = value;
	else
		((uint16_t *)(void *)group)[at] = f32_to_f16(value);
}

static float
get(const struct attention *a, const void *base, uint32_t pos, size_t at)
{
	const uint8_t *group = (const uint8_t *)base + pos / KV_GROUP * group_bytes(a);

	if (a->type == KV_F32)
		return ((const float *)(const void *)group)[at];
	return f16_to_f32(((const uint16_t *)(const void *)group)[at]);
}

static float
value_at(const struct attention *a, const void *v, uint32_t pos, uint32_t i)
{
	uint32_t p = pos % KV_GROUP;
	const uint8_t *part;
	uint16_t half;
	int8_t code;

	if (a->type != KV_Q8_0)
		return get(a, v, pos, ((size_t)(i / BLOCK) * KV_GROUP + p) * BLOCK + i % BLOCK);
	part = (const uint8_t *)v + pos / KV_GROUP * group_bytes(a) +
	       i / BLOCK * v_part_bytes(KV_Q8_0);
	memcpy(&half, part + (size_t)2 * p, sizeof half);
	memcpy(&code, part + (size_t)2 * KV_GROUP + (size_t)BLOCK * p + i % BLOCK, sizeof code);
	return f16_to_f32(half) * (float)code;
}

/* --- storing ------------------------------------------------------------------------------------- */

/* Up to 32 values, as a block with its d in float16 in front. */
static void
quantize_values(const float *x, uint32_t n, uint8_t block[Q8_0_BYTES])
{
	int32_t sum, half;
	uint16_t d16;
	float d;
	struct act act = {.rows = 1,
		.cols = n,
		.f = x,
		.q = (int8_t *)block + 2,
		.d = &d,
		.sum = &sum,
		.half = &half};

	kernels_plain.quantize(&act, 0, 1);
	d16 = f32_to_f16(d);
	memcpy(block, &d16, sizeof d16);
}

void
plain_kv_store(const struct attention *a, void *k, void *v, uint32_t pos, const float *key,
	const float *value)
{
	uint32_t dim = a->head_dim, width = kv_width(dim), lane = pos % KV_GROUP;
	uint8_t kb[Q8_0_BYTES], vb[Q8_0_BYTES];

	if (a->type == KV_Q8_0) {
		for (uint32_t i = 0; i < dim; i += BLOCK) {
			uint32_t n = dim - i < BLOCK ? dim - i : BLOCK;

			quantize_values(key + i, n, kb);
			quantize_values(value + i, n, vb);
			kv_put_blocks(a, k, v, pos, i / BLOCK, kb, vb);
		}
		return;
	}
	for (uint32_t i = 0; i < width; i++) {
		put(a, k, pos, (size_t)i * KV_GROUP + lane, i < dim ? key[i] : 0.0f);
		put(a, v, pos, ((size_t)(i / BLOCK) * KV_GROUP + lane) * BLOCK + i % BLOCK,
			i < dim ? value[i] : 0.0f);
	}
}

/* --- attending ----------------------------------------------------------------------------------- */

/* Scores of one scaled query head for n positions from `first` on, a multiple of the span. */
static void
scores(const struct attention *a, struct attend_scratch *s, const void *k, uint32_t first,
	uint32_t n)
{
	const uint8_t *base = (const uint8_t *)k + first / KV_GROUP * group_bytes(a);
	struct matrix m = kv_matrix(a, k, first, n);
	struct act act = {.rows = 1,
		.cols = kv_width(a->head_dim),
		.f = s->q,
		.q = s->codes,
		.d = s->d,
		.sum = s->sum,
		.half = s->half};

	if (a->type == KV_Q8_0) {
		kernels_plain.quantize(&act, 0, 1);
		plain_matmul(&m, 0, n, &act, s->score, 0);
		return;
	}
	for (uint32_t p = 0; p < n; p++) {
		float f = 0.0f;

		for (uint32_t i = 0; i < a->head_dim; i++)
			f = fmaf(s->q[i], get(a, base, p, (size_t)i * KV_GROUP + p % KV_GROUP), f);
		s->score[p] = f;
	}
}

/* Scores become e. */
static void
weigh(float *score, uint32_t n, float *max, float *sum)
{
	float lanes[2 * LANES] = {0};

	*max = -INFINITY;
	for (uint32_t p = 0; p < n; p++)
		*max = score[p] > *max ? score[p] : *max;
	for (uint32_t p = 0; p < n; p++) {
		score[p] = exp_one(score[p] - *max);
		lanes[p % (2 * LANES)] += score[p];
	}
	for (uint32_t j = 0; j < LANES; j++)
		lanes[j] += lanes[j + LANES];
	*sum = join(lanes);
}

/* One query head over one span; nothing happens to the partial when the span is behind it. */
static void
head_span(const struct attention *a, struct attend_scratch *s, const struct attend_rows *r,
	uint32_t row, uint32_t head, uint32_t span, float *partial)
{
	uint32_t dim = a->head_dim, width = kv_width(dim), first = span * ATTEND_SPAN;
	uint32_t all = r->pos + row + 1, n = all - first < ATTEND_SPAN ? all - first : ATTEND_SPAN;
	const float *q = r->q + row * r->stride + (size_t)head * dim;

	if (all <= first)
		return;
	for (uint32_t i = 0; i < width; i++)
		s->q[i] = i < dim ? q[i] * a->scale : 0.0f;
	scores(a, s, r->k, first, n);
	weigh(s->score, n, &partial[width], &partial[width + 1]);
	for (uint32_t i = 0; i < width; i++) {
		partial[i] = 0.0f;
		for (uint32_t p = 0; p < n; p++)
			partial[i] = fmaf(s->score[p], value_at(a, r->v, first + p, i), partial[i]);
	}
}

/* total becomes total and one more span. */
static void
merge(float *total, const float *more, uint32_t width)
{
	float max = more[width] > total[width] ? more[width] : total[width];
	float old = exp_one(total[width] - max), fresh = exp_one(more[width] - max);

	for (uint32_t i = 0; i < width; i++)
		total[i] = fmaf(more[i], fresh, total[i] * old);
	total[width] = max;
	total[width + 1] = fmaf(more[width + 1], fresh, total[width + 1] * old);
}

static void
finish(const struct attention *a, const float *total, float *out)
{
	float inverse = 1.0f / total[kv_width(a->head_dim) + 1];

	for (uint32_t i = 0; i < a->head_dim; i++)
		out[i] = total[i] * inverse;
}

void
plain_attend_span(const struct attention *a, const struct attend_rows *r, uint32_t span,
	float *partial, void *scratch)
{
	struct attend_scratch s;

	attend_scratch_take(&s, a, scratch);
	for (uint32_t c = 0; c < r->rows * a->group; c++)
		head_span(a, &s, r, c / a->group, c % a->group, span,
			partial + c * partial_floats(a));
}

void
plain_attend_merge(
	const struct attention *a, const struct attend_rows *r, float *partials, size_t stride)
{
	for (uint32_t c = 0; c < r->rows * a->group; c++) {
		uint32_t row = c / a->group, last = (r->pos + row) / ATTEND_SPAN;
		float *total = partials + c * partial_floats(a);

		for (uint32_t span = 1; span <= last; span++)
			merge(total, total + span * stride, kv_width(a->head_dim));
		finish(a, total, r->out + row * r->stride + (size_t)(c % a->group) * a->head_dim);
	}
}

void
plain_attend(const struct attention *a, const struct attend_rows *r, void *scratch)
{
	struct attend_scratch s;

	attend_scratch_take(&s, a, scratch);
	for (uint32_t c = 0; c < r->rows * a->group; c++) {
		uint32_t row = c / a->group, head = c % a->group;
		uint32_t last = (r->pos + row) / ATTEND_SPAN;

		head_span(a, &s, r, row, head, 0, s.total);
		for (uint32_t span = 1; span <= last; span++) {
			head_span(a, &s, r, row, head, span, s.partial);
			merge(s.total, s.partial, kv_width(a->head_dim));
		}
		finish(a, s.total, r->out + row * r->stride + (size_t)head * a->head_dim);
	}
}
