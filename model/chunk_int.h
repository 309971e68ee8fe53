/* What the files of chunks share: where the bytes of a chunk lie in a matrix of tiles. */
#ifndef MODEL_CHUNK_INT_H
#define MODEL_CHUNK_INT_H

#include "model/chunk.h"
#include "model/shard_int.h"

/* A row group's part that a chunk has: `head` bytes from head_at on, `body` from body_at on. */
struct chunk_part {
	size_t head_at, head;
	size_t body_at, body;
};

/* Of a row group whose columns begin at col0 and are `cols` wide. */
struct chunk_part chunk_part(const struct chunk *c, uint32_t col0, uint32_t cols);

/* Hashes the chunks of an extent whose row groups go by in their order. */
struct chunk_hasher;
struct chunk_hasher *chunk_hasher_new(
	const struct shard_header *h, struct chunk_list *l, struct err *err);
void chunk_hasher_begin(struct chunk_hasher *x, uint32_t extent);
/* Whole row groups; of a vector all of it. */
void chunk_hasher_add(struct chunk_hasher *x, const uint8_t *data, size_t len);
void chunk_hasher_free(struct chunk_hasher *x);

#endif
