/* The set for AVX2 with VNNI in 256-bit registers (laptops since Alder Lake). */
#include "kernels/exp.h"

#define TILE_VNNI 1
#ifdef __AVXVNNI__
#define TILE_DPBUSD _mm256_dpbusd_avx_epi32
#else /* the same operation in another encoding, to check this set where only AVX512 is */
#define TILE_DPBUSD _mm256_dpbusd_epi32
#endif

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

const struct kernels kernels_avxvnni = {
	.name = "avxvnni",
	.features = CPU_AVX2 | CPU_AVX_VNNI,
	.quantize = quantize,
	.matmul = TILE_MATMULS,
	FLOAT_KERNELS,
	ROOF_LOOPS,
	ATTENTION_KERNELS,
};
