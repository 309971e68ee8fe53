#include "tests/support/tiny_model.h"

#include <math.h>
#include <stdlib.h>

#define PI 3.141592653589793

/* --- weights ------------------------------------------------------------------------------------ */

void
tiny_model_dims(const struct model_shape *s, enum tensor_role r, uint32_t *rows, uint32_t *cols)
{
	uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
	uint32_t dense = s->experts == 0 ? s->ffn : 0, expert = s->experts > 0 ? s->ffn : 0;
	const uint32_t of[TENSOR_ROLES][2] = {
		[TENSOR_EMBED] = {s->vocab, s->embd},
		[TENSOR_ATTN_NORM] = {1, s->embd},
		[TENSOR_Q] = {q, s->embd},
		[TENSOR_K] = {kv, s->embd},
		[TENSOR_V] = {kv, s->embd},
		[TENSOR_Q_BIAS] = {s->qkv_bias, q},
		[TENSOR_K_BIAS] = {s->qkv_bias, kv},
		[TENSOR_V_BIAS] = {s->qkv_bias, kv},
		[TENSOR_Q_NORM] = {s->qk_norm, s->qk_norm_wide ? q : s->head_dim},
		[TENSOR_K_NORM] = {s->qk_norm, s->qk_norm_wide ? kv : s->head_dim},
		[TENSOR_O] = {s->embd, q},
		[TENSOR_FFN_NORM] = {1, s->embd},
		[TENSOR_GATE] = {dense, s->embd},
		[TENSOR_UP] = {dense, s->embd},
		[TENSOR_DOWN] = {dense > 0 ? s->embd : 0, dense},
		[TENSOR_ROUTER] = {s->experts, s->embd},
		[TENSOR_EXPERT_GATE] = {expert, s->embd},
		[TENSOR_EXPERT_UP] = {expert, s->embd},
		[TENSOR_EXPERT_DOWN] = {expert > 0 ? s->embd : 0, expert},
		[TENSOR_OUT_NORM] = {1, s->embd},
		[TENSOR_OUT] = {s->vocab, s->embd},
		[TENSOR_ROPE_FREQS] = {1, s->rope_dim / 2},
	};

	*rows = of[r][0];
	*cols = of[r][1];
}

static bool
of_expert(enum tensor_role r)
{
	return r == TENSOR_EXPERT_GATE || r == TENSOR_EXPERT_UP || r == TENSOR_EXPERT_DOWN;
}

static bool
is_vector(uint32_t rows)
{
	return rows == 1;
}

static float
uniform(uint32_t *rng)
{
	*rng = *rng * 1664525u + 1013904223u;
	return (float)(*rng >> 8) / (1u << 23) - 1.0f;
}

static float *
random_weights(uint32_t rows, uint32_t cols, uint32_t *rng)
{
	size_t n = (size_t)rows * cols;
	float *w = malloc(n * sizeof *w), scale = 1.5f / sqrtf((float)cols);

	if (w == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		w[i] = is_vector(rows) ? 1.0f + 0.5f * uniform(rng) : scale * uniform(rng);
	return w;
}

void
tiny_model_make(
	struct tiny_model *m, const struct model_shape *shape, bool rope_factors, uint32_t seed)
{
	*m = (struct tiny_model){.shape = *shape, .rope_factors = rope_factors};
	for (enum tensor_role r = 0; r < TENSOR_ROLES; r++) {
		bool once = r == TENSOR_EMBED || r == TENSOR_OUT_NORM || r == TENSOR_OUT ||
			    r == TENSOR_ROPE_FREQS;
		uint32_t rows, cols;

		tiny_model_dims(shape, r, &rows, &cols);
		if (rows == 0 || (r == TENSOR_ROPE_FREQS && !rope_factors) ||
			(r == TENSOR_OUT && shape->tied))
			continue;
		for (uint32_t l = 0; l < (once ? 1 : shape->layers); l++)
			m->w[l][r] = random_weights(
				of_expert(r) ? rows * shape->experts : rows, cols, &seed);
	}
}

void
tiny_model_free(struct tiny_model *m)
{
	for (uint32_t l = 0; l < TINY_MAX_LAYERS; l++)
		for (enum tensor_role r = 0; r < TENSOR_ROLES; r++)
			free(m->w[l][r]);
}

/* --- a weight source ---------------------------------------------------------------------------- */

#define TINY_AT_ONCE 3

struct tiny_source {
	struct weight_source base;
	const struct tiny_model *m;
	struct slice slice;
	void (*spoil)(struct unit *u, enum unit_kind kind, uint32_t layer);
	struct {
		struct unit unit;
		bool taken;
	} held[TINY_AT_ONCE];
	uint32_t experts; /* acquired */
};

/* Rows [row0, row0 + rows) and columns likewise of a whole tensor. */
static struct matrix
view(const struct tiny_model *m, uint32_t layer, enum tensor_role r, uint32_t row0, uint32_t rows,
	uint32_t col0, uint32_t cols)
{
	const float *w = m->w[layer][r];
	uint32_t all_rows, all_cols;

	tiny_model_dims(&m->shape, r, &all_rows, &all_cols);
	if (w == NULL || rows == 0 || cols == 0)
		return (struct matrix){0};
	return (struct matrix){.dtype = DTYPE_F32,
		.rows = rows,
		.cols = cols,
		.stride = all_cols * sizeof *w,
		.data = (const uint8_t *)(w + (size_t)row0 * all_cols + col0)};
}

static struct matrix
whole(const struct tiny_model *m, uint32_t layer, enum tensor_role r)
{
	uint32_t rows, cols;

	tiny_model_dims(&m->shape, r, &rows, &cols);
	return view(m, layer, r, 0, rows, 0, cols);
}

static void
fill_attention(const struct tiny_source *ts, uint32_t l, struct matrix *t)
{
	const struct tiny_model *m = ts->m;
	const struct model_shape *s = &m->shape;
	uint32_t kv0 = ts->slice.kv_head0 * s->head_dim, kv = ts->slice.kv_heads * s->head_dim;
	uint32_t group = s->heads / s->kv_heads;

	t[TENSOR_ATTN_NORM] = whole(m, l, TENSOR_ATTN_NORM);
	t[TENSOR_Q] = view(m, l, TENSOR_Q, kv0 * group, kv * group, 0, s->embd);
	t[TENSOR_K] = view(m, l, TENSOR_K, kv0, kv, 0, s->embd);
	t[TENSOR_V] = view(m, l, TENSOR_V, kv0, kv, 0, s->embd);
	t[TENSOR_Q_BIAS] = view(m, l, TENSOR_Q_BIAS, 0, 1, kv0 * group, kv * group);
	t[TENSOR_K_BIAS] = view(m, l, TENSOR_K_BIAS, 0, 1, kv0, kv);
	t[TENSOR_V_BIAS] = view(m, l, TENSOR_V_BIAS, 0, 1, kv0, kv);
	t[TENSOR_Q_NORM] = whole(m, l, TENSOR_Q_NORM);
	t[TENSOR_K_NORM] = whole(m, l, TENSOR_K_NORM);
	t[TENSOR_O] = view(m, l, TENSOR_O, 0, s->embd, kv0 * group, kv * group);
	if (l == ts->slice.layer0)
		t[TENSOR_ROPE_FREQS] = whole(m, 0, TENSOR_ROPE_FREQS);
}

static void
fill_ffn(const struct tiny_source *ts, uint32_t l, struct matrix *t)
{
	const struct tiny_model *m = ts->m;
	uint32_t embd = m->shape.embd;

	t[TENSOR_FFN_NORM] = whole(m, l, TENSOR_FFN_NORM);
	t[TENSOR_GATE] = view(m, l, TENSOR_GATE, ts->slice.ffn0, ts->slice.ffn, 0, embd);
	t[TENSOR_UP] = view(m, l, TENSOR_UP, ts->slice.ffn0, ts->slice.ffn, 0, embd);
	t[TENSOR_DOWN] = view(m, l, TENSOR_DOWN, 0, embd, ts->slice.ffn0, ts->slice.ffn);
	t[TENSOR_ROUTER] = whole(m, l, TENSOR_ROUTER);
}

static void
fill_expert(const struct tiny_source *ts, uint32_t l, uint32_t expert, struct matrix *t)
{
	const struct tiny_model *m = ts->m;
	uint32_t embd = m->shape.embd, row0 = expert * m->shape.ffn + ts->slice.ffn0;

	t[TENSOR_EXPERT_GATE] = view(m, l, TENSOR_EXPERT_GATE, row0, ts->slice.ffn, 0, embd);
	t[TENSOR_EXPERT_UP] = view(m, l, TENSOR_EXPERT_UP, row0, ts->slice.ffn, 0, embd);
	t[TENSOR_EXPERT_DOWN] =
		view(m, l, TENSOR_EXPERT_DOWN, expert * embd, embd, ts->slice.ffn0, ts->slice.ffn);
}

static const struct unit *
acquire(struct weight_source *ws, enum unit_kind kind, uint32_t layer, uint32_t expert,
	struct err *err)
{
	struct tiny_source *ts = (struct tiny_source *)(void *)ws;
	const struct tiny_model *m = ts->m;
	struct unit *u;
	uint32_t i = 0;

	while (i < (ws->at_once > 0 ? ws->at_once : 1) && ts->held[i].taken)
		i++;
	if (i == (ws->at_once > 0 ? ws->at_once : 1)) {
		err_set(err, "more units are taken than may be held at once");
		return NULL;
	}
	ts->held[i].taken = true;
	u = &ts->held[i].unit;
	*u = (struct unit){0};
	if (kind == UNIT_EMBED) {
		u->t[TENSOR_EMBED] = whole(m, 0, TENSOR_EMBED);
	} else if (kind == UNIT_ATTN) {
		fill_attention(ts, layer, u->t);
	} else if (kind == UNIT_FFN) {
		fill_ffn(ts, layer, u->t);
	} else if (kind == UNIT_EXPERT) {
		fill_expert(ts, layer, expert, u->t);
		ts->experts++;
	} else {
		u->t[TENSOR_OUT_NORM] = whole(m, 0, TENSOR_OUT_NORM);
		u->t[TENSOR_OUT] = view(m, 0, m->shape.tied ? TENSOR_EMBED : TENSOR_OUT,
			ts->slice.vocab0, ts->slice.vocab, 0, m->shape.embd);
	}
	if (ts->spoil != NULL)
		ts->spoil(u, kind, layer);
	return u;
}

static void
release(struct weight_source *ws, const struct unit *u)
{
	struct tiny_source *ts = (struct tiny_source *)(void *)ws;

	for (uint32_t i = 0; i < TINY_AT_ONCE; i++) {
		if (u == &ts->held[i].unit && ts->held[i].taken) {
			ts->held[i].taken = false;
			return;
		}
	}
	abort();
}

static void
free_source(struct weight_source *ws)
{
	free(ws);
}

struct weight_source *
tiny_model_weights(const struct tiny_model *m, const struct slice *sl,
	void (*spoil)(struct unit *u, enum unit_kind kind, uint32_t layer))
{
	struct tiny_source *ts = calloc(1, sizeof *ts);

	if (ts == NULL)
		abort();
	*ts = (struct tiny_source){.base = {acquire, release, free_source, .at_once = TINY_AT_ONCE},
		.m = m,
		.slice = *sl,
		.spoil = spoil};
	return &ts->base;
}

uint32_t
tiny_model_experts(const struct weight_source *ws)
{
	return ((const struct tiny_source *)(const void *)ws)->experts;
}

/* --- what it computes --------------------------------------------------------------------------- */

static double *
zeros(size_t n)
{
	double *p = calloc(n, sizeof *p);

	if (p == NULL)
		abort();
	return p;
}

static void
multiply(const float *w, uint32_t rows, uint32_t cols, const double *x, double *y)
{
	for (uint32_t r = 0; r < rows; r++) {
		y[r] = 0.0;
		for (uint32_t c = 0; c < cols; c++)
			y[r] += (double)w[(size_t)r * cols + c] * x[c];
	}
}

static void
norm(const double *x, const float *w, uint32_t n, double eps, double *y)
{
	double sum = 0.0;

	for (uint32_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	for (uint32_t i = 0; i < n; i++)
		y[i] = x[i] / sqrt(sum / n + eps) * w[i];
}

/* Turns of pair i in the original context, as YaRN and Llama 3 look at it. */
static double
yarn_dim(const struct model_shape *s, double turns)
{
	return s->rope_dim * log(s->rope_orig_context / (turns * 2.0 * PI)) /
	       (2.0 * log(s->rope_base));
}

static double
frequency(const struct tiny_model *m, uint32_t i)
{
	const struct model_shape *s = &m->shape;
	double f = 1.0 / pow(s->rope_base, (double)(2 * i) / s->rope_dim);
	double wave = 2.0 * PI / f, smooth, low, high, mask;

	if (m->rope_factors)
		f /= m->w[0][TENSOR_ROPE_FREQS][i];
	switch (s->rope_scaling) {
	case ROPE_NONE:
		return f;
	case ROPE_LINEAR:
		return f / s->rope_factor;
	case ROPE_LLAMA3:
		if (m->rope_factors || wave < s->rope_orig_context / s->rope_high_freq)
			return f;
		if (wave > s->rope_orig_context / s->rope_low_freq)
			return f / s->rope_factor;
		smooth = (s->rope_orig_context / wave - s->rope_low_freq) /
			 (s->rope_high_freq - s->rope_low_freq);
		return (1.0 - smooth) * f / s->rope_factor + smooth * f;
	case ROPE_YARN:
		low = floor(yarn_dim(s, s->yarn_beta_fast));
		high = ceil(yarn_dim(s, s->yarn_beta_slow));
		low = low < 0.0 ? 0.0 : low;
		high = high > s->rope_dim - 1.0 ? s->rope_dim - 1.0 : high;
		mask = i <= low ? 1.0 : i >= high ? 0.0 : 1.0 - (i - low) / (high - low);
		mask *= s->yarn_ext_factor;
		return f / s->rope_factor * (1.0 - mask) + f * mask;
	}
	return f;
}

static void
rotate(const struct tiny_model *m, double *x, uint32_t pos)
{
	const struct model_shape *s = &m->shape;
	uint32_t half = s->rope_dim / 2;
	double scale = 1.0;

	if (s->rope_scaling == ROPE_YARN) {
		scale = s->yarn_attn_factor;
		if (s->yarn_ext_factor != 0.0f)
			scale *= 0.1 * log(s->rope_factor) + 1.0;
	}
	for (uint32_t i = 0; i < half; i++) {
		double *a = s->rope_interleaved ? &x[2 * i] : &x[i];
		double *b = s->rope_interleaved ? &x[2 * i + 1] : &x[i + half];
		double angle = pos * frequency(m, i), u = *a, v = *b;

		*a = scale * (u * cos(angle) - v * sin(angle));
		*b = scale * (u * sin(angle) + v * cos(angle));
	}
}

/* Vectors of all heads: bias, norm, rotation. */
static void
project(const struct tiny_model *m, uint32_t layer, enum tensor_role w, enum tensor_role bias,
	enum tensor_role head_norm, uint32_t heads, const double *x, uint32_t pos, double *y)
{
	const struct model_shape *s = &m->shape;
	const float *b = m->w[layer][bias];

	multiply(m->w[layer][w], heads * s->head_dim, s->embd, x, y);
	for (uint32_t i = 0; b != NULL && i < heads * s->head_dim; i++)
		y[i] += b[i];
	if (s->qk_norm_wide && head_norm != TENSOR_ROLES)
		norm(y, m->w[layer][head_norm], heads * s->head_dim, s->norm_eps, y);
	for (uint32_t h = 0; head_norm != TENSOR_ROLES && h < heads; h++) {
		double *v = y + (size_t)h * s->head_dim;

		if (s->qk_norm && !s->qk_norm_wide)
			norm(v, m->w[layer][head_norm], s->head_dim, s->norm_eps, v);
		rotate(m, v, pos);
	}
}

/* One head over positions [0, pos]: keys and values lie kv_width apart. */
static void
attend(const struct model_shape *s, const double *q, const double *keys, const double *values,
	uint32_t pos, double *out)
{
	size_t width = (size_t)s->kv_heads * s->head_dim;
	double *p = zeros(pos + 1), max = -INFINITY, sum = 0.0;

	for (uint32_t t = 0; t <= pos; t++) {
		for (uint32_t i = 0; i < s->head_dim; i++)
			p[t] += q[i] * keys[t * width + i];
		p[t] /= sqrt(s->head_dim);
		max = p[t] > max ? p[t] : max;
	}
	for (uint32_t t = 0; t <= pos; t++)
		sum += p[t] = exp(p[t] - max);
	for (uint32_t i = 0; i < s->head_dim; i++) {
		out[i] = 0.0;
		for (uint32_t t = 0; t <= pos; t++)
			out[i] += p[t] / sum * values[t * width + i];
	}
	free(p);
}

struct scratch {
	double *x, *normed, *q, *attended, *sum, *gate, *up;
	double *keys[TINY_MAX_LAYERS], *values[TINY_MAX_LAYERS];
};

/* out += weight * what one feed-forward network says to b->normed. */
static void
feed_forward(const struct model_shape *s, const float *gate, const float *up, const float *down,
	double weight, struct scratch *b)
{
	multiply(gate, s->ffn, s->embd, b->normed, b->gate);
	multiply(up, s->ffn, s->embd, b->normed, b->up);
	for (uint32_t i = 0; i < s->ffn; i++)
		b->gate[i] = b->gate[i] / (1.0 + exp(-b->gate[i])) * b->up[i];
	multiply(down, s->embd, s->ffn, b->gate, b->sum);
	for (uint32_t i = 0; i < s->embd; i++)
		b->x[i] += weight * b->sum[i];
}

/* How many come before this one when the largest is first, of equal ones the lower number. */
static uint32_t
rank_of(const double *p, uint32_t n, uint32_t e)
{
	uint32_t before = 0;

	for (uint32_t i = 0; i < n; i++)
		before += p[i] > p[e] || (p[i] == p[e] && i < e);
	return before;
}

/* As the papers have it: softmax over all, the largest are kept, perhaps brought to a sum of 1. */
static void
mixture(const struct tiny_model *m, uint32_t l, struct scratch *b)
{
	const struct model_shape *s = &m->shape;
	float *const *w = m->w[l];
	double *p = zeros(s->experts), sum = 0.0, kept = 0.0;
	size_t size = (size_t)s->ffn * s->embd;

	multiply(w[TENSOR_ROUTER], s->experts, s->embd, b->normed, p);
	for (uint32_t e = 0; e < s->experts; e++)
		sum += p[e] = exp(p[e]);
	for (uint32_t e = 0; e < s->experts; e++)
		p[e] /= sum;
	for (uint32_t e = 0; e < s->experts; e++)
		kept += rank_of(p, s->experts, e) < s->experts_used ? p[e] : 0.0;
	for (uint32_t e = 0; e < s->experts; e++)
		if (rank_of(p, s->experts, e) < s->experts_used)
			feed_forward(s, w[TENSOR_EXPERT_GATE] + e * size,
				w[TENSOR_EXPERT_UP] + e * size, w[TENSOR_EXPERT_DOWN] + e * size,
				p[e] / (s->expert_norm ? kept : 1.0) * s->expert_scale, b);
	free(p);
}

static void
layer(const struct tiny_model *m, uint32_t l, uint32_t pos, struct scratch *b)
{
	const struct model_shape *s = &m->shape;
	float *const *w = m->w[l];
	size_t width = (size_t)s->kv_heads * s->head_dim;

	norm(b->x, w[TENSOR_ATTN_NORM], s->embd, s->norm_eps, b->normed);
	project(m, l, TENSOR_Q, TENSOR_Q_BIAS, TENSOR_Q_NORM, s->heads, b->normed, pos, b->q);
	project(m, l, TENSOR_K, TENSOR_K_BIAS, TENSOR_K_NORM, s->kv_heads, b->normed, pos,
		b->keys[l] + pos * width);
	project(m, l, TENSOR_V, TENSOR_V_BIAS, TENSOR_ROLES, s->kv_heads, b->normed, pos,
		b->values[l] + pos * width);
	for (uint32_t h = 0; h < s->heads; h++) {
		size_t kv = (size_t)(h / (s->heads / s->kv_heads)) * s->head_dim;

		attend(s, b->q + (size_t)h * s->head_dim, b->keys[l] + kv, b->values[l] + kv, pos,
			b->attended + (size_t)h * s->head_dim);
	}
	multiply(w[TENSOR_O], s->embd, s->heads * s->head_dim, b->attended, b->sum);
	for (uint32_t i = 0; i < s->embd; i++)
		b->x[i] += b->sum[i];
	norm(b->x, w[TENSOR_FFN_NORM], s->embd, s->norm_eps, b->normed);
	if (s->experts > 0)
		mixture(m, l, b);
	else
		feed_forward(s, w[TENSOR_GATE], w[TENSOR_UP], w[TENSOR_DOWN], 1.0, b);
}

void
tiny_model_compute(const struct tiny_model *m, const uint32_t *tokens, uint32_t n, double *logits)
{
	const struct model_shape *s = &m->shape;
	size_t q = (size_t)s->heads * s->head_dim, kv = (size_t)s->kv_heads * s->head_dim;
	struct scratch b = {zeros(s->embd), zeros(s->embd), zeros(q), zeros(q), zeros(s->embd),
		zeros(s->ffn), zeros(s->ffn), {0}, {0}};

	for (uint32_t l = 0; l < s->layers; l++) {
		b.keys[l] = zeros(n * kv);
		b.values[l] = zeros(n * kv);
	}
	for (uint32_t pos = 0; pos < n; pos++) {
		for (uint32_t i = 0; i < s->embd; i++)
			b.x[i] = m->w[0][TENSOR_EMBED][(size_t)tokens[pos] * s->embd + i];
		for (uint32_t l = 0; l < s->layers; l++)
			layer(m, l, pos, &b);
		norm(b.x, m->w[0][TENSOR_OUT_NORM], s->embd, s->norm_eps, b.normed);
		multiply(m->w[0][s->tied ? TENSOR_EMBED : TENSOR_OUT], s->vocab, s->embd, b.normed,
			logits + (size_t)pos * s->vocab);
	}
	for (uint32_t l = 0; l < s->layers; l++) {
		free(b.keys[l]);
		free(b.values[l]);
	}
	free(b.x);
	free(b.normed);
	free(b.q);
	free(b.attended);
	free(b.sum);
	free(b.gate);
	free(b.up);
}
