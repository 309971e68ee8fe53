/* From a tile to the numbers that the arithmetic rule works on, in registers: the 32 weights of a run
 * for ROW_LANES rows, their scales and mins. Included by a set's file after its vec_*.h; tiles.h says where
 * the bits lie. Codes stay unsigned where the set multiplies unsigned by signed bytes; format_offset() then
 * says what must be taken from them, by way of the activations' sum. */
#ifndef KERNELS_TILE_FORMATS_H
#define KERNELS_TILE_FORMATS_H

#include "kernels/block.h"
#include "kernels/dtype.h"
#include "kernels/tiles.h"

enum {
	GROUPS = 8,         /* groups of four weights in a run of 32 */
	TERNARY_BYTES = 13, /* and of four bytes in a block of TQ1_0 */
	STRIPS = TILE_ROWS / ROW_LANES
};

struct run {
	vbytes w[GROUPS];
	vfloats scale[2], min[2];
};

/* --- what is fixed for a type --- */

INLINE uint32_t
format_runs(enum dtype t) /* in a block */
{
	switch (t) {
	case DTYPE_Q2_K:
	case DTYPE_Q3_K:
	case DTYPE_Q4_K:
	case DTYPE_Q5_K:
	case DTYPE_Q6_K:
	case DTYPE_IQ4_XS:
	case DTYPE_TQ1_0:
	case DTYPE_TQ2_0:
		return 8;
	default:
		return 1;
	}
}

INLINE uint32_t
format_head(enum dtype t) /* bytes */
{
	switch (t) {
	case DTYPE_MXFP4:
		return 16;
	case DTYPE_Q4_1:
	case DTYPE_Q5_1:
	case DTYPE_Q2_K:
	case DTYPE_Q4_K:
	case DTYPE_Q5_K:
	case DTYPE_IQ4_XS:
		return 64;
	default:
		return 32;
	}
}

/* Bytes of a body in front of the weights of its first run, and of each run's weights. */
INLINE uint32_t
format_front(enum dtype t)
{
	switch (t) {
	case DTYPE_Q2_K:
	case DTYPE_Q6_K:
		return 256;
	case DTYPE_Q3_K:
	case DTYPE_Q4_K:
	case DTYPE_Q5_K:
		return 192;
	case DTYPE_IQ4_XS:
		return 64;
	default:
		return 0;
	}
}

INLINE uint32_t
format_step(enum dtype t)
{
	switch (t) {
	case DTYPE_Q8_0:
		return 512;
	case DTYPE_Q6_K:
		return 256 + 128;
	case DTYPE_Q5_0:
	case DTYPE_Q5_1:
	case DTYPE_Q5_K:
		return 256 + 64;
	case DTYPE_Q3_K:
		return 128 + 64;
	case DTYPE_Q2_K:
	case DTYPE_TQ2_0:
		return 128;
	case DTYPE_TQ1_0:
		return 104; /* 832 in all, not in equal parts */
	default:
		return 256;
	}
}

INLINE uint32_t
format_body(enum dtype t)
{
	return format_front(t) + format_runs(t) * format_step(t);
}

INLINE uint32_t
format_bytes(enum dtype t) /* of a block */
{
	return format_head(t) + format_body(t);
}

INLINE bool
format_halves(enum dtype t)
{
	return t == DTYPE_Q2_K || t == DTYPE_Q3_K || t == DTYPE_Q6_K;
}

INLINE bool
format_mins(enum dtype t)
{
	return t == DTYPE_Q4_1 || t == DTYPE_Q5_1 || t == DTYPE_Q2_K || t == DTYPE_Q4_K ||
	       t == DTYPE_Q5_K;
}

/* Codes need all eight bits. */
INLINE bool
format_wide(enum dtype t)
{
	return t == DTYPE_Q8_0 || t == DTYPE_IQ4_NL || t == DTYPE_IQ4_XS;
}

/* What the codes in struct run are above the weights, as a power of two; -1: nothing. */
INLINE int
format_offset(enum dtype t)
{
	switch (t) {
	case DTYPE_Q8_0:
	case DTYPE_IQ4_NL:
	case DTYPE_IQ4_XS:
		return WIDE_UNSIGNED ? 7 : -1;
	case DTYPE_Q6_K:
		return 5;
	case DTYPE_MXFP4:
		return SIGNED_TABLES ? -1 : 4;
	case DTYPE_Q5_0:
		return 4;
	case DTYPE_Q4_0:
		return 3;
	case DTYPE_Q3_K:
		return 2;
	case DTYPE_TQ1_0:
	case DTYPE_TQ2_0:
		return 0;
	default:
		return -1;
	}
}

/* The largest code in struct run, or the largest weight (positive or negative). */
INLINE int
format_most(enum dtype t, bool weights)
{
	if (weights && format_offset(t) >= 0)
		return 1 << format_offset(t);
	switch (t) {
	case DTYPE_Q8_0:
	case DTYPE_IQ4_NL:
	case DTYPE_IQ4_XS:
		return 255;
	case DTYPE_Q6_K:
		return 63;
	case DTYPE_Q5_0:
	case DTYPE_Q5_1:
	case DTYPE_Q5_K:
		return 31;
	case DTYPE_MXFP4:
		return SIGNED_TABLES ? 12 : 28;
	case DTYPE_Q3_K:
		return 7;
	case DTYPE_Q2_K:
	case DTYPE_TQ1_0:
	case DTYPE_TQ2_0:
		return 3;
	default:
		return 15;
	}
}

/* Whether a loop over the runs of a block can stay one: all are unpacked alike. */
INLINE bool
runs_roll(enum dtype t)
{
	return t != DTYPE_TQ1_0;
}

/* --- weights --- */

/* The run begins with an N part. */
INLINE bool
format_nibbles(enum dtype t)
{
	return t != DTYPE_Q8_0 && t != DTYPE_Q2_K && t != DTYPE_Q3_K && t != DTYPE_TQ1_0 &&
	       t != DTYPE_TQ2_0;
}

/* A run's groups are taken in four pairs, of those that lie in the same bytes: `second` (0 or 1) of pair
 * g. */
INLINE int
format_group(enum dtype t, int g, int second)
{
	return format_nibbles(t) ? g + second * GROUPS / 2 : 2 * g + second;
}

/* Groups g and g + 4 (g < 4): the lower bits of their codes, the N part. */
INLINE void
take_nibbles(vbytes *lo, vbytes *hi, const uint8_t *p, int g)
{
	vbytes v = bytes_load(p + 64 * g);

	*lo = bytes_and(v, 15);
	*hi = bytes_move(v, 4, 0, 15);
}

/* Two bits of a group's codes, put at bit `at`: the P part. Bits of `more` may be there too. */
INLINE vbytes
take_pairs(const uint8_t *p, int group, int at, uint8_t more)
{
	const vbytes v = bytes_load(p + group / 4 * 64);

	if (at == 0 && more == 0)
		return bytes_pair(v, 2 * (group % 4));
	return bytes_move(v, 2 * (group % 4), at, (uint8_t)(3 << at | more));
}

/* One bit of them: the S part. */
INLINE vbytes
take_singles(const uint8_t *p, int group, int at, uint8_t more)
{
	return bytes_move(bytes_load(p), group, at, (uint8_t)(1 << at | more));
}

/* Digit n (0 to 4) of numbers of five ternary digits, which TQ1_0 holds as fractions of 256: times
 * 3^n the digit is what overflows out of the next multiplication by 3. */
INLINE vbytes
ternary_digit(vbytes v, int n)
{
	UNROLL
	for (int i = 0; i < n; i++)
		v = bytes_add(v, bytes_add(v, v));
	return bytes_add(bytes_above(v, 85), bytes_above(v, 170));
}

/* Of which 64 bytes of a block of TQ1_0 a run's group g is a digit: 32 bytes of a row have its weights 0 to 159, a
 * digit each for 32 of them; 16 bytes the next 80; 4 bytes the last 16. All are taken from the first digit on. */
INLINE int
ternary_bytes(uint32_t run, int g)
{
	if (run < 5)
		return g;
	return run == 7 && g >= 4 ? 12 : 8 + g % 4;
}

/* And which. */
INLINE int
ternary_place(uint32_t run, int g)
{
	if (run < 5)
		return (int)run;
	return ternary_bytes(run, g) == 12 ? g % 4 : 2 * ((int)run - 5) + g / 4;
}

INLINE vbytes
take_ternary(const uint8_t *body, uint32_t run, int g)
{
	return ternary_digit(bytes_load(body + 64 * ternary_bytes(run, g)), ternary_place(run, g));
}

/* --- scales --- */

/* Blocks have scales of six bits, in two parts (tiles.h). */
INLINE bool
format_six_bits(enum dtype t)
{
	return t == DTYPE_Q3_K || t == DTYPE_Q4_K || t == DTYPE_Q5_K || t == DTYPE_IQ4_XS;
}

/* Where six bits of a run lie as a byte each once all of a block's are put together (tile_planes_*.h). */
enum { SIX_BIT_BYTES = 256 };

INLINE uint32_t
six_bit_plane(uint32_t run, uint32_t second)
{
	return 32 * run + 16 * second;
}

/* Six bits of a scale or min: four of them and two. */
INLINE vints
six_bits(vints lower, vints upper, int from_lower, int from_upper)
{
	return ints_or(ints_and(ints_shr(lower, from_lower), 15),
		ints_shl(ints_and(ints_shr(upper, from_upper), 3), 4));
}

/* The two of a run, less `less`: bytes of `planes`, where all of a block's are there already, else bits of
 * the body. */
INLINE void
take_six_bits(vfloats v[2], int less, const uint8_t *body, const uint8_t *planes, uint32_t run,
	uint32_t strip)
{
	vints lower, upper, minus = ints_set1(less);
	int at = run % 2 * 4;

	if (planes != NULL) {
		v[0] = floats_u8(planes + six_bit_plane(run, 0), strip, less);
		v[1] = floats_u8(planes + six_bit_plane(run, 1), strip, less);
		return;
	}
	lower = ints_u8(body + 16 * run, strip);
	upper = ints_u8(body + 128 + 16 * (run / 2), strip);
	v[0] = ints_to_floats(ints_sub(six_bits(lower, upper, 0, at), minus));
	v[1] = ints_to_floats(ints_sub(six_bits(lower, upper, 4, at + 2), minus));
}

INLINE void
take_q2_scales(
	struct run *r, const uint8_t *head, const uint8_t *body, uint32_t run, uint32_t strip)
{
	UNROLL
	for (int h = 0; h < 2; h++) {
		vints v = ints_u8(body + 16 * (2 * run + (uint32_t)h), strip);

		r->scale[h] = floats_mul(floats_f16(head, strip), ints_to_floats(ints_and(v, 15)));
		r->min[h] = floats_mul(floats_mul(floats_f16(head + 32, strip), floats_set1(-1.0f)),
			ints_to_floats(ints_shr(v, 4)));
	}
}

/* --- runs --- */

#define WIDE(v)   ((uint8_t)((v) + (WIDE_UNSIGNED ? 128 : 0)))
#define HALVES(v) ((uint8_t)((v) + (SIGNED_TABLES ? 0 : 16)))

static const uint8_t iq4_table[16] = {WIDE(-127), WIDE(-104), WIDE(-83), WIDE(-65), WIDE(-49),
	WIDE(-35), WIDE(-22), WIDE(-10), WIDE(1), WIDE(13), WIDE(25), WIDE(38), WIDE(53), WIDE(69),
	WIDE(89), WIDE(113)};
static const uint8_t mxfp4_table[16] = {HALVES(0), HALVES(1), HALVES(2), HALVES(3), HALVES(4),
	HALVES(6), HALVES(8), HALVES(12), HALVES(0), HALVES(-1), HALVES(-2), HALVES(-3), HALVES(-4),
	HALVES(-6), HALVES(-8), HALVES(-12)};

/* Pair g of groups of run `run` (constants where loops are unrolled) of a block, whose body is at
 * `body`; `strip` times the bytes of one is added here. */
INLINE void
take_groups(enum dtype t, const uint8_t *body, uint32_t run, uint32_t strip, int g, vbytes pair[2])
{
	const uint8_t *w = body + format_front(t) + run * format_step(t) + strip * 4 * ROW_LANES;
	const uint8_t *upper = w + (t == DTYPE_Q3_K ? 128 : 256);

	if (format_nibbles(t))
		take_nibbles(&pair[0], &pair[1], w, g);
	UNROLL
	for (int i = 0; i < 2; i++) {
		int group = format_group(t, g, i);

		switch (t) {
		case DTYPE_Q8_0:
			pair[i] = bytes_xor(bytes_load(w + 64 * group), WIDE(0));
			break;
		case DTYPE_TQ1_0:
			pair[i] = take_ternary(body + strip * 4 * ROW_LANES, run, group);
			break;
		case DTYPE_TQ2_0:
		case DTYPE_Q2_K:
			pair[i] = take_pairs(w, group, 0, 0);
			break;
		case DTYPE_Q3_K:
			pair[i] = bytes_or(
				take_pairs(w, group, 0, 0), take_singles(upper, group, 2, 0));
			break;
		case DTYPE_Q6_K:
			pair[i] = bytes_join(bytes_load(w + 64 * (g % 4)), i,
				take_pairs(upper, group, 4, JOIN_REPLACES));
			break;
		case DTYPE_Q5_0:
		case DTYPE_Q5_1:
		case DTYPE_Q5_K:
			pair[i] = bytes_join(bytes_load(w + 64 * (g % 4)), i,
				take_singles(upper, group, 4, JOIN_REPLACES));
			break;
		case DTYPE_IQ4_NL:
		case DTYPE_IQ4_XS:
			pair[i] = bytes_lookup(pair[i], iq4_table);
			break;
		case DTYPE_MXFP4:
			pair[i] = bytes_lookup(pair[i], mxfp4_table);
			break;
		default:
			break;
		}
	}
}

/* The scales and mins of such a run; head is the block's. planes: of take_planes(). */
INLINE void
take_scales(enum dtype t, struct run *r, const uint8_t *head, const uint8_t *body,
	const uint8_t *planes, uint32_t run, uint32_t strip)
{
	vfloats v[2];

	switch (t) {
	case DTYPE_Q4_K:
	case DTYPE_Q5_K:
		take_six_bits(v, 0, body, planes, run, strip);
		r->scale[0] = floats_mul(floats_f16(head, strip), v[0]);
		r->min[0] = floats_mul(
			floats_mul(floats_f16(head + 32, strip), floats_set1(-1.0f)), v[1]);
		break;
	case DTYPE_Q2_K:
		take_q2_scales(r, head, body, run, strip);
		break;
	case DTYPE_Q3_K:
		take_six_bits(v, 32, body, planes, run, strip);
		UNROLL
		for (int h = 0; h < 2; h++)
			r->scale[h] = floats_mul(floats_f16(head, strip), v[h]);
		break;
	case DTYPE_Q6_K:
		UNROLL
		for (uint32_t h = 0; h < 2; h++)
			r->scale[h] = floats_mul(floats_f16(head, strip),
				floats_i8(body + 16 * (2 * run + h), strip));
		break;
	case DTYPE_IQ4_XS:
		v[0] = planes != NULL ? floats_u8(planes + six_bit_plane(run, 0), strip, 32)
				      : ints_to_floats(ints_sub(
						six_bits(ints_u8(body + 16 * (run / 2), strip),
							ints_u8(head + 32 + 16 * (run / 4), strip),
							run % 2 * 4, run % 4 * 2),
						ints_set1(32)));
		r->scale[0] = floats_mul(floats_f16(head, strip), v[0]);
		break;
	case DTYPE_MXFP4:
		r->scale[0] = floats_exponent(head, strip);
		break;
	case DTYPE_Q4_1:
	case DTYPE_Q5_1:
		r->min[0] = floats_f16(head + 32, strip);
		r->scale[0] = floats_f16(head, strip);
		break;
	default:
		r->scale[0] = floats_f16(head, strip);
		break;
	}
}

/* All of a run. */
INLINE void
take_run(enum dtype t, struct run *r, const uint8_t *head, const uint8_t *body,
	const uint8_t *planes, uint32_t run, uint32_t strip)
{
	UNROLL
	for (int g = 0; g < GROUPS / 2; g++) {
		vbytes pair[2];

		take_groups(t, body, run, strip, g, pair);
		r->w[format_group(t, g, 0)] = pair[0];
		r->w[format_group(t, g, 1)] = pair[1];
	}
	take_scales(t, r, head, body, planes, run, strip);
}

#endif
