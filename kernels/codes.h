/* What a block of weights says, as numbers: the one place that knows how each GGUF type packs its
 * bits and what they mean. Everything that must be right rather than fast is written with it: the
 * reference kernels, dequantize(), tiles. Source: the block layouts published with ggml
 * (ggml-common.h, gguf.md); MXFP4: OCP Microscaling Formats 1.0. */
#ifndef KERNELS_CODES_H
#define KERNELS_CODES_H

#include <stdbool.h>
#include <stdint.h>

/* The fields of one block, each as it is stored (unsigned, before any offset or table). */
struct codes {
	uint8_t q[256];    /* of each weight, in order; TQ1_0: the 52 bytes of qs and qh */
	uint8_t scale[16]; /* of each run of 16 or 32 weights, in order, where the type has them */
	uint8_t min[16];
	uint16_t d, m; /* float16 d, and m or dmin; MXFP4: d is the exponent byte */
};

/* Quantised types only, here and below. */
void codes_read(uint32_t dtype, const uint8_t *block, struct codes *c);
void codes_write(uint32_t dtype, const struct codes *c, uint8_t *block);

/* Weights 32 * run to 32 * run + 31 of a block: weight k is w[k] * scale[k / 16] + min[k / 16]. The
 * products of which scale and min consist (d * scale) are exact in float32. */
struct weights32 {
	int8_t w[32];
	float scale[2], min[2];
};
void codes_weights(uint32_t dtype, const struct codes *c, uint32_t run, struct weights32 *out);

/* What the order of operations depends on (kernels.h, "Arithmetic"). */
bool dtype_halves(uint32_t dtype); /* a scale for each 16 weights: scale[0] != scale[1] */
bool dtype_mins(uint32_t dtype);   /* has mins */

/* Values of the 4-bit codes of IQ4_NL and IQ4_XS, and of MXFP4 (doubled, so that they are whole). */
extern const int8_t codes_iq4_values[16];
extern const int8_t codes_mxfp4_values[16];

#endif
