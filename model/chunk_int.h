/* What the files of chunks share: where the bytes of a chunk lie in a matrix of tiles. */
#ifndef MODEL_CHUNK_INT_H
#define MODEL_CHUNK_INT_H

#include "model/chunk.h"
#include "model/shard_int.h"

/* A chunk's bytes of one row group. */
size_t chunk_group_bytes(const struct chunk *c);

/* A piece of them that is one in the row group, too. */
struct chunk_piece {
	size_t at;   /* in the row group */
	size_t from; /* in the chunk's bytes of it */
	size_t len;
};

/* The i-th by its place in a row group whose columns begin at col0 and are `cols` wide; false: there are no more. */
bool chunk_piece(
	const struct chunk *c, uint32_t col0, uint32_t cols, uint32_t i, struct chunk_piece *p);

void chunk_out_of_group(
	const struct chunk *c, uint32_t col0, uint32_t cols, const uint8_t *group, uint8_t *bytes);
void chunk_into_group(
	const struct chunk *c, uint32_t col0, uint32_t cols, const uint8_t *bytes, uint8_t *group);

/* Hashes the chunks of an extent whose row groups go by in their order. */
struct chunk_hasher;
struct chunk_hasher *chunk_hasher_new(
	const struct shard_header *h, struct chunk_list *l, struct err *err);
void chunk_hasher_begin(struct chunk_hasher *x, uint32_t extent);
/* Whole row groups; of a vector all of it. */
void chunk_hasher_add(struct chunk_hasher *x, const uint8_t *data, size_t len);
void chunk_hasher_free(struct chunk_hasher *x);

#endif
