#include "proto/frame_half.h"

#include "proto/frame_bits.h"

#define HALF_INF   0x7c00u
#define HALF_MOST  0x7bffu
#define LARGEST    65504.0f
#define HALF_OVER  0x477fe000u /* LARGEST */
#define HALF_LEAST 0x38800000u /* 2^-14: below it a float16 is subnormal */
#define BIAS(n)    ((uint32_t)(n) << 23)

/* A sum with 0.5 leaves the bits of a subnormal in the lowest places. */
static uint32_t
pack(float x)
{
	uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
	uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
	uint32_t normal = (magnitude - BIAS(112) + 0xfff + (magnitude >> 13 & 1)) >> 13;
	uint32_t nan = HALF_INF | 0x200 | (magnitude >> 13 & 0x3ff);
	uint32_t half = pick(magnitude < HALF_LEAST, subnormal, normal);

	half = pick(magnitude >= HALF_OVER, HALF_MOST, half);
	return sign | pick(magnitude > F32_INF, nan, half);
}

static float
unpack(uint32_t h)
{
	uint32_t sign = (h & 0x8000) << 16, magnitude = (h & 0x7fff) << 13;
	uint32_t subnormal = bits_of(float_of(magnitude + BIAS(113)) - float_of(BIAS(113)));
	uint32_t u = pick(magnitude < 0x400u << 13, subnormal, magnitude + BIAS(112));
	uint32_t special = magnitude | F32_INF;

	special |= pick(magnitude > HALF_INF << 13, 0x400000, 0); /* no NaN signals */
	return float_of(sign | pick(magnitude >= HALF_INF << 13, special, u));
}

void
half_pack_plain(const float x[HALF_BLOCK], uint16_t out[HALF_BLOCK])
{
	for (int i = 0; i < HALF_BLOCK; i++)
		out[i] = (uint16_t)pack(x[i]);
}

void
half_unpack_plain(const uint16_t in[HALF_BLOCK], float x[HALF_BLOCK])
{
	for (int i = 0; i < HALF_BLOCK; i++)
		x[i] = unpack(in[i]);
}

#if defined(__aarch64__)
#include <arm_neon.h>

void
half_pack(const float x[HALF_BLOCK], uint16_t out[HALF_BLOCK])
{
	const float32x4_t most = vdupq_n_f32(LARGEST), least = vdupq_n_f32(-LARGEST);

	for (int i = 0; i < HALF_BLOCK; i += 4) {
		float32x4_t v = vmaxq_f32(least, vminq_f32(most, vld1q_f32(x + i)));

		vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(v)));
	}
}

void
half_unpack(const uint16_t in[HALF_BLOCK], float x[HALF_BLOCK])
{
	for (int i = 0; i < HALF_BLOCK; i += 4)
		vst1q_f32(x + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(in + i))));
}

#elif defined(__x86_64__)
#include <immintrin.h>

#define F16C __attribute__((target("avx2,f16c"))) /* whoever has AVX2 has F16C */

F16C static void
pack_f16c(const float x[HALF_BLOCK], uint16_t out[HALF_BLOCK])
{
	const __m256 most = _mm256_set1_ps(LARGEST), least = _mm256_set1_ps(-LARGEST);

	for (int i = 0; i < HALF_BLOCK; i += 8) {
		__m256 v = _mm256_max_ps(
			least, _mm256_min_ps(most, _mm256_loadu_ps(x + i))); /* NaNs stay */

		_mm_storeu_si128((__m128i *)(void *)(out + i),
			_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
	}
}

F16C static void
unpack_f16c(const uint16_t in[HALF_BLOCK], float x[HALF_BLOCK])
{
	for (int i = 0; i < HALF_BLOCK; i += 8)
		_mm256_storeu_ps(x + i,
			_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + i))));
}

void
half_pack(const float x[HALF_BLOCK], uint16_t out[HALF_BLOCK])
{
	if (__builtin_cpu_supports("avx2"))
		pack_f16c(x, out);
	else
		half_pack_plain(x, out);
}

void
half_unpack(const uint16_t in[HALF_BLOCK], float x[HALF_BLOCK])
{
	if (__builtin_cpu_supports("avx2"))
		unpack_f16c(in, x);
	else
		half_unpack_plain(in, x);
}

#else

void
half_pack(const float x[HALF_BLOCK], uint16_t out[HALF_BLOCK])
{
	half_pack_plain(x, out);
}

void
half_unpack(const uint16_t in[HALF_BLOCK], float x[HALF_BLOCK])
{
	half_unpack_plain(in, x);
}

#endif
