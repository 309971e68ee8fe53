/* Where a call of attend keeps what, in the scratch that it was given. Shared by the sets; holds no
 * function with a symbol. */
#ifndef KERNELS_ATTEND_SCRATCH_H
#define KERNELS_ATTEND_SCRATCH_H

#include "kernels/attention.h"
#include "kernels/block.h"

/* From one column's scores to the next's: not a power of two, so that columns do not meet in the sets
 * of a cache. */
enum { SCORE_STRIDE = ATTEND_SPAN + 16 };

struct attend_scratch {
	float *q;       /* [cols][width] scaled */
	float *packed;  /* the same as the kernels read it */
	float *score;   /* [cols][SCORE_STRIDE], becomes e */
	float *total;   /* partial of the spans so far */
	float *partial; /* of a span */
	float *wide;    /* [width][KV_GROUP]: a group of K, or a part of one of V, as floats */
	int8_t *codes;  /* [cols][width] q quantised, its scales and sums (struct act) */
	float *d;
	int32_t *sum, *half;
};

/* Bytes in all. With base NULL nothing is set. */
static inline size_t
attend_scratch_take(struct attend_scratch *s, const struct attention *a, void *base)
{
	/* A pass takes ATTEND_COLS columns at most; one row of more heads goes in several. */
	size_t cols = ATTEND_COLS, width = kv_width(a->head_dim), blocks = cols * (width / BLOCK);
	size_t partial = cols * partial_floats(a), at = 0;
	const size_t floats[] = {cols * width, cols * width, cols * SCORE_STRIDE, partial, partial,
		width * KV_GROUP, cols * width / sizeof(float), blocks, blocks, blocks};
	float *part[sizeof floats / sizeof *floats];

	for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
		part[i] = base != NULL ? (float *)base + at : NULL;
		at += (floats[i] + 31) / 16 * 16; /* a line more than needed, for wide reads */
	}
	*s = (struct attend_scratch){part[0], part[1], part[2], part[3], part[4], part[5],
		(int8_t *)part[6], part[7], (int32_t *)(void *)part[8], (int32_t *)(void *)part[9]};
	return at * sizeof(float);
}

#endif
