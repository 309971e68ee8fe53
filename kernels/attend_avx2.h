/* What attend_body.h needs beyond tile_avx2.h. */
#ifndef KERNELS_ATTEND_AVX2_H
#define KERNELS_ATTEND_AVX2_H

#include "kernels/tile_avx2.h"
#include "kernels/vec_avx2.h"

enum { MULTIPLY_COLS = 6 }; /* columns at once, in two registers each */

INLINE vfloats
floats_sub(vfloats a, vfloats b)
{
	return _mm256_sub_ps(a, b);
}

INLINE vfloats
floats_max(vfloats a, vfloats b)
{
	return _mm256_max_ps(a, b);
}

INLINE float
floats_greatest(vfloats v)
{
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

INLINE vfloats
floats_exp(vfloats x)
{
	return v8_exp(x);
}

#endif
