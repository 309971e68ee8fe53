/* Attention: every set against plain C, one row at a time; plain C against a softmax in double. */
#include "tests/kernels/check.h"

#include "kernels/sets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One KV head with what it is asked: K and V end where their memory ends, and positions that are not
 * stored hold bytes that no number should come from. */
struct subject {
	struct attention a;
	uint32_t rows, pos, positions;
	size_t row, bytes; /* floats of a row of results, bytes of K */
	struct edge k, v, q;
	float *keys, *values; /* [positions][head_dim] */
	struct attend_rows r; /* out is not set */
};

static void *
allocate(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (p == NULL)
		exit(2);
	return p;
}

static void
subject_init(struct subject *s, const struct attention *a, uint32_t rows, uint32_t pos, float big)
{
	uint32_t dim = a->head_dim, positions = pos + rows;

	*s = (struct subject){.a = *a, .rows = rows, .pos = pos, .positions = positions};
	s->row = (size_t)a->group * dim;
	s->bytes = kv_head_bytes(a->type, dim, positions);
	s->k = edge_new(s->bytes);
	s->v = edge_new(s->bytes);
	s->q = edge_new(rows * s->row * sizeof(float));
	s->keys = allocate((size_t)positions * dim * sizeof(float));
	s->values = allocate((size_t)positions * dim * sizeof(float));
	memset(s->k.data, 0xff, s->bytes); /* NaN */
	memset(s->v.data, 0xff, s->bytes);
	for (size_t i = 0; i < (size_t)positions * dim; i++) {
		s->keys[i] = rnd_float(1.0f);
		s->values[i] = rnd_float(2.0f);
	}
	for (size_t i = 0; i < rows * s->row; i++)
		((float *)(void *)s->q.data)[i] = rnd_float(big);
	s->r = (struct attend_rows){.q = (const float *)(const void *)s->q.data,
		.stride = s->row,
		.rows = rows,
		.pos = pos,
		.k = s->k.data,
		.v = s->v.data};
}

static void
subject_store(struct subject *s, const struct kernels *k)
{
	for (uint32_t p = 0; p < s->positions; p++)
		k->kv_store(&s->a, s->k.data, s->v.data, p, s->keys + (size_t)p * s->a.head_dim,
			s->values + (size_t)p * s->a.head_dim);
}

static void
subject_free(struct subject *s)
{
	edge_free(&s->k);
	edge_free(&s->v);
	edge_free(&s->q);
	free(s->keys);
	free(s->values);
}

/* Some rows of it, as if they came alone. */
static void
attend_part(const struct subject *s, const struct kernels *k, uint32_t row, uint32_t rows,
	float *out, void *scratch)
{
	struct attend_rows r = s->r;

	r.q += row * s->row;
	r.out = out + row * s->row;
	r.pos += row;
	r.rows = rows;
	k->attend(&s->a, &r, scratch);
}

/* All rows, each span apart, the last one first. */
static void
attend_spans(const struct subject *s, const struct kernels *k, float *out, void *scratch)
{
	size_t stride = (size_t)s->rows * s->a.group * partial_floats(&s->a);
	uint32_t spans = (s->positions - 1) / ATTEND_SPAN + 1;
	float *partials = allocate(spans * stride * sizeof *partials);
	struct attend_rows r = s->r;

	r.out = out;
	memset(partials, 0xff, spans * stride * sizeof *partials);
	for (uint32_t span = spans; span-- > 0;)
		k->attend_span(&s->a, &r, span, partials + span * stride, scratch);
	k->attend_merge(&s->a, &r, partials, stride);
	free(partials);
}

static const char *
compare(const struct subject *s, const float *want, const float *got, const char *how)
{
	static char trouble[200];

	for (size_t i = 0; i < s->rows * s->row; i++) {
		if (same_float(want[i], got[i]))
			continue;
		snprintf(trouble, sizeof trouble,
			"%s: %u heads of %u, %u rows from position %u, value %zu: %a instead of %a",
			how, s->a.group, s->a.head_dim, s->rows, s->pos, i, (double)got[i],
			(double)want[i]);
		return trouble;
	}
	return guarded_ok(got, s->rows * s->row) ? NULL : "it wrote outside of its output";
}

static const char *
check_subject(struct subject *s, const struct kernels *k)
{
	size_t n = s->rows * s->row;
	float *want = guarded_new(n), *got = guarded_new(n);
	uint8_t *k_bytes = allocate(s->bytes), *v_bytes = allocate(s->bytes);
	void *scratch = allocate(attend_scratch_bytes(s->a.group, s->a.head_dim));
	const char *trouble = NULL;
	uint32_t cut = between(0, s->rows);

	subject_store(s, &kernels_plain);
	memcpy(k_bytes, s->k.data, s->bytes);
	memcpy(v_bytes, s->v.data, s->bytes);
	memset(s->k.data, 0xff, s->bytes);
	memset(s->v.data, 0xff, s->bytes);
	subject_store(s, k);
	if (memcmp(k_bytes, s->k.data, s->bytes) != 0 || memcmp(v_bytes, s->v.data, s->bytes) != 0)
		trouble = "it stores other bytes than plain C";
	for (uint32_t r = 0; r < s->rows; r++)
		attend_part(s, &kernels_plain, r, 1, want, scratch);
	attend_part(s, k, 0, s->rows, got, scratch);
	if (trouble == NULL)
		trouble = compare(s, want, got, "all rows");
	memset(got, 0, n * sizeof *got);
	if (cut > 0)
		attend_part(s, k, 0, cut, got, scratch);
	if (cut < s->rows)
		attend_part(s, k, cut, s->rows - cut, got, scratch);
	if (trouble == NULL)
		trouble = compare(s, want, got, "rows in two parts");
	memset(got, 0, n * sizeof *got);
	attend_spans(s, k, got, scratch);
	if (trouble == NULL)
		trouble = compare(s, want, got, "spans apart");
	guarded_free(want);
	guarded_free(got);
	free(k_bytes);
	free(v_bytes);
	free(scratch);
	return trouble;
}

static const char *
check_type(const struct kernels *k, enum kv_type type)
{
	static const uint32_t dims[] = {8, 16, 20, 32, 40, 64, 64, 80, 96, 100, 112, 128, 192, 256};
	static const uint32_t groups[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 70};
	static const float scales[] = {1.0f, 8.0f, 100.0f, 1e-42f, 1e30f};

	for (int turn = 0; turn < 48; turn++) {
		struct attention a = {.group = groups[rnd() % 12], .type = type};
		uint32_t rows, pos, work;
		const char *trouble;
		struct subject s;

		a.head_dim = turn % 8 == 0 ? between(1, 256) : dims[rnd() % 14];
		a.scale = 1.0f / sqrtf((float)a.head_dim);
		rows = turn % 3 == 0 ? 1 : between(1, attend_most_rows(a.group));
		/* Around an end of a span, or anywhere; not more than plain C does in short time. */
		work = 1000000 / (a.head_dim * a.group * rows);
		pos = turn % 2 == 0 ? between(0, work < 800 ? work : 800)
				    : ATTEND_SPAN * between(1, 2) - between(0, rows + 1);
		subject_init(&s, &a, rows, pos, scales[turn < 20 ? 0 : rnd() % 5]);
		trouble = check_subject(&s, k);
		subject_free(&s);
		if (trouble != NULL)
			return trouble;
	}
	return NULL;
}

void
check_attention(const struct kernels *k)
{
	char name[32];

	for (unsigned t = 0; t < KV_TYPES; t++) {
		snprintf(name, sizeof name, "attend %s", kv_type_name((enum kv_type)t));
		report(k->name, name, check_type(k, (enum kv_type)t));
	}
}

/* --- against double ------------------------------------------------------------------------------ */

/* The greatest distance of a head's results from a softmax over the floats that were stored. */
static double
deviation(const struct subject *s, uint32_t row, uint32_t head, const float *out)
{
	uint32_t dim = s->a.head_dim, n = s->pos + row + 1;
	const float *q = s->r.q + row * s->row + (size_t)head * dim;
	double *e = allocate(n * sizeof *e), max = -INFINITY, sum = 0, worst = 0;

	for (uint32_t p = 0; p < n; p++) {
		e[p] = 0;
		for (uint32_t i = 0; i < dim; i++)
			e[p] += (double)q[i] * (double)s->keys[(size_t)p * dim + i];
		e[p] *= (double)s->a.scale;
		max = e[p] > max ? e[p] : max;
	}
	for (uint32_t p = 0; p < n; p++)
		sum += e[p] = exp(e[p] - max);
	for (uint32_t i = 0; i < dim; i++) {
		double o = 0;

		for (uint32_t p = 0; p < n; p++)
			o += e[p] / sum * (double)s->values[(size_t)p * dim + i];
		o = fabs(o - (double)out[row * s->row + (size_t)head * dim + i]);
		worst = o > worst ? o : worst;
	}
	free(e);
	return worst;
}

/* What values of up to 2 may deviate. The types round K by 2^-24, 2^-11 or 1/254 of the greatest of
 * 32, and scores here are sums of up to 128 products of up to 4. */
static const double tolerance[KV_TYPES] = {4e-6, 4e-3, 6e-2};

void
check_attention_meaning(void)
{
	static const uint32_t shapes[][4] = {/* head_dim, group, rows, pos */
		{64, 4, 5, 0}, {64, 1, 3, 250}, {128, 2, 2, 700}, {20, 3, 4, 1100}};
	char name[64], trouble[64];

	for (unsigned t = 0; t < KV_TYPES; t++) {
		double worst = 0;

		for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
			struct attention a = {shapes[i][1], shapes[i][0],
				1.0f / sqrtf((float)shapes[i][0]), (enum kv_type)t};
			struct subject s;
			float *out;
			void *scratch = allocate(attend_scratch_bytes(a.group, a.head_dim));

			subject_init(&s, &a, shapes[i][2], shapes[i][3], 4.0f);
			subject_store(&s, &kernels_plain);
			out = allocate(s.rows * s.row * sizeof *out);
			attend_part(&s, &kernels_plain, 0, s.rows, out, scratch);
			for (uint32_t c = 0; c < s.rows * a.group; c++) {
				double d = deviation(&s, c / a.group, c % a.group, out);

				worst = d > worst || d != d ? d : worst;
			}
			free(out);
			free(scratch);
			subject_free(&s);
		}
		snprintf(name, sizeof name, "attend %s, %.1e from a softmax in double",
			kv_type_name((enum kv_type)t), worst);
		snprintf(trouble, sizeof trouble, "more than %.1e", tolerance[t]);
		report("plain", name, worst <= tolerance[t] ? NULL : trouble);
	}
}
