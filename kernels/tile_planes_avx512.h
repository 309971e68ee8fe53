/* The scales of six bits of a block of 256 weights, put together for all runs at once in 512-bit registers. Included by
 * tile_block.h. */
#ifndef KERNELS_TILE_PLANES_AVX512_H
#define KERNELS_TILE_PLANES_AVX512_H

#include "kernels/tile_formats.h"

INLINE __m128i
plane_load(const uint8_t *p)
{
	return _mm_load_si128((const __m128i *)(const void *)p);
}

/* A number for each of the four planes in a register, in all its lanes. */
INLINE vbytes
per_plane(int a, int b, int c, int d)
{
	return _mm512_set_epi32(d, d, d, d, c, c, c, c, b, b, b, b, a, a, a, a);
}

/* Four planes of six bits. high: 0 for the low, 4 for the high nibble of each byte of `nibbles`. pair: which two bits of
 * `pairs` are above it, as what turns them left to bit 4: 4, 2, 0 or 30. */
INLINE vbytes
join_planes(vbytes nibbles, vbytes high, vbytes pairs, vbytes pair)
{
	nibbles = _mm512_srlv_epi32(nibbles, high);
	pairs = _mm512_rolv_epi32(pairs, pair);
	/* The lower four bits from nibbles, the others from pairs. */
	nibbles = _mm512_ternarylogic_epi32(_mm512_set1_epi8(15), nibbles, pairs, 0xca);
	return bytes_and(nibbles, 63);
}

/* Both scales of runs 2i and 2i + 1 (tiles.h: Q3_K, Q4_K, Q5_K). */
INLINE vbytes
two_scales(const uint8_t *body, int i)
{
	vbytes nibbles = _mm512_castsi256_si512(
		_mm256_load_si256((const __m256i *)(const void *)(body + 32 * i)));

	return join_planes(_mm512_shuffle_i64x2(nibbles, nibbles, _MM_SHUFFLE(1, 1, 0, 0)),
		per_plane(0, 4, 0, 4), _mm512_broadcast_i32x4(plane_load(body + 128 + 16 * i)),
		per_plane(4, 2, 0, 30));
}

/* The one of each of the same runs of IQ4_XS, twice. */
INLINE vbytes
one_scale(const uint8_t *head, const uint8_t *body, int i)
{
	return join_planes(_mm512_broadcast_i32x4(plane_load(body + 16 * i)), per_plane(0, 0, 4, 4),
		_mm512_broadcast_i32x4(plane_load(head + 32 + 16 * (i / 2))),
		i % 2 == 0 ? per_plane(4, 4, 2, 2) : per_plane(0, 0, 30, 30));
}

/* A byte each, where six_bit_plane() says, into `room`; NULL for types that have no such scales. */
INLINE const uint8_t *
take_planes(enum dtype t, const uint8_t *head, const uint8_t *body, uint8_t room[SIX_BIT_BYTES])
{
	const bool one = t == DTYPE_IQ4_XS;

	if (!format_six_bits(t))
		return NULL;
	UNROLL
	for (int i = 0; i < 4; i++)
		bytes_store(room + 64 * i, one ? one_scale(head, body, i) : two_scales(body, i));
	/* They are to be read from memory, not taken out of registers again. */
	__asm__("" : "+m"(*(uint8_t(*)[SIX_BIT_BYTES])room));
	return room;
}

#endif
