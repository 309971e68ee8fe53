#include "kernels/codes.h"

#include "kernels/block.h"
#include "kernels/dtype.h"

const int8_t codes_iq4_values[16] = {
	-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t codes_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Where the fields of a block stand, in bytes. Types that lack one have 0 there. */
struct places {
	uint8_t weights; /* lower bits: nibbles, pairs, bytes */
	uint8_t upper;   /* one bit (two in Q6_K) more of each */
	uint8_t scales;
	uint8_t d, m;
};

static const struct places places[DTYPE_COUNT] = {
	[DTYPE_Q4_0] = {.weights = 2},
	[DTYPE_Q4_1] = {.weights = 4, .m = 2},
	[DTYPE_Q5_0] = {.weights = 6, .upper = 2},
	[DTYPE_Q5_1] = {.weights = 8, .upper = 4, .m = 2},
	[DTYPE_Q8_0] = {.weights = 2},
	[DTYPE_IQ4_NL] = {.weights = 2},
	[DTYPE_MXFP4] = {.weights = 1},
	[DTYPE_Q2_K] = {.scales = 0, .weights = 16, .d = 80, .m = 82},
	[DTYPE_Q3_K] = {.upper = 0, .weights = 32, .scales = 96, .d = 108},
	[DTYPE_Q4_K] = {.m = 2, .scales = 4, .weights = 16},
	[DTYPE_Q5_K] = {.m = 2, .scales = 4, .upper = 16, .weights = 48},
	[DTYPE_Q6_K] = {.upper = 128, .scales = 192, .d = 208},
	[DTYPE_IQ4_XS] = {.scales = 2, .weights = 8},
	[DTYPE_TQ1_0] = {.d = 52},
	[DTYPE_TQ2_0] = {.d = 64},
};

/* --- bits ---------------------------------------------------------------------------------------- */

/* Every field of a block is some bits of some byte; reading and writing walk over the same ones, so
 * each walk is written once, for both directions. */
enum way { READ, WRITE };

/* `width` bits of *code from bit `to` on are those of *byte from bit `from` on. */
static inline void
bits(enum way way, uint8_t *code, unsigned to, uint8_t *byte, unsigned from, unsigned width)
{
	unsigned mask = (1u << width) - 1;

	if (way == READ)
		*code = (uint8_t)(*code | (*byte >> from & mask) << to);
	else
		*byte = (uint8_t)(*byte | (*code >> to & mask) << from);
}

static inline void
word(enum way way, uint16_t *code, uint8_t *bytes)
{
	if (way == READ)
		memcpy(code, bytes, sizeof(*code));
	else
		memcpy(bytes, code, sizeof(*code));
}

/* Weights k and k + 16 of 32 share a byte. */
static inline void
nibbles32(enum way way, struct codes *c, uint32_t k0, uint8_t *p)
{
	for (uint32_t i = 0; i < 16; i++) {
		bits(way, &c->q[k0 + i], 0, &p[i], 0, 4);
		bits(way, &c->q[k0 + 16 + i], 0, &p[i], 4, 4);
	}
}

/* Weights k and k + 32 of 64 share a byte. */
static inline void
nibbles64(enum way way, struct codes *c, uint8_t *p)
{
	for (uint32_t k = 0; k < 256; k++)
		bits(way, &c->q[k], 0, &p[k / 64 * 32 + k % 32], k / 32 % 2 * 4, 4);
}

/* Weights k, k + 32, k + 64, k + 96 of 128 share a byte. */
static inline void
pairs(enum way way, struct codes *c, unsigned to, uint8_t *p)
{
	for (uint32_t k = 0; k < 256; k++)
		bits(way, &c->q[k], to, &p[k / 128 * 32 + k % 32], k / 32 % 4 * 2, 2);
}

/* Bit k / 32 of byte k % 32. */
static inline void
singles(enum way way, struct codes *c, unsigned to, uint8_t *p)
{
	for (uint32_t k = 0; k < 256; k++)
		bits(way, &c->q[k], to, &p[k % 32], k / 32, 1);
}

/* Q4_K, Q5_K: eight scales and mins of six bits in twelve bytes. */
static inline void
k_scales(enum way way, struct codes *c, uint8_t *p)
{
	for (uint32_t i = 0; i < 4; i++) {
		bits(way, &c->scale[i], 0, &p[i], 0, 6);
		bits(way, &c->min[i], 0, &p[i + 4], 0, 6);
		bits(way, &c->scale[i + 4], 0, &p[i + 8], 0, 4);
		bits(way, &c->scale[i + 4], 4, &p[i], 6, 2);
		bits(way, &c->min[i + 4], 0, &p[i + 8], 4, 4);
		bits(way, &c->min[i + 4], 4, &p[i + 4], 6, 2);
	}
}

/* Sixteen of six bits in twelve bytes. */
static inline void
q3_scales(enum way way, struct codes *c, uint8_t *p)
{
	for (uint32_t i = 0; i < 16; i++) {
		bits(way, &c->scale[i], 0, &p[i % 8], i / 8 * 4, 4);
		bits(way, &c->scale[i], 4, &p[8 + i % 4], i / 4 * 2, 2);
	}
}

static inline void
q2_scales(enum way way, struct codes *c, uint8_t *p)
{
	for (uint32_t i = 0; i < 16; i++) {
		bits(way, &c->scale[i], 0, &p[i], 0, 4);
		bits(way, &c->min[i], 0, &p[i], 4, 4);
	}
}

static inline void
q6_weights(enum way way, struct codes *c, uint8_t *p)
{
	for (uint32_t k = 0; k < 256; k++)
		bits(way, &c->q[k], 0, &p[k / 128 * 64 + k % 64], k / 64 % 2 * 4, 4);
}

/* Four bits of each behind the two bytes that have the upper ones. */
static inline void
iq4_xs_scales(enum way way, struct codes *c, uint8_t *p)
{
	for (uint32_t i = 0; i < 8; i++) {
		bits(way, &c->scale[i], 0, &p[2 + i / 2], i % 2 * 4, 4);
		bits(way, &c->scale[i], 4, &p[i / 4], i % 4 * 2, 2);
	}
}

static inline void
bytes(enum way way, uint8_t *codes, uint8_t *p, size_t n)
{
	if (way == READ)
		memcpy(codes, p, n);
	else
		memcpy(p, codes, n);
}

/* --- blocks -------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void
walk(enum way way, uint32_t dtype, struct codes *c, uint8_t *block)
{
	const struct places *at = &places[dtype];
	uint8_t *w = block + at->weights, *upper = block + at->upper, *scales = block + at->scales;

	switch (dtype) {
	case DTYPE_Q5_0:
	case DTYPE_Q5_1:
		for (uint32_t k = 0; k < 32; k++)
			bits(way, &c->q[k], 4, &upper[k / 8], k % 8, 1);
		nibbles32(way, c, 0, w);
		break;
	case DTYPE_Q8_0:
		bytes(way, c->q, w, 32);
		break;
	case DTYPE_Q2_K:
		pairs(way, c, 0, w);
		q2_scales(way, c, scales);
		break;
	case DTYPE_Q3_K:
		pairs(way, c, 0, w);
		singles(way, c, 2, upper);
		q3_scales(way, c, scales);
		break;
	case DTYPE_Q5_K:
		singles(way, c, 4, upper);
		nibbles64(way, c, w);
		k_scales(way, c, scales);
		break;
	case DTYPE_Q4_K:
		nibbles64(way, c, w);
		k_scales(way, c, scales);
		break;
	case DTYPE_Q6_K:
		q6_weights(way, c, w);
		pairs(way, c, 4, upper);
		bytes(way, c->scale, scales, 16);
		break;
	case DTYPE_IQ4_XS:
		for (uint32_t run = 0; run < 8; run++)
			nibbles32(way, c, 32 * run, w + (size_t)16 * run);
		iq4_xs_scales(way, c, scales);
		break;
	case DTYPE_TQ1_0:
		bytes(way, c->q, w, 52);
		break;
	case DTYPE_TQ2_0:
		pairs(way, c, 0, w);
		break;
	default: /* Q4_0, Q4_1, IQ4_NL, MXFP4 */
		nibbles32(way, c, 0, w);
		break;
	}
	if (dtype == DTYPE_MXFP4 && way == READ)
		c->d = block[0];
	else if (dtype == DTYPE_MXFP4)
		block[0] = (uint8_t)c->d;
	else
		word(way, &c->d, block + at->d);
	if (at->m != 0)
		word(way, &c->m, block + at->m);
}

void
codes_read(uint32_t dtype, const uint8_t *block, struct codes *c)
{
	uint8_t copy[256];

	memcpy(copy, block, dtype_info(dtype)->bytes);
	*c = (struct codes){0};
	walk(READ, dtype, c, copy);
}

void
codes_write(uint32_t dtype, const struct codes *c, uint8_t *block)
{
	struct codes copy = *c;

	memset(block, 0, dtype_info(dtype)->bytes);
	walk(WRITE, dtype, &copy, block);
}

/* --- what they mean ------------------------------------------------------------------------------ */

bool
dtype_halves(uint32_t dtype)
{
	return dtype == DTYPE_Q2_K || dtype == DTYPE_Q3_K || dtype == DTYPE_Q6_K;
}

bool
dtype_mins(uint32_t dtype)
{
	return dtype == DTYPE_Q4_1 || dtype == DTYPE_Q5_1 || dtype == DTYPE_Q2_K ||
	       dtype == DTYPE_Q4_K || dtype == DTYPE_Q5_K;
}

/* TQ1_0: a byte is a fraction of 256 whose ternary digits are weights. Bytes 0 to 31 have digit n as
 * weight 32n + byte, bytes 32 to 47 as 160 + 16n, bytes 48 to 51 as 240 + 4n. */
static int
ternary(const struct codes *c, uint32_t k)
{
	uint32_t byte = k % 32, digit = k / 32;
	uint8_t v;

	if (k >= 240) {
		byte = 48 + k % 4;
		digit = (k - 240) / 4;
	} else if (k >= 160) {
		byte = 32 + k % 16;
		digit = (k - 160) / 16;
	}
	v = c->q[byte];
	for (; digit > 0; digit--)
		v = (uint8_t)(v * 3);
	return v * 3 >> 8;
}

static int
weight(uint32_t dtype, const struct codes *c, uint32_t k)
{
	int q = c->q[k];

	switch (dtype) {
	case DTYPE_Q4_0:
		return q - 8;
	case DTYPE_Q5_0:
		return q - 16;
	case DTYPE_Q8_0:
		return (int8_t)q;
	case DTYPE_Q3_K:
		return q - 4;
	case DTYPE_Q6_K:
		return q - 32;
	case DTYPE_IQ4_NL:
	case DTYPE_IQ4_XS:
		return codes_iq4_values[q];
	case DTYPE_MXFP4:
		return codes_mxfp4_values[q];
	case DTYPE_TQ1_0:
		return ternary(c, k) - 1;
	case DTYPE_TQ2_0:
		return q - 1;
	default:
		return q;
	}
}

/* 2^(e - 128): half of what the exponent says, for the table's values are doubled. */
static float
exponent_scale(uint32_t e)
{
	return bits_to_float(e < 2 ? (e + 1) << 21 : (e - 1) << 23);
}

void
codes_weights(uint32_t dtype, const struct codes *c, uint32_t run, struct weights32 *out)
{
	float d = dtype == DTYPE_MXFP4 ? exponent_scale(c->d) : f16_to_f32(c->d);
	float m = f16_to_f32(c->m);

	for (uint32_t k = 0; k < 32; k++)
		out->w[k] = (int8_t)weight(dtype, c, 32 * run + k);
	for (uint32_t h = 0; h < 2; h++) {
		uint32_t i = dtype_halves(dtype) ? 2 * run + h : run;

		out->scale[h] = d;
		out->min[h] = dtype_mins(dtype) ? m : 0.0f;
		if (dtype == DTYPE_Q6_K)
			out->scale[h] = d * (float)(int8_t)c->scale[i];
		else if (dtype == DTYPE_Q3_K || dtype == DTYPE_IQ4_XS)
			out->scale[h] = d * (float)(c->scale[i] - 32);
		else if (dtype == DTYPE_Q2_K || dtype == DTYPE_Q4_K || dtype == DTYPE_Q5_K) {
			out->scale[h] = d * (float)c->scale[i];
			out->min[h] = -m * (float)c->min[i];
		}
	}
}
