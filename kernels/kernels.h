/* Numbers in, numbers out. A table of functions for one instruction set; plain C is the meaning of
 * right, and every set gives the same bits (see "Arithmetic").
 *
 * Arithmetic. Activations that meet quantised weights are quantised once per norm output to int8 in
 * blocks of 32 with a float32 scale d = max|x| / 127 (round half to even of x * (1/d), d kept in
 * float32) and the int32 sums of each block. A quantised dot product starts at 0 and is, for each 32
 * weights in order (scales and mins as codes.h gives them),
 *     f = fma(scale * d, (float)sum of w * q, f)                        one scale for the 32, or
 *     f = fma(scale[h] * d, (float)sum of w * q in half h, f), h = 0, 1  a scale for each 16
 * and then, where the type has mins,
 *     f = fma(min * d, (float)sum of q, f), or the same for both halves in order (Q2_K)
 * with integer sums exact and each product in parentheses rounded once. Float formats (F32, F16,
 * BF16): f starts at 0, and for each FLOAT_SECTION columns k in order
 *     e = f, o = 0; e = fma(w, x, e) where k % 8 < 4, else o = fma(w, x, o); f = e + o
 * (one sum alone waits longer for itself than for memory). Other sums over a row (norms) accumulate in 8 lanes,
 * lane j taking the k with k % 8 == j in order by fma, joined as ((0+4)+(2+6)) +
 * ((1+5)+(3+7)). Nothing else may contract or reassociate. exp is our own polynomial in a fixed
 * order of fma (kernels/exp.h), so softmax and silu obey the same rule. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include "kernels/attention.h"
#include "kernels/dtype.h"
#include "kernels/pool.h"
#include "kernels/tiles.h"

#include <stdbool.h>

/* A matrix of weights. In rows: row r is dtype_row_bytes(dtype, cols) bytes at data + r * stride; a
 * column slice is a view with a larger stride. In tiles (tiles.h): rows 16g to 16g + 15 are
 * tile_group_bytes(dtype, cols) bytes at data + g * stride, 64-byte aligned. Not owned. */
struct matrix {
	uint32_t dtype;
	uint32_t rows;
	uint32_t cols;
	size_t stride;
	const uint8_t *data; /* NULL: there is no such tensor */
	enum layout layout;
};

/* Rows of activations, ready to be multiplied: the floats, and (when quantised) the int8 form. */
struct act {
	uint32_t rows, cols;
	const float *f; /* [rows][cols], not owned */
	int8_t *q;      /* [rows][cols padded to 32, zeros] */
	float *d;       /* [rows][blocks] scale of each block of 32 */
	int32_t *sum;   /* [rows][blocks] sum of the q of each block */
	int32_t *half;  /* [rows][blocks] sum of the first 16 of them */
	uint32_t max_rows, max_cols;
};

/* Room for activations of up to max_rows x max_cols. */
int act_init(struct act *a, uint32_t max_rows, uint32_t max_cols, struct err *err);
void act_deinit(struct act *a);
size_t act_bytes(uint32_t max_rows, uint32_t max_cols); /* what act_init allocates */
/* Rows [from, from + n) of a, in place: to be read, not to be freed. */
struct act act_part(const struct act *a, uint32_t from, uint32_t n);
/* Copies the int8 form of a row; both have the same cols. */
void act_copy_row(struct act *to, uint32_t to_row, const struct act *from, uint32_t row);

/* The int8 form of a row as bytes, the same from every set: for each block its scale (float32, little-endian) and its q.
 * Scale and q alone say what was quantised, so this is exact. a->cols is set. A q of -128, which quantising never gives
 * and sets would multiply differently, is read as -127. */
size_t act_row_bytes(uint32_t cols);
void act_row_write(const struct act *a, uint32_t row, uint8_t *out);
void act_row_read(struct act *a, uint32_t row, const uint8_t *in);

enum { ROOF_READS = 2 };

struct kernels {
	const char *name; /* "plain", "avx2", ... */
	uint32_t features;

	/* Quantises rows [r0, r1) of a->f (a->rows, a->cols and a->f are set) into a->q, a->d,
	 * a->sum, a->half. */
	void (*quantize)(struct act *a, uint32_t r0, uint32_t r1);

	/* out[c * out_stride + r] = row r of w times row c of x, for r in [r0, r1) and c in
	 * [0, x->rows). w is in tiles, r0 a multiple of TILE_ROWS, and r1 one too or w->rows. NULL
	 * for types that are not computed. Quantised types read x->q, others x->f. */
	void (*matmul[DTYPE_COUNT])(const struct matrix *w, uint32_t r0, uint32_t r1,
		const struct act *x, float *out, size_t out_stride);

	/* Rows of a matrix of a quantised type that are best done in one call where there are at least so many rows
	 * of activations; 0: 2 * TILE_ROWS, as with few. */
	uint32_t many_rows, many_columns;

	/* out[i] = x[i] / sqrt(mean(x^2) + eps) * w[i]; out may be x. */
	void (*rmsnorm)(float *out, const float *x, const float *w, uint32_t n, float eps);
	/* x[i] += y[i] */
	void (*add)(float *x, const float *y, uint32_t n);
	/* gate[i] = silu(gate[i]) * up[i] */
	void (*silu_mul)(float *gate, const float *up, uint32_t n);
	/* Rotates pairs of one head vector: cos and sin hold n/2 values each. interleaved: pairs
	 * are (2i, 2i+1) (llama, "norm"); otherwise (i, i + n/2) (qwen, "neox"). */
	void (*rope)(float *x, const float *cos, const float *sin, uint32_t n, bool interleaved);
	/* Attention (attention.h). Stores the head vectors of a position, in K and V of a KV head. */
	void (*kv_store)(const struct attention *a, void *k, void *v, uint32_t pos,
		const float *key, const float *value);
	/* Rows of one slot in one pass over K and V. scratch: attend_scratch_bytes(), aligned. */
	void (*attend)(const struct attention *a, const struct attend_rows *r, void *scratch);
	/* The same in pieces, for several threads: first each span that the last row sees, into its
	 * partial (rows that do not reach it get none), then all of them together: the partial of
	 * span i is `stride` floats behind that of span i - 1. The first is overwritten. */
	void (*attend_span)(const struct attention *a, const struct attend_rows *r, uint32_t span,
		float *partial, void *scratch);
	void (*attend_merge)(const struct attention *a, const struct attend_rows *r,
		float *partials, size_t stride);

	/* For roof.h alone. Reads n bytes at p (a multiple of ROOF_UNIT, at a multiple of 64): the
	 * OR of its 8-byte words. At once, and evenly (NULL where there is no such loop); which is faster hangs on the
	 * core. */
	uint64_t (*roof_read[ROOF_READS])(const uint8_t *p, size_t n);
	/* Multiplies bytes of q (ROOF_ACTIVATIONS of them, at a multiple of 64) so many turns; returns how
	 * many products it has summed up. */
	uint64_t (*roof_products)(const int8_t *q, uint32_t turns);
};

/* Fills k for the best set that `features` (a mask of enum cpu_feature) allows. */
void kernels_init(struct kernels *k, uint32_t features);

/* The sets that can be forced by name on this machine, best first, NULL at the end. */
const char *const *kernels_names(void);

/* Over the pool: quantises when w needs it is NOT done here: call act_prepare once per norm output.
 * act_prepare sets a->f/rows/cols and quantises when `quantised`. */
void act_prepare(const struct kernels *k, struct pool *p, struct act *a, const float *f,
	uint32_t rows, uint32_t cols, bool quantised);

/* Several matrices with the same input in one phase (Q, K and V; gate and up). */
struct matmul_job {
	const struct matrix *w;
	float *out;
	size_t out_stride;   /* floats from one activation row's result to the next */
	const struct act *x; /* its own input, or NULL: that of the call */
};
/* What a thread takes of a matrix at once, at least. */
#define MATMUL_ITEM_ROWS (2 * TILE_ROWS)

/* Matrices in tiles go to k, those in rows to plain C: right, and slow. */
void matmul_run(const struct kernels *k, struct pool *p, const struct matmul_job *jobs,
	uint32_t n_jobs, const struct act *x);

#endif
