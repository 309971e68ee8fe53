/* e^x for floats: one sequence of operations that every set follows, so that all give the same
 * bits. x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by a polynomial; twice that times 2^(n - 1), so that the largest results
 * come out right. Off by less than 1.5 ulp. What is below 2^-125.5, and so all that would be subnormal, is 0: a share of
 * attention that no sum notices, and for which some processors take a hundred times as long as for others. */
#ifndef KERNELS_EXP_H
#define KERNELS_EXP_H

#include "kernels/block.h"

#include <math.h>

#define EXP_LOWEST  -87.5f /* n is -126 from about -87 on down: e^x is 0 */
#define EXP_HIGHEST 89.0f  /* and infinite from here on up */
#define EXP_BIAS    126    /* the exponent of 2^(n - 1) is n and this */
#define EXP_LOG2E   0x1.715476p+0f
#define EXP_MAGIC   0x1.8p+23f /* added, it leaves the rounded integer in the low bits */
#define EXP_LN2_HI  0x1.62e4p-1f
#define EXP_LN2_LO  0x1.7f7d1cp-20f
#define EXP_C7      0x1.a01a02p-13f
#define EXP_C6      0x1.6c16c2p-10f
#define EXP_C5      0x1.111112p-7f
#define EXP_C4      0x1.555556p-5f
#define EXP_C3      0x1.555556p-3f
#define EXP_C2      0.5f

static inline float
exp_one(float x)
{
	float t, n, r, p;
	uint32_t i;

	x = EXP_LOWEST > x ? EXP_LOWEST : x; /* written so that NaN stays */
	x = EXP_HIGHEST < x ? EXP_HIGHEST : x;
	t = fmaf(x, EXP_LOG2E, EXP_MAGIC);
	i = float_to_bits(t) - float_to_bits(EXP_MAGIC);
	n = t - EXP_MAGIC;
	r = fmaf(n, -EXP_LN2_HI, x);
	r = fmaf(n, -EXP_LN2_LO, r);
	p = fmaf(r, EXP_C7, EXP_C6);
	p = fmaf(p, r, EXP_C5);
	p = fmaf(p, r, EXP_C4);
	p = fmaf(p, r, EXP_C3);
	p = fmaf(p, r, EXP_C2);
	p = fmaf(p, r, 1.0f);
	p = fmaf(p, r, 1.0f);
	return (p + p) * bits_to_float((i + EXP_BIAS) << 23);
}

#endif
