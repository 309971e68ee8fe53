/* Weights for many columns (rows of activations), on x86: a part of some strips is expanded once to bytes and float
 * scales, small enough for a cache near the core, and all columns are run over it; sums wait in `out` meanwhile. Included
 * by tile_gemm*.h, which say how columns are run, over how many strips (GEMM_STRIPS) and whether also over those that are
 * not there (EXPAND_ABSENT), and whether bytes are codes or weights (EXPAND_WEIGHTS). */
#ifndef KERNELS_TILE_EXPAND_X86_H
#define KERNELS_TILE_EXPAND_X86_H

#include "kernels/tile_sums.h"

enum {
	EXPAND_RUNS = 16, /* of a strip, at a time */
	GEMM_GROUPS = GEMM_STRIPS / STRIPS
};

_Static_assert(TILE_SECTION % (EXPAND_RUNS * BLOCK) == 0,
	"what is expanded at a time lies in one section");

struct expanded {
	_Alignas(64) uint8_t w[EXPAND_RUNS][GROUPS][4 * ROW_LANES];
	_Alignas(64) float scale[EXPAND_RUNS][2][ROW_LANES];
	_Alignas(64) float min[EXPAND_RUNS][2][ROW_LANES];
};

/* Codes less what they are above weights, as signed bytes. */
INLINE vbytes
codes_to_weights(enum dtype t, vbytes codes)
{
	return format_offset(t) < 0
		       ? codes
		       : bytes_add(codes, bytes_set1((uint8_t)(256 - (1 << format_offset(t)))));
}

/* Runs [first, first + n) of one strip; both are multiples of a block's runs, or n ends the row. far: to the group
 * that has its turn next. */
INLINE void
expand(enum dtype t, const uint8_t *group, size_t far, uint32_t runs, uint32_t strip,
	uint32_t first, uint32_t n, struct expanded *e)
{
	uint32_t per_block = format_runs(t), blocks = runs / per_block;
	uint32_t halves = format_halves(t) ? 2 : 1;
	const uint8_t *head, *body;

	block_place(t, group, blocks, first / per_block, &head, &body);
	for (uint32_t i = 0; i < n;
		i += per_block, head += format_head(t), body += format_body(t)) {
		if (strip == 0)
			fetch_block(t, head, body, far);
		UNROLL
		for (uint32_t run = 0; run < per_block; run++) {
			struct run r;

			take_run(t, &r, head, body, NULL, run, strip);
			UNROLL
			for (int g = 0; g < GROUPS; g++)
				bytes_store(e->w[i + run][g],
					EXPAND_WEIGHTS ? codes_to_weights(t, r.w[g]) : r.w[g]);
			UNROLL
			for (uint32_t h = 0; h < halves; h++) {
				floats_store(e->scale[i + run][h], r.scale[h]);
				if (format_mins(t))
					floats_store(e->min[i + run][h], r.min[h]);
			}
		}
	}
}

/* All columns over expanded runs that begin at `first` of the row. */
INLINE void gemm_columns(enum dtype t, const struct expanded e[GEMM_STRIPS], uint32_t first,
	uint32_t n_runs, const struct act *x, const struct sums *sums);

/* GEMM_GROUPS row groups, `stride` bytes apart, of which some may not be there: their sums have no rows then, and where
 * all strips are run over nevertheless, they are the first once more. */
INLINE void
expanded_columns(enum dtype t, const uint8_t *group, size_t stride, const struct act *x,
	const struct sums *sums)
{
	uint32_t runs = block_count(x->cols);
	struct expanded e[GEMM_STRIPS];

	for (uint32_t first = 0; first < runs; first += EXPAND_RUNS) {
		uint32_t n_runs = runs - first < EXPAND_RUNS ? runs - first : EXPAND_RUNS;

		for (uint32_t s = 0; s < GEMM_STRIPS; s++)
			if (EXPAND_ABSENT || sums[s].rows > 0)
				expand(t, group + (sums[s].rows > 0 ? s / STRIPS * stride : 0),
					GEMM_GROUPS * stride, runs, s % STRIPS, first, n_runs,
					&e[s]);
		gemm_columns(t, e, first, n_runs, x, sums);
	}
}

/* How many columns of a matrix of floats are done in another way than float_columns(): none. */
INLINE uint32_t
wide_columns(
	enum dtype t, const uint8_t *group, const struct act *x, const struct sums sums[STRIPS])
{
	(void)t;
	(void)group;
	(void)x;
	(void)sums;
	return 0;
}

#endif
