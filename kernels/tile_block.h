/* One block of weights and few columns (rows of activations), unpacked in registers that hold all rows of a group.
 * Included by a set's file after its tile_*.h, before tile_direct.h; others have tile_block_avx2.h or
 * tile_block_neon.h instead. */
#ifndef KERNELS_TILE_BLOCK_H
#define KERNELS_TILE_BLOCK_H

#include "kernels/tile_planes_avx512.h"
#include "kernels/tile_ternary.h"

/* Where one column is multiplied, what is ahead is asked for in parts: half of them while a run is unpacked, half while
 * it is multiplied. */
INLINE void
run_fetch(enum dtype t, const struct ahead *ahead, int part)
{
	if (ahead != NULL)
		fetch_share(*ahead, format_bytes(t) / format_runs(t), (uint32_t)part, GROUPS);
}

/* All of a run, as take_run() does it in one go. ahead: NULL, or to be asked for. */
INLINE void
unpack_run(enum dtype t, struct run *r, const uint8_t *head, const uint8_t *body,
	const uint8_t *planes, uint32_t run, const struct ahead *ahead)
{
	UNROLL
	for (int g = 0; g < GROUPS / 2; g++) {
		vbytes pair[2];

		take_groups(t, body, run, 0, g, pair);
		r->w[format_group(t, g, 0)] = pair[0];
		r->w[format_group(t, g, 1)] = pair[1];
		run_fetch(t, ahead, g);
	}
	take_scales(t, r, head, body, planes, run, 0);
}

/* And one column, whose run is at `at`. */
INLINE vfloats
add_run(enum dtype t, const struct run *r, const struct act *x, size_t at,
	const struct ahead *ahead, vfloats f)
{
	const int halves = format_halves(t) ? 2 : 1, groups = GROUPS / halves;
	const int8_t *q = x->q + at * BLOCK;

	UNROLL
	for (int h = 0; h < halves; h++) {
		struct dot d = dot_begin(run_start(t, x, at, h));

		UNROLL
		for (int g = h * groups; g < (h + 1) * groups; g++) {
			dot_step(&d, g - h * groups, groups, r->w[g], q, g, format_most(t, false));
			if (g % 2 == 1)
				run_fetch(t, ahead, (GROUPS + g) / 2);
		}
		f = add_dot(r, x, at, h, d.sum, f);
	}
	return add_mins(t, r, x, at, f);
}

/* A run of a block and n columns, the first of which has the run at `at`. */
INLINE void
direct_run(enum dtype t, const uint8_t *head, const uint8_t *body, const uint8_t *planes,
	uint32_t run, const struct ahead *ahead, const struct act *x, size_t at, size_t runs,
	uint32_t n, vfloats f[DIRECT_COLS])
{
	struct run r;

	unpack_run(t, &r, head, body, planes, run, ahead);
	UNROLL
	for (uint32_t i = 0; i < n; i++)
		f[i] = add_run(t, &r, x, at + i * runs, ahead, f[i]);
}

/* All runs of a block. at: the place of the first in the first column's arrays; ahead: as in tile_direct.h.
 *
 * Where runs are alike, they are a loop that stays one: unrolled, K-quants lose up to a tenth of the speed of memory on
 * Zen 5, although the same lines are asked for in the same order. */
INLINE void
direct_block(enum dtype t, const uint8_t *head, const uint8_t *body, struct ahead ahead,
	const struct act *x, size_t at, size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t per_block = format_runs(t), step = format_bytes(t) / per_block;
	const bool spread = fetch_in_parts(n);
	_Alignas(64) uint8_t room[SIX_BIT_BYTES];
	const uint8_t *planes = take_planes(t, head, body, room);

	if (t == DTYPE_TQ1_0 && n <= TERNARY_COLS) {
		const struct act here = acts_from(x, at);

		ternary_strip(head, body, ahead, &here, runs, n, 0, f[0]);
		return;
	}
	if (runs_roll(t)) {
		for (uint32_t run = 0; run < per_block; run++, ahead.at += step) {
			if (!spread)
				fetch_lines(ahead, 0, (step + 63) / 64);
			direct_run(t, head, body, planes, run, spread ? &ahead : NULL, x, at + run,
				runs, n, f[0]);
		}
		return;
	}
	UNROLL
	for (uint32_t run = 0; run < per_block; run++) {
		fetch_part(t, ahead, run, per_block);
		direct_run(t, head, body, planes, run, NULL, x, at + run, runs, n, f[0]);
	}
}

#endif
