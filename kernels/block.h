/* Blocks of 32 weights or activations as they lie in memory, and floats as bits. Shared by the sets;
 * holds no function with a symbol, so that code for one CPU never reaches another. */
#ifndef KERNELS_BLOCK_H
#define KERNELS_BLOCK_H

#include <stdint.h>
#include <string.h>

/* INLINE: for functions that make one of many kernels when their arguments are constants. UNROLL: in front of a loop whose bound is a constant once all is inlined: what it indexes then lives in
 * registers, also under -O2. */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum {
	BLOCK = 32,      /* weights in a block of Q8_0 and Q4_0, activations under one scale */
	Q8_0_BYTES = 34, /* f16 scale, 32 int8 */
	Q4_0_BYTES = 18, /* f16 scale, 16 bytes: low nibbles k, high nibbles k + 16, both plus 8 */
	FLOAT_SECTION = 128, /* columns of matrices of floats after which two sums are joined */
	LANES = 8            /* partial sums of a float reduction */
};

static inline float
bits_to_float(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static inline uint32_t
float_to_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/* Blocks that n activations make. */
static inline uint32_t
block_count(uint32_t n)
{
	return n / BLOCK + (n % BLOCK != 0);
}

#endif
