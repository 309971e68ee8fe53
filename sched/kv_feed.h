/* Which KV rows leave a peer next for where copies are kept, and which it needs to go on from copies.
 * Pure: the engine says which rows are computed, and asks.
 *
 * Every peer of a plan sees the same rows of steps in the same order. So all of them number the sessions
 * that a slot has one after the other alike, without a word: a row at position 0 begins another run.
 * Only the coordinator knows whose run it is. Only whole groups of KV_GROUP positions are copied; within
 * a run they are computed once, since a session's tokens never change; those that are only guessed are not copied until a
 * row behind them says that they were right. (A request that is led may change them, so of those nothing is put back.) */
#ifndef SCHED_KV_FEED_H
#define SCHED_KV_FEED_H

#include "model/kv_piece.h"

struct kv_feed_slot {
	uint32_t run;
	bool seen;           /* it has had a row in this plan */
	uint32_t sure;       /* positions whose rows stay as they are */
	struct kv_cursor at; /* what is copied next */
};

struct kv_feed {
	struct kv_span span;
	uint32_t most; /* heads of a piece */
	uint32_t slots, turn;
	struct kv_feed_slot *list; /* [slots], zeros at first; the caller's */
};

/* A row is about to be computed; guessed: of a token that may be another (its positions come behind those that are not). */
void kv_feed_row(struct kv_feed *f, uint32_t slot, uint32_t pos, bool guessed);
/* Positions [0, n) of a slot, a whole number of groups, have been put back from copies: run 0. */
void kv_feed_filled(struct kv_feed *f, uint32_t slot, uint32_t n);
/* The next piece to be copied, slot by slot in turn, when filled[slots] positions are computed. */
bool kv_feed_next(struct kv_feed *f, const uint32_t *filled, struct kv_piece *p);

/* What a peer needs of copies: every piece of its span, of positions[slot] positions of each slot. */
struct kv_need {
	struct kv_span span;
	uint32_t most;
	uint32_t slots, slot;
	struct kv_cursor at;
};
bool kv_need_next(struct kv_need *n, const uint32_t *positions, struct kv_piece *p);

/* Rows of a session of n_ids ids that need not be computed again when `covered` are there: one has to be
 * computed in any case, for its logits. */
uint32_t kv_rows_kept(uint32_t covered, uint32_t n_ids);

#endif
