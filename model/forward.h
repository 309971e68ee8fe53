/* The forward pass of one peer: its slice of its layers, for a batch of rows of one or many
 * sessions. All buffers are allocated by forward_new; a step allocates nothing. */
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "kernels/kernels.h"
#include "kernels/pool.h"
#include "model/collective.h"
#include "model/kv_piece.h"
#include "model/weights.h"

/* One row of a step: a token of the session in KV slot `slot` at position `pos`. Rows of one slot
 * come in order of position, and positions continue what the slot holds (or overwrite from pos on).
 */
struct step_row {
	uint32_t slot;
	uint32_t pos;
	uint32_t flags;
};
#define STEP_LOGITS 1u /* this row's logits are wanted */
/* Of these: for who gathers the logits of a group (daemon/star.h); without one, the best tokens. */
#define STEP_WHOLE 2u /* every one of them */
#define STEP_SUM   4u /* the sum beside the best tokens */
/* And: its token is only guessed. Another may take its place in the next step. */
#define STEP_GUESS 8u

struct forward_config {
	const struct model_shape *shape;
	const struct slice *slice;
	struct weight_source *weights; /* not owned */
	struct collective *collective; /* NULL: nobody else has a part of these layers */
	const struct kernels *kernels;
	struct pool *pool;
	/* Threads that take part in generation and in prompts; 0: auto (thread_choice.h). At most
	 * pool_size. */
	unsigned threads, threads_batch;
	uint32_t max_rows; /* rows in a step, at most */
	uint32_t slots;    /* sessions that can be held at once */
	uint32_t context;  /* positions of each slot */
	enum kv_type kv;
};

struct forward;

struct forward *forward_new(const struct forward_config *c, struct err *err);
void forward_free(struct forward *f);
size_t forward_bytes(const struct forward_config *c); /* what forward_new would allocate */

/* out[n][embd]: the embeddings of n tokens, in float32. Needs UNIT_EMBED. -1: an id out of range.
 */
int forward_embed(
	struct forward *f, const uint32_t *tokens, uint32_t n, float *out, struct err *err);

/* Threads that would take part in a step of so many rows now. */
unsigned forward_threads(const struct forward *f, uint32_t rows);

/* From now on steps of more rows than that go through the layers as two sub-batches, of the first `first` rows
 * and of the others: while the sums of one travel, the other is computed. 0, as at the start: steps are not
 * divided. The bits are the same, but all of a group must divide a step alike. */
void forward_divide(struct forward *f, uint32_t first);

/* Computes n rows. x[n][embd] is the input (embeddings, or what the layers before these made of them) and
 * is overwritten with what these layers make of it. *logits receives a
 * pointer, good until the next step, to [rows with STEP_LOGITS][slice.vocab] float32: this slice's
 * part of the vocabulary, rows in order; nothing is there when it has none. */
int forward_step(struct forward *f, const struct step_row *rows, uint32_t n, float *x,
	const float **logits, struct err *err);

/* --- KV rows out and in, between steps (forward_kv.c); pieces within the slice, slots and context --- */

void forward_kv_read(const struct forward *f, const struct kv_piece *p, uint8_t *out);
void forward_kv_write(struct forward *f, const struct kv_piece *p, const uint8_t *in);
/* [slots]: positions that each slot holds. */
const uint32_t *forward_kv_filled(const struct forward *f);
/* The slot holds these positions from now on: all of their pieces were written. */
void forward_kv_fill(struct forward *f, uint32_t slot, uint32_t positions);

#endif
