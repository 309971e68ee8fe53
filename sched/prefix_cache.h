/* What the rows of KV caches hold, slot by slot: the ids that were computed into them, from position 0 on. A session
 * that begins as one that had a slot needs not compute those rows again (prefix caching): the next turn of a chat, a
 * question to the same document, the same tools and instructions. Rows are not copied: the session gets that slot.
 *
 * A slot is given to the session that it spares most. But where much of what it holds would be lost, to somebody who
 * may come back, that is an empty slot, or the one that was used longest ago, instead: chats that begin with the same
 * long instructions shall not take turns in one slot.
 *
 * Rows are for the client alone whose they are, as what is cached tells what was asked.
 *
 * Pure. Choosing takes a comparison of ids for each free slot. */
#ifndef SCHED_PREFIX_CACHE_H
#define SCHED_PREFIX_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefix_cache;

/* For `slots` of `context` rows each. NULL: out of memory. */
struct prefix_cache *prefix_cache_new(uint32_t slots, uint32_t context);
void prefix_cache_free(struct prefix_cache *c);
size_t prefix_cache_bytes(uint32_t slots, uint32_t context);

/* The row at a position holds this id from now on; those behind it hold nothing any more. Positions grow by one, or go
 * back. */
void prefix_cache_put(struct prefix_cache *c, uint32_t slot, uint32_t pos, uint32_t id);
/* How many rows a session of that client with these ids would find in that slot. */
size_t prefix_cache_rows(const struct prefix_cache *c, uint32_t slot, uint64_t client,
	const uint32_t *ids, size_t n);
/* The slot for such a session, of those that are free (at least one is). */
uint32_t prefix_cache_choose(const struct prefix_cache *c, const bool *free_slots, uint64_t client,
	const uint32_t *ids, size_t n);
/* The slot is that client's from now on. */
void prefix_cache_take(struct prefix_cache *c, uint32_t slot, uint64_t client);

#endif
