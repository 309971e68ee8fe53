/* The meaning of right: every other set gives these bits. Written to be read, not to be fast. */
#include "kernels/plain.h"
#include "kernels/block.h"
#include "kernels/codes.h"
#include "kernels/sets.h"

#include <math.h>
#include <string.h>

/* Scale and rounding of 32 activations; n < 32 at the end of a row, padded with zeros. A value that
 * is not finite makes the scale so, and with it all that is computed from the block. */
static int32_t
quantize_block(const float *x, uint32_t n, int8_t *q, float *d, int32_t *half)
{
	uint32_t max = 0;
	int32_t sum = 0;
	float scale, inverse;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t bits = float_to_bits(x[i]) & 0x7fffffff;

		max = bits > max ? bits : max; /* NaN is above infinity, that above the finite */
	}
	memset(q, 0, BLOCK);
	*half = 0;
	scale = max < 0x7f800000 ? bits_to_float(max) / 127.0f : bits_to_float(max);
	inverse = 1.0f / scale;
	if (max < 0x7f800000 && isinf(inverse)) { /* too small to matter */
		*d = 0.0f;
		return 0;
	}
	*d = scale;
	for (uint32_t i = 0; i < n && max < 0x7f800000; i++) {
		q[i] = (int8_t)nearbyintf(x[i] * inverse);
		sum += q[i];
		*half += i < BLOCK / 2 ? q[i] : 0;
	}
	return sum;
}

static void
plain_quantize(struct act *a, uint32_t r0, uint32_t r1)
{
	uint32_t blocks = block_count(a->cols);

	for (uint32_t r = r0; r < r1; r++) {
		const float *x = a->f + (size_t)r * a->cols;
		size_t at = (size_t)r * blocks;

		for (uint32_t b = 0; b < blocks; b++) {
			uint32_t left = a->cols - b * BLOCK;

			a->sum[at + b] =
				quantize_block(x + (size_t)b * BLOCK, left < BLOCK ? left : BLOCK,
					a->q + (at + b) * BLOCK, a->d + at + b, a->half + at + b);
		}
	}
}

/* --- dot products ------------------------------------------------------------------------------ */

/* One more block of weights; at: its first run's place in the activations' arrays. */
static float
add_block(uint32_t dtype, const uint8_t *block, const struct act *x, size_t at, float f)
{
	struct codes c;

	codes_read(dtype, block, &c);
	for (uint32_t run = 0; run < dtype_info(dtype)->block / BLOCK; run++, at++) {
		const int8_t *q = x->q + at * BLOCK;
		int32_t half[2] = {0}, rest = x->sum[at] - x->half[at];
		struct weights32 w;

		codes_weights(dtype, &c, run, &w);
		for (uint32_t k = 0; k < BLOCK; k++)
			half[k / 16] += w.w[k] * q[k];
		if (dtype_halves(dtype)) {
			f = fmaf(w.scale[0] * x->d[at], (float)half[0], f);
			f = fmaf(w.scale[1] * x->d[at], (float)half[1], f);
		} else {
			f = fmaf(w.scale[0] * x->d[at], (float)(half[0] + half[1]), f);
		}
		if (dtype_mins(dtype) && dtype_halves(dtype)) {
			f = fmaf(w.min[0] * x->d[at], (float)x->half[at], f);
			f = fmaf(w.min[1] * x->d[at], (float)rest, f);
		} else if (dtype_mins(dtype)) {
			f = fmaf(w.min[0] * x->d[at], (float)x->sum[at], f);
		}
	}
	return f;
}

static void
add_float(uint32_t dtype, const uint8_t *weight, float x, float *f)
{
	float w;

	dequantize(dtype, weight, &w, 1);
	*f = fmaf(w, x, *f);
}

/* Block b of a row, where it lies, or brought out of a tile into `room`. */
static const uint8_t *
block_of(const struct matrix *w, uint32_t r, uint32_t b, uint8_t *room)
{
	if (w->layout == LAYOUT_ROWS)
		return w->data + r * w->stride + (size_t)b * dtype_info(w->dtype)->bytes;
	tile_block(w->dtype, w->cols, w->data + r / TILE_ROWS * w->stride, r % TILE_ROWS, b, room);
	return room;
}

static float
dot_quantised(const struct matrix *w, uint32_t r, const struct act *x, uint32_t c)
{
	const struct dtype_info *info = dtype_info(w->dtype);
	size_t at = (size_t)c * block_count(w->cols);
	uint8_t room[256];
	float f = 0.0f;

	for (uint32_t b = 0; b < w->cols / info->block; b++)
		f = add_block(
			w->dtype, block_of(w, r, b, room), x, at + b * (info->block / BLOCK), f);
	return f;
}

static float
dot_floats(const struct matrix *w, uint32_t r, const struct act *x, uint32_t c)
{
	const float *in = x->f + (size_t)c * w->cols;
	float f = 0.0f;

	for (uint32_t k = 0; k < w->cols;) {
		float other = 0.0f;

		do
			add_float(w->dtype, block_of(w, r, k, (uint8_t[4]){0}), in[k],
				k % 8 < 4 ? &f : &other);
		while (++k < w->cols && k % FLOAT_SECTION != 0);
		f += other;
	}
	return f;
}

void
plain_matmul(const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x, float *out,
	size_t out_stride)
{
	for (uint32_t r = r0; r < r1; r++)
		for (uint32_t c = 0; c < x->rows; c++)
			out[c * out_stride + r] = dtype_quantised(w->dtype)
							  ? dot_quantised(w, r, x, c)
							  : dot_floats(w, r, x, c);
}

const struct kernels kernels_plain = {
	.name = "plain",
	.features = 0,
	.quantize = plain_quantize,
	.matmul = PLAIN_MATMULS,
	.rmsnorm = plain_rmsnorm,
	.add = plain_add,
	.silu_mul = plain_silu_mul,
	.rope = plain_rope,
	.kv_store = plain_kv_store,
	.attend = plain_attend,
	.roof_read = {plain_roof_read},
	.roof_products = plain_roof_products,
	.attend_span = plain_attend_span,
	.attend_merge = plain_attend_merge,
};
