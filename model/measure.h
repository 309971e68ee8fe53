/* How fast this device computes with a model's own weights: for predictions. */
#ifndef MODEL_MEASURE_H
#define MODEL_MEASURE_H

#include "kernels/kernels.h"
#include "kernels/pool.h"
#include "model/shard.h"

struct measured {
	uint64_t bytes;     /* of weights that were computed with */
	double bytes_per_s; /* for one row: what generation needs */
	double macs_per_s;  /* for many rows: what a prompt needs */
};

/* Packs matrices of the shard that h describes, as many as `most` bytes hold (one at least), and
 * times products with them, for one row and for `rows`. */
int measure_compute(const struct gguf *g, const struct shard_header *h, uint64_t most,
	uint32_t rows, const struct kernels *k, struct pool *pool, struct measured *m,
	struct err *err);

#endif
