/* What tile_formats.h and tile_matmul.h are written in, in 512-bit registers: 16 rows a lane each,
 * products of four bytes by vpdpbusd. */
#ifndef KERNELS_TILE_AVX512_H
#define KERNELS_TILE_AVX512_H

#include "kernels/block.h"
#include "kernels/core_habit.h"
#include "kernels/dtype.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* On their own: inside all of a type's kernel they change what gcc keeps in registers for many columns (Q6_K: by a
 * tenth of the time). */
#define DIRECT_FUNCTION static __attribute__((noinline))

enum {
	ROW_LANES = 16,
	DIRECT_COLS = 8,      /* columns at once that meet packed weights, */
	DIRECT_COLS_2BIT = 4, /* and such of two bits, of which little is unpacked */
	GEMM_COLS = 6,        /* columns at once that meet expanded ones */
	FLOAT_COLS = 12,
	FLOAT_SUMS = 24, /* that fit into registers */
	ROOF_SUMS = 12,  /* of roof_body.h */
	ROOF_GROUPS = 4
};

typedef __m512i vbytes;
typedef __m512i vints;
typedef __m512 vfloats;

/* Columns up to which unpacking weights for each DIRECT_COLS of them takes less time than expanding them once: measured
 * with weights that come from memory, with tiles (AMX_FROM) on a Xeon, without on Zen 5; other cores may have fewer. */
INLINE uint32_t
direct_most(enum dtype t)
{
	const uint32_t most = t == DTYPE_Q3_K || t == DTYPE_TQ1_0 ? 8 : t == DTYPE_TQ2_0 ? 32 : 56;

	if (AMX_FROM > 0)
		return AMX_FROM - 1;
	return most < core_habit.direct_most ? most : core_habit.direct_most;
}

/* Types whose weights come faster from memory in 256 bits, for one column, where core_habit.narrow says so: as if it were
 * the more instructions a line that let memory work evenly. Other types are as fast, or slower by up to a fifth. */
INLINE bool
narrow_type(enum dtype t)
{
	return t == DTYPE_Q4_0 || t == DTYPE_Q4_K || t == DTYPE_Q5_K || t == DTYPE_Q6_K;
}
#define NARROW(t) (narrow_type(t) && core_habit.narrow)

INLINE void
fetch_far(const uint8_t *p)
{
	_mm_prefetch((const char *)p, _MM_HINT_T1);
}

/* --- bytes --- */

INLINE vbytes
bytes_load(const uint8_t *p)
{
	return _mm512_load_si512((const void *)p);
}

INLINE void
bytes_store(uint8_t *p, vbytes v)
{
	_mm512_store_si512((void *)p, v);
}

INLINE vbytes
bytes_and(vbytes v, uint8_t mask)
{
	return _mm512_and_si512(v, _mm512_set1_epi8((char)mask));
}

INLINE vbytes
bytes_or(vbytes a, vbytes b)
{
	return _mm512_or_si512(a, b);
}

INLINE vbytes
bytes_xor(vbytes v, uint8_t mask)
{
	return _mm512_xor_si512(v, _mm512_set1_epi8((char)mask));
}

INLINE vbytes
bytes_set1(uint8_t v)
{
	return _mm512_set1_epi8((char)v);
}

INLINE vbytes
bytes_add(vbytes a, vbytes b)
{
	return _mm512_add_epi8(a, b);
}

/* Each byte's bits from `from` on moved to bit `to`, those of `mask` kept. */
INLINE vbytes
bytes_move(vbytes v, int from, int to, uint8_t mask)
{
	if (from > to)
		v = _mm512_srli_epi16(v, (unsigned)(from - to));
	else if (to > from)
		v = _mm512_slli_epi16(v, (unsigned)(to - from));
	return bytes_and(v, mask);
}

/* Two bits of each byte, from `from` on. GFNI does it in one instruction, as the product of bytes and a matrix of bits,
 * whose last byte makes bit 0. Bits that are moved elsewhere, or one at a time, come no faster that way. */
INLINE vbytes
bytes_pair(vbytes v, int from)
{
#ifdef __GFNI__
	if (from > 0)
		return _mm512_gf2p8affine_epi64_epi8(
			v, _mm512_set1_epi64(0x0102LL << 48 << from), 0);
#endif
	return bytes_move(v, from, 0, 3);
}

/* 1 where v > limit (unsigned), else 0. */
INLINE vbytes
bytes_above(vbytes v, uint8_t limit)
{
	return _mm512_maskz_set1_epi8(_mm512_cmpgt_epu8_mask(v, _mm512_set1_epi8((char)limit)), 1);
}

INLINE vbytes
bytes_lookup(vbytes index, const uint8_t table[16])
{
	return _mm512_shuffle_epi8(
		_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table)),
		index);
}

/* --- lanes --- */

/* A strip's bytes of a plane; there is one strip. */
INLINE vints
ints_u8(const uint8_t *p, uint32_t strip)
{
	(void)strip;
	return _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(const void *)p));
}

INLINE vints
ints_i8(const uint8_t *p, uint32_t strip)
{
	(void)strip;
	return _mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)(const void *)p));
}

INLINE vints
ints_load(const int32_t *p)
{
	return _mm512_load_si512((const void *)p);
}

INLINE vints
ints_set1(int32_t v)
{
	return _mm512_set1_epi32(v);
}

INLINE vints
ints_and(vints v, int32_t mask)
{
	return _mm512_and_si512(v, _mm512_set1_epi32(mask));
}

INLINE vints
ints_or(vints a, vints b)
{
	return _mm512_or_si512(a, b);
}

INLINE vints
ints_add(vints a, vints b)
{
	return _mm512_add_epi32(a, b);
}

INLINE vints
ints_sub(vints a, vints b)
{
	return _mm512_sub_epi32(a, b);
}

INLINE vints
ints_shl(vints v, int n)
{
	return _mm512_slli_epi32(v, (unsigned)n);
}

INLINE vints
ints_shr(vints v, int n)
{
	return _mm512_srli_epi32(v, (unsigned)n);
}

/* The same of signed numbers. */
INLINE vints
ints_sar(vints v, int n)
{
	return _mm512_srai_epi32(v, (unsigned)n);
}

/* Per lane: v < limit ? below : else_. */
INLINE vints
ints_select_below(vints v, int32_t limit, vints below, vints otherwise)
{
	return _mm512_mask_mov_epi32(
		otherwise, _mm512_cmplt_epi32_mask(v, _mm512_set1_epi32(limit)), below);
}

INLINE vfloats
ints_to_floats(vints v)
{
	return _mm512_cvtepi32_ps(v);
}

INLINE vfloats
ints_as_floats(vints v)
{
	return _mm512_castsi512_ps(v);
}

INLINE vfloats
floats_load(const float *p)
{
	return _mm512_loadu_ps(p);
}

INLINE void
floats_store(float *p, vfloats v)
{
	_mm512_storeu_ps(p, v);
}

INLINE vfloats
floats_f16(const uint8_t *p, uint32_t strip)
{
	(void)strip;
	return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)p));
}

INLINE vfloats
floats_bf16(const uint8_t *p, uint32_t strip)
{
	(void)strip;
	return _mm512_castsi512_ps(_mm512_slli_epi32(
		_mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)(const void *)p)), 16));
}

INLINE vfloats
floats_set1(float f)
{
	return _mm512_set1_ps(f);
}

INLINE vfloats
floats_add(vfloats a, vfloats b)
{
	return _mm512_add_ps(a, b);
}

INLINE vfloats
floats_mul(vfloats a, vfloats b)
{
	return _mm512_mul_ps(a, b);
}

/* a * b + c */
INLINE vfloats
floats_fma(vfloats a, vfloats b, vfloats c)
{
	return _mm512_fmadd_ps(a, b, c);
}

/* --- products --- */

#include "kernels/tile_x86.h"

#define TILE_DPBUSD _mm512_dpbusd_epi32

#include "kernels/tile_vnni.h"

#define WIDE_UNSIGNED 1 /* codes of 8 bits become unsigned, by an offset of 128 */

#endif
