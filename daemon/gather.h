/* An elected coordinator without the model's file makes it again: out of the skeleton that it kept, the
 * slices on its own disk, and those of the devices that are here, which it asks over bulk links. It then
 * has the model in STATE/gathered and goes on as any coordinator.
 *
 * Rounds: asking (what do you hold?) -> preparing (what is here already, on the thread pool) -> fetching
 * -> sealing -> loaded. A round that leaves something missing, because a device went, gave wrong bytes, or
 * because nobody has it, is followed by another one a second later; what is there stays. Main thread. */
#ifndef DAEMON_GATHER_H
#define DAEMON_GATHER_H

#include "daemon/serve_int.h"

/* Gathers the model of that id from now on; ends in serve_load. */
void gather_begin(struct serve *s, const uint8_t model_id[SHARD_HASH]);
/* Ends it: this device does not coordinate any more, or another model was loaded. */
void gather_drop(struct serve *s);
/* Several times a second, on a coordinator: also begins again after a restart. */
void gather_tick(struct serve *s);
/* How far it is, in words; empty: nothing is gathered. */
void gather_words(const struct serve *s, char *out, size_t size);

#endif
