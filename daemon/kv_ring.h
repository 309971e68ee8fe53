/* A ring of pieces of KV caches between two threads: one puts, the other one takes. Cells are allocated once;
 * no call waits but for a few instructions of the other thread. */
#ifndef DAEMON_KV_RING_H
#define DAEMON_KV_RING_H

#include "model/kv_piece.h"

#include <uv.h>

struct kv_ring {
	uint32_t n;  /* cells */
	size_t cell; /* bytes of each */
	struct kv_piece *pieces;
	uint8_t *data;
	uv_mutex_t lock; /* guards: */
	uint32_t first, used;
};

int kv_ring_init(struct kv_ring *r, uint32_t n, size_t cell); /* -1: out of memory */
void kv_ring_deinit(struct kv_ring *r);                       /* also of one that is all zeros */

/* Who puts: the next cell and its piece, to be filled before kv_ring_add. NULL: the ring is full. */
uint8_t *kv_ring_next(struct kv_ring *r, struct kv_piece **p);
void kv_ring_add(struct kv_ring *r);
uint32_t kv_ring_room(struct kv_ring *r); /* free cells, at least */

/* Who takes: the oldest piece, which stays until kv_ring_drop. NULL: there is none. */
const uint8_t *kv_ring_first(struct kv_ring *r, struct kv_piece *p);
void kv_ring_drop(struct kv_ring *r);
bool kv_ring_empty(struct kv_ring *r);

#endif
