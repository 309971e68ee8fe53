/* The scales of a block of 256 weights, put together for all runs at once in 256-bit registers. Included by
 * tile_block_avx2.h. */
#ifndef KERNELS_TILE_SCALES_AVX2_H
#define KERNELS_TILE_SCALES_AVX2_H

#include "kernels/tile_formats.h"

enum { SCALES_BYTES = 1024 };

/* They lie as float16 whose bits are the number itself, which makes it n * 2^-24: one instruction turns eight into
 * floats, as fast as bytes into integers. The first or the second (tiles.h) of a run that has one of each. */
INLINE uint32_t
six_bit_place(uint32_t run, uint32_t strip, uint32_t second)
{
	return run / 4 * 256 + run % 2 * 128 + strip * 64 + second * 32 + run / 2 % 2 * 16;
}

/* And of Q2_K, for half h: the scale, or 16 times the min. */
INLINE uint32_t
q2_place(uint32_t run, uint32_t strip, uint32_t second, uint32_t h)
{
	return run * 128 + strip * 64 + second * 32 + h * 16;
}

/* The bytes of one strip in two planes, as 16 bits. */
INLINE vbytes
widen_strip(vbytes planes, uint32_t strip)
{
	const __m256i zero = _mm256_setzero_si256();

	return strip == 0 ? _mm256_unpacklo_epi8(planes, zero) : _mm256_unpackhi_epi8(planes, zero);
}

/* Two planes of six bits, those of the second behind those of the first, to where six_bit_place() wants them. */
INLINE void
store_planes(uint8_t *to, vbytes planes)
{
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++)
		bytes_store(to + 64 * strip, widen_strip(planes, strip));
}

INLINE __m128i
half_load(const uint8_t *p)
{
	return _mm_load_si128((const __m128i *)(const void *)p);
}

/* Runs 0 and 2, 1 and 3, and so on, lie in one register as their upper bits do. */
INLINE void
six_bit_scales(const uint8_t *body, uint8_t *to)
{
	UNROLL
	for (int i = 0; i < 4; i++) {
		const uint8_t *p = body + 64 * (i / 2) + 16 * (i % 2);
		vbytes upper = bytes_load(body + 128 + 32 * (i / 2));
		vbytes lower = _mm256_inserti128_si256(
			_mm256_castsi128_si256(half_load(p)), half_load(p + 32), 1);

		store_planes(to + 128 * i,
			bytes_or(bytes_and(lower, 15), bytes_move(upper, i % 2 * 4, 4, 48)));
		store_planes(to + 128 * i + 32, bytes_or(bytes_move(lower, 4, 0, 15),
							bytes_move(upper, i % 2 * 4 + 2, 4, 48)));
	}
}

/* The same of IQ4_XS, where each run has one. */
INLINE void
xs_scales(const uint8_t *head, const uint8_t *body, uint8_t *to)
{
	UNROLL
	for (int i = 0; i < 2; i++) {
		__m128i four = half_load(head + 32 + 16 * i);
		vbytes upper = _mm256_inserti128_si256(
			_mm256_castsi128_si256(_mm_slli_epi16(four, 4)), four, 1);
		vbytes lower = bytes_load(body + 32 * i);

		store_planes(to + 256 * i, bytes_or(bytes_and(lower, 15), bytes_and(upper, 48)));
		store_planes(to + 256 * i + 128,
			bytes_or(bytes_move(lower, 4, 0, 15), bytes_move(upper, 2, 0, 48)));
	}
}

INLINE void
q2_scales(const uint8_t *body, uint8_t *to)
{
	UNROLL
	for (uint32_t i = 0; i < 8 * STRIPS; i++) {
		const uint32_t run = i / STRIPS, strip = i % STRIPS;
		vbytes both = widen_strip(bytes_load(body + 32 * run), strip);

		bytes_store(to + q2_place(run, strip, 0, 0), bytes_and(both, 15));
		bytes_store(to + q2_place(run, strip, 1, 0), bytes_and(both, 240));
	}
}

/* All of a block's into `room`; NULL for types that have no such. */
INLINE const uint8_t *
block_scales(enum dtype t, const uint8_t *head, const uint8_t *body, uint8_t room[SCALES_BYTES])
{
	switch (t) {
	case DTYPE_Q2_K:
		q2_scales(body, room);
		break;
	case DTYPE_Q3_K:
	case DTYPE_Q4_K:
	case DTYPE_Q5_K:
		six_bit_scales(body, room);
		break;
	case DTYPE_IQ4_XS:
		xs_scales(head, body, room);
		break;
	default:
		return NULL;
	}
	/* They are to be read from memory, not taken out of registers again. */
	__asm__("" : "+m"(*(uint8_t(*)[SCALES_BYTES])room));
	return room;
}

INLINE vfloats
scale_load(const uint8_t *p)
{
	return _mm256_cvtph_ps(half_load(p));
}

/* Float16 `from` of a strip, times what n * 2^-24 lacks. Powers of two, and products of it with numbers of six bits,
 * are exact: so they may be multiplied in another order than plain C's. */
INLINE vfloats
head_times(const uint8_t *from, uint32_t strip, float by)
{
	return floats_mul(floats_f16(from, strip), floats_set1(by));
}

/* Scales and mins of a strip's run. scales: of block_scales(). */
INLINE void
strip_scales(enum dtype t, struct run *r, const uint8_t *head, const uint8_t *body,
	const uint8_t *scales, uint32_t run, uint32_t strip)
{
	const uint32_t halves = format_halves(t) ? 2 : 1;

	if (scales == NULL) {
		take_scales(t, r, head, body, NULL, run, strip);
		return;
	}
	UNROLL
	for (uint32_t h = 0; h < halves; h++) {
		const uint8_t *p = scales + (t == DTYPE_Q2_K ? q2_place(run, strip, 0, h)
							     : six_bit_place(run, strip, h));
		vfloats d = head_times(head, strip, 0x1p24f);

		if (format_mins(t)) {
			r->scale[h] = floats_mul(d, scale_load(p));
			r->min[h] = floats_mul(
				head_times(head + 32, strip, t == DTYPE_Q2_K ? -0x1p20f : -0x1p24f),
				scale_load(p + 32));
		} else {
			r->scale[h] = floats_fma(d, scale_load(p), head_times(head, strip, -32.0f));
		}
	}
}

#endif
