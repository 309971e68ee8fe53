/* A shard: one peer's slices of a model in one file, in the order of use, as the kernels read them.
 *
 *   header: magic "SHOALSHD", version, layout id, length of the header, model id, shape, slice,
 *           table of extents; then BLAKE2b-256 of all that
 *   extents: each 4096-byte aligned, in the order attn.0 ffn.0 attn.1 ... head, of the slice's layers
 *
 * An extent is one tensor of the slice: a matrix in tiles (kernels/tiles.h), a vector in float32.
 * The embedding is not stored: a row of it is read from the GGUF file now and then.
 *
 * The header alone says what must be in the file, with a hash for each extent, so the coordinator
 * sends the header first and a member asks only for what it does not have, in chunks of extents
 * (model/chunk.h, model/shard_writer.h). A file is made under a temporary name and renamed when all
 * of it is on disk: a half-written shard is never taken for a whole one. Matters of the wire are not
 * here: bytes and files only. */
#ifndef MODEL_SHARD_H
#define MODEL_SHARD_H

#include "base/buf.h"
#include "model/weights.h"

#define SHARD_HASH 32

struct shard_extent {
	uint32_t role; /* enum tensor_role */
	uint32_t layer;
	uint32_t expert; /* 0 for tensors that are of no expert */
	uint32_t dtype;
	uint32_t rows, cols;
	uint64_t offset;          /* in the file */
	uint64_t bytes;           /* tile_matrix_bytes; of a vector 4 * cols */
	uint8_t hash[SHARD_HASH]; /* BLAKE2b of the bytes */
};

struct shard_header {
	uint8_t model_id[SHARD_HASH]; /* which model: hash over the GGUF's header and size */
	uint32_t layout;              /* enum layout; LAYOUT_TILES, others are refused */
	struct model_shape shape;
	struct slice slice;
	uint32_t n_extents;
	struct shard_extent *extents; /* owned */
	uint64_t file_bytes;
};

/* Called with bytes done and in all; nonzero ends the work, which then fails. */
typedef int shard_progress(void *arg, uint64_t done, uint64_t total);

/* Identity of a GGUF model: all of its header, its size, and the beginning of each tensor. */
void shard_model_id(const struct gguf *g, uint8_t id[SHARD_HASH]);

/* The header of the shard that holds sl of g. plan: what is in it and where, with hashes of zeros;
 * from_gguf: with every extent hashed (reads all its weights; progress may be NULL). */
int shard_header_plan(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	struct shard_header *h, struct err *err);
int shard_header_from_gguf(const struct gguf *g, const struct model_shape *s,
	const struct slice *sl, struct shard_header *h, shard_progress *progress, void *arg,
	struct err *err);
void shard_header_free(struct shard_header *h);
/* Of which type most bytes are; whether that has a wider range than float16: what is rounded to it may overflow, or
 * lose what the weights still have. */
uint32_t shard_main_dtype(const struct shard_header *h);
bool shard_is_wide(const struct shard_header *h);
bool shard_is_quantised(const struct shard_header *h); /* and that is a quantised one */

/* As bytes (what goes over the wire and stands at the front of the file), and back: every bound
 * checked, extents tile the file, roles and dimensions agree with shape and slice, the closing hash
 * is right. */
int shard_header_write(const struct shard_header *h, struct buf *b);
int shard_header_parse(const void *data, size_t len, struct shard_header *h, struct err *err);

/* Makes bytes [from, from+len) of extent i of the slice out of the GGUF: gathers columns, packs
 * tiles, a row group at a time. */
int shard_extent_read(const struct gguf *g, const struct shard_header *h, uint32_t i, uint64_t from,
	void *out, size_t len, struct err *err);
/* The bytes of whole row groups that come next to `chunk`: what it is quickest to read at once. */
size_t shard_extent_step(const struct shard_extent *e, size_t chunk);

/* Writes the shard that holds sl of g: one pass over the GGUF into PATH.part, hashing on the way,
 * then sync and rename. Not of a file that cannot be read or was changed (gguf_check). Whoever is
 * second at the same path waits for the first, as long as that gets on, and then finds the file
 * there. SHARD_NO_ROOM, before a byte is written: the disk has too little. */
#define SHARD_NO_ROOM (-2)
int shard_make(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	const char *path, shard_progress *progress, void *arg, struct err *err);

/* Maps a whole shard, and marks it as in use. check: see shard_check. */
struct shard;
struct shard *shard_open(const char *path, bool check, struct err *err);
/* Hashes every extent against the header, but not again when this process has found it right before (or has
 * written it) and the file has not changed since: whoever takes over a lost device's layers has no time. */
int shard_check(const struct shard *s, struct err *err);
/* The disk has made trouble since: the next check reads it all. */
void shard_doubt(const struct shard *s);
void shard_close(struct shard *s);
/* Whether it can be read without waiting for a disk. */
bool shard_is_cached(const struct shard *s);
const struct shard_header *shard_header(const struct shard *s);
const char *shard_path(const struct shard *s);
/* Whether a part of it could not be read since it was opened (base/file_guard.h). */
bool shard_unreadable(const struct shard *s);
int shard_check_read(const struct shard *s, struct err *err); /* fails then; costs no system call */
/* The shard's weights, which must not outlive it; with the embedding of g when that is not NULL. */
struct weight_source *weights_from_shard(struct shard *s, const struct gguf *g, struct err *err);

/* The same weights made in memory, for where no shard can be written. */
struct weight_source *weights_tiled_from_gguf(const struct gguf *g, const struct model_shape *s,
	const struct slice *sl, bool with_embed, shard_progress *progress, void *arg,
	struct err *err);

#endif
