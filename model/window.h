/* Weights that stream: a shard of which a part stays in memory and the rest is read when it is
 * needed, ahead of the forward pass, through a ring (sched/window.h decides which and when). What a
 * step computes is the same to the bit, whatever the memory.
 *
 * Matrices are divided into bands of whole rows, about a read request each: a matrix is computed
 * with band by band as they come, so the ring is small however large the matrices are, and what was
 * just read is still in the processor's cache. Reader threads keep several requests in flight, past
 * the page cache. Every extent's hash is checked when it is first read; a damaged shard is moved aside (PATH.part), so that it is made or
 * fetched again, and nothing is computed with it. */
#ifndef MODEL_WINDOW_H
#define MODEL_WINDOW_H

#include "model/shard.h"
#include "sched/window.h"

#define WINDOW_REQUEST (1u << 20) /* bytes of a read, about */
#define WINDOW_AHEAD   (8u << 20) /* of the ring beside what is computed with, at first */

/* The least memory for the weights of a shard with this header, and all of it. */
uint64_t window_weights_least(const struct shard_header *h);
uint64_t window_weights_all(const struct shard_header *h);
/* Of these, what one row's step computes with: of experts the ones that are used. */
uint64_t window_weights_step(const struct shard_header *h);

/* What a window over such a shard with so much memory for weights would do, at a disk of that speed
 * (bytes a second), when a step with everything in memory takes compute_seconds. -1: too little. */
int window_forecast(const struct shard_header *h, uint64_t memory, double disk,
	double compute_seconds, struct window_prediction *p);

/* Reads the resident set (progress may be NULL) and begins to read ahead. memory: bytes for
 * weights, resident and streaming. g: with its embedding; NULL: without. The source must not outlive
 * the shard. */
struct weight_source *weights_window(struct shard *s, const struct gguf *g, uint64_t memory,
	shard_progress *progress, void *arg, struct err *err);

/* Bytes a second that reading the shard's file gives, with requests as the window makes them, over
 * at most `bytes`; 0 with err: it cannot be read. */
double window_disk_speed(const char *path, uint64_t bytes, struct err *err);

#endif
