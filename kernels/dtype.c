#include "kernels/dtype.h"

#include "kernels/block.h"
#include "kernels/codes.h"

#include <string.h>

/* By id. Gaps are ids that ggml gave to layouts it has removed again. */
static const struct dtype_info infos[DTYPE_COUNT] = {
	[DTYPE_F32] = {"F32", 1, 4},
	[DTYPE_F16] = {"F16", 1, 2},
	[DTYPE_Q4_0] = {"Q4_0", 32, 18},
	[DTYPE_Q4_1] = {"Q4_1", 32, 20},
	[DTYPE_Q5_0] = {"Q5_0", 32, 22},
	[DTYPE_Q5_1] = {"Q5_1", 32, 24},
	[DTYPE_Q8_0] = {"Q8_0", 32, 34},
	[9] = {"Q8_1", 32, 36},
	[DTYPE_Q2_K] = {"Q2_K", 256, 84},
	[DTYPE_Q3_K] = {"Q3_K", 256, 110},
	[DTYPE_Q4_K] = {"Q4_K", 256, 144},
	[DTYPE_Q5_K] = {"Q5_K", 256, 176},
	[DTYPE_Q6_K] = {"Q6_K", 256, 210},
	[15] = {"Q8_K", 256, 292},
	[16] = {"IQ2_XXS", 256, 66},
	[17] = {"IQ2_XS", 256, 74},
	[18] = {"IQ3_XXS", 256, 98},
	[19] = {"IQ1_S", 256, 50},
	[DTYPE_IQ4_NL] = {"IQ4_NL", 32, 18},
	[21] = {"IQ3_S", 256, 110},
	[22] = {"IQ2_S", 256, 82},
	[DTYPE_IQ4_XS] = {"IQ4_XS", 256, 136},
	[24] = {"I8", 1, 1},
	[25] = {"I16", 1, 2},
	[26] = {"I32", 1, 4},
	[27] = {"I64", 1, 8},
	[28] = {"F64", 1, 8},
	[29] = {"IQ1_M", 256, 56},
	[DTYPE_BF16] = {"BF16", 1, 2},
	[DTYPE_TQ1_0] = {"TQ1_0", 256, 54},
	[DTYPE_TQ2_0] = {"TQ2_0", 256, 66},
	[DTYPE_MXFP4] = {"MXFP4", 32, 17},
};

const struct dtype_info *
dtype_info(uint32_t id)
{
	return id < DTYPE_COUNT && infos[id].name != NULL ? &infos[id] : NULL;
}

const char *
dtype_name(uint32_t id)
{
	const struct dtype_info *info = dtype_info(id);

	return info != NULL ? info->name : "?";
}

static bool
is_float(uint32_t id)
{
	return id == DTYPE_F32 || id == DTYPE_F16 || id == DTYPE_BF16;
}

bool
dtype_quantised(uint32_t id)
{
	switch (id) {
	case DTYPE_Q4_0:
	case DTYPE_Q4_1:
	case DTYPE_Q5_0:
	case DTYPE_Q5_1:
	case DTYPE_Q8_0:
	case DTYPE_Q2_K:
	case DTYPE_Q3_K:
	case DTYPE_Q4_K:
	case DTYPE_Q5_K:
	case DTYPE_Q6_K:
	case DTYPE_IQ4_NL:
	case DTYPE_IQ4_XS:
	case DTYPE_TQ1_0:
	case DTYPE_TQ2_0:
	case DTYPE_MXFP4:
		return true;
	default:
		return false;
	}
}

bool
dtype_computed(uint32_t id)
{
	return is_float(id) || dtype_quantised(id);
}

size_t
dtype_row_bytes(uint32_t id, size_t n)
{
	const struct dtype_info *info = dtype_info(id);
	size_t bytes;

	if (info == NULL || n % info->block != 0 ||
		__builtin_mul_overflow(n / info->block, (size_t)info->bytes, &bytes))
		return 0;
	return bytes;
}

static uint16_t
get_u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void
dequantize_blocks(uint32_t id, const uint8_t *src, float *dst, size_t n)
{
	const struct dtype_info *info = &infos[id];

	for (; n >= info->block; n -= info->block, src += info->bytes) {
		struct codes c;

		codes_read(id, src, &c);
		for (uint32_t run = 0; run < info->block / 32; run++, dst += 32) {
			struct weights32 w;

			codes_weights(id, &c, run, &w);
			for (uint32_t k = 0; k < 32; k++)
				dst[k] = w.scale[k / 16] * (float)w.w[k] + w.min[k / 16];
		}
	}
}

void
dequantize(uint32_t id, const void *src, float *dst, size_t n)
{
	const uint8_t *p = src;

	switch (id) {
	case DTYPE_F32:
		memcpy(dst, p, n * sizeof(*dst));
		break;
	case DTYPE_F16:
		for (size_t i = 0; i < n; i++)
			dst[i] = f16_to_f32(get_u16(p + 2 * i));
		break;
	case DTYPE_BF16:
		for (size_t i = 0; i < n; i++)
			dst[i] = bf16_to_f32(get_u16(p + 2 * i));
		break;
	default:
		if (dtype_quantised(id))
			dequantize_blocks(id, p, dst, n);
		break;
	}
}

/* A half's exponent is 15 too high in a float's; multiplying by 2^112 moves it, and makes normal
 * numbers of subnormal halves on the way. */
float
f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t rest = (uint32_t)(h & 0x7fff) << 13;
	float f;

	if (rest >= 0x0f800000) /* infinite, or not a number: made quiet, as CPUs do */
		return bits_to_float(
			sign | 0x7f800000 | (rest & 0x7fffff) | (rest > 0x0f800000 ? 0x400000 : 0));
	f = bits_to_float(rest) * 0x1p112f;
	return bits_to_float(sign | float_to_bits(f));
}

uint16_t
f32_to_f16(float f)
{
	uint32_t bits = float_to_bits(f);
	uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
	uint32_t rest = bits & 0x7fffffff;

	if (rest > 0x7f800000)
		return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff));
	if (rest >= 0x477ff000) /* halfway from 65504 to 65536, and above */
		return sign | 0x7c00;
	if (rest < 0x38800000) { /* below 2^-14: the addition rounds at the half's last bit */
		float sum = bits_to_float(rest) + 0.5f;

		return (uint16_t)(sign | (float_to_bits(sum) - 0x3f000000));
	}
	rest += 0xfff + (rest >> 13 & 1);
	return (uint16_t)(sign | ((rest - 0x38000000) >> 13));
}

float
bf16_to_f32(uint16_t h)
{
	return bits_to_float((uint32_t)h << 16);
}
