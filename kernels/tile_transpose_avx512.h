/* 16 times 16 floats in 512-bit registers. */
#ifndef KERNELS_TILE_TRANSPOSE_AVX512_H
#define KERNELS_TILE_TRANSPOSE_AVX512_H

#include "kernels/block.h"

#include <immintrin.h>

/* Lane j of r[i] to lane i of r[j]. */
INLINE void
transpose(__m512 r[16])
{
	__m512 t[16];

	UNROLL
	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
		t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
	}
	UNROLL
	for (int i = 0; i < 16; i += 4) {
		UNROLL
		for (int j = 0; j < 2; j++) {
			__m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);

			r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
			r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
		}
	}
	/* r[4 i + j]: lanes j, j + 4, j + 8, j + 12 of rows 4 i to 4 i + 3. */
	UNROLL
	for (int j = 0; j < 4; j++) {
		__m512 a = _mm512_shuffle_f32x4(r[j], r[j + 4], 0x88);
		__m512 b = _mm512_shuffle_f32x4(r[j], r[j + 4], 0xdd);
		__m512 c = _mm512_shuffle_f32x4(r[j + 8], r[j + 12], 0x88);
		__m512 d = _mm512_shuffle_f32x4(r[j + 8], r[j + 12], 0xdd);

		r[j] = _mm512_shuffle_f32x4(a, c, 0x88);
		r[j + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
		r[j + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
		r[j + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
	}
}

#endif
