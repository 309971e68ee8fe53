/* Attention over a KV cache: how K and V lie in memory, and what is computed in which order, so that
 * every instruction set, every cut of a context into steps and every number of threads and rows gives
 * the same bits.
 *
 * Layout. Of each KV head the positions are taken KV_GROUP at a time; a group of K, and a group of V,
 * are kv_head_bytes(..., KV_GROUP) bytes, 64-byte aligned, group after group. A head of `dim` values
 * is stored as if it had kv_width(dim) of them, the further ones zeros.
 *
 *     F32, F16   K: [width][KV_GROUP], so that keys lie in the lanes of a register
 *                V: [width / 32][KV_GROUP][32], so that values of one position lie there
 *     Q8_0       K: two row groups (tiles.h) of a Q8_0 matrix with a row for each position
 *                V: [width / 32] of float16 d[KV_GROUP], then int8 [KV_GROUP][32]
 *
 * Q8_0 is stored as `quantize` says, with d rounded to float16.
 *
 * Arithmetic, of one query head at position n - 1, which sees the n positions [0, n). Each product and
 * each sum is rounded once; fma is one operation.
 *   q[i] = fl(q[i] * scale).
 *   score[p]: f = fma(q[i], k[p][i], f) over i in order from f = 0; Q8_0: as a quantised dot product
 *   (kernels.h), with q quantised.
 *   Positions are taken in spans of ATTEND_SPAN, the last one being shorter. In each span
 *     max = the greatest score[p],  e[p] = exp(score[p] - max),
 *     sum = of 16 lanes, lane j adding the e[p] with p % 16 == j in order from 0; lane j and j + 8 are
 *     added, and the eight joined as kernels.h says,
 *     o[i] = fma(e[p], v[p][i], o[i]) over p in order from 0, where v is what the format decodes to.
 *   Spans are merged in order. The first is taken as it is; then, for each further one (m', s', o'),
 *     M = greater of m and m', a = exp(m - M), b = exp(m' - M),
 *     s = fma(s', b, fl(s * a)), o[i] = fma(o'[i], b, fl(o[i] * a)), m = M.
 *   out[i] = o[i] * fl(1 / s). */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum kv_type { KV_F32 = 0, KV_F16 = 1, KV_Q8_0 = 2, KV_TYPES };

enum {
	KV_GROUP = 32,      /* positions that lie together */
	ATTEND_SPAN = 256,  /* positions under one maximum, a multiple of KV_GROUP */
	ATTEND_COLS = 64,   /* query heads times rows in one pass over K and V */
	ATTEND_ROWS = 32,   /* rows in one pass */
	ATTEND_ALIGN = 64,  /* of K, V, partials and scratch, in bytes */
	PARTIAL_EXTRA = 16, /* floats behind a partial's o: its maximum, its sum, and room */
};

/* "f32", "f16", "q8_0"; NULL for others. */
const char *kv_type_name(enum kv_type type);
enum kv_type kv_type_find(const char *name); /* KV_TYPES: there is none of this name */
/* For options; `option` is named when the value is none. */
int kv_type_parse(const char *option, const char *value, enum kv_type *type, struct err *err);

/* Values that a head of dim values is stored as: a multiple of 32. */
uint32_t kv_width(uint32_t dim);

/* Bytes of K (or of V) of one KV head with room for `context` positions, a multiple of ATTEND_ALIGN;
 * SIZE_MAX when they do not fit. */
size_t kv_head_bytes(enum kv_type type, uint32_t dim, uint32_t context);

struct attention {
	uint32_t group;    /* query heads of a KV head */
	uint32_t head_dim; /* any number above 0 */
	float scale;       /* usually 1/sqrt(head_dim) */
	enum kv_type type;
};

/* Rows of one slot at consecutive positions, for one KV head: row r is at position pos + r and sees
 * [0, pos + r], which must be stored. */
struct attend_rows {
	const float
		*q;    /* the first row's first query head of the KV head; its heads lie together */
	float *out;    /* the same for results */
	size_t stride; /* floats from row to row, of q and of out */
	uint32_t rows; /* at most attend_most_rows() */
	uint32_t pos;
	const void *k, *v; /* of the KV head */
};

/* Rows that one pass takes. */
uint32_t attend_most_rows(uint32_t group);

/* A partial: for each row, and for each query head in it, kv_width floats of o, then max and sum.
 * Floats of one query head's. */
static inline size_t
partial_floats(const struct attention *a)
{
	return (size_t)kv_width(a->head_dim) + PARTIAL_EXTRA;
}

/* Working memory of a call, for one thread. */
size_t attend_scratch_bytes(uint32_t group, uint32_t head_dim);

#endif
