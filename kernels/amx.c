/* The set for AMX: many columns (rows of activations) in tiles; all else is as AVX512 has it, with GFNI, which all
 * cores with tiles have. */
#define AMX_FROM 24 /* columns: a little more than 16 take two tiles, as long as 32 do */

#include "kernels/tile_avx512.h"

#include "kernels/exp.h"
#include "kernels/quantize_avx2.h"
#include "kernels/tile_block.h"
#include "kernels/tile_direct.h"
#include "kernels/tile_floats.h"
#include "kernels/tile_gemm_amx.h"
#include "kernels/tile_matmul.h"
#include "kernels/vec_avx2.h"

#include "kernels/float_body.h"
#include "kernels/kv_body.h"
#include "kernels/roof_body.h"

#include "kernels/attend_avx512.h"

#include "kernels/attend_body.h"

const struct kernels kernels_amx = {
	.name = "amx",
	.features = CPU_AVX2 | CPU_AVX512_VNNI | CPU_GFNI | CPU_AMX,
	.quantize = quantize,
	.matmul = TILE_MATMULS,
	.many_rows = GEMM_STRIPS * TILE_ROWS,
	.many_columns = AMX_FROM,
	FLOAT_KERNELS,
	ROOF_LOOPS,
	ATTENTION_KERNELS,
};
