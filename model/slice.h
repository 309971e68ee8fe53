/* A slice: which part of every layer one peer of a tensor-parallel group computes. Attention is cut
 * by KV heads with their query heads, the feed-forward (of every expert, where there are some) by
 * columns in multiples of shape.col_block,
 * the output head by vocabulary rows. Also decides what must line up: wo's columns of the slice
 * must be a multiple of col_block too, so KV heads may be cut only in multiples of slice_kv_unit().
 */
#ifndef MODEL_SLICE_H
#define MODEL_SLICE_H

#include "model/shape.h"

struct slice {
	uint32_t rank,
		peers; /* 0 is the hub; rank 0 also adds what must be added once (output biases) */
	uint32_t kv_head0, kv_heads; /* query heads: kv_head0 * heads / kv_heads of the shape on */
	uint32_t ffn0, ffn;
	uint32_t vocab0, vocab;
};

/* The whole model. */
struct slice slice_whole(const struct model_shape *s);

/* The smallest number of KV heads that can be cut off: all of them where Q and K are normed over all
 * heads together (one peer then has the whole attention, and others feed-forward columns only). */
uint32_t slice_kv_unit(const struct model_shape *s);

/* Cuts the model into n slices with sizes as near to `shares` (NULL: equal; positive numbers) as
 * the units allow; slices tile every dimension without gap or overlap, in rank order. A peer may
 * get no heads or no columns when its share is small (kernels skip what is empty), but n may not
 * exceed SLICE_MAX_PEERS. */
#define SLICE_MAX_PEERS 64
int slice_cut(const struct model_shape *s, const float *shares, uint32_t n, struct slice *out,
	struct err *err);

void slice_write(const struct slice *sl, struct buf *b);
int slice_read(struct rd *r, const struct model_shape *s, struct slice *sl, struct err *err);

#endif
