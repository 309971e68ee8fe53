/* One block of weights and few columns (rows of activations), in NEON. Included by a set's file after its tile_*.h,
 * before tile_direct.h.
 *
 * The two pipes that calculate are what limits this, not the loads. So a run is taken strip after strip: few registers
 * are in use at a time. What is the same for many strips or runs is worked out once and lies in memory, from where it
 * is loaded anew each time: instructions that overwrite an operand (sums, inserted bits) then need no copy. */
#ifndef KERNELS_TILE_BLOCK_NEON_H
#define KERNELS_TILE_BLOCK_NEON_H

#include "kernels/tile_planes_neon.h"
#include "kernels/tile_sums.h"

/* What is taken from what scale_bits() makes of the scales and mins of a block of 256. */
struct less {
	_Alignas(16) float d[STRIPS][ROW_LANES];
	_Alignas(16) float m[STRIPS][ROW_LANES];
};

/* Floats d and m of such a block. */
struct heads {
	vfloats d[STRIPS], m[STRIPS];
	struct less *less;
	const struct scale_table *table;
};

/* What a run's columns have in common for all strips. */
struct columns {
	int8x16_t q[DIRECT_COLS][GROUPS];
	const int32_t *start[DIRECT_COLS][2];      /* of the sum of each half, for all lanes */
	float d[DIRECT_COLS], sum[DIRECT_COLS][2]; /* of the activations */
};

enum { SIDES = 2 /* strips side by side, at most */ };

/* Strips side by side: two where sums wait long for one another, because products of 8 bits are widened (and the
 * queues of cores without sdot are short) or because nothing is unpacked between them. */
INLINE uint32_t
side_strips(enum dtype t)
{
	return TILE_DOTPROD && t != DTYPE_Q8_0 ? 1 : SIDES;
}

/* Asks for as many lines of what comes later as a run has, with the first also for those of what is beside the runs. */
INLINE void
fetch_step(enum dtype t, const uint8_t *ahead, uint32_t run)
{
	const uint32_t beside = format_head(t) + format_front(t);
	const uint8_t *p = ahead + FETCH_FAR + beside + (size_t)run * format_step(t);

	if (run == 0) {
		UNROLL
		for (uint32_t i = 0; i < beside; i += 64)
			fetch_far(ahead + FETCH_FAR + i);
	}
	UNROLL
	for (uint32_t i = 0; i < format_step(t); i += 64)
		fetch_far(p + i);
}

/* --- scales --- */

INLINE void
take_heads(enum dtype t, const uint8_t *head, struct heads *h, struct less *less)
{
	h->less = less;
	h->table = &scale_table;
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip++) {
		h->d[strip] = floats_f16(head, strip);
		if (t == DTYPE_TQ1_0 || t == DTYPE_TQ2_0)
			continue;
		floats_store(less->d[strip],
			floats_mul(h->d[strip], floats_set1(-scale_zero(scale_offset(t)))));
		if (format_mins(t)) {
			h->m[strip] = floats_f16(head + 32, strip);
			floats_store(less->m[strip],
				floats_mul(h->m[strip], floats_set1(-scale_zero(0))));
		}
	}
}

/* The scales (second: mins) of half h of a run: bytes, of all strips. */
INLINE vbytes
scale_plane(enum dtype t, const uint8_t *body, const vbytes planes[4], uint32_t run, uint32_t h,
	bool second)
{
	vbytes v;

	switch (t) {
	case DTYPE_Q2_K:
		v = bytes_load(body + 16 * (2 * run + h));
		return second ? v >> (uint8_t)4 : bytes_and(v, 15);
	case DTYPE_Q6_K:
		return bytes_xor(bytes_load(body + 16 * (2 * run + h)), TILE_DOTPROD ? 128 : 0);
	case DTYPE_IQ4_XS:
		return planes[run % 4];
	case DTYPE_Q3_K:
		return planes[run % 2 * 2 + h];
	default:
		return planes[run % 2 * 2 + second];
	}
}

/* d times a strip's bytes of a plane: in the bits of a large float, which `less` takes away again. This is exact as d
 * has 11 bits. (Where the product is 0 its sign may be another. It shows in no sum but one of which nothing is left
 * but underflow.) */
INLINE vfloats
scale_strip(enum dtype t, vbytes plane, uint32_t strip, struct heads *h, bool second)
{
	vfloats bits = scale_bits(plane, strip, second ? 0 : scale_offset(t), &h->table);

	return second ? floats_fma(bits, h->m[strip], floats_load(h->less->m[strip]))
		      : floats_fma(bits, h->d[strip], floats_load(h->less->d[strip]));
}

/* The scales and mins of a run, for one strip. */
INLINE void
block_scales(enum dtype t, struct run *r, struct heads *heads, const uint8_t *head,
	const uint8_t *body, const vbytes planes[4], uint32_t run, uint32_t strip)
{
	const uint32_t halves = format_halves(t) ? 2 : 1;

	if (format_runs(t) == 1) {
		take_scales(t, r, head, body, NULL, run, strip);
		return;
	}
	UNROLL
	for (uint32_t h = 0; h < halves; h++) {
		if (t == DTYPE_TQ1_0 || t == DTYPE_TQ2_0)
			r->scale[h] = heads->d[strip];
		else
			r->scale[h] = scale_strip(t, scale_plane(t, body, planes, run, h, false),
				strip, heads, false);
		if (format_mins(t))
			r->min[h] = scale_strip(
				t, scale_plane(t, body, planes, run, h, true), strip, heads, true);
	}
}

/* --- weights --- */

INLINE const uint8_t *
strip_weights(enum dtype t, const uint8_t *body, uint32_t run, uint32_t strip)
{
	return body + format_front(t) + run * format_step(t) + strip * 4 * ROW_LANES;
}

/* The bits above the nibbles of a strip's run, in places from where few operations bring them into codes: Q6_K: of
 * groups 4v, 4v + 2 (v[2v]) and 4v + 1, 4v + 3 (v[2v + 1]), the first of both at bit 0, the second at bit 4. */
struct upper {
	vbytes v[4];
};

INLINE void
take_upper(enum dtype t, const uint8_t *w, struct upper *u)
{
	UNROLL
	for (int i = 0; i < 2 && t == DTYPE_Q6_K; i++) {
		vbytes p = bytes_load(w + 256 + 64 * i);

		u->v[2 * i] = bytes_and(p, 0x33);
		u->v[2 * i + 1] = bytes_and(p >> (uint8_t)2, 0x33);
	}
}

/* Groups g and g + 4 of a strip's run at w. again: the same, to be loaded a second time. */
INLINE void
take_six(const uint8_t *w, const struct upper *u, int g, vbytes pair[2])
{
	vbytes n = bytes_load(w + 64 * g), low = u->v[g % 2], high = u->v[2 + g % 2];

	pair[1] = vsriq_n_u8(g < 2 ? high << (uint8_t)4 : high, n, 4);
	pair[0] = g < 2 ? vsliq_n_u8(n, low, 4) : vbslq_u8(vdupq_n_u8(15), n, low);
}

INLINE void
take_five(const uint8_t *w, const uint8_t *again, int g, vbytes pair[2])
{
	vbytes s = bytes_load(w + 256);

	s = bytes_and(g == 0 ? s : s >> (uint8_t)g, 0x11);
	pair[0] = vsliq_n_u8(bytes_load(again + 64 * g), s, 4);
	pair[1] = vsriq_n_u8(s, bytes_load(w + 64 * g), 4);
}

/* --- runs --- */

/* Whether two bits stay where they are in their bytes, so that they count 1, 4, or 16 fold: sums of them are shifted
 * instead. Where they start counts 16 fold, too. */
INLINE bool
pairs_stay(enum dtype t)
{
	return t == DTYPE_TQ2_0 && TILE_DOTPROD;
}

INLINE void
take_columns(enum dtype t, const struct act *x, size_t at, size_t runs, uint32_t n,
	struct columns *c, int32_t start[DIRECT_COLS][2][ROW_LANES])
{
	const int halves = format_halves(t) ? 2 : 1, mins = format_mins(t) ? halves : 0;

	UNROLL
	for (uint32_t i = 0; i < n; i++) {
		UNROLL
		for (int g = 0; g < GROUPS; g++)
			c->q[i][g] = dot_acts(x->q + (at + i * runs) * BLOCK, g);
		c->d[i] = x->d[at + i * runs];
		UNROLL
		for (int h = 0; h < mins; h++)
			c->sum[i][h] = (float)sum_of(t, x, at + i * runs, h);
		UNROLL
		for (int h = 0; h < halves; h++) {
			c->start[i][h] = format_offset(t) < 0 ? dot_zero : start[i][h];
			if (pairs_stay(t))
				vst1q_s32(start[i][h], ints_set1(-16 * x->sum[at + i * runs]));
			else if (format_offset(t) >= 0)
				vst1q_s32(start[i][h], run_start(t, x, at + i * runs, h));
		}
	}
}

/* The sums of products of a strip whose codes are pairs of bits, at w: those that count most first. */
INLINE void
pair_dots(const uint8_t *w, const struct columns *c, uint32_t n, struct dot dot[DIRECT_COLS][2])
{
	vbytes v[2] = {bytes_load(w), bytes_load(w + 64)};

	UNROLL
	for (uint32_t i = 0; i < n; i++) {
		const int32_t *zero = dot_zero;
		struct dot more = dot[i][0];

		FROM_POINTER(zero);
		UNROLL
		for (int g = 0; g < GROUPS; g += 4)
			dot_multiply(&more, g / 4, 2, bytes_and(v[g / 4], 48), c->q[i][g + 2],
				g + 2, 48);
		more.sum = more.sum >> 2;
		UNROLL
		for (int g = 0; g < GROUPS; g += 4)
			dot_multiply(&more, g / 4, 2, bytes_and(v[g / 4], 12), c->q[i][g + 1],
				g + 1, 12);
		dot[i][0].sum = vsraq_n_s32(vld1q_s32(zero), more.sum, 2);
		UNROLL
		for (int g = 0; g < GROUPS; g += 4) {
			dot_multiply(
				&dot[i][0], g / 2, 4, bytes_and(v[g / 4], 3), c->q[i][g], g, 3);
			dot_multiply(&dot[i][0], g / 2 + 1, 4, v[g / 4] >> (uint8_t)6,
				c->q[i][g + 3], g + 3, 3);
		}
	}
}

/* A strip's groups g and g + 4 (or as format_group() says) times those of all columns. */
INLINE void
multiply_pair(enum dtype t, const vbytes pair[2], int g, const struct columns *c, uint32_t n,
	struct dot dot[DIRECT_COLS][2])
{
	const int halves = format_halves(t) ? 2 : 1;

	UNROLL
	for (uint32_t i = 0; i < 2 * n; i++) {
		int group = format_group(t, g, i % 2);
		int step = halves == 2 ? group % 4 : 2 * g + (int)(i % 2);

		dot_multiply(&dot[i / 2][halves == 2 ? group / 4 : 0], step, GROUPS / halves,
			pair[i % 2], c->q[i / 2][group], group, format_most(t, false));
	}
}

/* The same of all groups of side_strips() strips. */
INLINE void
whole_dots(enum dtype t, const uint8_t *body, uint32_t run, uint32_t strip, const struct columns *c,
	uint32_t n, struct dot dot[SIDES][DIRECT_COLS][2])
{
	const uint32_t side = side_strips(t);
	const uint8_t *w = strip_weights(t, body, run, strip), *again = w;
	struct upper upper[SIDES];

	FROM_POINTER(again);
	UNROLL
	for (uint32_t s = 0; s < side; s++)
		take_upper(t, w + 4 * ROW_LANES * s, &upper[s]);
	UNROLL
	for (int g = 0; g < GROUPS / 2; g++) {
		UNROLL
		for (uint32_t s = 0; s < side; s++) {
			const uint32_t off = 4 * ROW_LANES * s;
			vbytes pair[2];

			if (t == DTYPE_Q6_K)
				take_six(w + off, &upper[s], g, pair);
			else if (t == DTYPE_Q5_0 || t == DTYPE_Q5_1 || t == DTYPE_Q5_K)
				take_five(w + off, again + off, g, pair);
			else
				take_groups(t, body, run, strip + s, g, pair);
			multiply_pair(t, pair, g, c, n, dot[s]);
		}
	}
}

/* The sums of products of side_strips() strips from `strip` on. */
INLINE void
strip_dots(enum dtype t, const uint8_t *body, uint32_t run, uint32_t strip, struct columns *c,
	uint32_t n, vfloats sum[SIDES][DIRECT_COLS][2])
{
	const uint32_t side = side_strips(t);
	const int halves = format_halves(t) ? 2 : 1;
	struct dot dot[SIDES][DIRECT_COLS][2];

	UNROLL
	for (uint32_t i = 0; i < side * n * (uint32_t)halves; i++) {
		const int32_t **start = &c->start[i / side / halves][i / side % halves];
		struct dot *d = &dot[i % side][i / side / halves][i / side % halves];

		if (format_offset(t) >= 0) {
			FROM_POINTER(*start);
			*d = dot_begin(vld1q_s32(*start));
		} else {
			*d = dot_nothing(start);
		}
	}
	if (pairs_stay(t)) {
		UNROLL
		for (uint32_t s = 0; s < side; s++)
			pair_dots(strip_weights(t, body, run, strip + s), c, n, dot[s]);
	} else {
		whole_dots(t, body, run, strip, c, n, dot);
	}
	UNROLL
	for (uint32_t i = 0; i < side * n * (uint32_t)halves; i++) {
		vfloats *v = &sum[i % side][i / side / halves][i / side % halves];

		*v = dot_floats(dot[i % side][i / side / halves][i / side % halves].sum);
		HERE(*v);
	}
}

/* The rule of kernels.h for a strip, once its integer sums are there. */
INLINE void
strip_sums(enum dtype t, const struct run *r, const vfloats sum[DIRECT_COLS][2], struct columns *c,
	uint32_t n, vfloats f[DIRECT_COLS])
{
	const int halves = format_halves(t) ? 2 : 1, mins = format_mins(t) ? halves : 0;

	UNROLL
	for (uint32_t i = 0; i < n; i++) {
		vfloats d;

		if (TILE_DOTPROD)
			HERE(c->d[i]);
		d = floats_set1(c->d[i]);
		UNROLL
		for (int h = 0; h < halves; h++)
			f[i] = floats_fma(floats_mul(r->scale[h], d), sum[i][h], f[i]);
		UNROLL
		for (int h = 0; h < mins; h++) {
			HERE(c->sum[i][h]);
			f[i] = format_runs(t) == 1 ? floats_fma(floats_mul(r->min[h], d),
							     floats_set1(c->sum[i][h]), f[i])
						   : vfmsq_f32(f[i], floats_mul(r->min[h], d),
							     floats_set1(c->sum[i][h]));
		}
	}
}

INLINE void
block_run(enum dtype t, const uint8_t *head, const uint8_t *body, struct heads *heads,
	const vbytes planes[4], uint32_t run, const struct act *x, size_t at, size_t runs,
	uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t side = side_strips(t);
	_Alignas(16) int32_t start[DIRECT_COLS][2][ROW_LANES];
	struct columns c;

	take_columns(t, x, at, runs, n, &c, start);
	if (format_runs(t) > 1)
		FROM_MEMORY(*heads->less);
	UNROLL
	for (uint32_t strip = 0; strip < STRIPS; strip += side) {
		vfloats sum[SIDES][DIRECT_COLS][2];

		strip_dots(t, body, run, strip, &c, n, sum);
		UNROLL
		for (uint32_t s = 0; s < side; s++) {
			struct run r;

			block_scales(t, &r, heads, head, body, planes, run, strip + s);
			strip_sums(t, &r, sum[s], &c, n, f[strip + s]);
		}
	}
}

/* How many runs have the six bits of their scales in the same planes; 1: others. */
INLINE uint32_t
joint_runs(enum dtype t)
{
	switch (t) {
	case DTYPE_Q3_K:
	case DTYPE_Q4_K:
	case DTYPE_Q5_K:
		return 2;
	case DTYPE_IQ4_XS:
		return 4;
	default:
		return 1;
	}
}

/* All runs of a block. at: the place of the first in the first column's arrays; runs: from one column to the next;
 * ahead: as in tile_direct.h. */
INLINE void
direct_block(enum dtype t, const uint8_t *head, const uint8_t *body, struct ahead ahead,
	const struct act *x, size_t at, size_t runs, uint32_t n, vfloats f[STRIPS][DIRECT_COLS])
{
	const uint32_t per_block = format_runs(t), joint = runs_roll(t) ? joint_runs(t) : per_block;
	const uint8_t *pairs = t == DTYPE_IQ4_XS ? head + 32 : body + 128;
	struct heads heads;
	struct less less;

	if (per_block > 1)
		take_heads(t, head, &heads, &less);
	for (uint32_t run = 0; run < per_block; run += joint) {
		vbytes planes[4];

		if (joint_runs(t) > 1)
			join_planes(body + 32 * (run / joint), pairs + 16 * (run / joint), planes);
		UNROLL
		for (uint32_t i = 0; i < joint; i++) {
			if (runs_roll(t))
				fetch_step(t, ahead.at, run + i);
			else
				fetch_part(t, ahead, run + i, per_block);
			block_run(t, head, body, &heads, planes, run + i, x, at + run + i, runs, n,
				f);
		}
	}
}

#endif
