/* What tile_formats.h and tile_matmul.h are written in, in NEON: 4 rows a lane each. With TILE_DOTPROD
 * products by sdot; without it (Cortex-A72 and older) by smull and smlal, as many as fit added up in 16
 * bits before they are widened.
 *
 * Shifts, and conversions between numbers of different kinds, go to one of two pipes on most cores (a conversion of
 * four lanes holds it for two cycles on the A76). So bytes are widened by zip, not by ushll, and small
 * integers become floats by arithmetic: put into the bits of a float that is large enough, which is then
 * subtracted. With sdot, sums of products start at such a number. */
#ifndef KERNELS_TILE_NEON_H
#define KERNELS_TILE_NEON_H

#include "kernels/block.h"
#include "kernels/dtype.h"

#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef TILE_DOTPROD
#define TILE_DOTPROD 0
#endif

/* Few columns are done in the order that is written, in which all fits into the registers; gcc would put it aside. And
 * most instructions that add overwrite what they add to: gcc copies registers first, which costs as much as a product,
 * and half of that is saved where it may rename them in the end. */
#if defined(__GNUC__) && !defined(__clang__)
#define DIRECT_FUNCTION                                                                            \
	static __attribute__((noinline, optimize("no-schedule-insns", "rename-registers")))
#if TILE_DOTPROD
/* Two registers side by side, which MXFP4's exponents are looked up in, it would copy more often. */
#define LOOKUP_FUNCTION static __attribute__((noinline, optimize("no-schedule-insns")))
#define MANY_FUNCTION   static __attribute__((optimize("rename-registers")))
#endif
#else
#define DIRECT_FUNCTION static __attribute__((noinline))
#endif

/* Codes of 8 bits are signed, as both instructions take them; all others have a free upper bit. */
#define WIDE_UNSIGNED 0

enum {
	FETCH_FAR = 8192, /* bytes ahead that lines are asked for, into the second-level cache */
	FETCH_PAGES = 0,  /* are not asked for, */
	FETCH_SPREAD = 0, /* lines run by run (tile_sums.h) */
	ROW_LANES = 4,
	DIRECT_COLS = 2, /* columns at once that meet packed weights */
	DIRECT_COLS_2BIT = DIRECT_COLS,
	FLOAT_COLS = 4,
	FLOAT_SUMS = 24, /* that fit into registers */
	/* 1.5 * 2^23: float and integer differ by it alike, up to 2^22 from it. Where products are widened first,
	 * a conversion is as good, and a sum need not start at all. */
	DOT_ZERO = TILE_DOTPROD ? 0x4b400000 : 0,
	SCALAR_SUMS = 1,    /* sums of activations are worked on before they are in all lanes */
	SIGNED_TABLES = 1,  /* looked up values are weights */
	JOIN_REPLACES = 15, /* bits of `upper` that bytes_join() does without */
	ROOF_SUMS = TILE_DOTPROD ? 12 : 4, /* of roof_body.h */
	ROOF_GROUPS = TILE_DOTPROD ? 4 : 8
};

typedef uint8x16_t vbytes;
typedef int32x4_t vints;
typedef float32x4_t vfloats;

/* What is there is to be read from memory, not taken out of registers again. */
#define FROM_MEMORY(object) __asm__("" : "+m"(object))
/* The same of what nobody writes to. */
#define FROM_POINTER(pointer) __asm__ volatile("" : "+r"(pointer))
/* What is to be worked out here, and not where it is used. */
#define HERE(value) __asm__("" : "+w"(value))

INLINE void
fetch_far(const uint8_t *p)
{
	__builtin_prefetch(p, 0, 2);
}

INLINE void
fetch_line(const uint8_t *p)
{
	fetch_far(p + FETCH_FAR);
}

#define FETCH_TWICE 0

INLINE void
fetch_line_early(const uint8_t *p)
{
	(void)p;
}

INLINE const uint8_t *
fetch_page_behind(const uint8_t *p)
{
	return p;
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

/* Two bits of each byte, from `from` on. */
INLINE vbytes
bytes_pair(vbytes v, int from)
{
	return bytes_move(v, from, 0, 3);
}

/* The lower or higher nibbles of n, and the upper half of `upper`. */
INLINE vbytes
bytes_join(vbytes n, bool high, vbytes upper)
{
	return high ? vsriq_n_u8(upper, n, 4) : vbslq_u8(vdupq_n_u8(15), n, upper);
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

/* Strip `strip` of the bytes v: each in the lowest, or second lowest byte of a lane whose upper half is that
 * of `above`. */
INLINE uint32x4_t
widen(uint8x16_t v, uint32_t strip, uint16x8_t above)
{
	uint8x16_t zero = vdupq_n_u8(0);
	uint16x8_t h = vreinterpretq_u16_u8(strip < 2 ? vzip1q_u8(v, zero) : vzip2q_u8(v, zero));

	return vreinterpretq_u32_u16(strip % 2 == 0 ? vzip1q_u16(h, above) : vzip2q_u16(h, above));
}

/* A strip's bytes of a plane. */
INLINE vints
ints_u8(const uint8_t *plane, uint32_t strip)
{
	return vreinterpretq_s32_u32(widen(vld1q_u8(plane), strip, vdupq_n_u16(0)));
}

/* The same as floats: in the bits of 2^23. */
INLINE vfloats
floats_of_bytes(uint8x16_t v, uint32_t strip, int less)
{
	return vsubq_f32(vreinterpretq_f32_u32(widen(v, strip, vdupq_n_u16(0x4b00))),
		vdupq_n_f32((float)(0x800000 + less)));
}

INLINE vfloats
floats_u8(const uint8_t *plane, uint32_t strip, int less)
{
	return floats_of_bytes(vld1q_u8(plane), strip, less);
}

INLINE vfloats
floats_i8(const uint8_t *plane, uint32_t strip)
{
	return floats_of_bytes(veorq_u8(vld1q_u8(plane), vdupq_n_u8(128)), strip, 128);
}

/* 2^(e - 128): half of what the exponent says, because the table's values are doubled. 2^-128 and 2^-127 are subnormal:
 * a bit of the mantissa instead of an exponent. */
#if TILE_DOTPROD

#define PAIR(row) 255, 255, row, row + 16

/* The upper two bytes of all rows' floats, and out of them a strip's. */
INLINE vfloats
floats_exponent(const uint8_t *plane, uint32_t strip)
{
	static const _Alignas(16) uint8_t subnormal[16] = {1 << 5, 1 << 6};
	static const _Alignas(16) uint8_t places[4][16] = {{PAIR(0), PAIR(1), PAIR(2), PAIR(3)},
		{PAIR(4), PAIR(5), PAIR(6), PAIR(7)}, {PAIR(8), PAIR(9), PAIR(10), PAIR(11)},
		{PAIR(12), PAIR(13), PAIR(14), PAIR(15)}};
	uint8x16_t e = vld1q_u8(plane), normal = vqsubq_u8(e, vdupq_n_u8(1));
	uint8x16x2_t upper = {
		{vsliq_n_u8(vqtbl1q_u8(vld1q_u8(subnormal), e), normal, 7), normal >> (uint8_t)1}};

	return vreinterpretq_f32_u8(vqtbl2q_u8(upper, vld1q_u8(places[strip])));
}

#else

INLINE vfloats
floats_exponent(const uint8_t *plane, uint32_t strip)
{
	uint8x8_t e = strip < 2 ? vld1_u8(plane) : vld1_u8(plane + 8);
	int16x8_t normal = vreinterpretq_s16_u16(vshll_n_u8(e, 7));
	int16x8_t small = vreinterpretq_s16_u16(vshll_n_u8(e, 5)), upper;

	upper = vmaxq_s16(
		vsubq_s16(normal, vdupq_n_s16(1 << 7)), vaddq_s16(small, vdupq_n_s16(1 << 5)));
	return vreinterpretq_f32_s32(strip % 2 == 0 ? vshll_n_s16(vget_low_s16(upper), 16)
						    : vshll_high_n_s16(upper, 16));
}

#endif

/* What the bytes of scales are above them. */
INLINE int
scale_offset(enum dtype t)
{
	if (t == DTYPE_Q6_K)
		return TILE_DOTPROD ? 128 : 0;
	return t == DTYPE_Q3_K || t == DTYPE_IQ4_XS ? 32 : 0;
}

/* A strip's bytes of a plane, less `offset`, in the bits of a float; scale_zero() is to be taken from it. */
#if TILE_DOTPROD

/* 2^15 + byte, offset and all: one table in front of bits that are there already, loaded anew each time. */
struct scale_table {
	_Alignas(16) uint32_t base[4];
	uint8_t places[4][16];
};
#define PLACE(row) 255, row, 255, 255
static const struct scale_table scale_table = {{0x47000000, 0x47000000, 0x47000000, 0x47000000},
	{{PLACE(0), PLACE(1), PLACE(2), PLACE(3)}, {PLACE(4), PLACE(5), PLACE(6), PLACE(7)},
		{PLACE(8), PLACE(9), PLACE(10), PLACE(11)},
		{PLACE(12), PLACE(13), PLACE(14), PLACE(15)}}};

INLINE vfloats
scale_bits(vbytes plane, uint32_t strip, int offset, const struct scale_table **table)
{
	(void)offset;
	FROM_POINTER(*table);
	return vreinterpretq_f32_u8(vqtbx1q_u8(vreinterpretq_u8_u32(vld1q_u32((*table)->base)),
		plane, vld1q_u8((*table)->places[strip])));
}

INLINE float
scale_zero(int offset)
{
	return (float)(0x8000 + offset);
}

#else

/* Tables are slow on these cores. The bytes are signed. */
struct scale_table {
	char none;
};
static const struct scale_table scale_table;

INLINE vfloats
scale_bits(vbytes plane, uint32_t strip, int offset, const struct scale_table **table)
{
	int8x16_t v = vreinterpretq_s8_u8(plane);
	int16x8_t wide = strip < 2 ? vmovl_s8(vget_low_s8(v)) : vmovl_high_s8(v);
	int32x4_t zero = vdupq_n_s32(0x4b400000 - offset);

	(void)table;
	return vreinterpretq_f32_s32(
		strip % 2 == 0 ? vaddw_s16(zero, vget_low_s16(wide)) : vaddw_high_s16(zero, wide));
}

INLINE float
scale_zero(int offset)
{
	(void)offset;
	return 12582912.0f;
}

#endif

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

INLINE vfloats
ints_to_floats(vints v)
{
	return vcvtq_f32_s32(v);
}

INLINE vfloats
dot_floats(vints dot)
{
	return TILE_DOTPROD ? vsubq_f32(vreinterpretq_f32_s32(dot), vdupq_n_f32(12582912.0f))
			    : vcvtq_f32_s32(dot);
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

/* A strip of 16 numbers of 16 bits. */
INLINE vfloats
floats_f16(const uint8_t *p, uint32_t strip)
{
	float16x8_t v = vreinterpretq_f16_u8(vld1q_u8(p + strip / 2 * 16));

	return strip % 2 == 0 ? vcvt_f32_f16(vget_low_f16(v)) : vcvt_high_f32_f16(v);
}

INLINE vfloats
floats_bf16(const uint8_t *p, uint32_t strip)
{
	uint16x8_t v = vreinterpretq_u16_u8(vld1q_u8(p + strip / 2 * 16)), zero = vdupq_n_u16(0);

	if (TILE_DOTPROD)
		return vreinterpretq_f32_u16(
			strip % 2 == 0 ? vzip1q_u16(zero, v) : vzip2q_u16(zero, v));
	return vreinterpretq_f32_u32(
		strip % 2 == 0 ? vshll_n_u16(vget_low_u16(v), 16) : vshll_high_n_u16(v, 16));
}

INLINE vfloats
floats_set1(float f)
{
	return vdupq_n_f32(f);
}

INLINE vfloats
floats_add(vfloats a, vfloats b)
{
	return vaddq_f32(a, b);
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

static const _Alignas(16) int32_t dot_zero[ROW_LANES] = {DOT_ZERO, DOT_ZERO, DOT_ZERO, DOT_ZERO};

#if TILE_DOTPROD

/* A sum of products that is made in `steps` steps, each of the weights and activations of a group. */
struct dot {
	vints sum;
};

INLINE struct dot
dot_begin(vints start)
{
	return (struct dot){start};
}

/* A sum that nothing is in, loaded, because a copy of a register costs as much as a product. */
INLINE struct dot
dot_nothing(const int32_t **zero)
{
	FROM_POINTER(*zero);
	return dot_begin(vld1q_s32(*zero));
}

/* The activations of a group: with others, in lane group % 4. */
INLINE int8x16_t
dot_acts(const int8_t *q, int group)
{
	return vld1q_s8(q + group / 4 * 16);
}

/* The same, when no others are wanted. */
INLINE int8x16_t
dot_acts_one(const int8_t *q, int group)
{
	return dot_acts(q, group);
}

INLINE void
dot_multiply(struct dot *d, int step, int steps, vbytes w, int8x16_t x, int group, int most)
{
	int8x16_t v = vreinterpretq_s8_u8(w);

	(void)step;
	(void)steps;
	(void)most;
	switch (group % 4) {
	case 0:
		d->sum = vdotq_laneq_s32(d->sum, v, x, 0);
		break;
	case 1:
		d->sum = vdotq_laneq_s32(d->sum, v, x, 1);
		break;
	case 2:
		d->sum = vdotq_laneq_s32(d->sum, v, x, 2);
		break;
	default:
		d->sum = vdotq_laneq_s32(d->sum, v, x, 3);
		break;
	}
}

#else

/* A sum of products that is made in `steps` steps, each of the weights and activations of a group. Weights are at most
 * `most`, positive or negative. */
struct dot {
	vints sum;
	vints wide[2];       /* of rows 0 and 1, 2 and 3: sums that wait to be added, two a row */
	int16x8_t narrow[2]; /* the same of some steps, four a row */
	bool begun;          /* there is something in `sum` */
};

INLINE struct dot
dot_begin(vints start)
{
	return (struct dot){.sum = start, .begun = true};
}

INLINE struct dot
dot_nothing(const int32_t **zero)
{
	(void)zero;
	return (struct dot){.begun = false};
}

/* Adds up what is narrow. joint: sums of two have room in 16 bits. */
INLINE void
dot_widen(struct dot *d, bool first, bool last, bool joint)
{
	if (joint) {
		int16x8_t v;

		HERE(d->narrow[0]); /* else gcc changes registers half-way, with copies */
		HERE(d->narrow[1]);
		v = vpaddq_s16(d->narrow[0], d->narrow[1]);
		d->sum = d->begun ? vpadalq_s16(d->sum, v) : vpaddlq_s16(v);
		d->begun = true;
		return;
	}
	UNROLL
	for (int i = 0; i < 2; i++)
		d->wide[i] =
			first ? vpaddlq_s16(d->narrow[i]) : vpadalq_s16(d->wide[i], d->narrow[i]);
	if (last) {
		vints both = vpaddq_s32(d->wide[0], d->wide[1]);

		d->sum = d->begun ? vaddq_s32(d->sum, both) : both;
	}
}

/* The activations of a group, in each lane. */
INLINE int8x16_t
dot_acts(const int8_t *q, int group)
{
	int32x4_t x = vreinterpretq_s32_s8(vld1q_s8(q + group / 4 * 16));

	HERE(x); /* one load instead of four */
	switch (group % 4) {
	case 0:
		return vreinterpretq_s8_s32(vdupq_laneq_s32(x, 0));
	case 1:
		return vreinterpretq_s8_s32(vdupq_laneq_s32(x, 1));
	case 2:
		return vreinterpretq_s8_s32(vdupq_laneq_s32(x, 2));
	default:
		return vreinterpretq_s8_s32(vdupq_laneq_s32(x, 3));
	}
}

/* The same, when no others are wanted. */
INLINE int8x16_t
dot_acts_one(const int8_t *q, int group)
{
	int32_t four;

	memcpy(&four, q + 4 * group, sizeof(four));
	return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

INLINE void
dot_multiply(struct dot *d, int step, int steps, vbytes w, int8x16_t x, int group, int most)
{
	/* Steps whose products add up within 16 bits. */
	const int room = most == 255 ? 2 : most > 16 ? 4 : 8;
	const int many = room < steps ? room : steps;
	const bool joint = most != 255 && 2 * many * 127 * most < 32768;
	int8x16_t v = vreinterpretq_s8_u8(w);

	(void)group;
	if (step % room == 0) {
		d->narrow[0] = vmull_s8(vget_low_s8(v), vget_low_s8(x));
		d->narrow[1] = vmull_high_s8(v, x);
	} else {
		d->narrow[0] = vmlal_s8(d->narrow[0], vget_low_s8(v), vget_low_s8(x));
		d->narrow[1] = vmlal_high_s8(d->narrow[1], v, x);
	}
	if (step % room == room - 1 || step + 1 == steps)
		dot_widen(d, step < room, step + 1 == steps, joint);
}

#endif

INLINE void
dot_step(struct dot *d, int step, int steps, vbytes w, const int8_t *q, int group, int most)
{
	dot_multiply(d, step, steps, w, dot_acts_one(q, group), group, most);
}

#endif
