/* Pieces of KV caches that travel: the rows of KV_GROUP consecutive positions in one session slot, of one
 * layer and some KV heads. A cache holds them as kernels/attention.h says, the same on every device, so
 * a piece is just bytes: of each head K's group, then V's (a page). Numbers may come over a link;
 * kv_piece_check says whether they can be used. Pure. */
#ifndef MODEL_KV_PIECE_H
#define MODEL_KV_PIECE_H

#include "base/err.h"
#include "kernels/attention.h"

#include <stdbool.h>

#define KV_PIECE_BYTES (128u << 10) /* a piece has as many heads as fit, but one at least */
#define KV_PAGE_MOST   (512u << 10) /* bytes: longer ones do not travel */

struct kv_span { /* what a peer computes, of the model's layers and KV heads */
	uint32_t layer0, layers;
	uint32_t head0, heads;
};

struct kv_piece {
	uint32_t slot;
	uint32_t
		run; /* the how manieth session of the slot since its plan began (sched/kv_feed.h) */
	uint32_t group;       /* positions group * KV_GROUP and on */
	uint32_t layer, head; /* of the model */
	uint32_t heads;
};

/* Bytes of a page; 0: they are more than KV_PAGE_MOST. */
size_t kv_page_bytes(enum kv_type type, uint32_t head_dim);
/* Heads of a piece, at most. */
uint32_t kv_piece_heads(size_t page);

/* The bounds of a piece: what its peer has, and with what numbers the plan was made. */
struct kv_bounds {
	struct kv_span span;
	uint32_t slots, groups;
	uint32_t heads; /* kv_piece_heads */
	size_t page;
};

/* bytes: how many came with it. */
int kv_piece_check(
	const struct kv_bounds *b, const struct kv_piece *p, size_t bytes, struct err *err);

/* A way through all pieces of a span's groups [0, groups): group by group, so that what has been gone
 * through begins at position 0; from the first piece on with zeros. */
struct kv_cursor {
	uint32_t group;
	uint32_t layer, head; /* within the span */
};
/* Fills in group, layer, head and heads (at most `most`). False: there is none left. */
bool kv_cursor_next(struct kv_cursor *at, const struct kv_span *s, uint32_t most, uint32_t groups,
	struct kv_piece *p);

#endif
