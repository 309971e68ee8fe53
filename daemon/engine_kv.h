/* KV rows that leave an engine and come into one, where copies are kept (`kv_copies`).
 *
 * What a step has computed is copied out piece by piece (model/kv_piece.h) into a ring of a few cells; the
 * main thread takes it from there and sends it. A ring that is full only means that pieces wait in the
 * cache where they are: no step waits for a copy. The other way, pieces that the main thread puts into a
 * second ring are written into the cache, as long as no row of their slot has been computed.
 *
 * A coordinator's engine begins held: it takes no requests until engine_kv_start says which sessions it
 * finds in its and its members' caches. on_kv (engine.h) is called when there is something to take, or
 * room again, or all that was put is there. */
#ifndef DAEMON_ENGINE_KV_H
#define DAEMON_ENGINE_KV_H

#include "daemon/engine.h"
#include "model/kv_piece.h"

/* --- main thread; of an engine with kv_copies --------------------------------------------------- */

/* What its pieces must be. page 0: this model's KV rows cannot be copied, and nothing else here does
 * anything. */
struct kv_bounds engine_kv_bounds(const struct engine *e);

/* The oldest piece that was computed and not taken yet; *bytes holds until engine_kv_taken. */
bool engine_kv_take(struct engine *e, struct kv_piece *p, const uint8_t **bytes);
void engine_kv_taken(struct engine *e);
/* Coordinator: whose rows a slot's run has now: the request's number and 1; 0: nobody's, or of one that is
 * led. */
uint64_t engine_kv_owner(struct engine *e, uint32_t slot, uint32_t run);
/* Coordinator: the request with that number, and 1, has the slot, or may find its rows there. */
bool engine_kv_has(struct engine *e, uint32_t slot, uint64_t number);

/* Cells that are free for pieces that come. */
uint32_t engine_kv_room(struct engine *e);
/* Only with room. The piece has been checked (kv_piece_check). */
void engine_kv_put(struct engine *e, const struct kv_piece *p, const uint8_t *bytes);
/* When all pieces were put: positions[slots] that slots hold by them; 0: none. */
void engine_kv_fill(struct engine *e, const uint32_t *positions);
/* All that was put is in the cache. */
bool engine_kv_settled(struct engine *e);

struct engine_kv_start {
	uint64_t number; /* of a request, and 1; 0: nobody's */
	uint32_t positions;
};
/* Coordinator, once: requests go on in the slots that have their rows. starts[slots]; NULL: none do. */
void engine_kv_start(struct engine *e, const struct engine_kv_start *starts);

#endif
