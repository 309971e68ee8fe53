/* Matrices in tiles times rows of activations, for one set: included by its file after its vec_*.h.
 *
 * Few columns (rows of activations): runs of 32 weights are unpacked in registers and meet all columns
 * at once. Many columns: a part of a strip is expanded once to bytes and float scales, small enough for
 * the first-level cache, and all columns are run over it; sums wait in `out` meanwhile. Both do the same
 * operations in the same order. */
#ifndef KERNELS_TILE_MATMUL_H
#define KERNELS_TILE_MATMUL_H

#include "kernels/kernels.h"
#include "kernels/tile_formats.h"

#ifndef TILE_PAIRS
#define TILE_PAIRS 0
#endif
#ifndef TILE_STEPS
#define TILE_STEPS 0
#endif

enum {
	EXPAND_RUNS = 32,                  /* of a strip, at a time */
	EXPAND_FROM = 2 * DIRECT_COLS + 1, /* columns from which expanding pays */
	FETCH_FAR = 8192                   /* bytes ahead, into the second-level cache */
};

/* Where a strip's sums are: lane r of column c belongs to out[c * stride + r]. */
struct sums {
	float *out;
	size_t stride;
	uint32_t rows; /* that exist: ROW_LANES, or fewer at the end of a matrix */
};

INLINE void
store_sums(const struct sums *s, uint32_t c, vfloats v)
{
	float lanes[ROW_LANES];

	if (s->rows == ROW_LANES) {
		floats_store(s->out + c * s->stride, v);
		return;
	}
	floats_store(lanes, v);
	memcpy(s->out + c * s->stride, lanes, s->rows * sizeof(*lanes));
}

INLINE vfloats
load_sums(const struct sums *s, uint32_t c)
{
	float lanes[ROW_LANES] = {0};

	if (s->rows == ROW_LANES)
		return floats_load(s->out + c * s->stride);
	memcpy(lanes, s->out + c * s->stride, s->rows * sizeof(*lanes));
	return floats_load(lanes);
}

/* --- quantised weights --------------------------------------------------------------------------- */

/* The sum of half h of a run's activations. */
INLINE vints
half_sum(const struct act *x, size_t at, int h)
{
	vints half = ints_set1(x->half[at]);

	return h == 0 ? half : ints_sub(ints_set1(x->sum[at]), half);
}

/* Where the sum of half h (0: of all, where there are no halves) starts: at what codes are above weights,
 * times the activations. at: the run's place in the column's arrays. */
INLINE vints
run_start(enum dtype t, const struct act *x, size_t at, int h, bool expanded)
{
	int offset = expanded && EXPANDED_SIGNED ? -1 : format_offset(t);

	if (offset < 0)
		return ints_set1(0);
	return ints_sub(ints_set1(0),
		ints_shl(format_halves(t) ? half_sum(x, at, h) : ints_set1(x->sum[at]), offset));
}

/* The rule of kernels.h for one run and one column, once the integer sum of half h is there. */
INLINE vfloats
add_dot(const struct run *r, const struct act *x, size_t at, int h, vints dot, vfloats f)
{
	return floats_fma(floats_mul(r->scale[h], floats_set1(x->d[at])), ints_to_floats(dot), f);
}

/* And what follows the sums. */
INLINE vfloats
add_mins(enum dtype t, const struct run *r, const struct act *x, size_t at, vfloats f)
{
	vfloats d = floats_set1(x->d[at]);

	if (format_mins(t) && !format_halves(t))
		f = floats_fma(floats_mul(r->min[0], d), ints_to_floats(ints_set1(x->sum[at])), f);
	if (format_mins(t) && format_halves(t)) {
		UNROLL
		for (int h = 0; h < 2; h++)
			f = floats_fma(
				floats_mul(r->min[h], d), ints_to_floats(half_sum(x, at, h)), f);
	}
	return f;
}

/* One run and one column. */
INLINE vfloats
add_run(enum dtype t, const struct run *r, const struct act *x, size_t at, bool expanded, vfloats f)
{
	const int halves = format_halves(t) ? 2 : 1, groups = GROUPS / halves;
	const int8_t *q = x->q + at * BLOCK;

	UNROLL
	for (int h = 0; h < halves; h++)
		f = add_dot(r, x, at, h,
			dot_groups(run_start(t, x, at, h, expanded), r->w + groups * h, groups,
				q + 16 * h, format_most(t)),
			f);
	return add_mins(t, r, x, at, f);
}

/* Asks for the part-th of `parts` parts of the lines of a body that comes later. Far ahead is what brings
 * decode to the speed of memory: the hardware's own prefetching ends with each page. */
INLINE void
fetch_part(enum dtype t, const uint8_t *body, uint32_t part, uint32_t parts)
{
	const uint32_t lines = format_body(t) / 64;

	UNROLL
	for (uint32_t i = lines * part / parts; i < lines * (part + 1) / parts; i++)
		fetch_far(body + FETCH_FAR + (size_t)64 * i);
}

/* Run `run` of a block and n (a constant) columns. at: its place in the first column's arrays; runs:
 * from one column to the next. */
#if TILE_STEPS
INLINE void
direct_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	uint32_t run, const struct act *x, size_t at, size_t runs, uint32_t n,
	vfloats f[STRIPS][DIRECT_COLS])
{
	const int halves = format_halves(t) ? 2 : 1;
	struct dot dot[STRIPS][DIRECT_COLS][2];
	struct run r;

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		UNROLL for (int h = 0; h < halves; h++) dot[i / n][i % n][h].sum =
			run_start(t, x, at + i % n * runs, h, false);
	UNROLL
	for (int g = 0; g < GROUPS / 2; g++) {
		UNROLL
		for (uint32_t strip = 0; strip < STRIPS; strip++) {
			vbytes pair[2];

			take_groups(t, body, run, strip, g, pair);
			UNROLL
			for (uint32_t i = 0; i < 2 * n; i++) {
				int group = format_group(t, g, i % 2);
				int step = halves == 2 ? group % 4 : 2 * g + (int)(i % 2);

				dot_step(&dot[strip][i / 2][halves == 2 ? group / 4 : 0], step,
					GROUPS / halves, pair[i % 2],
					x->q + (at + i / 2 * runs) * BLOCK + 4 * group,
					format_most(t));
			}
		}
	}
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		take_scales(t, &r, head, body, planes, run, strip);
		UNROLL
		for (uint32_t i = 0; i < n; i++) {
			UNROLL
			for (int h = 0; h < halves; h++)
				f[strip][i] = add_dot(
					&r, x, at + i * runs, h, dot[strip][i][h].sum, f[strip][i]);
			f[strip][i] = add_mins(t, &r, x, at + i * runs, f[strip][i]);
		}
	}
}
#else
INLINE void
direct_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	uint32_t run, const struct act *x, size_t at, size_t runs, uint32_t n,
	vfloats f[STRIPS][DIRECT_COLS])
{
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		struct run r;

		(void)planes;
		take_run(t, &r, head, body, run, strip);
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			f[strip][i] = add_run(t, &r, x, at + i * runs, false, f[strip][i]);
	}
}
#endif

/* All runs of a row group for n columns from c on; n is a constant. */
INLINE void
direct(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c, uint32_t n,
	struct sums sums[STRIPS])
{
	uint32_t per_block = format_runs(t), runs = block_count(x->cols), blocks = runs / per_block;
	const uint8_t *head = group;
	const uint8_t *body = group + ((size_t)blocks * format_head(t) + 63) / 64 * 64;
	vfloats f[STRIPS][DIRECT_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		f[i / n][i % n] = floats_set1(0.0f);
	for (uint32_t b = 0; b < blocks; b++) {
		const uint8_t *planes = NULL;
#if TILE_STEPS
		_Alignas(32) uint8_t room[SIX_BIT_BYTES];

		if (t == DTYPE_Q3_K || t == DTYPE_Q4_K || t == DTYPE_Q5_K) {
			six_bit_planes(body, room);
			/* They are to be read from memory, not taken out of registers again. */
			__asm__("" : "+m"(room));
			planes = room;
		}
#endif
		UNROLL
		for (uint32_t run = 0; run < per_block; run++) {
			fetch_part(t, body, run, per_block);
			direct_run(t, head, body, planes, run, x,
				(size_t)c * runs + b * per_block + run, runs, n, f);
		}
		head += format_head(t);
		body += format_body(t);
	}
	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		store_sums(&sums[i / n], c + i % n, f[i / n][i % n]);
}

INLINE void
direct_columns(enum dtype t, const uint8_t *group, const struct act *x, struct sums sums[STRIPS])
{
	uint32_t c = 0;

	for (; x->rows - c >= DIRECT_COLS; c += DIRECT_COLS)
		direct(t, group, x, c, DIRECT_COLS, sums);
	if (DIRECT_COLS > 2 && x->rows - c >= 2) {
		direct(t, group, x, c, 2, sums);
		c += 2;
	}
	if (c < x->rows)
		direct(t, group, x, c, 1, sums);
}

/* --- expanded weights ---------------------------------------------------------------------------- */

struct expanded {
	_Alignas(64) uint8_t w[EXPAND_RUNS][GROUPS][4 * ROW_LANES];
	_Alignas(64) float scale[EXPAND_RUNS][2][ROW_LANES];
	_Alignas(64) float min[EXPAND_RUNS][2][ROW_LANES];
};

/* Runs [first, first + n) of one strip; both are multiples of a block's runs, or n ends the row. */
INLINE void
expand(enum dtype t, const uint8_t *group, uint32_t runs, uint32_t strip, uint32_t first,
	uint32_t n, struct expanded *e)
{
	uint32_t per_block = format_runs(t), blocks = runs / per_block;
	const uint8_t *bodies = group + ((size_t)blocks * format_head(t) + 63) / 64 * 64;
	uint32_t halves = format_halves(t) ? 2 : 1;

	for (uint32_t i = 0; i < n; i += per_block) {
		uint32_t b = (first + i) / per_block;

		UNROLL
		for (uint32_t run = 0; run < per_block; run++) {
			struct run r;

			take_run(t, &r, group + (size_t)b * format_head(t),
				bodies + (size_t)b * format_body(t), run, strip);
			order_expanded(r.w, GROUPS, format_offset(t));
			UNROLL
			for (int g = 0; g < GROUPS; g++)
				bytes_store(e->w[i + run][g], r.w[g]);
			UNROLL
			for (uint32_t h = 0; h < halves; h++) {
				floats_store(e->scale[i + run][h], r.scale[h]);
				if (format_mins(t))
					floats_store(e->min[i + run][h], r.min[h]);
			}
		}
	}
}

/* One expanded run and n (a constant) columns. at: of the first; runs: from one column to the next. */
#if TILE_PAIRS
INLINE void
add_run_columns(enum dtype t, const struct run *r, const struct act *x, size_t at, size_t runs,
	uint32_t n, vfloats *f)
{
	const int halves = format_halves(t) ? 2 : 1, groups = GROUPS / halves;

	UNROLL
	for (uint32_t i = 0; i < n; i += 2) {
		/* The last column of an odd number meets the weights twice. */
		size_t a = at + i * runs, b = i + 1 < n ? a + runs : a;

		UNROLL
		for (int h = 0; h < halves; h++) {
			vints dot[2];

			dot_pair(r->w + groups * h, groups, x->q + a * BLOCK + 16 * h,
				x->q + b * BLOCK + 16 * h, dot);
			f[i] = add_dot(r, x, a, h, dot[0], f[i]);
			if (i + 1 < n)
				f[i + 1] = add_dot(r, x, b, h, dot[1], f[i + 1]);
		}
		f[i] = add_mins(t, r, x, a, f[i]);
		if (i + 1 < n)
			f[i + 1] = add_mins(t, r, x, b, f[i + 1]);
	}
}
#else
INLINE void
add_run_columns(enum dtype t, const struct run *r, const struct act *x, size_t at, size_t runs,
	uint32_t n, vfloats *f)
{
	UNROLL
	for (uint32_t i = 0; i < n; i++)
		f[i] = add_run(t, r, x, at + i * runs, true, f[i]);
}
#endif

/* n (a constant) columns from c on over expanded runs that begin at `first` of the row. */
INLINE void
gemm(enum dtype t, const struct expanded *e, uint32_t first, uint32_t n_runs, const struct act *x,
	uint32_t c, uint32_t n, const struct sums *sums)
{
	size_t runs = block_count(x->cols), at = c * runs + first;
	vfloats f[GEMM_COLS];

	UNROLL
	for (uint32_t i = 0; i < n; i++)
		f[i] = first == 0 ? floats_set1(0.0f) : load_sums(sums, c + i);
	for (uint32_t k = 0; k < n_runs; k++, at++) {
		struct run r;

		UNROLL
		for (int g = 0; g < GROUPS; g++)
			r.w[g] = bytes_load(e->w[k][g]);
		UNROLL
		for (int h = 0; h < 2; h++) {
			r.scale[h] = floats_load(e->scale[k][h]);
			r.min[h] = floats_load(e->min[k][h]);
		}
		add_run_columns(t, &r, x, at, runs, n, f);
	}
	UNROLL
	for (uint32_t i = 0; i < n; i++)
		store_sums(sums, c + i, f[i]);
}

INLINE void
gemm_columns(enum dtype t, const struct expanded *e, uint32_t first, uint32_t n_runs,
	const struct act *x, const struct sums *sums)
{
	uint32_t c = 0;

	for (; x->rows - c >= GEMM_COLS; c += GEMM_COLS)
		gemm(t, e, first, n_runs, x, c, GEMM_COLS, sums);
	for (; x->rows - c >= 4; c += 4)
		gemm(t, e, first, n_runs, x, c, 4, sums);
	for (; x->rows - c >= 2; c += 2)
		gemm(t, e, first, n_runs, x, c, 2, sums);
	if (c < x->rows)
		gemm(t, e, first, n_runs, x, c, 1, sums);
}

INLINE void
expanded_columns(enum dtype t, const uint8_t *group, const struct act *x, struct sums sums[STRIPS])
{
	uint32_t runs = block_count(x->cols);
	struct expanded e;

	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		for (uint32_t first = 0; first < runs; first += EXPAND_RUNS) {
			uint32_t n = runs - first < EXPAND_RUNS ? runs - first : EXPAND_RUNS;

			expand(t, group, runs, strip, first, n, &e);
			gemm_columns(t, &e, first, n, x, &sums[strip]);
		}
	}
}

/* --- float weights ------------------------------------------------------------------------------- */

INLINE vfloats
float_weights(enum dtype t, const uint8_t *p)
{
	if (t == DTYPE_F16)
		return floats_f16(p);
	if (t == DTYPE_BF16)
		return floats_bf16(p);
	return floats_load((const float *)(const void *)p);
}

/* One row group, n (a constant) columns from c on. */
INLINE void
float_group(enum dtype t, const uint8_t *group, const struct act *x, uint32_t c, uint32_t n,
	struct sums sums[STRIPS])
{
	const uint32_t bytes = t == DTYPE_F32 ? 4 : 2;
	const float *in = x->f + (size_t)c * x->cols;
	vfloats f[STRIPS][FLOAT_COLS];

	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		f[i / n][i % n] = floats_set1(0.0f);
	for (uint32_t k = 0; k < x->cols; k++, group += bytes * TILE_ROWS) {
		fetch_far(group + FETCH_FAR);
		UNROLL
		for (uint32_t strip = 0; strip < STRIPS; strip++) {
			vfloats w = float_weights(t, group + strip * bytes * ROW_LANES);

			UNROLL
			for (uint32_t i = 0; i < n; i++)
				f[strip][i] = floats_fma(
					w, floats_set1(in[(size_t)i * x->cols + k]), f[strip][i]);
		}
	}
	UNROLL
	for (uint32_t i = 0; i < STRIPS * n; i++)
		store_sums(&sums[i / n], c + i % n, f[i / n][i % n]);
}

INLINE void
float_columns(enum dtype t, const uint8_t *group, const struct act *x, struct sums sums[STRIPS])
{
	uint32_t c = 0;

	for (; x->rows - c >= FLOAT_COLS; c += FLOAT_COLS)
		float_group(t, group, x, c, FLOAT_COLS, sums);
	for (; x->rows - c >= 4; c += 4)
		float_group(t, group, x, c, 4, sums);
	for (; x->rows - c >= 2; c += 2)
		float_group(t, group, x, c, 2, sums);
	if (c < x->rows)
		float_group(t, group, x, c, 1, sums);
}

/* One row of activations and two row groups side by side: sums that wait for one addition after the other
 * are slower than memory. */
INLINE void
float_two_groups(enum dtype t, const uint8_t *group, size_t stride, const struct act *x, float *out)
{
	const uint32_t bytes = t == DTYPE_F32 ? 4 : 2;
	vfloats f[2 * STRIPS];

	UNROLL
	for (uint32_t i = 0; i < 2 * STRIPS; i++)
		f[i] = floats_set1(0.0f);
	for (uint32_t k = 0; k < x->cols; k++, group += bytes * TILE_ROWS) {
		vfloats in = floats_set1(x->f[k]);

		fetch_far(group + FETCH_FAR);
		fetch_far(group + stride + FETCH_FAR);
		UNROLL
		for (uint32_t i = 0; i < 2 * STRIPS; i++)
			f[i] = floats_fma(float_weights(t, group + i / STRIPS * stride +
								   i % STRIPS * bytes * ROW_LANES),
				in, f[i]);
	}
	UNROLL
	for (uint32_t i = 0; i < 2 * STRIPS; i++)
		floats_store(out + i * ROW_LANES, f[i]);
}

/* --- the kernels --------------------------------------------------------------------------------- */

INLINE void
tile_matmul(enum dtype t, const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x,
	float *out, size_t out_stride)
{
	bool floats = t == DTYPE_F32 || t == DTYPE_F16 || t == DTYPE_BF16;

	uint32_t r = r0;

	if (floats && x->rows == 1)
		for (; r1 - r >= 2 * TILE_ROWS; r += 2 * TILE_ROWS)
			float_two_groups(
				t, w->data + r / TILE_ROWS * w->stride, w->stride, x, out + r);
	for (; r < r1; r += TILE_ROWS) {
		const uint8_t *group = w->data + r / TILE_ROWS * w->stride;
		struct sums sums[STRIPS];

		for (uint32_t s = 0; s < STRIPS; s++) {
			uint32_t from = r + s * ROW_LANES;
			uint32_t left = from < r1 ? r1 - from : 0;

			sums[s] = (struct sums){
				out + from, out_stride, left < ROW_LANES ? left : ROW_LANES};
		}
		if (floats)
			float_columns(t, group, x, sums);
		else if (x->rows < EXPAND_FROM)
			direct_columns(t, group, x, sums);
		else
			expanded_columns(t, group, x, sums);
	}
}

#define TILE_MATMUL(type)                                                                          \
	static void tile_matmul_##type(const struct matrix *w, uint32_t r0, uint32_t r1,           \
		const struct act *x, float *out, size_t out_stride)                                \
	{                                                                                          \
		tile_matmul(DTYPE_##type, w, r0, r1, x, out, out_stride);                          \
	}

TILE_MATMUL(F32)
TILE_MATMUL(F16)
TILE_MATMUL(BF16)
TILE_MATMUL(Q4_0)
TILE_MATMUL(Q4_1)
TILE_MATMUL(Q5_0)
TILE_MATMUL(Q5_1)
TILE_MATMUL(Q8_0)
TILE_MATMUL(Q2_K)
TILE_MATMUL(Q3_K)
TILE_MATMUL(Q4_K)
TILE_MATMUL(Q5_K)
TILE_MATMUL(Q6_K)
TILE_MATMUL(IQ4_NL)
TILE_MATMUL(IQ4_XS)
TILE_MATMUL(TQ1_0)
TILE_MATMUL(TQ2_0)
TILE_MATMUL(MXFP4)

/* For a set's table. */
#define TILE_MATMULS                                                                               \
	{                                                                                          \
		[DTYPE_F32] = tile_matmul_F32, [DTYPE_F16] = tile_matmul_F16,                      \
		[DTYPE_BF16] = tile_matmul_BF16, [DTYPE_Q4_0] = tile_matmul_Q4_0,                  \
		[DTYPE_Q4_1] = tile_matmul_Q4_1, [DTYPE_Q5_0] = tile_matmul_Q5_0,                  \
		[DTYPE_Q5_1] = tile_matmul_Q5_1, [DTYPE_Q8_0] = tile_matmul_Q8_0,                  \
		[DTYPE_Q2_K] = tile_matmul_Q2_K, [DTYPE_Q3_K] = tile_matmul_Q3_K,                  \
		[DTYPE_Q4_K] = tile_matmul_Q4_K, [DTYPE_Q5_K] = tile_matmul_Q5_K,                  \
		[DTYPE_Q6_K] = tile_matmul_Q6_K, [DTYPE_IQ4_NL] = tile_matmul_IQ4_NL,              \
		[DTYPE_IQ4_XS] = tile_matmul_IQ4_XS, [DTYPE_TQ1_0] = tile_matmul_TQ1_0,            \
		[DTYPE_TQ2_0] = tile_matmul_TQ2_0, [DTYPE_MXFP4] = tile_matmul_MXFP4,              \
	}

#endif
