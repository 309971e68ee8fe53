/* Weights that are copied (weights_copied.h) while they are in use already: whoever goes on after the loss of
 * a device does not wait for half a gigabyte. Until the copy is there units are views into the mapped file, which
 * should be in the page cache (file_is_cached): from a cold disk the copy is made sooner alone. */
#ifndef MODEL_WEIGHTS_MEANWHILE_H
#define MODEL_WEIGHTS_MEANWHILE_H

#include "model/shard.h"

/* As weights_from_shard, at once; a thread of its own makes the copy, after which units are of that. The same
 * bits in both. A copy that fails is none: the mapped file stays in use, and who reads there hears of its errors.
 * Freeing ends the thread. */
struct weight_source *weights_copied_meanwhile(
	struct shard *s, const struct gguf *g, struct err *err);

/* That, where the file is in the page cache and `memory` (bytes for weights) has room for both, the mapped pages and
 * the copy; else weights_copied, with the last four arguments. */
struct weight_source *weights_copied_soon(struct shard *s, const struct gguf *g, uint64_t memory,
	unsigned threads, shard_progress *progress, void *arg, struct err *err);

#endif
