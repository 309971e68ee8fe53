/* What of a model file no slice has: its head (metadata, table of tensors) and the tensors that are in
 * no shard (the embedding of a model whose head is another matrix, vectors), with the hashes of all
 * chunks (model/chunk.h) of the whole model. From a skeleton and all slices the file can be made again,
 * byte for byte (model/restore.h), which is what makes a device a coordinator that never had the file.
 *
 *   magic "SHOALSKL", version, model id, shape, bytes of the model file, its name,
 *   list of chunks, table of ranges; the bytes of these ranges; then BLAKE2b-256 of all that
 *
 * That hash is the skeleton's identity: the same file always gives the same skeleton. */
#ifndef MODEL_SKELETON_H
#define MODEL_SKELETON_H

#include "model/shard.h"

#define SKELETON_NAME 200 /* bytes of a file's name, with its end */

struct skeleton;

struct skeleton_range { /* of the model file */
	uint64_t at, bytes;
	const uint8_t *data; /* in the skeleton */
};

/* Makes the skeleton of g, whose file is called `name`, at PATH: PATH.part first, then renamed. Reads all
 * of g's weights. */
int skeleton_make(const struct gguf *g, const struct model_shape *s, const char *name,
	const char *path, shard_progress *progress, void *arg, struct err *err);

/* Maps a skeleton. check: its hash too, which reads all of it. NULL: it is none, or damaged. */
struct skeleton *skeleton_open(const char *path, bool check, struct err *err);
void skeleton_close(struct skeleton *k); /* NULL is fine */

const uint8_t *skeleton_hash(const struct skeleton *k);     /* [SHARD_HASH] */
const uint8_t *skeleton_model_id(const struct skeleton *k); /* the same */
const struct model_shape *skeleton_shape(const struct skeleton *k);
const char *skeleton_name(const struct skeleton *k); /* no path: nothing but a file's name */
uint64_t skeleton_bytes(const struct skeleton *k);   /* its own */
uint64_t skeleton_file_bytes(const struct skeleton *k);
/* The list of chunks as chunk_list_parse reads it. */
const uint8_t *skeleton_chunks(const struct skeleton *k, size_t *len);
uint32_t skeleton_ranges(const struct skeleton *k);
struct skeleton_range skeleton_range(const struct skeleton *k, uint32_t i);

/* FOLDER/MODEL-ID.skeleton; one folder has the skeleton of one model once. */
void skeleton_path(const char *folder, const uint8_t model_id[SHARD_HASH], char *out, size_t size);
/* The first one in the folder; NULL: there is none. */
struct skeleton *skeleton_any(const char *folder);
/* Removes skeletons of other models, whole or not, from the folder. */
void skeleton_prune(const char *folder, const uint8_t model_id[SHARD_HASH]);

#endif
