/* What tile_formats.h and tile_matmul.h are written in, in NEON: 4 rows a lane each. With TILE_DOTPROD
 * products by sdot; without it (Cortex-A72 and older) by smull and smlal, as many as fit added up in 16
 * bits before they are widened. With TILE_PAIRS besides, expanded weights meet two columns at a time, by
 * smmla. */
#ifndef KERNELS_TILE_NEON_H
#define KERNELS_TILE_NEON_H

#include "kernels/block.h"

#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef TILE_DOTPROD
#define TILE_DOTPROD 0
#endif

#ifndef TILE_PAIRS
#define TILE_PAIRS 0
#endif

/* Codes of 8 bits are signed, as both instructions take them; all others have a free upper bit. */
#define WIDE_UNSIGNED 0

enum {
	EXPANDED_SIGNED = 1, /* expanded weights are weights: no sum of activations is needed */
	ROW_LANES = 4,
	DIRECT_COLS = 2,                  /* columns at once that meet packed weights */
	GEMM_COLS = TILE_DOTPROD ? 8 : 4, /* columns at once that meet expanded ones */
	FLOAT_COLS = 4,
	ROOF_SUMS = TILE_DOTPROD ? 12 : 4, /* of roof_body.h */
	ROOF_GROUPS = TILE_DOTPROD ? 4 : 8
};

typedef uint8x16_t vbytes;
typedef int32x4_t vints;
typedef float32x4_t vfloats;

INLINE void
fetch_far(const uint8_t *p)
{
	__builtin_prefetch(p, 0, 2);
}

/* --- bytes --- */

INLINE vbytes
bytes_load(const uint8_t *p)
{
	return vld1q_u8(p);
}

INLINE void
bytes_store(uint8_t *p, vbytes v)
{
	vst1q_u8(p, v);
}

INLINE vbytes
bytes_and(vbytes v, uint8_t mask)
{
	return vandq_u8(v, vdupq_n_u8(mask));
}

INLINE vbytes
bytes_or(vbytes a, vbytes b)
{
	return vorrq_u8(a, b);
}

INLINE vbytes
bytes_xor(vbytes v, uint8_t mask)
{
	return mask == 0 ? v : veorq_u8(v, vdupq_n_u8(mask));
}

INLINE vbytes
bytes_add(vbytes a, vbytes b)
{
	return vaddq_u8(a, b);
}

/* Each byte's bits from `from` on moved to bit `to`, those of `mask` kept. */
INLINE vbytes
bytes_move(vbytes v, int from, int to, uint8_t mask)
{
	if (from > to && mask == (uint8_t)(0xff >> (from - to)))
		return v >> (uint8_t)(from - to);
	if (from > to)
		v = v >> (uint8_t)(from - to);
	else if (to > from)
		v = v << (uint8_t)(to - from);
	return bytes_and(v, mask);
}

/* 1 where v > limit (unsigned), else 0. */
INLINE vbytes
bytes_above(vbytes v, uint8_t limit)
{
	return vcgtq_u8(v, vdupq_n_u8(limit)) >> (uint8_t)7;
}

INLINE vbytes
bytes_lookup(vbytes index, const uint8_t table[16])
{
	return vqtbl1q_u8(vld1q_u8(table), index);
}

/* --- lanes --- */

INLINE uint8x8_t
four_bytes(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return vreinterpret_u8_u32(vdup_n_u32(v));
}

INLINE vints
ints_u8(const uint8_t *p)
{
	return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(four_bytes(p)))));
}

INLINE vints
ints_i8(const uint8_t *p)
{
	return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(four_bytes(p)))));
}

INLINE vints
ints_set1(int32_t v)
{
	return vdupq_n_s32(v);
}

INLINE vints
ints_and(vints v, int32_t mask)
{
	return vandq_s32(v, vdupq_n_s32(mask));
}

INLINE vints
ints_or(vints a, vints b)
{
	return vorrq_s32(a, b);
}

INLINE vints
ints_add(vints a, vints b)
{
	return vaddq_s32(a, b);
}

INLINE vints
ints_sub(vints a, vints b)
{
	return vsubq_s32(a, b);
}

INLINE vints
ints_shl(vints v, int n)
{
	return v << n;
}

/* Of numbers that are not negative. */
INLINE vints
ints_shr(vints v, int n)
{
	return v >> n;
}

/* Per lane: v < limit ? below : otherwise. */
INLINE vints
ints_select_below(vints v, int32_t limit, vints below, vints otherwise)
{
	return vbslq_s32(vcltq_s32(v, vdupq_n_s32(limit)), below, otherwise);
}

INLINE vfloats
ints_to_floats(vints v)
{
	return vcvtq_f32_s32(v);
}

INLINE vfloats
ints_as_floats(vints v)
{
	return vreinterpretq_f32_s32(v);
}

INLINE vfloats
floats_load(const float *p)
{
	return vld1q_f32(p);
}

INLINE void
floats_store(float *p, vfloats v)
{
	vst1q_f32(p, v);
}

INLINE vfloats
floats_f16(const uint8_t *p)
{
	return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

INLINE vfloats
floats_bf16(const uint8_t *p)
{
	return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}

INLINE vfloats
floats_set1(float f)
{
	return vdupq_n_f32(f);
}

INLINE vfloats
floats_mul(vfloats a, vfloats b)
{
	return vmulq_f32(a, b);
}

/* a * b + c */
INLINE vfloats
floats_fma(vfloats a, vfloats b, vfloats c)
{
	return vfmaq_f32(c, a, b);
}

/* --- products --- */

/* Weights as they are stored when expanded: without the offset of their codes, and with TILE_PAIRS eight of two rows
 * instead of four of four rows in a register. */
INLINE void
order_expanded(vbytes *w, int groups, int offset)
{
	UNROLL
	for (int g = 0; g < groups; g++)
		if (offset >= 0)
			w[g] = vsubq_u8(w[g], vdupq_n_u8((uint8_t)(1 << offset)));
#if TILE_PAIRS
	UNROLL
	for (int g = 0; g < groups; g += 2) {
		uint32x4_t a = vreinterpretq_u32_u8(w[g]), b = vreinterpretq_u32_u8(w[g + 1]);

		w[g] = vreinterpretq_u8_u32(vzip1q_u32(a, b));
		w[g + 1] = vreinterpretq_u8_u32(vzip2q_u32(a, b));
	}
#endif
}

#if TILE_PAIRS

/* Products of `groups` groups of expanded weights with the activations of two columns. */
INLINE void
dot_pair(const vbytes *w, int groups, const int8_t *q0, const int8_t *q1, vints dot[2])
{
	int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0); /* rows 0 and 1, 2 and 3 */

	UNROLL
	for (int g = 0; g < groups; g += 4) {
		int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(q0 + 4 * g));
		int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(q1 + 4 * g));
		int8x16_t x = vreinterpretq_s8_s64(vzip1q_s64(a, b));
		int8x16_t y = vreinterpretq_s8_s64(vzip2q_s64(a, b));

		low = vmmlaq_s32(low, vreinterpretq_s8_u8(w[g]), x);
		high = vmmlaq_s32(high, vreinterpretq_s8_u8(w[g + 1]), x);
		low = vmmlaq_s32(low, vreinterpretq_s8_u8(w[g + 2]), y);
		high = vmmlaq_s32(high, vreinterpretq_s8_u8(w[g + 3]), y);
	}
	dot[0] = vuzp1q_s32(low, high);
	dot[1] = vuzp2q_s32(low, high);
}

#endif

#if TILE_DOTPROD

/* Four groups; the activations of each are a lane. */
INLINE vints
dot_four(vints start, const vbytes *w, const int8_t *q)
{
	int8x16_t x = vld1q_s8(q);

	start = vdotq_laneq_s32(start, vreinterpretq_s8_u8(w[0]), x, 0);
	start = vdotq_laneq_s32(start, vreinterpretq_s8_u8(w[1]), x, 1);
	start = vdotq_laneq_s32(start, vreinterpretq_s8_u8(w[2]), x, 2);
	return vdotq_laneq_s32(start, vreinterpretq_s8_u8(w[3]), x, 3);
}

/* start + the products of `groups` (4 or 8) groups of weights with 4 * groups activations. */
INLINE vints
dot_groups(vints start, const vbytes *w, int groups, const int8_t *q, int most)
{
	(void)most;
	start = dot_four(start, w, q);
	return groups > 4 ? dot_four(start, w + 4, q + 16) : start;
}

#else

/* start + the products of `groups` groups of weights with 4 * groups activations. Weights are at most
 * `most`; with most = 255 they are signed. */
INLINE vints
dot_groups(vints start, const vbytes *w, int groups, const int8_t *q, int most)
{
	/* Groups whose products add up within 16 bits. */
	const int room = most == 255 ? 2 : most > 31 ? 4 : 8;
	const int fit = room < groups ? room : groups;

	UNROLL
	for (int g = 0; g < groups; g += fit) {
		int16x8_t low = vdupq_n_s16(0), high = vdupq_n_s16(0);

		UNROLL
		for (int i = g; i < g + fit; i++) {
			int8x16_t v = vreinterpretq_s8_u8(w[i]), x;
			int32_t four;

			memcpy(&four, q + 4 * i, sizeof(four));
			x = vreinterpretq_s8_s32(vdupq_n_s32(four));
			if (i == g) {
				low = vmull_s8(vget_low_s8(v), vget_low_s8(x));
				high = vmull_high_s8(v, x);
			} else {
				low = vmlal_s8(low, vget_low_s8(v), vget_low_s8(x));
				high = vmlal_high_s8(high, v, x);
			}
		}
		start = vaddq_s32(start, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
	}
	return start;
}

#endif

#endif
