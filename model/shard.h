/* A shard: one peer's slices of a model in one file, in the order of use.
 *
 *   header: magic "SHOALSHD", version, layout id, length of the header, model id, shape, slice,
 *           table of extents; then BLAKE2b-256 of all that
 *   extents: each 4096-byte aligned, rows contiguous, in the order embed(none) attn.0 ffn.0 attn.1
 * ... head
 *
 * The header alone says what must be in the file, with a hash for each extent, so the coordinator
 * sends the header first and a member asks only for extents that it does not have. A file is made
 * under a temporary name and renamed when every extent has been checked: a half-written shard is
 * never taken for a whole one. Matters of the wire are not here: bytes and files only. */
#ifndef MODEL_SHARD_H
#define MODEL_SHARD_H

#include "base/buf.h"
#include "model/weights.h"

#define SHARD_HASH        32
#define SHARD_LAYOUT_GGUF 0 /* rows as GGUF has them */

struct shard_extent {
	uint32_t role; /* enum tensor_role */
	uint32_t layer;
	uint32_t dtype;
	uint32_t rows, cols;
	uint64_t offset;          /* in the file */
	uint64_t bytes;           /* rows * dtype_row_bytes(cols) */
	uint8_t hash[SHARD_HASH]; /* BLAKE2b of the bytes */
};

struct shard_header {
	uint8_t model_id[SHARD_HASH]; /* which model: hash over the GGUF's header and size */
	uint32_t layout;
	struct model_shape shape;
	struct slice slice;
	uint32_t n_extents;
	struct shard_extent *extents; /* owned */
	uint64_t file_bytes;
};

/* Identity of a GGUF model. */
void shard_model_id(const struct gguf *g, uint8_t id[SHARD_HASH]);

/* The header of the shard that holds sl of g, every extent hashed (reads all its weights; progress
 * may be NULL, is called with bytes done and in all, and ends it by returning nonzero). */
int shard_header_from_gguf(const struct gguf *g, const struct model_shape *s,
	const struct slice *sl, struct shard_header *h,
	int (*progress)(void *arg, uint64_t done, uint64_t total), void *arg, struct err *err);
void shard_header_free(struct shard_header *h);

/* As bytes (what goes over the wire and stands at the front of the file), and back: every bound
 * checked, extents tile the file, roles and dimensions agree with shape and slice, the closing hash
 * is right. */
int shard_header_write(const struct shard_header *h, struct buf *b);
int shard_header_parse(const void *data, size_t len, struct shard_header *h, struct err *err);

/* Copies bytes [from, from+len) of extent i of the slice out of the GGUF (gathering columns). */
int shard_extent_read(const struct gguf *g, const struct shard_header *h, uint32_t i, uint64_t from,
	void *out, size_t len, struct err *err);

/* Writing a shard that arrives. Resumable: a temporary file that is already there is looked
 * through, and extents whose hash is right are kept. */
struct shard_writer;
struct shard_writer *shard_writer_open(
	const char *path, const struct shard_header *h, struct err *err);
/* The first extent that is still missing; h->n_extents when none is. */
uint32_t shard_writer_missing(const struct shard_writer *w);
bool shard_writer_has(const struct shard_writer *w, uint32_t extent);
/* Bytes of an extent in order; a wrong hash at its end is an error, and the extent is missing
 * again. */
int shard_writer_put(struct shard_writer *w, uint32_t extent, uint64_t from, const void *data,
	size_t len, struct err *err);
/* All there: syncs and renames to its path. */
int shard_writer_finish(struct shard_writer *w, struct err *err);
void shard_writer_free(struct shard_writer *w); /* leaves the temporary file for the next time */

/* Maps a whole shard. check: also hash every extent against the header. */
struct shard;
struct shard *shard_open(const char *path, bool check, struct err *err);
void shard_close(struct shard *s);
const struct shard_header *shard_header(const struct shard *s);
/* The shard's weights; the shard must outlive them. */
struct weight_source *weights_from_shard(struct shard *s, struct err *err);

#endif
