#include "proto/frame_q8.h"

#include "base/buf.h"
#include "proto/frame_bits.h"

/* --- plain C -------------------------------------------------------------------------------------- */

/* The largest magnitude of those that are numbers. */
static float
most_of(const float x[Q8_BLOCK])
{
	int32_t most = 0;

	for (int i = 0; i < Q8_BLOCK; i++) {
		int32_t u = (int32_t)(bits_of(x[i]) & 0x7fffffff);

		u = u > (int32_t)F32_INF ? 0 : u;
		most = u > most ? u : most;
	}
	return float_of((uint32_t)most);
}

/* Writes the scale; returns what values are multiplied with. */
static float
put_scale(float most, uint8_t *out)
{
	float d = bits_of(most) < F32_INF ? most / 127.0f : 0;

	put_le32(out, bits_of(d));
	return d > 0 ? 1.0f / d : 0;
}

/* A sum with 2^23 has no fraction. */
static uint32_t
pack(float x, float inverse)
{
	uint32_t u = bits_of(x), negative = 0u - (u >> 31);
	float magnitude = float_of(u & 0x7fffffff) * inverse;
	uint32_t q = bits_of(magnitude + 0x1p23f) - bits_of(0x1p23f);

	q = pick((int32_t)bits_of(magnitude) > (int32_t)bits_of(127.0f), 127, q);
	q = pick((int32_t)bits_of(magnitude) > (int32_t)F32_INF, 0, q);
	return (q ^ negative) - negative;
}

void
q8_pack_plain(const float x[Q8_BLOCK], uint8_t out[Q8_BYTES])
{
	float inverse = put_scale(most_of(x), out);

	for (int i = 0; i < Q8_BLOCK; i++)
		out[4 + i] = (uint8_t)pack(x[i], inverse);
}

void
q8_unpack_plain(const uint8_t in[Q8_BYTES], float x[Q8_BLOCK])
{
	float d = float_of(get_le32(in));

	for (int i = 0; i < Q8_BLOCK; i++)
		x[i] = d * (float)(int8_t)in[4 + i];
}

/* --- vectors -------------------------------------------------------------------------------------- */

#if defined(__aarch64__)
#include <arm_neon.h>

/* Bits of magnitudes order as numbers do; what is no number has larger ones than infinity. */
static uint32x4_t
magnitudes(const float *x)
{
	uint32x4_t u = vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x)), vdupq_n_u32(0x7fffffff));

	return vbicq_u32(u, vcgtq_u32(u, vdupq_n_u32(F32_INF)));
}

static int32x4_t
pack_four(const float *x, float inverse)
{
	float32x4_t v = vmulq_n_f32(vld1q_f32(x), inverse);

	/* The conversion makes 0 of what is no number, and the nearest integer there is of what is too large. */
	return vmaxq_s32(vminq_s32(vcvtnq_s32_f32(v), vdupq_n_s32(127)), vdupq_n_s32(-127));
}

void
q8_pack(const float x[Q8_BLOCK], uint8_t out[Q8_BYTES])
{
	uint32x4_t most = magnitudes(x);
	float inverse;

	for (int i = 4; i < Q8_BLOCK; i += 4)
		most = vmaxq_u32(most, magnitudes(x + i));
	inverse = put_scale(float_of(vmaxvq_u32(most)), out);
	for (int i = 0; i < Q8_BLOCK; i += 8) {
		int16x8_t q = vcombine_s16(vmovn_s32(pack_four(x + i, inverse)),
			vmovn_s32(pack_four(x + i + 4, inverse)));

		vst1_s8((int8_t *)out + 4 + i, vmovn_s16(q));
	}
}

void
q8_unpack(const uint8_t in[Q8_BYTES], float x[Q8_BLOCK])
{
	float d = float_of(get_le32(in));

	for (int i = 0; i < Q8_BLOCK; i += 8) {
		int16x8_t q = vmovl_s8(vld1_s8((const int8_t *)in + 4 + i));

		vst1q_f32(x + i, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))), d));
		vst1q_f32(x + i + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(q))), d));
	}
}

#elif defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

AVX2 static __m256i
magnitude_bits(const float *x)
{
	return _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)x),
		_mm256_set1_epi32(0x7fffffff));
}

AVX2 static __m256i
no_number(__m256i bits)
{
	return _mm256_cmpgt_epi32(bits, _mm256_set1_epi32((int)F32_INF));
}

AVX2 static float
most_avx2(const float x[Q8_BLOCK])
{
	__m256i most = _mm256_setzero_si256();
	__m128i m;

	for (int i = 0; i < Q8_BLOCK; i += 8) {
		__m256i bits = magnitude_bits(x + i);

		most = _mm256_max_epi32(most, _mm256_andnot_si256(no_number(bits), bits));
	}
	m = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
	return float_of((uint32_t)_mm_cvtsi128_si32(m));
}

AVX2 static __m256i
pack_eight(const float *x, __m256 inverse)
{
	__m256 v = _mm256_mul_ps(_mm256_castsi256_ps(magnitude_bits(x)), inverse);
	__m256i q = _mm256_cvtps_epi32(_mm256_min_ps(v, _mm256_set1_ps(127.0f))); /* not of NaNs */

	q = _mm256_and_si256(_mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_ORD_Q)), q);
	return _mm256_sign_epi32(
		q, _mm256_or_si256(_mm256_loadu_si256((const __m256i *)(const void *)x),
			   _mm256_set1_epi32(1)));
}

AVX2 static void
pack_avx2(const float x[Q8_BLOCK], uint8_t out[Q8_BYTES])
{
	__m256 inverse = _mm256_set1_ps(put_scale(most_avx2(x), out));
	__m256i low = _mm256_packs_epi32(pack_eight(x, inverse), pack_eight(x + 8, inverse));
	__m256i high = _mm256_packs_epi32(pack_eight(x + 16, inverse), pack_eight(x + 24, inverse));
	const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);

	_mm256_storeu_si256((__m256i *)(void *)(out + 4),
		_mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), in_order));
}

AVX2 static void
unpack_avx2(const uint8_t in[Q8_BYTES], float x[Q8_BLOCK])
{
	__m256 d = _mm256_set1_ps(float_of(get_le32(in)));

	for (int i = 0; i < Q8_BLOCK; i += 8) {
		__m128i q = _mm_loadl_epi64((const __m128i *)(const void *)(in + 4 + i));

		_mm256_storeu_ps(
			x + i, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q))));
	}
}

void
q8_pack(const float x[Q8_BLOCK], uint8_t out[Q8_BYTES])
{
	(__builtin_cpu_supports("avx2") ? pack_avx2 : q8_pack_plain)(x, out);
}

void
q8_unpack(const uint8_t in[Q8_BYTES], float x[Q8_BLOCK])
{
	(__builtin_cpu_supports("avx2") ? unpack_avx2 : q8_unpack_plain)(in, x);
}

#else

void
q8_pack(const float x[Q8_BLOCK], uint8_t out[Q8_BYTES])
{
	q8_pack_plain(x, out);
}

void
q8_unpack(const uint8_t in[Q8_BYTES], float x[Q8_BLOCK])
{
	q8_unpack_plain(in, x);
}

#endif
