/* Digits of TQ1_0 without vpdpbusd, for few columns (rows of activations). Included by tile_block_avx2.h. */
#ifndef KERNELS_TILE_DIGITS_AVX2_H
#define KERNELS_TILE_DIGITS_AVX2_H

#include "kernels/tile_sums.h"

/* Bytes of which digits are taken, in two registers: those at even and those at odd places, each in the lower byte of
 * 16 bits. Of nine times (or three times) that, the upper byte is the next two digits (or one) as a number, and the
 * lower what further ones are taken from. */
struct ternary {
	__m256i part[2];
};

/* The next `digits` (1 or 2) as a number. first: bytes are where they were loaded, the odd ones in upper bytes. */
INLINE vbytes
ternary_next(struct ternary *t, bool first, int digits)
{
	const int by = digits == 2 ? 9 : 3;

	t->part[0] = _mm256_maddubs_epi16(t->part[0], _mm256_set1_epi16((short)by));
	t->part[1] =
		_mm256_maddubs_epi16(t->part[1], _mm256_set1_epi16((short)(first ? by * 256 : by)));
	return _mm256_or_si256(_mm256_srli_epi16(t->part[0], 8),
		_mm256_and_si256(t->part[1], _mm256_set1_epi16((short)0xff00)));
}

/* The first digit, and the second, of such a number. */
static const uint8_t ternary_digits[2][16] = {
	{0, 0, 0, 1, 1, 1, 2, 2, 2}, {0, 1, 2, 0, 1, 2, 0, 1, 2}};

/* Products of all digits of a strip's bytes at p, the from-th of TERNARY_BYTES, with activations from q on, `stride`
 * bytes from one column to the next. dot: of runs from `first` on. */
INLINE void
ternary_products(const uint8_t *p, int from, uint32_t first, const int8_t *q, size_t stride,
	uint32_t n, struct dot dot[][DIRECT_COLS])
{
	const int digits = from == 12 ? 4 : 5;
	struct ternary v = {{bytes_load(p), bytes_load(p)}};
	vbytes number = bytes_load(p);

	UNROLL
	for (int k = 0; k < digits; k++) {
		/* where ternary_bytes() and ternary_place() say `from` and k */
		const int run = from < 8 ? k : from == 12 ? 7 : 5 + k / 2;
		const int group = from < 8 ? from : from == 12 ? 4 + k : from - 8 + k % 2 * 4;
		const int step = from < 8 || run == 7 ? group : 2 * (from - 8) + k % 2;
		vbytes w;

		if (k % 2 == 0)
			number = ternary_next(&v, k == 0, k == 4 ? 1 : 2);
		w = k == 4 ? number : bytes_lookup(number, ternary_digits[k % 2]);
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			dot_step(&dot[run - (int)first][i], step, GROUPS, w,
				q + run * BLOCK + i * stride, group, 3);
	}
}

/* `some` runs of a strip that are digits of the same `loads` times 64 bytes. */
INLINE void
ternary_runs(const uint8_t *head, const uint8_t *body, struct ahead ahead, const struct act *x,
	size_t runs, uint32_t n, uint32_t strip, uint32_t first, vfloats f[DIRECT_COLS])
{
	const struct run r = {.scale = {floats_f16(head, strip)}};
	const uint32_t some = first == 0 ? 5 : 3, loads = first == 0 ? 8 : 5;
	const uint32_t from = first == 0 ? 0 : 8;
	struct dot dot[5][DIRECT_COLS];
	const int8_t *q = x->q;

	/* Or activations of all strips would be kept, on the stack. */
	__asm__ volatile("" : "+r"(q));
	UNROLL
	for (uint32_t i = 0; i < some * n; i++)
		dot[i / n][i % n] =
			dot_begin(run_start(DTYPE_TQ1_0, x, first + i / n + i % n * runs, 0));
	UNROLL
	for (uint32_t i = from; i < from + loads; i++) {
		fetch_part(DTYPE_TQ1_0, ahead, TERNARY_BYTES * strip + i, TERNARY_BYTES * STRIPS);
		ternary_products(body + 64 * i + strip * 4 * ROW_LANES, (int)i, first, q,
			runs * BLOCK, n, dot);
	}
	UNROLL
	for (uint32_t i = 0; i < some * n; i++)
		f[i % n] = add_dot(
			&r, x, first + i / n + i % n * runs, 0, dot[i / n][i % n].sum, f[i % n]);
}

/* All runs of a strip of a block. */
INLINE void
ternary_strip(const uint8_t *head, const uint8_t *body, struct ahead ahead, const struct act *x,
	size_t runs, uint32_t n, uint32_t strip, vfloats f[DIRECT_COLS])
{
	ternary_runs(head, body, ahead, x, runs, n, strip, 0, f);
	ternary_runs(head, body, ahead, x, runs, n, strip, 5, f);
}

#endif
