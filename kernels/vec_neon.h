/* Eight floats in two NEON registers; what float_body.h is written in. */
#ifndef KERNELS_VEC_NEON_H
#define KERNELS_VEC_NEON_H

#include "kernels/exp.h"

#include <arm_neon.h>

typedef struct {
	float32x4_t lo, hi;
} v8;

static inline v8
v8_set1(float f)
{
	return (v8){vdupq_n_f32(f), vdupq_n_f32(f)};
}

static inline v8
v8_load(const float *p)
{
	return (v8){vld1q_f32(p), vld1q_f32(p + 4)};
}

static inline void
v8_store(float *p, v8 a)
{
	vst1q_f32(p, a.lo);
	vst1q_f32(p + 4, a.hi);
}

static inline v8
v8_add(v8 a, v8 b)
{
	return (v8){vaddq_f32(a.lo, b.lo), vaddq_f32(a.hi, b.hi)};
}

static inline v8
v8_sub(v8 a, v8 b)
{
	return (v8){vsubq_f32(a.lo, b.lo), vsubq_f32(a.hi, b.hi)};
}

static inline v8
v8_mul(v8 a, v8 b)
{
	return (v8){vmulq_f32(a.lo, b.lo), vmulq_f32(a.hi, b.hi)};
}

static inline v8
v8_div(v8 a, v8 b)
{
	return (v8){vdivq_f32(a.lo, b.lo), vdivq_f32(a.hi, b.hi)};
}

/* a * b + c */
static inline v8
v8_fma(v8 a, v8 b, v8 c)
{
	return (v8){vfmaq_f32(c.lo, a.lo, b.lo), vfmaq_f32(c.hi, a.hi, b.hi)};
}

/* ((0+4)+(2+6)) + ((1+5)+(3+7)) */
static inline float
v8_join(v8 a)
{
	float32x4_t s = vaddq_f32(a.lo, a.hi);
	float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));

	return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}

static inline v8
v8_load_f16(const void *p)
{
	uint16x8_t h = vld1q_u16(p);

	return (v8){vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(h))),
		vcvt_f32_f16(vreinterpret_f16_u16(vget_high_u16(h)))};
}

static inline void
v8_store_f16(void *p, v8 a)
{
	vst1q_u16(p, vcombine_u16(vreinterpret_u16_f16(vcvt_f16_f32(a.lo)),
			     vreinterpret_u16_f16(vcvt_f16_f32(a.hi))));
}

static inline float
half_to_float(uint16_t h)
{
	return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}

static inline uint16_t
float_to_half(float f)
{
	return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(f))), 0);
}

/* exp_one(), four at a time. */
static inline float32x4_t
exp_four(float32x4_t x)
{
	const int32x4_t bias = vdupq_n_s32(EXP_BIAS);
	float32x4_t magic = vdupq_n_f32(EXP_MAGIC), t, n, r, p;
	int32x4_t i;

	/* Selected, not by fmax: NaN stays. */
	x = vbslq_f32(vcgtq_f32(vdupq_n_f32(EXP_LOWEST), x), vdupq_n_f32(EXP_LOWEST), x);
	x = vbslq_f32(vcltq_f32(vdupq_n_f32(EXP_HIGHEST), x), vdupq_n_f32(EXP_HIGHEST), x);
	t = vfmaq_f32(magic, x, vdupq_n_f32(EXP_LOG2E));
	i = vsubq_s32(vreinterpretq_s32_f32(t), vreinterpretq_s32_f32(magic));
	n = vsubq_f32(t, magic);
	r = vfmaq_f32(x, n, vdupq_n_f32(-EXP_LN2_HI));
	r = vfmaq_f32(r, n, vdupq_n_f32(-EXP_LN2_LO));
	p = vfmaq_f32(vdupq_n_f32(EXP_C6), r, vdupq_n_f32(EXP_C7));
	p = vfmaq_f32(vdupq_n_f32(EXP_C5), p, r);
	p = vfmaq_f32(vdupq_n_f32(EXP_C4), p, r);
	p = vfmaq_f32(vdupq_n_f32(EXP_C3), p, r);
	p = vfmaq_f32(vdupq_n_f32(EXP_C2), p, r);
	p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
	p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
	return vmulq_f32(
		vaddq_f32(p, p), vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(i, bias), 23)));
}

static inline v8
v8_exp(v8 x)
{
	return (v8){exp_four(x.lo), exp_four(x.hi)};
}

#endif
