/* A slice: which layers one peer computes, and which part of each of them in a tensor-parallel group.
 * Attention is cut by KV heads with their query heads, the feed-forward (of every expert, where there
 * are some) by columns in multiples of shape.col_block,
 * the output head by vocabulary rows. Also decides what must line up: wo's columns of the slice
 * must be a multiple of col_block too, so KV heads may be cut only in multiples of slice_kv_unit().
 *
 * In a pipeline the layers are dealt to stages, runs of consecutive layers that a group each computes;
 * rows go from stage to stage. Only the last one has vocabulary rows. The embedding is in no slice: the
 * coordinator looks it up in the model file.
 */
#ifndef MODEL_SLICE_H
#define MODEL_SLICE_H

#include "model/shape.h"

struct slice {
	uint32_t rank,
		peers; /* of the group; 0 is the hub, which also adds what must be added once (output biases) */
	uint32_t layer0, layers;
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

/* Whether who has this slice can take part in sums that go by rows (model/collective.h): it has some heads and columns,
 * and so the norms that make rows ready; no router of experts reads these in another form; blocks of 32 columns fit. */
bool slice_goes_by_rows(const struct model_shape *s, const struct slice *sl);
/* How the peers of a group then divide the rows of a step: as their feed-forward columns. false, and all 0: some peer
 * cannot take part. */
bool slice_row_shares(
	const struct model_shape *s, const struct slice *group, uint32_t n, uint32_t *shares);

/* Narrows the slice of a whole model, or of a group's member, to a run of layers: the head goes with the
 * last of all. */
void slice_narrow(const struct model_shape *s, uint32_t layer0, uint32_t layers, struct slice *sl);
/* Whether a model of this shape can be cut so. Of what others say nothing is used before. */
int slice_check(const struct model_shape *s, const struct slice *sl, struct err *err);
bool slice_same(const struct slice *a, const struct slice *b);

void slice_write(const struct slice *sl, struct buf *b);
int slice_read(struct rd *r, const struct model_shape *s, struct slice *sl, struct err *err);

#endif
