/* The shards of one model in a folder, open to be read from: what this device can give to others,
 * and what it need not fetch when its slice changes. They are opened when the shelf is; one without a
 * usable header is passed over. One thread at a time. */
#ifndef MODEL_SHELF_H
#define MODEL_SHELF_H

#include "model/chunk.h"

#define SHELF_MAX 16 /* shards */

struct shelf;

/* All but the one at `but` (a path; NULL: none is left out). parts: also those that are not whole yet, of
 * which many bytes may be missing. A folder that is not there has none. NULL: out of memory. */
struct shelf *shelf_open(
	const char *folder, const uint8_t model_id[SHARD_HASH], bool parts, const char *but);
void shelf_close(struct shelf *s); /* NULL is fine */

uint32_t shelf_size(const struct shelf *s);
/* What the i-th has. */
const struct slice *shelf_slice(const struct shelf *s, uint32_t i);
/* A chunk's bytes, from the first shard that has it, from the i-th on; *i: that one, for another try with
 * the next. -1: none has, or that is no chunk of the model. The bytes are as they are on disk: only the
 * hash tells whether they are right. */
int shelf_read(struct shelf *s, const struct chunk *c, uint32_t *i, uint8_t *out, struct err *err);

#endif
