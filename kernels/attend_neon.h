/* What attend_body.h needs beyond tile_neon.h. */
#ifndef KERNELS_ATTEND_NEON_H
#define KERNELS_ATTEND_NEON_H

#include "kernels/tile_neon.h"
#include "kernels/vec_neon.h"

enum { MULTIPLY_COLS = 6 }; /* columns at once, in four registers each */

INLINE vfloats
floats_sub(vfloats a, vfloats b)
{
	return vsubq_f32(a, b);
}

INLINE vfloats
floats_max(vfloats a, vfloats b)
{
	return vmaxq_f32(a, b);
}

INLINE float
floats_greatest(vfloats v)
{
	return vmaxvq_f32(v);
}

INLINE vfloats
floats_exp(vfloats x)
{
	return exp_four(x);
}

#endif
