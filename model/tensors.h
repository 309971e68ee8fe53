/* The table of a model's tensors: for each role its name in a GGUF file, its dimensions, when a
 * model has it, and how it is cut. What checks a file, hands out its weights, and lays out a shard
 * all read this one table. */
#ifndef MODEL_TENSORS_H
#define MODEL_TENSORS_H

#include "model/weights.h"

/* The part of a tensor that a slice holds, in rows and columns of the whole. */
struct tensor_cut {
	uint32_t row0, rows;
	uint32_t col0, cols;
};

/* A tensor with one row, held as float32: a norm, a bias, frequency factors. */
bool tensor_is_vector(enum tensor_role r);

/* Whether a model of this shape must have it (false for those that a file may or may not have). */
bool tensor_expected(const struct model_shape *s, enum tensor_role r);

/* Whether a slice has some of its columns, not of its rows. */
bool tensor_is_cut_by_columns(enum tensor_role r);

/* One tensor for all layers: a slice has it once, in the unit of its first one. */
bool tensor_of_all_layers(enum tensor_role r);
/* Whether a unit of this layer of the slice may have it at all. */
bool tensor_in_layer(const struct slice *sl, enum tensor_role r, uint32_t layer);

/* Its name in the file: "blk.3.attn_q.weight". A tensor of an expert lies in a stack of those of all
 * ("blk.3.ffn_up_exps.weight") or, in older files, in a tensor of its own ("blk.3.ffn_up.5.weight"):
 * tensor_name gives the stack's name, tensor_name_own the other; false: the role has none. */
#define TENSOR_NAME_MAX 64
void tensor_name(enum tensor_role r, uint32_t layer, char name[static TENSOR_NAME_MAX]);
bool tensor_name_own(
	enum tensor_role r, uint32_t layer, uint32_t expert, char name[static TENSOR_NAME_MAX]);

/* Rows and columns of the whole tensor, and of a slice. */
void tensor_dims(const struct model_shape *s, enum tensor_role r, uint32_t *rows, uint32_t *cols);
struct tensor_cut tensor_cut(
	const struct model_shape *s, const struct slice *sl, enum tensor_role r);

/* The tensor of a role in a file; of a tied head the embedding. NULL: the file has none. *depth, when
 * not NULL: how many experts' matrices it must hold, one behind the other; 1 for all but stacks. */
const struct gguf_tensor *tensor_find(const struct gguf *g, const struct model_shape *s,
	enum tensor_role r, uint32_t layer, uint32_t expert, uint32_t *depth);

/* Of what tensor_find gave: the part that is of that expert, which may be all of it. */
const uint8_t *tensor_part(const struct gguf_tensor *t, uint32_t expert, uint64_t *bytes);

/* The slice's part of a tensor as it lies in the file. data is NULL when the model has none of the
 * role or the slice holds nothing of it. The file has passed shape_from_gguf. */
struct matrix tensor_view(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	enum tensor_role r, uint32_t layer, uint32_t expert);

#endif
