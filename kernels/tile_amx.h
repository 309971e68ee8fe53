/* Products of bytes in a core's tiles (AMX): 16 rows times 16 columns at once. On their own, so that tests can put C in
 * their place and check on any machine with AVX512 what is built on them. */
#ifndef KERNELS_TILE_AMX_H
#define KERNELS_TILE_AMX_H

#include "kernels/block.h"

#include <immintrin.h>
#include <stdint.h>

enum {
	AMX_ROWS = 16, /* of the first factor, */
	AMX_LANES = 16 /* and columns of the second: 32-bit sums of a row */
};

/* What LDTILECFG reads (Intel's Architecture Instruction Set Extensions, 3.2.1). */
struct amx_shape {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

/* From here to amx_end() this thread's tiles hold sums, and factors of `depth` (16 or 32) products a sum. */
INLINE void
amx_begin(uint16_t depth)
{
	const struct amx_shape shape = {.palette = 1,
		.row_bytes = {4 * AMX_LANES, depth, 4 * AMX_LANES},
		.rows = {AMX_ROWS, AMX_ROWS, (uint8_t)(depth / 4)}};

	/* gcc 12 takes it that only 8 bytes of a shape are read. */
	__asm__ volatile("" ::"m"(shape));
	_tile_loadconfig(&shape);
}

INLINE void
amx_end(void)
{
	_tile_release();
}

/* sums[i][j] = row i of a times column j of b, both signed. a: rows of `depth` bytes, `stride` bytes apart. b: byte
 * 4 * j + k % 4 of its line k / 4 is in row k and column j. */
INLINE void
amx_multiply(const int8_t *a, size_t stride, const uint8_t b[][4 * AMX_LANES],
	int32_t sums[AMX_ROWS][AMX_LANES])
{
	/* Nor does it know that tiles are read from memory. */
	__asm__ volatile("" ::: "memory");
	_tile_zero(0);
	_tile_loadd(1, a, stride);
	_tile_loadd(2, b, 4 * AMX_LANES);
	_tile_dpbssd(0, 1, 2);
	_tile_stored(0, sums, 4 * AMX_LANES);
}

#endif
