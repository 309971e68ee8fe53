/* Storing K and V, for one set: included by its file after its vec_*.h and quantize_*.h. The
 * arithmetic is plain_attend.c's. */
#ifndef KERNELS_KV_BODY_H
#define KERNELS_KV_BODY_H

#include "kernels/kv_layout.h"

/* Block i of a head vector, with zeros behind its end. */
INLINE void
take_block(const struct attention *a, const float *x, uint32_t i, float block[BLOCK])
{
	uint32_t left = a->head_dim - i * BLOCK, n = left < BLOCK ? left : BLOCK;

	memcpy(block, x + (size_t)i * BLOCK, n * sizeof *x);
	if (n < BLOCK)
		memset(block + n, 0, (BLOCK - n) * sizeof *x);
}

static void
store_f32(const float key[BLOCK], const float value[BLOCK], float *k, float *v)
{
	for (uint32_t i = 0; i < BLOCK; i++)
		k[(size_t)i * KV_GROUP] = key[i];
	memcpy(v, value, BLOCK * sizeof *v);
}

static void
store_f16(const float key[BLOCK], const float value[BLOCK], uint16_t *k, uint16_t *v)
{
	uint16_t half[BLOCK];

	for (uint32_t i = 0; i < BLOCK; i += LANES) {
		v8_store_f16(half + i, v8_load(key + i));
		v8_store_f16(v + i, v8_load(value + i));
	}
	for (uint32_t i = 0; i < BLOCK; i++)
		k[(size_t)i * KV_GROUP] = half[i];
}

static void
to_q8_0(const float x[BLOCK], uint8_t block[Q8_0_BYTES])
{
	int32_t sum, half;
	uint16_t d16;
	float d;
	struct act act = {.rows = 1,
		.cols = BLOCK,
		.f = x,
		.q = (int8_t *)block + 2,
		.d = &d,
		.sum = &sum,
		.half = &half};

	quantize(&act, 0, 1);
	d16 = float_to_half(d);
	memcpy(block, &d16, sizeof d16);
}

static void
kv_store(const struct attention *a, void *k, void *v, uint32_t pos, const float *key,
	const float *value)
{
	size_t group = pos / KV_GROUP * kv_head_bytes(a->type, a->head_dim, KV_GROUP);
	void *kg = (uint8_t *)k + group, *vg = (uint8_t *)v + group;
	uint32_t lane = pos % KV_GROUP;
	float kf[BLOCK], vf[BLOCK];

	for (uint32_t i = 0; i < kv_width(a->head_dim) / BLOCK; i++) {
		size_t in_k = (size_t)i * BLOCK * KV_GROUP + lane;
		size_t in_v = ((size_t)i * KV_GROUP + lane) * BLOCK;

		take_block(a, key, i, kf);
		take_block(a, value, i, vf);
		if (a->type == KV_F32) {
			store_f32(kf, vf, (float *)kg + in_k, (float *)vg + in_v);
		} else if (a->type == KV_F16) {
			store_f16(kf, vf, (uint16_t *)kg + in_k, (uint16_t *)vg + in_v);
		} else {
			uint8_t kb[Q8_0_BYTES], vb[Q8_0_BYTES];

			to_q8_0(kf, kb);
			to_q8_0(vf, vb);
			kv_put_blocks(a, k, v, pos, i, kb, vb);
		}
	}
}

#endif
