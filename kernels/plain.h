/* Plain C's kernels, each kind in a file of its own: plain.c (matrices), plain_rows.c, plain_attend.c.
 * The meaning of right: written to be read, not to be fast. */
#ifndef KERNELS_PLAIN_H
#define KERNELS_PLAIN_H

#include "kernels/block.h"
#include "kernels/kernels.h"

void plain_rmsnorm(float *out, const float *x, const float *w, uint32_t n, float eps);
void plain_add(float *x, const float *y, uint32_t n);
void plain_silu_mul(float *gate, const float *up, uint32_t n);
void plain_rope(float *x, const float *cos, const float *sin, uint32_t n, bool interleaved);
void plain_kv_store(enum kv_type type, void *dst, const float *src, uint32_t n);
void plain_attend(const struct attention *a, const float *q, const void *k, const void *v,
	uint32_t n, uint32_t h0, uint32_t h1, float *out);

/* Joins the eight lanes of a float sum in the one order. */
static inline float
join(const float s[LANES])
{
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

#endif
