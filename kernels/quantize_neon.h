/* Activations to int8, in NEON; see quantize_block() in plain.c for what it means. */
#ifndef KERNELS_QUANTIZE_NEON_H
#define KERNELS_QUANTIZE_NEON_H

#include "kernels/kernels.h"
#include "kernels/vec_neon.h"

/* 32 floats; returns the sum. */
static int32_t
quantize_block(const float *x, int8_t *q, float *d, int32_t *half)
{
	uint32x4_t max = vdupq_n_u32(0);
	int32x4_t v[8];
	int32_t sums[2] = {0};
	float scale, inverse;
	uint32_t top;

	UNROLL
	for (int i = 0; i < 8; i++)
		max = vmaxq_u32(max, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + 4 * i)),
					     vdupq_n_u32(0x7fffffff)));
	top = vmaxvq_u32(max);
	scale = bits_to_float(top);
	if (top < 0x7f800000)
		scale /= 127.0f;
	inverse = 1.0f / scale;
	if (top >= 0x7f800000 || isinf(inverse)) {
		*d = top >= 0x7f800000 ? scale : 0.0f;
		memset(q, 0, BLOCK);
		*half = 0;
		return 0;
	}
	*d = scale;
	UNROLL
	for (int i = 0; i < 8; i++)
		v[i] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4 * i), inverse));
	UNROLL
	for (int h = 0; h < 2; h++) {
		int32x4_t *w = v + 4 * h;
		int16x8_t a = vcombine_s16(vmovn_s32(w[0]), vmovn_s32(w[1]));
		int16x8_t b = vcombine_s16(vmovn_s32(w[2]), vmovn_s32(w[3]));

		sums[h] = vaddlvq_s16(vaddq_s16(a, b));
		vst1q_s8(q + 16 * h, vcombine_s8(vmovn_s16(a), vmovn_s16(b)));
	}
	*half = sums[0];
	return sums[0] + sums[1];
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
