/* The folder in which a device keeps its shards: those that it made for itself are named by what
 * they are made of, found again at the next start, and the oldest ones go. */
#ifndef MODEL_SHARD_STORE_H
#define MODEL_SHARD_STORE_H

#include "model/shard.h"

/* Beside the one that is wanted, the ones that were used last: a swarm of nine has one for each
 * device that may be lost. */
#define SHARD_KEEP 8

/* A user's own folder: $XDG_STATE_HOME/shoal/shards, or ~/.local/state/shoal/shards. */
int shard_store_folder(char *out, size_t size, struct err *err);

struct shard_want {
	const struct gguf *g;
	const char *path; /* of the GGUF file */
	const struct model_shape *shape;
	const struct slice *slice;
};

/* FOLDER/MODEL-HASH.shard: the hash is over model id, time of the last change, slice and layout. */
int shard_store_path(
	const char *folder, const struct shard_want *w, char *out, size_t size, struct err *err);

/* Opens the shard, or makes it (and the folder), which drops old ones. check: of one that is there
 * every hash too. NULL: it can neither be used nor made. */
struct shard *shard_store_get(const char *folder, const struct shard_want *w, bool check,
	shard_progress *progress, void *arg, struct err *err);

/* Whether a shard of `need` bytes at `path` that may never be used has room. limit: "auto", a fifth
 * of the disk must stay free; a size as "20G", all shards in the folder together may not take more.
 */
int shard_store_room(const char *path, const char *limit, uint64_t need, struct err *err);

/* Removes shards, whole or not, from the folder of `path`: not that one, not `keep` others that
 * were used last, and none that somebody has open. Returns how many went. */
unsigned shard_store_prune(const char *path, unsigned keep);

#endif
