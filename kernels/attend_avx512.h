/* What attend_body.h needs beyond tile_avx512.h. */
#ifndef KERNELS_ATTEND_AVX512_H
#define KERNELS_ATTEND_AVX512_H

#include "kernels/exp.h"
#include "kernels/tile_avx512.h"

enum { MULTIPLY_COLS = 12 }; /* columns at once, in two registers each */

INLINE vfloats
floats_sub(vfloats a, vfloats b)
{
	return _mm512_sub_ps(a, b);
}

INLINE vfloats
floats_max(vfloats a, vfloats b)
{
	return _mm512_max_ps(a, b);
}

INLINE float
floats_greatest(vfloats v)
{
	return _mm512_reduce_max_ps(v);
}

/* exp_one() in each lane. */
INLINE vfloats
floats_exp(vfloats x)
{
	const __m512i bias = _mm512_set1_epi32(EXP_BIAS);
	__m512 magic = _mm512_set1_ps(EXP_MAGIC), t, n, r, p;
	__m512i i;

	x = _mm512_max_ps(_mm512_set1_ps(EXP_LOWEST), x);
	x = _mm512_min_ps(_mm512_set1_ps(EXP_HIGHEST), x);
	t = _mm512_fmadd_ps(x, _mm512_set1_ps(EXP_LOG2E), magic);
	i = _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_castps_si512(magic));
	n = _mm512_sub_ps(t, magic);
	r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_HI), x);
	r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_LO), r);
	p = _mm512_fmadd_ps(r, _mm512_set1_ps(EXP_C7), _mm512_set1_ps(EXP_C6));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C5));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C4));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C3));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
	return _mm512_mul_ps(_mm512_add_ps(p, p),
		_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(i, bias), 23)));
}

#endif
