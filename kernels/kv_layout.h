/* Where K and V of a position lie (attention.h). Shared by the sets; holds no function with a symbol. */
#ifndef KERNELS_KV_LAYOUT_H
#define KERNELS_KV_LAYOUT_H

#include "kernels/attention.h"
#include "kernels/block.h"
#include "kernels/kernels.h"

/* Bytes of 32 values of V for the positions of a group. */
static inline size_t
v_part_bytes(enum kv_type type)
{
	if (type == KV_Q8_0)
		return (size_t)KV_GROUP * Q8_0_BYTES;
	return (size_t)KV_GROUP * BLOCK * (type == KV_F16 ? 2 : 4);
}

/* One block of each, as Q8_0 has it: d in float16, 32 codes. */
static inline void
kv_put_blocks(const struct attention *a, void *k, void *v, uint32_t pos, uint32_t block,
	const uint8_t key[Q8_0_BYTES], const uint8_t value[Q8_0_BYTES])
{
	uint32_t width = kv_width(a->head_dim), row = pos % TILE_ROWS, in_group = pos % KV_GROUP;
	uint8_t *tile = (uint8_t *)k + pos / TILE_ROWS * tile_group_bytes(DTYPE_Q8_0, width);
	struct tile_span at = tile_span(DTYPE_Q8_0, width, block, 1);
	uint8_t *heads = tile + at.head_at, *codes = tile + at.body_at;
	uint8_t *part = (uint8_t *)v +
			pos / KV_GROUP * kv_head_bytes(KV_Q8_0, a->head_dim, KV_GROUP) +
			block * v_part_bytes(KV_Q8_0);

	memcpy(heads + (size_t)2 * row, key, 2);
	for (uint32_t i = 0; i < BLOCK; i += 4)
		memcpy(codes + (size_t)TILE_ROWS * i + (size_t)4 * row, key + 2 + i, 4);
	memcpy(part + (size_t)2 * in_group, value, 2);
	memcpy(part + (size_t)2 * KV_GROUP + (size_t)BLOCK * in_group, value + 2, BLOCK);
}

/* K as a matrix of Q8_0: `rows` positions from `first` on, a multiple of KV_GROUP. */
static inline struct matrix
kv_matrix(const struct attention *a, const void *k, uint32_t first, uint32_t rows)
{
	uint32_t width = kv_width(a->head_dim);
	size_t group = tile_group_bytes(DTYPE_Q8_0, width);

	return (struct matrix){DTYPE_Q8_0, rows, width, group,
		(const uint8_t *)k + first / TILE_ROWS * group, LAYOUT_TILES};
}

#endif
