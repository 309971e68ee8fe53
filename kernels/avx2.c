/* The set for AVX2 with FMA and F16C. */
#include "kernels/exp.h"
#include "kernels/quantize_avx2.h"
#include "kernels/tile_avx2.h"
#include "kernels/tile_block_avx2.h"
#include "kernels/tile_direct.h"
#include "kernels/tile_floats.h"
#include "kernels/tile_gemm.h"
#include "kernels/tile_matmul.h"
#include "kernels/vec_avx2.h"

#include "kernels/float_body.h"
#include "kernels/kv_body.h"
#include "kernels/roof_body.h"

#include "kernels/attend_avx2.h"

#include "kernels/attend_body.h"

const struct kernels kernels_avx2 = {
	.name = "avx2",
	.features = CPU_AVX2,
	.quantize = quantize,
	.matmul = TILE_MATMULS,
	FLOAT_KERNELS,
	ROOF_LOOPS,
	ATTENTION_KERNELS,
};
