/* What the x86 sets do alike, beyond their registers: included at the end of tile_avx2.h and
 * tile_avx512.h. */
#ifndef KERNELS_TILE_X86_H
#define KERNELS_TILE_X86_H

#include "kernels/core_habit.h"
#include "kernels/dtype.h"

enum {
	FETCH_PAGES = 1,   /* are asked for, too, */
	FETCH_SPREAD = 1,  /* in between the products of one column (tile_sums.h) */
	DOT_ZERO = 0,      /* what a sum of products starts from */
	SCALAR_SUMS = 0,   /* sums of activations are worked on once they are in all lanes */
	SIGNED_TABLES = 0, /* looked up values are codes */
	JOIN_REPLACES = 0  /* bits of `upper` that bytes_join() does without */
};

/* What is to be worked out here, and not where it is used. */
#define HERE(value) __asm__("" : "+x"(value))

/* For lines at p, what comes so far behind them (core_habit.h). */
#define FETCH_TWICE (core_habit.far > 0)

INLINE void
fetch_line_early(const uint8_t *p)
{
	fetch_far(p + core_habit.far);
}

INLINE void
fetch_line(const uint8_t *p)
{
	_mm_prefetch((const char *)(p + core_habit.near), _MM_HINT_T0);
}

INLINE const uint8_t *
fetch_page_behind(const uint8_t *p)
{
	return p + core_habit.page;
}

/* The lower or higher nibbles of n, and `upper`. */
INLINE vbytes
bytes_join(vbytes n, bool high, vbytes upper)
{
	return bytes_or(high ? bytes_move(n, 4, 0, 15) : bytes_and(n, 15), upper);
}

INLINE vbytes
bytes_triple(vbytes v)
{
	return bytes_add(v, bytes_add(v, v));
}

INLINE vfloats
dot_floats(vints dot)
{
	return ints_to_floats(dot);
}

INLINE vfloats
floats_i8(const uint8_t *plane, uint32_t strip)
{
	return ints_to_floats(ints_i8(plane, strip));
}

INLINE vfloats
floats_u8(const uint8_t *plane, uint32_t strip, int less)
{
	return ints_to_floats(ints_sub(ints_u8(plane, strip), ints_set1(less)));
}

/* 2^(e - 128): half of what the exponent says, because the table's values are doubled. */
INLINE vfloats
floats_exponent(const uint8_t *plane, uint32_t strip)
{
	/* 2^-128 and 2^-127 are subnormal: a bit of the mantissa instead of an exponent. */
	vints e = ints_u8(plane, strip), normal = ints_shl(ints_sub(e, ints_set1(1)), 23);

	return ints_as_floats(
		ints_select_below(e, 2, ints_shl(ints_add(e, ints_set1(1)), 21), normal));
}

#endif
