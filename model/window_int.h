/* Inside of the streaming window: window_bands.c says what pieces a shard has, weights_window.c
 * decides with sched/window what lies where and answers the forward pass, window_read.c is the
 * threads that read. They meet under one lock. */
#ifndef MODEL_WINDOW_INT_H
#define MODEL_WINDOW_INT_H

#include "model/direct.h"
#include "model/shard_int.h"
#include "model/window.h"
#include "sched/experts.h"
#include "sched/window.h"

#include <pthread.h>
#include <sodium.h>

#define WINDOW_READERS     4 /* requests in flight */
#define WINDOW_LEAST_SLOTS 2 /* of experts */

/* Whole row groups of an extent, about WINDOW_REQUEST bytes: read, kept and dropped as one. A vector
 * is one band. Bands begin on pages of the file. */
struct window_band {
	uint32_t extent;
	uint32_t row, rows;
	uint64_t from, bytes; /* of the extent's */
};

struct window_bands {
	struct window_band *list;    /* [n] */
	struct window_piece *pieces; /* [n] experts' have no bytes: they lie in the cache */
	uint32_t n;
	uint32_t *first; /* [extents + 1] an extent's first band */
};

/* window_bands_free in both cases. */
int window_bands_list(struct window_bands *b, const struct shard_header *h, struct err *err);
void window_bands_free(struct window_bands *b);

/* How far an extent's hash is: its bands are hashed in their order, as they come. */
struct window_hash {
	uint32_t hashed; /* bands */
	bool busy;       /* a reader goes on with it */
	crypto_generichash_state state;
};

struct window_source {
	struct weight_source base;
	struct shard *shard;
	const struct shard_header *h;
	const struct gguf *g;       /* with the embedding; NULL: without */
	struct fixed_source *units; /* where each tensor lies at the moment */
	struct window_bands bands;
	uint32_t *first; /* [units + 1] their first band */
	uint8_t *memory; /* the ring with room to grow into, then the resident set */
	size_t memory_bytes;
	uint64_t *home; /* [bands] place of resident ones in memory */
	uint8_t *ring;
	uint8_t *cache; /* [slots][slot_bytes] experts */
	uint64_t slot_bytes;
	uint32_t slots;
	struct direct_file file;

	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t work;  /* for readers: there is something to read, or to end */
	pthread_cond_t news;  /* for the forward pass: a piece has arrived, or the reading failed */
	struct window *window;
	uint32_t load;            /* bands below it were looked through for the resident set */
	uint32_t loading;         /* resident bands that are not there yet */
	bool *landed;             /* [bands] read, at least once */
	bool *waiting;            /* [bands] read, but not hashed: not there yet */
	struct window_hash *hash; /* [extents] */
	uint32_t unhashed;        /* extents */
	uint32_t checking;        /* readers that hash */
	unsigned flying;          /* requests */
	bool stop, failed, damaged;
	struct err why; /* failed */
	struct weights_stats stats;
	double fly_since;  /* when the first of the flying requests began */
	uint32_t acquired; /* unit the forward pass has; UINT32_MAX: none */
	uint32_t held;     /* and the streamed band it computes with; UINT32_MAX: none */

	struct experts *experts; /* NULL: there are none */
	uint32_t *demand; /* [bands] of experts to be read, first to end, modulo their number */
	uint64_t demand_first, demand_end;
	uint32_t *missing; /* [experts of all layers] bands that did not arrive */
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

/* It stays in memory, and is no expert's. */
bool window_is_resident(const struct window_source *ws, uint32_t band);
/* Memory of a band that is being read, or is there. */
uint8_t *window_memory(const struct window_source *ws, uint32_t band);

/* --- experts (window_experts.c) --- */

bool window_is_expert(const struct shard_header *h, uint32_t extent);
bool window_band_is_expert(const struct window_source *ws, uint32_t band);
/* Memory of the largest expert; 0: there are none. */
uint64_t window_slot_bytes(const struct shard_header *h);
/* How many of the memory's bytes are for what is no expert, and how many experts the rest holds. */
uint32_t window_split(const struct shard_header *h, const struct window_bands *b, uint64_t memory,
	uint64_t *others);
int window_experts_init(struct window_source *ws, struct err *err);
void window_experts_free(struct window_source *ws);
uint8_t *window_expert_memory(const struct window_source *ws, uint32_t band);
void window_hint(struct weight_source *base, uint32_t layer, const uint32_t *experts, uint32_t n);
/* Under the lock. */
bool window_demanded(struct window_source *ws, uint32_t *band);
void window_expert_there(struct window_source *ws, uint32_t band);
/* Experts by number. */
uint32_t window_expert_number(const struct shard_header *h, uint32_t layer, uint32_t expert);
bool window_want_expert(struct window_source *ws, uint32_t number);
void window_leave_expert(struct window_source *ws, uint32_t number);
void window_experts_restart(struct window_source *ws);

/* --- reading (window_read.c) --- */

int window_start_readers(struct window_source *ws, struct err *err);
void window_stop_readers(struct window_source *ws);

#endif
