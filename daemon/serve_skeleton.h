/* Skeletons (model/skeleton.h) in STATE/skeletons, one, of the model that is served. The coordinator of a
 * swarm that elects makes it when nothing is computed, and names it in its beats; members fetch it, in
 * pieces over a bulk link, and keep it while `spare_disk` lets them. Whoever has it can coordinate
 * without the model's file (daemon/gather.h). Main thread. */
#ifndef DAEMON_SERVE_SKELETON_H
#define DAEMON_SERVE_SKELETON_H

#include "daemon/serve_int.h"
#include "model/skeleton.h"

#define SKELETON_PIECE (256u << 10)

struct skeleton_id {
	uint8_t model_id[SHARD_HASH], hash[SHARD_HASH];
	uint64_t bytes;
};

struct skeletons *skeletons_new(struct serve *s); /* NULL: out of memory */
void skeletons_close(struct skeletons *k);        /* NULL is fine, here and below */
void skeletons_free(struct skeletons *k);         /* after the loop has ended */

/* Coordinator: makes what is missing. Member: goes on fetching. Several times a second. */
void skeletons_tick(struct skeletons *k);
/* The skeleton of that model, when it is here and whole. */
bool skeletons_have(
	const struct skeletons *k, const uint8_t model_id[SHARD_HASH], struct skeleton_id *id);
/* [SHARD_HASH], the model of the one that is here; NULL: there is none. */
const uint8_t *skeletons_kept(const struct skeletons *k);
/* Member: its coordinator has this one. */
void skeletons_heard(struct skeletons *k, const struct skeleton_id *id);

/* Bytes from `offset` on, at most SKELETON_PIECE; NULL: they are not here. Any thread. */
uint8_t *skeleton_piece(
	const char *folder, const uint8_t model_id[SHARD_HASH], uint64_t offset, uint32_t *len);

#endif
