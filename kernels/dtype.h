/* Tensor types: the numbers are GGUF's (ggml's) type ids. Every type that files may hold is known
 * by name and size; those with dtype_computed() also have kernels. Source: gguf.md and
 * ggml-common.h's block layouts, as published with ggml. */
#ifndef KERNELS_DTYPE_H
#define KERNELS_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
	DTYPE_F32 = 0,
	DTYPE_F16 = 1,
	DTYPE_Q4_0 = 2,
	DTYPE_Q4_1 = 3,
	DTYPE_Q5_0 = 6,
	DTYPE_Q5_1 = 7,
	DTYPE_Q8_0 = 8,
	DTYPE_Q2_K = 10,
	DTYPE_Q3_K = 11,
	DTYPE_Q4_K = 12,
	DTYPE_Q5_K = 13,
	DTYPE_Q6_K = 14,
	DTYPE_IQ4_NL = 20,
	DTYPE_IQ4_XS = 23,
	DTYPE_BF16 = 30,
	DTYPE_TQ1_0 = 34,
	DTYPE_TQ2_0 = 35,
	DTYPE_MXFP4 = 39,
	DTYPE_COUNT = 40 /* one more than the largest id; ids between may be unassigned */
};

struct dtype_info {
	const char *name; /* as people write it: "Q4_0" */
	uint32_t block;   /* weights in a block */
	uint32_t bytes;   /* bytes of a block */
};

/* NULL when no such type is assigned. */
const struct dtype_info *dtype_info(uint32_t id);
const char *dtype_name(uint32_t id); /* "?" when unassigned */

/* Whether there are kernels for it. */
bool dtype_computed(uint32_t id);

/* Whether kernels multiply it with int8 activations; the others with floats. */
bool dtype_quantised(uint32_t id);

/* Bytes of a row of n weights; 0 when n is no multiple of the block or the type is unknown. */
size_t dtype_row_bytes(uint32_t id, size_t n);

/* n weights (a multiple of the block) as float32; the value the format defines. Computed types
 * only. */
void dequantize(uint32_t id, const void *src, float *dst, size_t n);

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f); /* round to nearest even, overflow to infinity, subnormals kept */
float bf16_to_f32(uint16_t h);

#endif
