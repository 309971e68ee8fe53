/* The roofs under which kernels work, measured: how fast threads read memory that no cache holds, which bounds
 * generation, and how many products of bytes they do, which bounds prompts. Loops that do nothing else, in the
 * set's own instructions (roof_body.h; plain_roof.c). */
#ifndef KERNELS_ROOF_H
#define KERNELS_ROOF_H

#include "kernels/kernels.h"

enum {
	ROOF_UNIT = 256 * 1024, /* bytes that a thread reads at a time, at most, */
	ROOF_TURN = 256,        /* and of which it reads a multiple, from a multiple of 64 on */
	ROOF_AHEAD = 4096, /* bytes ahead of which memory is asked for, but on x86 (core_habit.h) */
	ROOF_ACTIVATIONS = 512 /* bytes that the products' loops multiply with */
};

struct roof;

/* Takes `bytes` of memory to read, at least one unit; several times the last cache to be right. */
struct roof *roof_new(size_t bytes, struct err *err);

/* Reads memory of the caller's, which outlives it: how fast that is depends on where its pages lie, by a tenth and more
 * on machines that others share. */
struct roof_part {
	const uint8_t *data;
	size_t bytes;
};
struct roof *roof_over(const struct roof_part *parts, size_t n, struct err *err);
void roof_free(struct roof *r);

/* Bytes a second by the threads of p that take part now: of the loop that is fastest here, the median of a few passes. */
double roof_bandwidth(struct roof *r, const struct kernels *k, struct pool *p);
/* Integer operations a second (a product and its addition are two), by the same, the best of a few passes. */
double roof_operations(const struct kernels *k, struct pool *p);

#endif
