/* Inside of the forward pass, shared by forward.c (the way of a step) and forward_new.c (what is
 * checked and allocated before the first one). */
#ifndef MODEL_FORWARD_INT_H
#define MODEL_FORWARD_INT_H

#include "model/forward.h"
#include "model/kv.h"
#include "model/rope.h"

struct forward {
	struct forward_config c; /* c.shape and c.slice point at the copies below */
	struct model_shape shape;
	struct slice slice;

	uint32_t group;    /* query heads of a KV head */
	uint32_t q_width;  /* of the slice: query heads * head_dim */
	uint32_t kv_width; /* KV heads * head_dim */
	struct attention attention;
	struct rope rope;
	struct kv_cache kv;
	uint32_t *filled; /* [slots] positions a slot holds */
	uint32_t *next;   /* [slots] while rows are checked: the position that must follow */

	/* Rows of activations; everything lies in one block. */
	uint8_t *block;
	struct act act;
	float *cos, *sin; /* [max_rows][rope.half] */
	float *norm;      /* [max_rows][embd] */
	float *q;         /* [max_rows][q_width] */
	float *k, *v;     /* [max_rows][kv_width] */
	float *attended;  /* [max_rows][q_width] */
	float *gate, *up; /* [max_rows][slice.ffn] */
	float *partial;   /* [max_rows][embd] */
	float *logits;    /* [max_rows][slice.vocab] */
	uint32_t *wanted; /* [max_rows] rows whose logits are wanted */

	/* The step that is being computed. */
	const struct step_row *rows;
	uint32_t n, n_wanted;
	bool chained; /* a slot has more than one row */
	float *x;
	uint32_t layer;
	const struct unit *unit;
};

#endif
