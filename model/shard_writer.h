/* Writing a shard that arrives in chunks, from several sides and in any order: PATH.part until it is
 * whole. Resumable: what is there already is looked through, and chunks whose hash is right are kept.
 * One thread at a time. */
#ifndef MODEL_SHARD_WRITER_H
#define MODEL_SHARD_WRITER_H

#include "model/chunk.h"

struct shard_writer;
struct shelf;

/* Opens the temporary file; a whole shard at PATH, which is damaged, becomes that file. h and l outlive
 * the writer. */
struct shard_writer *shard_writer_open(const char *path, const struct shard_header *h,
	const struct chunk_list *l, struct err *err);
/* Takes what is missing out of other shards on this disk. Returns the bytes that it found. */
uint64_t shard_writer_copy(struct shard_writer *w, struct shelf *from);
bool shard_writer_has(const struct shard_writer *w, uint32_t chunk);
uint32_t shard_writer_missing(const struct shard_writer *w); /* how many chunks */
/* Writes a chunk. -1: it cannot be written. SHARD_WRONG: these are not its bytes, and nothing is
 * written. One that is there already is passed over. */
#define SHARD_WRONG (-3)
int shard_writer_put(
	struct shard_writer *w, uint32_t chunk, const void *data, size_t len, struct err *err);
/* All there: syncs and renames to its path. */
int shard_writer_finish(struct shard_writer *w, struct err *err);
void shard_writer_free(struct shard_writer *w); /* leaves the temporary file for the next time */

#endif
