/* Activations to int8, in AVX2; for the sets that have it. */
#ifndef KERNELS_QUANTIZE_AVX2_H
#define KERNELS_QUANTIZE_AVX2_H

#include "kernels/kernels.h"
#include "kernels/vec_avx2.h"

static __m256i
to_bytes(const __m256i v[4])
{
	__m256i a = _mm256_packs_epi32(v[0], v[1]), b = _mm256_packs_epi32(v[2], v[3]);

	return _mm256_permutevar8x32_epi32(
		_mm256_packs_epi16(a, b), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static inline int32_t
join_max(__m256i v)
{
	__m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
	return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}

static inline int32_t
join_sum(__m256i v)
{
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/* 32 floats; see quantize_block() in plain.c for what it means. */
static int32_t
quantize_block(const float *x, int8_t *q, float *d, int32_t *half)
{
	const __m256i positive = _mm256_set1_epi32(0x7fffffff);
	__m256i max = _mm256_setzero_si256(), sum = _mm256_setzero_si256(), v[4];
	float scale, inverse;
	int32_t top;

	UNROLL
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_loadu_si256((const __m256i *)(const void *)(x + 8 * i));
		max = _mm256_max_epi32(max, _mm256_and_si256(v[i], positive));
	}
	top = join_max(max);
	scale = bits_to_float((uint32_t)top);
	if (top < 0x7f800000)
		scale /= 127.0f;
	inverse = 1.0f / scale;
	if (top >= 0x7f800000 || isinf(inverse)) {
		*d = top >= 0x7f800000 ? scale : 0.0f;
		memset(q, 0, BLOCK);
		*half = 0;
		return 0;
	}
	UNROLL
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_cvtps_epi32(
			_mm256_mul_ps(_mm256_castsi256_ps(v[i]), _mm256_set1_ps(inverse)));
		sum = _mm256_add_epi32(sum, v[i]);
	}
	*half = join_sum(_mm256_add_epi32(v[0], v[1]));
	*d = scale;
	_mm256_storeu_si256((__m256i *)(void *)q, to_bytes(v));
	return join_sum(sum);
}

static void
quantize(struct act *a, uint32_t r0, uint32_t r1)
{
	uint32_t blocks = block_count(a->cols), whole = a->cols / BLOCK;

	for (uint32_t r = r0; r < r1; r++) {
		const float *x = a->f + (size_t)r * a->cols;
		size_t at = (size_t)r * blocks;
		float rest[BLOCK] = {0};

		for (uint32_t b = 0; b < whole; b++, at++)
			a->sum[at] = quantize_block(
				x + (size_t)b * BLOCK, a->q + at * BLOCK, a->d + at, a->half + at);
		if (whole == blocks)
			continue;
		memcpy(rest, x + (size_t)whole * BLOCK, a->cols % BLOCK * sizeof(*rest));
		a->sum[at] = quantize_block(rest, a->q + at * BLOCK, a->d + at, a->half + at);
	}
}

#endif
