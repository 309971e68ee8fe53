/* kernels/amx.c with plain C in place of a core's tiles (kernels/tile_amx.h). */
#define KERNELS_TILE_AMX_H

#include "kernels/block.h"

#include <stddef.h>
#include <stdint.h>

enum { AMX_ROWS = 16, AMX_LANES = 16 };

static _Thread_local uint32_t tile_depth; /* 0: there are no tiles */

INLINE void
amx_begin(uint16_t depth)
{
	tile_depth = depth;
}

INLINE void
amx_end(void)
{
	tile_depth = 0;
}

INLINE void
amx_multiply(const int8_t *a, size_t stride, const uint8_t b[][4 * AMX_LANES],
	int32_t sums[AMX_ROWS][AMX_LANES])
{
	for (uint32_t i = 0; i < AMX_ROWS; i++)
		for (uint32_t j = 0; j < AMX_LANES; j++) {
			sums[i][j] = 0;
			for (uint32_t k = 0; k < tile_depth; k++)
				sums[i][j] += a[i * stride + k] * (int8_t)b[k / 4][4 * j + k % 4];
		}
}

#define kernels_amx kernels_amx_in_c

#include "kernels/amx.c"
