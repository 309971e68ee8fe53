/* The set for NEON with 8-bit matrix products: phones since 2021, Neoverse N2 and later. Decoding is as dotprod
 * has it; prompts go by smmla. */
#define TILE_DOTPROD 1

#include "kernels/quantize_neon.h"
#include "kernels/tile_neon.h"
#include "kernels/vec_neon.h"

#include "kernels/tile_block_neon.h"
#include "kernels/tile_direct.h"
#include "kernels/tile_floats_neon.h"
#include "kernels/tile_gemm_pairs.h"
#include "kernels/tile_matmul.h"

#include "kernels/float_body.h"
#include "kernels/kv_body.h"
#include "kernels/roof_body.h"

#include "kernels/attend_neon.h"

#include "kernels/attend_body.h"

const struct kernels kernels_i8mm = {
	.name = "i8mm",
	.features = CPU_NEON | CPU_DOTPROD | CPU_I8MM,
	.quantize = quantize,
	.matmul = TILE_MATMULS,
	FLOAT_KERNELS,
	ROOF_LOOPS,
	ATTENTION_KERNELS,
};
