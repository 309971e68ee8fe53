/* Chunks: the pieces in which shards travel. A chunk is a rectangle of one tensor of a model, by its
 * place in the whole tensor and not in anybody's slice, and is known by the hash of its bytes:
 * whoever holds a slice that covers it can give it, and the taker sees whether it is right.
 *
 * Its bytes: row group after row group (kernels/tiles.h) the heads and then the bodies of its
 * blocks, without the zeros that fill lines; of a vector its floats. They depend on the rectangle
 * alone, with one exception: rows are grouped from its first row on.
 *
 * Where chunks end is the same for every slice, so that a slice that grows by some rows or columns
 * has the same chunks as before but for those at its edge: at multiples of a number of rows, where a
 * tensor is cut by rows, or of columns, where by columns. (Where the first row of a slice is no
 * multiple of a row group, as it may be of the vocabulary, rows count from there.)
 *
 * The list of a shard's chunks with their hashes comes from the coordinator beside the shard's
 * header. It says nothing that the header does not say, but for the hashes. */
#ifndef MODEL_CHUNK_H
#define MODEL_CHUNK_H

#include "model/shard.h"

#define CHUNK_MAX      (3u << 20) /* bytes of a chunk */
#define CHUNK_LIST_MAX 120000     /* chunks of a shard: what one message holds */
#define CHUNK_SIZE_MIN (8u << 10) /* of what chunks are cut to */
#define CHUNK_SIZE_MAX (2u << 20)

struct chunk {
	uint32_t role;  /* enum tensor_role, but not TENSOR_EMBED */
	uint32_t layer; /* as in a shard's extent; 0 of those that are of no layer */
	uint32_t expert;
	uint32_t dtype;
	uint32_t row0, rows; /* of the whole tensor; a vector has row 0 only */
	uint32_t col0, cols; /* multiples of the type's block */
};

struct chunk_list {
	uint32_t
		size; /* bytes that chunks were cut to: most have between a quarter of it and all */
	uint32_t n;
	struct chunk *chunks;          /* by extent, then by row, then by column */
	uint32_t *first;               /* [n_extents + 1]: an extent's first one */
	uint8_t (*hashes)[SHARD_HASH]; /* BLAKE2b-256 of the bytes */
};

/* The size to which chunks of a model of so many bytes are cut: a power of two. */
uint32_t chunk_size(uint64_t model_bytes);

/* The chunks of a shard, with hashes of zeros. -1: there are too many, or no memory. */
int chunk_list_plan(
	const struct shard_header *h, uint32_t size, struct chunk_list *l, struct err *err);
void chunk_list_free(struct chunk_list *l);

/* As bytes, and back: the reader gets the header that the list belongs to. */
int chunk_list_write(const struct chunk_list *l, struct buf *b);
int chunk_list_parse(const void *data, size_t len, const struct shard_header *h,
	struct chunk_list *l, struct err *err);

/* The header of a shard as shard_header_from_gguf makes it, and its chunks, in one pass. */
int chunk_list_from_gguf(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	uint32_t size, struct shard_header *h, struct chunk_list *l, shard_progress *progress,
	void *arg, struct err *err);

/* --- one chunk ---------------------------------------------------------------------------------- */

/* Bytes; 0: there cannot be such a rectangle, or it is larger than CHUNK_MAX. */
uint32_t chunk_bytes(const struct chunk *c);
/* Whether a model of this shape has it. Of what others ask for nothing is used before. */
int chunk_check(const struct chunk *c, const struct model_shape *s, struct err *err);
/* Whether a shard of that slice has all of it. The chunk has passed chunk_check, or is of a list. */
bool chunk_in_slice(const struct chunk *c, const struct model_shape *s, const struct slice *sl);
void chunk_hash(const void *data, size_t len, uint8_t hash[SHARD_HASH]);

/* Its bytes (chunk_bytes of them) out of the model, or of a shard whose slice has it. The bytes of a
 * shard may be damaged: only the hash tells. */
int chunk_from_gguf(const struct gguf *g, const struct model_shape *s, const struct chunk *c,
	uint8_t *out, struct err *err);
int chunk_from_shard(
	const struct shard *shard, const struct chunk *c, uint8_t *out, struct err *err);

#endif
