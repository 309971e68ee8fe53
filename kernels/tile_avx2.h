/* What tile_formats.h and tile_matmul.h are written in, in 256-bit registers: 8 rows a lane each.
 * Products of bytes by vpdpbusd where TILE_VNNI says so, else by vpmaddubsw: as many as fit are added
 * up in 16 bits before they are widened. */
#ifndef KERNELS_TILE_AVX2_H
#define KERNELS_TILE_AVX2_H

#include "kernels/block.h"
#include "kernels/dtype.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef TILE_VNNI
#define TILE_VNNI 0
#endif

/* Without vpdpbusd, codes of 8 bits stay signed: products of unsigned ones would not fit 16 bits. */
#define WIDE_UNSIGNED TILE_VNNI

/* On their own, few columns keep what they use most in the 16 registers; inside all of a type's kernel gcc does not
 * see to that: Q4_0 is two fifths slower. */
#define DIRECT_FUNCTION static __attribute__((noinline))

enum {
	ROW_LANES = 8,
	DIRECT_COLS = 2, /* columns at once that meet packed weights: two strips each */
	DIRECT_COLS_2BIT = DIRECT_COLS,
	GEMM_COLS =
		TILE_VNNI ? 3 : 2, /* columns at once that meet expanded ones: two strips each */
	FLOAT_COLS = 4,
	FLOAT_SUMS = 12,                /* that fit into registers */
	ROOF_SUMS = TILE_VNNI ? 12 : 8, /* of roof_body.h */
	ROOF_GROUPS = TILE_VNNI ? 2 : 4
};

typedef __m256i vbytes;
typedef __m256i vints;
typedef __m256 vfloats;

/* Columns up to which unpacking weights for each DIRECT_COLS of them takes less time than expanding them once: measured on
 * Zen 5 with weights that come from memory. */
INLINE uint32_t
direct_most(enum dtype t)
{
	switch (t) {
	case DTYPE_Q8_0:
		return TILE_VNNI ? 16 : 64;
	case DTYPE_Q4_K:
		return 16;
	case DTYPE_Q4_0:
	case DTYPE_Q4_1:
		return TILE_VNNI ? 8 : 16;
	case DTYPE_Q6_K:
	case DTYPE_IQ4_XS:
		return TILE_VNNI ? 16 : 8;
	case DTYPE_MXFP4:
		return TILE_VNNI ? 8 : 4;
	case DTYPE_Q2_K:
	case DTYPE_Q3_K:
	case DTYPE_TQ1_0:
		return 4;
	default:
		return 8;
	}
}

INLINE void
fetch_far(const uint8_t *p)
{
	_mm_prefetch((const char *)p, _MM_HINT_T1);
}

/* --- bytes --- */

INLINE vbytes
bytes_load(const uint8_t *p)
{
	return _mm256_load_si256((const __m256i *)(const void *)p);
}

INLINE void
bytes_store(uint8_t *p, vbytes v)
{
	_mm256_store_si256((__m256i *)(void *)p, v);
}

INLINE vbytes
bytes_and(vbytes v, uint8_t mask)
{
	return _mm256_and_si256(v, _mm256_set1_epi8((char)mask));
}

INLINE vbytes
bytes_or(vbytes a, vbytes b)
{
	return _mm256_or_si256(a, b);
}

INLINE vbytes
bytes_xor(vbytes v, uint8_t mask)
{
	return mask == 0 ? v : _mm256_xor_si256(v, _mm256_set1_epi8((char)mask));
}

INLINE vbytes
bytes_set1(uint8_t v)
{
	return _mm256_set1_epi8((char)v);
}

INLINE vbytes
bytes_add(vbytes a, vbytes b)
{
	return _mm256_add_epi8(a, b);
}

/* Each byte's bits from `from` on moved to bit `to`, those of `mask` kept. */
INLINE vbytes
bytes_move(vbytes v, int from, int to, uint8_t mask)
{
	if (from > to)
		v = _mm256_srli_epi16(v, from - to);
	else if (to > from)
		v = _mm256_slli_epi16(v, to - from);
	return bytes_and(v, mask);
}

/* Two bits of each byte, from `from` on. */
INLINE vbytes
bytes_pair(vbytes v, int from)
{
	return bytes_move(v, from, 0, 3);
}

/* 1 where v > limit (unsigned), else 0. */
INLINE vbytes
bytes_above(vbytes v, uint8_t limit)
{
	return _mm256_min_epu8(
		_mm256_subs_epu8(v, _mm256_set1_epi8((char)limit)), _mm256_set1_epi8(1));
}

INLINE vbytes
bytes_lookup(vbytes index, const uint8_t table[16])
{
	return _mm256_shuffle_epi8(
		_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table)),
		index);
}

/* --- lanes --- */

/* A strip's bytes of a plane. */
INLINE vints
ints_u8(const uint8_t *plane, uint32_t strip)
{
	const uint8_t *p = plane + strip * ROW_LANES;

	return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

INLINE vints
ints_i8(const uint8_t *plane, uint32_t strip)
{
	const uint8_t *p = plane + strip * ROW_LANES;

	return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

INLINE vints
ints_set1(int32_t v)
{
	return _mm256_set1_epi32(v);
}

INLINE vints
ints_and(vints v, int32_t mask)
{
	return _mm256_and_si256(v, _mm256_set1_epi32(mask));
}

INLINE vints
ints_or(vints a, vints b)
{
	return _mm256_or_si256(a, b);
}

INLINE vints
ints_add(vints a, vints b)
{
	return _mm256_add_epi32(a, b);
}

INLINE vints
ints_sub(vints a, vints b)
{
	return _mm256_sub_epi32(a, b);
}

INLINE vints
ints_shl(vints v, int n)
{
	return _mm256_slli_epi32(v, n);
}

INLINE vints
ints_shr(vints v, int n)
{
	return _mm256_srli_epi32(v, n);
}

/* The same of signed numbers. */
INLINE vints
ints_sar(vints v, int n)
{
	return _mm256_srai_epi32(v, n);
}

/* Per lane: v < limit ? below : otherwise. */
INLINE vints
ints_select_below(vints v, int32_t limit, vints below, vints otherwise)
{
	return _mm256_blendv_epi8(
		otherwise, below, _mm256_cmpgt_epi32(_mm256_set1_epi32(limit), v));
}

INLINE vfloats
ints_to_floats(vints v)
{
	return _mm256_cvtepi32_ps(v);
}

INLINE vfloats
ints_as_floats(vints v)
{
	return _mm256_castsi256_ps(v);
}

INLINE vfloats
floats_load(const float *p)
{
	return _mm256_loadu_ps(p);
}

INLINE void
floats_store(float *p, vfloats v)
{
	_mm256_storeu_ps(p, v);
}

INLINE vfloats
floats_f16(const uint8_t *p, uint32_t strip)
{
	p += strip * 2 * ROW_LANES;
	return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)p));
}

INLINE vfloats
floats_bf16(const uint8_t *p, uint32_t strip)
{
	p += strip * 2 * ROW_LANES;
	return _mm256_castsi256_ps(_mm256_slli_epi32(
		_mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)(const void *)p)), 16));
}

INLINE vfloats
floats_set1(float f)
{
	return _mm256_set1_ps(f);
}

INLINE vfloats
floats_add(vfloats a, vfloats b)
{
	return _mm256_add_ps(a, b);
}

INLINE vfloats
floats_mul(vfloats a, vfloats b)
{
	return _mm256_mul_ps(a, b);
}

/* a * b + c */
INLINE vfloats
floats_fma(vfloats a, vfloats b, vfloats c)
{
	return _mm256_fmadd_ps(a, b, c);
}

/* --- products --- */

#include "kernels/tile_x86.h"

#if TILE_VNNI

#include "kernels/tile_vnni.h"

#else

/* A sum of products that is made in `steps` steps, each of the weights and activations of a group. Weights are unsigned
 * and at most `most`; those with most = 255 are signed. */
struct dot {
	vints sum;
	__m256i pairs; /* products of some steps, two to a lane, in 16 bits */
};

INLINE struct dot
dot_begin(vints start)
{
	return (struct dot){.sum = start};
}

INLINE void
dot_step(struct dot *d, int step, int steps, vbytes w, const int8_t *q, int group, int most)
{
	/* Steps whose products add up within 16 bits. */
	const int room = most == 255 ? 1 : most > 31 ? 2 : most > 15 ? 4 : 8;
	int32_t four;
	__m256i x, products;

	memcpy(&four, q + 4 * group, sizeof(four));
	x = _mm256_set1_epi32(four);
	if (most == 255)
		products = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
	else
		products = _mm256_maddubs_epi16(w, x);
	if (step % room == 0) {
		d->pairs = products;
	} else {
		d->pairs = _mm256_add_epi16(d->pairs, products);
		/* The compiler is not to add in another order, for which it would keep all products at once. */
		__asm__("" : "+x"(d->pairs));
	}
	if ((step + 1) % room == 0 || step + 1 == steps) {
		d->sum =
			_mm256_add_epi32(d->sum, _mm256_madd_epi16(d->pairs, _mm256_set1_epi16(1)));
		__asm__("" : "+x"(d->sum));
	}
}

/* A sum of products of codes of two bits, those in odd steps four times themselves. Of each, four steps at most are
 * added in 16 bits: 4 * 2 * 12 * 127 = 12192. */
struct pair_dot {
	vints start;
	__m256i pairs[2];
};

INLINE struct pair_dot
pair_begin(vints start)
{
	return (struct pair_dot){.start = start};
}

INLINE void
pair_step(struct pair_dot *d, int step, vbytes w, const int8_t *q, int group)
{
	__m256i *pairs = &d->pairs[step % 2], products;
	int32_t four;

	memcpy(&four, q + 4 * group, sizeof(four));
	products = _mm256_maddubs_epi16(w, _mm256_set1_epi32(four));
	if (step < 2) {
		*pairs = products;
		return;
	}
	*pairs = _mm256_add_epi16(*pairs, products);
	__asm__("" : "+x"(*pairs));
}

INLINE vints
pair_sum(const struct pair_dot *d)
{
	__m256i pairs = _mm256_add_epi16(d->pairs[0], _mm256_srai_epi16(d->pairs[1], 2));

	return _mm256_add_epi32(d->start, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* dot_step() of weights out of a table, of which none is -128: so they take the activations' signs, and `sizes` are what
 * activations are without these. */
INLINE void
table_step(struct dot *d, vbytes w, const int8_t *q, const int8_t *sizes, int group)
{
	int32_t four, size;
	__m256i products;

	memcpy(&four, q + 4 * group, sizeof(four));
	memcpy(&size, sizes + 4 * group, sizeof(size));
	products = _mm256_maddubs_epi16(
		_mm256_set1_epi32(size), _mm256_sign_epi8(w, _mm256_set1_epi32(four)));
	d->sum = _mm256_add_epi32(d->sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
	__asm__("" : "+x"(d->sum));
}

#endif

#endif
