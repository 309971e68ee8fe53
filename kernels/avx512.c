/* The set for AVX512 with VNNI: matrices in 512-bit registers, but for one column of some types (narrow_type()); what
 * works on rows of floats is as the AVX2 set has it, compiled for this one. */
#define AMX_FROM 0 /* columns: there are no tiles */

#include "kernels/tile_avx512.h"

#include "kernels/exp.h"
#include "kernels/quantize_avx2.h"
#include "kernels/tile_block.h"
#include "kernels/tile_direct.h"
#include "kernels/tile_floats.h"
#include "kernels/tile_gemm.h"
#include "kernels/tile_matmul.h"
#include "kernels/vec_avx2.h"

#include "kernels/float_body.h"
#include "kernels/kv_body.h"
#include "kernels/roof_body.h"

#include "kernels/attend_avx512.h"

#include "kernels/attend_body.h"

const struct kernels kernels_avx512 = {
	.name = "avx512",
	.features = CPU_AVX2 | CPU_AVX512_VNNI,
	.quantize = quantize,
	.matmul = TILE_MATMULS,
	FLOAT_KERNELS,
	ROOF_LOOPS,
	ATTENTION_KERNELS,
};
