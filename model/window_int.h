/* Inside of the streaming window: weights_window.c decides with sched/window what lies where and
 * answers the forward pass; window_read.c is the threads that read. They meet under one lock. */
#ifndef MODEL_WINDOW_INT_H
#define MODEL_WINDOW_INT_H

#include "model/direct.h"
#include "model/shard_int.h"
#include "model/window.h"
#include "sched/window.h"

#include <pthread.h>

#define WINDOW_READERS 4 /* requests in flight */

struct window_source {
	struct weight_source base;
	struct shard *shard;
	const struct shard_header *h;
	const struct gguf *g;        /* with the embedding; NULL: without */
	struct fixed_source *units;  /* where each tensor lies at the moment */
	struct window_piece *pieces; /* [n] by extent */
	uint32_t n;
	uint32_t *first; /* [units] their first piece */
	uint8_t *memory; /* the resident set, then room for the ring to grow into */
	size_t memory_bytes;
	uint64_t *home; /* [n] place of resident pieces in memory */
	uint8_t *ring;
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

	/* for window_adjust: as it was when it was looked at last */
	struct weights_stats seen;
	double seen_at;
	uint64_t seen_passes;

	pthread_t threads[WINDOW_READERS];
	unsigned n_threads;
};

double window_now(void);

/* Memory of a piece that is being read, or is there. */
uint8_t *window_memory(const struct window_source *ws, uint32_t piece);

int window_start_readers(struct window_source *ws, struct err *err);
void window_stop_readers(struct window_source *ws);

#endif
