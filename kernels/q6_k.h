/* Q6_K: 256 weights of 6 bits with a scale for each 16.
 *
 *   128 bytes low nibbles | 64 bytes of upper bit pairs | 16 int8 scales | f16 scale of the scales
 *
 * Block b of 32 weights (0 to 7) lies in half b / 4: its nibbles are the low (b % 4 < 2) or high ones of 32
 * bytes, its bit pairs stand at 2 * (b % 4). A weight is d * scale * (q - 32). */
#ifndef KERNELS_Q6_K_H
#define KERNELS_Q6_K_H

#include "kernels/block.h"

enum { Q6_K_BLOCK = 256, Q6_K_BYTES = 210, Q6_K_UPPER = 128, Q6_K_SCALES = 192, Q6_K_D = 208 };

static inline const uint8_t *
q6_k_lower(const uint8_t *block, uint32_t b)
{
	return block + b / 4 * 64 + b % 2 * 32;
}

static inline const uint8_t *
q6_k_upper(const uint8_t *block, uint32_t b)
{
	return block + Q6_K_UPPER + b / 4 * 32;
}

/* Scale of weights 16 * half to 16 * half + 15 of block b. */
static inline int8_t
q6_k_scale(const uint8_t *block, uint32_t b, uint32_t half)
{
	return (int8_t)block[Q6_K_SCALES + 2 * b + half];
}

/* The 32 weights of block b, -32 to 31. */
static inline void
q6_k_weights(const uint8_t *block, uint32_t b, int8_t w[32])
{
	const uint8_t *lower = q6_k_lower(block, b), *upper = q6_k_upper(block, b);
	unsigned nibble = b % 4 / 2 * 4, pair = b % 4 * 2;

	for (int i = 0; i < 32; i++)
		w[i] = (int8_t)(((lower[i] >> nibble & 15) | (upper[i] >> pair & 3) << 4) - 32);
}

#endif
