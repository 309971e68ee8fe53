/* Eight floats in an AVX2 register; what float_body.h is written in. */
#ifndef KERNELS_VEC_AVX2_H
#define KERNELS_VEC_AVX2_H

#include "kernels/exp.h"

#include <immintrin.h>

typedef __m256 v8;

static inline v8
v8_set1(float f)
{
	return _mm256_set1_ps(f);
}

static inline v8
v8_load(const float *p)
{
	return _mm256_loadu_ps(p);
}

static inline void
v8_store(float *p, v8 a)
{
	_mm256_storeu_ps(p, a);
}

static inline v8
v8_add(v8 a, v8 b)
{
	return _mm256_add_ps(a, b);
}

static inline v8
v8_sub(v8 a, v8 b)
{
	return _mm256_sub_ps(a, b);
}

static inline v8
v8_mul(v8 a, v8 b)
{
	return _mm256_mul_ps(a, b);
}

static inline v8
v8_div(v8 a, v8 b)
{
	return _mm256_div_ps(a, b);
}

/* a * b + c */
static inline v8
v8_fma(v8 a, v8 b, v8 c)
{
	return _mm256_fmadd_ps(a, b, c);
}

/* ((0+4)+(2+6)) + ((1+5)+(3+7)) */
static inline float
v8_join(v8 a)
{
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline v8
v8_load_f16(const void *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

static inline void
v8_store_f16(void *p, v8 a)
{
	_mm_storeu_si128(p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

static inline v8
v8_load_bf16(const void *p)
{
	return _mm256_castsi256_ps(
		_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}

static inline float
half_to_float(uint16_t h)
{
	return _cvtsh_ss(h);
}

static inline uint16_t
float_to_half(float f)
{
	return _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
}

/* exp_one(), eight at a time. */
static inline v8
v8_exp(v8 x)
{
	const __m256i bias = _mm256_set1_epi32(EXP_BIAS);
	__m256 magic = _mm256_set1_ps(EXP_MAGIC), t, n, r, p;
	__m256i i;

	x = _mm256_max_ps(_mm256_set1_ps(EXP_LOWEST), x);
	x = _mm256_min_ps(_mm256_set1_ps(EXP_HIGHEST), x);
	t = _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E), magic);
	i = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(magic));
	n = _mm256_sub_ps(t, magic);
	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_HI), x);
	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_LO), r);
	p = _mm256_fmadd_ps(r, _mm256_set1_ps(EXP_C7), _mm256_set1_ps(EXP_C6));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C5));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
	return _mm256_mul_ps(_mm256_add_ps(p, p),
		_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(i, bias), 23)));
}

#endif
