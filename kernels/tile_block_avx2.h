/* One block of weights and few columns (rows of activations), unpacked in 256-bit registers, which hold one of the two
 * strips of a row group. Included by a set's file after its tile_*.h, before tile_direct.h.
 *
 * What limits this is how many instructions there are, nearly four a cycle on Zen 5. So codes are multiplied where they
 * lie, as far as products allow; what all strips have in common is made once a block and loaded from memory. */
#ifndef KERNELS_TILE_BLOCK_AVX2_H
#define KERNELS_TILE_BLOCK_AVX2_H

#include "kernels/tile_scales_avx2.h"
#include "kernels/tile_sums.h"

#if TILE_VNNI
#include "kernels/tile_ternary.h"
#else
#include "kernels/tile_digits_avx2.h"
#endif

enum {
	BLOCK_RUNS =
		ROW_LANES, /* runs in a block: what is the same for a run fills a register for all */
	SIDES = STRIPS     /* strips side by side, at most */
};

/* --- activations --- */

/* What the strips of a block need of its columns: of blocks of 256 where sums start and the sums of activations, of
 * weights out of tables the activations' sizes. */
struct columns {
	int32_t start[DIRECT_COLS][2][BLOCK_RUNS];
	float sum[DIRECT_COLS][2][BLOCK_RUNS];
	_Alignas(32) int8_t size[DIRECT_COLS][BLOCK_RUNS * BLOCK];
};

/* Weights are out of a table that has signs. */
INLINE bool
format_signed(enum dtype t)
{
	return !WIDE_UNSIGNED && (t == DTYPE_IQ4_NL || t == DTYPE_IQ4_XS);
}

INLINE vints
ints_load(const int32_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Of one column's block that begins at `at`. */
INLINE void
take_sums(enum dtype t, const struct act *x, size_t at, int32_t start[2][BLOCK_RUNS],
	float sum[2][BLOCK_RUNS])
{
	const int halves = format_halves(t) ? 2 : 1;

	UNROLL
	for (int h = 0; h < halves; h++) {
		vints v = ints_load(x->sum + at);

		if (halves == 2) {
			vints half = ints_load(x->half + at);

			v = h == 0 ? half : ints_sub(v, half);
		}
		if (format_mins(t))
			floats_store(sum[h], ints_to_floats(v));
		else if (format_offset(t) >= 0)
			_mm256_storeu_si256((__m256i *)(void *)start[h],
				ints_sub(ints_set1(DOT_ZERO), ints_shl(v, format_offset(t))));
	}
}

INLINE void
take_columns(
	enum dtype t, const struct act *x, size_t at, size_t runs, uint32_t n, struct columns *c)
{
	const uint32_t sizes = format_signed(t) ? format_runs(t) : 0;

	UNROLL
	for (uint32_t i = 0; i < n; i++) {
		UNROLL
		for (uint32_t run = 0; run < sizes; run++) {
			const int8_t *q = x->q + (at + i * runs + run) * BLOCK;

			bytes_store((uint8_t *)c->size[i] + run * BLOCK,
				_mm256_abs_epi8(bytes_load((const uint8_t *)q)));
		}
		if (format_runs(t) == BLOCK_RUNS)
			take_sums(t, x, at + i * runs, c->start[i], c->sum[i]);
	}
	/* They are to be read from memory, not taken out of registers again. */
	__asm__("" : "+m"(*c));
}

/* Where the sum of half h of column i starts. at: the run's place in that column. */
INLINE vints
column_start(enum dtype t, const struct columns *c, uint32_t i, int h, uint32_t run,
	const struct act *x, size_t at)
{
	if (format_runs(t) == 1 || format_offset(t) < 0)
		return run_start(t, x, at, h);
	return ints_set1(c->start[i][h][run]);
}

/* --- products --- */

/* Where strips of a run and columns lie. What bounds loops is not in here: the compiler would see too late that it is
 * constant. */
struct place {
	const uint8_t *body;       /* of the first strip's bytes in the block's body */
	const int8_t *q;           /* of the run in the first column, */
	size_t stride;             /* bytes from there to the next */
	const int8_t *sizes;       /* of the same, BLOCK_RUNS * BLOCK bytes from one to the next */
	const struct ahead *ahead; /* of one column, to be asked for in between; else NULL */
};

/* Asks for the part-th of `parts` parts of that. */
INLINE void
place_fetch(enum dtype t, const struct place *p, int part, int parts)
{
	if (p->ahead != NULL)
		fetch_share(*p->ahead, format_bytes(t) / format_runs(t), (uint32_t)part,
			(uint32_t)parts);
}

/* Adds products of n columns and a strip's group, in step `step` of its half. */
INLINE void
strip_add(enum dtype t, const struct place *p, uint32_t n, int step, vbytes w, int group,
	struct dot dot[DIRECT_COLS][2])
{
	const int halves = format_halves(t) ? 2 : 1, h = halves == 2 ? group / 4 : 0;

	UNROLL
	for (uint32_t i = 0; i < n; i++) {
		const int8_t *q = p->q + i * p->stride;

		if (format_signed(t))
			table_step(&dot[i][h], w, q, p->sizes + i * BLOCK_RUNS * BLOCK, group);
		else
			dot_step(&dot[i][h], step, GROUPS / halves, w, q, group,
				format_most(t, false));
	}
}

/* Pair after pair of groups as they are unpacked: of 16 registers there are not enough for the weights of a run. */
INLINE void
multiply_groups(enum dtype t, const struct place *p, uint32_t run, uint32_t sides, uint32_t n,
	struct dot dot[SIDES][DIRECT_COLS][2])
{
	UNROLL
	for (int g = 0; g < GROUPS / 2; g++) {
		vbytes pair[SIDES][2];

		UNROLL
		for (uint32_t s = 0; s < sides; s++)
			take_groups(t, p->body, run, s, g, pair[s]);
		UNROLL
		for (uint32_t i = 0; i < 2 * sides; i++) {
			int second = (int)(i / sides), group = format_group(t, g, second);

			strip_add(t, p, n, format_halves(t) ? group % 4 : 2 * g + second,
				pair[i % sides][second], group, dot[i % sides]);
			place_fetch(t, p, (int)(2 * sides) * g + (int)i, (int)sides * GROUPS);
		}
	}
}

/* Codes of two bits: every second one stays where it is, as four times itself. */
INLINE void
multiply_pairs(enum dtype t, const struct place *p, uint32_t run, uint32_t sides, uint32_t n,
	struct dot dot[SIDES][DIRECT_COLS][2])
{
	const int halves = format_halves(t) ? 2 : 1, steps = GROUPS / halves;
	const uint8_t *w = p->body + format_front(t) + run * format_step(t);

	UNROLL
	for (int h = 0; h < halves; h++) {
		struct pair_dot pairs[SIDES][DIRECT_COLS];

		UNROLL
		for (uint32_t i = 0; i < sides * n; i++)
			pairs[i / n][i % n] = pair_begin(dot[i / n][i % n][h].sum);
		UNROLL
		for (int step = 0; step < steps; step++) {
			const int group = h * steps + step;

			UNROLL
			for (uint32_t i = 0; i < sides * n; i++) {
				vbytes v = bytes_load(w + group / 4 * 64 + i / n * 4 * ROW_LANES);

				pair_step(&pairs[i / n][i % n], step,
					bytes_move(v, group % 4 / 2 * 4, 0, step % 2 ? 12 : 3),
					p->q + i % n * p->stride, group);
			}
			place_fetch(t, p, group, GROUPS);
		}
		UNROLL
		for (uint32_t i = 0; i < sides * n; i++)
			dot[i / n][i % n][h].sum = pair_sum(&pairs[i / n][i % n]);
	}
}

/* The third bits of four codes, a nibble, at bits 2 and 6: those of the first and third code, or second and fourth. */
static const uint8_t third_bits[2][16] = {
	{0, 4, 0, 4, 64, 68, 64, 68, 0, 4, 0, 4, 64, 68, 64, 68},
	{0, 0, 4, 4, 0, 0, 4, 4, 64, 64, 68, 68, 64, 64, 68, 68},
};

/* Codes of three bits, put together two to a byte. */
INLINE void
multiply_triples(enum dtype t, const struct place *p, uint32_t run, uint32_t sides, uint32_t n,
	struct dot dot[SIDES][DIRECT_COLS][2])
{
	const uint8_t *w = p->body + format_front(t) + run * format_step(t);

	UNROLL
	for (int i = 0; i < 4; i++) {
		const int h = i / 2, odd = i % 2;
		vbytes two[SIDES];

		UNROLL
		for (uint32_t s = 0; s < sides; s++) {
			const uint8_t *from = w + s * 4 * ROW_LANES;
			vbytes third = bytes_move(bytes_load(from + 128), 4 * h, 0, 15);

			two[s] = bytes_or(bytes_move(bytes_load(from + 64 * h), 2 * odd, 0, 0x33),
				bytes_lookup(third, third_bits[odd]));
		}
		UNROLL
		for (uint32_t k = 0; k < 2 * sides; k++) {
			const int second = (int)(k / sides);

			strip_add(t, p, n, 2 * odd + second,
				bytes_move(two[k % sides], 4 * second, 0, 15),
				4 * h + 2 * second + odd, dot[k % sides]);
		}
		place_fetch(t, p, i, 4);
	}
}

/* --- runs --- */

/* The rule of kernels.h for a strip's run and column i, whose place is `at`. */
INLINE vfloats
add_column(enum dtype t, const struct run *r, const struct dot dot[2], const struct columns *c,
	uint32_t i, uint32_t run, const struct act *x, size_t at, vfloats f)
{
	const int halves = format_halves(t) ? 2 : 1, mins = format_mins(t) ? halves : 0;

	UNROLL
	for (int h = 0; h < halves; h++)
		f = add_dot(r, x, at, h, dot[h].sum, f);
	if (format_runs(t) == 1)
		return add_mins(t, r, x, at, f);
	UNROLL
	for (int h = 0; h < mins; h++)
		f = floats_fma(floats_mul(r->min[h], floats_set1(x->d[at])),
			floats_set1(c->sum[i][h][run]), f);
	return f;
}

/* `sides` strips of a run from `strip` on, and n columns, the first of which has the run at `at`. */
INLINE void
direct_strips(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *scales,
	const struct columns *c, uint32_t run, uint32_t strip, uint32_t sides,
	const struct ahead *ahead, const struct act *x, size_t at, size_t runs, uint32_t n,
	vfloats f[STRIPS][DIRECT_COLS])
{
	const int halves = format_halves(t) ? 2 : 1;
	struct place p = {.body = body + strip * 4 * ROW_LANES,
		.q = x->q + at * BLOCK,
		.stride = runs * BLOCK,
		.sizes = c->size[0] + run * BLOCK,
		.ahead = ahead};
	struct dot dot[SIDES][DIRECT_COLS][2];

	/* Or what the other strip has loaded would be kept, in memory. */
	__asm__ volatile("" : "+r"(p.q));
	UNROLL
	for (uint32_t i = 0; i < sides * n; i++) {
		UNROLL
		for (int h = 0; h < halves; h++)
			dot[i / n][i % n][h] =
				dot_begin(column_start(t, c, i % n, h, run, x, at + i % n * runs));
	}
	/* With vpdpbusd, what is saved is less than that sums of two columns then lack registers. */
	if ((t == DTYPE_Q2_K || t == DTYPE_TQ2_0) && (n == 1 || !TILE_VNNI))
		multiply_pairs(t, &p, run, sides, n, dot);
	else if (t == DTYPE_Q3_K)
		multiply_triples(t, &p, run, sides, n, dot);
	else
		multiply_groups(t, &p, run, sides, n, dot);
	UNROLL
	for (uint32_t s = 0; s < sides; s++) {
		struct run r;

		strip_scales(t, &r, head, body, scales, run, strip + s);
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			f[strip + s][i] = add_column(
				t, &r, dot[s][i], c, i, run, x, at + i * runs, f[strip + s][i]);
	}
}

/* All strips of a run. One column meets both at once, so that its activations are loaded once for them; of two, the sums
 * fill the registers. */
INLINE void
direct_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *scales,
	const struct columns *c, uint32_t run, const struct ahead *ahead, const struct act *x,
	size_t at, size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t sides = n == 1 ? SIDES : 1;

	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip += sides)
		direct_strips(
			t, head, body, scales, c, run, strip, sides, ahead, x, at, runs, n, f);
}

/* All runs of a block. at: the place of the first in the first column's arrays; ahead: as in tile_direct.h.
 *
 * Runs are a loop that stays one, as in tile_block.h. */
INLINE void
direct_block(enum dtype t, const uint8_t *head, const uint8_t *body, struct ahead ahead,
	const struct act *x, size_t at, size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t per_block = format_runs(t), step = format_bytes(t) / per_block;
	const bool spread = fetch_in_parts(n);
	_Alignas(32) uint8_t room[SCALES_BYTES];
	const uint8_t *scales = block_scales(t, head, body, room);
	struct columns c;

	if (!runs_roll(t)) { /* TQ1_0 */
		const struct act here = acts_from(x, at);

		UNROLL
		for (uint32_t strip = 0; strip < STRIPS; strip++)
			ternary_strip(head, body, ahead, &here, runs, n, strip, f[strip]);
		return;
	}
	take_columns(t, x, at, runs, n, &c);
	for (uint32_t run = 0; run < per_block; run++, ahead.at += step) {
		if (!spread)
			fetch_lines(ahead, 0, (step + 63) / 64);
		direct_run(t, head, body, scales, &c, run, spread ? &ahead : NULL, x, at + run,
			runs, n, f);
	}
}

#endif
