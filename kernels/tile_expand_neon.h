/* Expanding weights for many columns (rows of activations), in NEON: a part of a row group becomes signed
 * bytes and float scales, small enough for the first-level cache, and all columns are run over it; sums
 * wait in `out` meanwhile. With TILE_PAIRS bytes and scales lie as smmla takes and gives them. Included by
 * tile_gemm_neon.h and tile_gemm_pairs.h. */
#ifndef KERNELS_TILE_EXPAND_NEON_H
#define KERNELS_TILE_EXPAND_NEON_H

#include "kernels/tile_planes_neon.h"
#include "kernels/tile_sums.h"

#ifndef TILE_PAIRS
#define TILE_PAIRS 0
#endif

enum {
	GEMM_GROUPS = 1, /* row groups at a time */
	EXPAND_RUNS =
		TILE_DOTPROD ? 32 : 16, /* of a row group, at a time: 16 or 8 KiB of weights */
	SCALES = TILE_PAIRS ? 2 * ROW_LANES : ROW_LANES
};

/* What is read together lies together. */
struct expanded {
	_Alignas(64) uint8_t w[EXPAND_RUNS][GROUPS][STRIPS][4 * ROW_LANES];
	_Alignas(64) float scale[EXPAND_RUNS][2][STRIPS][SCALES];
	_Alignas(64) float min[EXPAND_RUNS][2][STRIPS][SCALES];
};

/* Weights without the offset of their codes, and with TILE_PAIRS eight of two rows instead of four of four
 * rows in a register. */
INLINE void
order_expanded(enum dtype t, vbytes w[GROUPS])
{
	const int offset = format_offset(t);

	UNROLL
	for (int g = 0; g < GROUPS; g++)
		if (offset >= 0)
			w[g] = vsubq_u8(w[g], vdupq_n_u8((uint8_t)(1 << offset)));
	UNROLL
	for (int g = 0; TILE_PAIRS && g < GROUPS; g += 2) {
		uint32x4_t a = vreinterpretq_u32_u8(w[g]), b = vreinterpretq_u32_u8(w[g + 1]);

		w[g] = vreinterpretq_u8_u32(vzip1q_u32(a, b));
		w[g + 1] = vreinterpretq_u8_u32(vzip2q_u32(a, b));
	}
}

INLINE void
store_scale(float *to, vfloats v)
{
	floats_store(to, TILE_PAIRS ? vzip1q_f32(v, v) : v);
	if (TILE_PAIRS)
		floats_store(to + ROW_LANES, vzip2q_f32(v, v));
}

INLINE void
expand_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	uint32_t run, struct expanded *e, uint32_t to)
{
	const uint32_t halves = format_halves(t) ? 2 : 1;

	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		struct run r;

		take_run(t, &r, head, body, planes, run, strip);
		order_expanded(t, r.w);
		UNROLL
		for (int g = 0; g < GROUPS; g++)
			bytes_store(e->w[to][g][strip], r.w[g]);
		UNROLL
		for (uint32_t h = 0; h < halves; h++) {
			store_scale(e->scale[to][h][strip], r.scale[h]);
			if (format_mins(t))
				store_scale(e->min[to][h][strip], r.min[h]);
		}
	}
}

/* Columns up to which unpacking weights for each DIRECT_COLS of them takes fewer cycles than expanding them once, as
 * tests/arm/counts estimates them. */
INLINE uint32_t
direct_most(enum dtype t)
{
	bool plain = t == DTYPE_Q8_0 || (!TILE_DOTPROD && (t == DTYPE_Q4_0 || t == DTYPE_TQ2_0));

	if (!TILE_DOTPROD && t == DTYPE_Q6_K)
		return 2;
	return plain && !TILE_PAIRS ? 16 : 4;
}

/* Runs [first, first + n); both are multiples of a block's runs, or n ends the row. far: to the group that has its turn
 * next. */
INLINE void
expand(enum dtype t, const uint8_t *group, size_t far, uint32_t runs, uint32_t first, uint32_t n,
	struct expanded *e)
{
	const uint32_t per_block = format_runs(t);
	uint32_t blocks = runs / per_block;

	for (uint32_t i = 0; i < n; i += per_block) {
		_Alignas(32) uint8_t room[SIX_BIT_BYTES];
		const uint8_t *head, *body, *planes;

		block_place(t, group, blocks, (first + i) / per_block, &head, &body);
		planes = take_planes(t, head, body, room);
		fetch_block(t, head, body, far);
		if (runs_roll(t)) {
			for (uint32_t run = 0; run < per_block; run++)
				expand_run(t, head, body, planes, run, e, i + run);
		} else {
			UNROLL
			for (uint32_t run = 0; run < per_block; run++)
				expand_run(t, head, body, planes, run, e, i + run);
		}
	}
}

#endif
