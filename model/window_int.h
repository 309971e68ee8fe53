/* Inside of the streaming window: weights_window.c decides with sched/window what lies where and
 * answers the forward pass; window_read.c is the threads that read. They meet under one lock. */
#ifndef MODEL_WINDOW_INT_H
#define MODEL_WINDOW_INT_H

#include "model/direct.h"
#include "model/shard_int.h"
#include "model/window.h"
#include "sched/experts.h"
#include "sched/window.h"

#include <pthread.h>

#define WINDOW_READERS     4 /* requests in flight */
#define WINDOW_LEAST_SLOTS 2 /* of experts */

struct window_source {
	struct weight_source base;
	struct shard *shard;
	const struct shard_header *h;
	const struct gguf *g;       /* with the embedding; NULL: without */
	struct fixed_source *units; /* where each tensor lies at the moment */
	struct window_piece
		*pieces; /* [n] by extent; experts' have no bytes: they lie in the cache */
	uint32_t n;
	uint32_t *first; /* [units] their first piece */
	uint8_t *memory; /* the resident set, then room for the ring to grow into */
	size_t memory_bytes;
	uint64_t *home; /* [n] place of resident pieces in memory */
	uint8_t *ring;
	uint8_t *cache; /* [slots][slot_bytes] experts */
	uint64_t slot_bytes;
	uint32_t slots;
	struct direct_file file;

	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t work;  /* for readers: there is something to read, or to end */
	pthread_cond_t news;  /* for the forward pass: a piece has arrived, or the reading failed */
	struct window *window;
	uint32_t load;    /* pieces below it were looked through for the resident set */
	uint32_t loading; /* resident pieces that are not there yet */
	uint32_t piece;   /* that is being handed out in requests; n: none */
	uint64_t piece_from;
	uint64_t *left;  /* [n] bytes that did not arrive yet */
	bool *checked;   /* [n] its hash was right */
	unsigned flying; /* requests */
	bool stop, failed, damaged;
	struct err why; /* failed */
	struct weights_stats stats;
	double fly_since;  /* when the first of the flying requests began */
	uint32_t acquired; /* unit the forward pass has; UINT32_MAX: none */

	struct experts *experts; /* NULL: there are none */
	uint32_t *demand;        /* [n] pieces of experts to be read, first to end, modulo n */
	uint64_t demand_first, demand_end;
	uint16_t *missing; /* [experts of all layers] pieces that did not arrive */
	uint32_t *hint;    /* experts that the router chose; those below hinted are wanted */
	uint32_t n_hint, hinted;

	/* for window_adjust: as it was when it was looked at last */
	struct weights_stats seen;
	double seen_at;
	uint64_t seen_passes;

	pthread_t threads[WINDOW_READERS];
	unsigned n_threads;
};

uint32_t window_unit(
	const struct shard_header *h, enum unit_kind kind, uint32_t layer, uint32_t expert);
uint64_t window_bytes(const struct window_source *ws, uint32_t piece); /* in memory */

/* Memory of a piece that is being read, or is there. */
uint8_t *window_memory(const struct window_source *ws, uint32_t piece);

/* --- experts (window_experts.c) --- */

bool window_is_expert(const struct shard_header *h, uint32_t piece);
/* Memory of the largest expert; 0: there are none. */
uint64_t window_slot_bytes(const struct shard_header *h);
/* How many of the memory's bytes are for what is no expert, and how many experts the rest holds. */
uint32_t window_split(const struct shard_header *h, const struct window_piece *pieces,
	uint64_t memory, uint64_t *others);
int window_experts_init(struct window_source *ws, struct err *err);
void window_experts_free(struct window_source *ws);
uint8_t *window_expert_memory(const struct window_source *ws, uint32_t piece);
void window_hint(struct weight_source *base, uint32_t layer, const uint32_t *experts, uint32_t n);
/* Under the lock. */
bool window_demanded(struct window_source *ws, uint32_t *piece);
void window_expert_there(struct window_source *ws, uint32_t piece);
bool window_want_expert(struct window_source *ws, uint32_t layer, uint32_t expert);
void window_leave_expert(struct window_source *ws, uint32_t expert); /* by number */
void window_experts_restart(struct window_source *ws);

/* --- reading (window_read.c) --- */

int window_start_readers(struct window_source *ws, struct err *err);
void window_stop_readers(struct window_source *ws);

#endif
