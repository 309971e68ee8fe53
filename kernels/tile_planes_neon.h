/* The scales of six bits of a block of 256 weights, put together for all runs at once in NEON. Included by
 * tile_block_neon.h and tile_expand_neon.h. */
#ifndef KERNELS_TILE_PLANES_NEON_H
#define KERNELS_TILE_PLANES_NEON_H

#include "kernels/tile_formats.h"

/* Four planes of six bits: of the low and high nibbles of two, and the pairs of bits of a third. */
INLINE void
join_planes(const uint8_t *nibbles, const uint8_t *pairs, vbytes out[4])
{
	vbytes n = vld1q_u8(nibbles), m = vld1q_u8(nibbles + 16), p = vld1q_u8(pairs);

	out[1] = bytes_join(n, true, bytes_move(p, 2, 4, 48));
	out[0] = vsliq_n_u8(n, bytes_and(p, 3), 4);
	out[2] = bytes_join(m, false, bytes_and(p, 48));
	out[3] = bytes_join(m, true, p >> (uint8_t)2);
}

/* The scales of six bits of all runs of a block (format_six_bits()), a byte each, into `room`; NULL for
 * other types. */
INLINE const uint8_t *
take_planes(enum dtype t, const uint8_t *head, const uint8_t *body, uint8_t room[SIX_BIT_BYTES])
{
	const bool one = t == DTYPE_IQ4_XS; /* scale a run */
	const uint32_t most = one ? 2 : 4;
	const uint8_t *pairs = one ? head + 32 : body + 128;

	if (!format_six_bits(t))
		return NULL;
	UNROLL
	for (uint32_t i = 0; i < most; i++) {
		vbytes out[4];

		join_planes(body + 32 * i, pairs + 16 * i, out);
		UNROLL
		for (uint32_t j = 0; j < 4; j++)
			vst1q_u8(room + (one ? six_bit_plane(4 * i + j, 0)
					     : six_bit_plane(2 * i + j / 2, j % 2)),
				out[j]);
	}
	FROM_MEMORY(*(uint8_t(*)[SIX_BIT_BYTES])room);
	return room;
}

#endif
