/* The set for ARMv8.0: Cortex-A53, A72 and their kin. */
#include "kernels/quantize_neon.h"
#include "kernels/tile_neon.h"
#include "kernels/vec_neon.h"

#include "kernels/tile_block_neon.h"
#include "kernels/tile_direct.h"
#include "kernels/tile_floats_neon.h"
#include "kernels/tile_gemm_neon.h"
#include "kernels/tile_matmul.h"

#include "kernels/float_body.h"
#include "kernels/kv_body.h"
#include "kernels/roof_body.h"

#include "kernels/attend_neon.h"

#include "kernels/attend_body.h"

const struct kernels kernels_neon = {
	.name = "neon",
	.features = CPU_NEON,
	.quantize = quantize,
	.matmul = TILE_MATMULS,
	FLOAT_KERNELS,
	ROOF_LOOPS,
	ATTENTION_KERNELS,
};
