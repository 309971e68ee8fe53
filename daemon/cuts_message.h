/* What a device has of a model: the cuts of its shards, as they travel. */
#ifndef DAEMON_CUTS_MESSAGE_H
#define DAEMON_CUTS_MESSAGE_H

#include "model/shelf.h"
#include "proto/control.h"

struct cuts_message { /* room for what a message points to */
	Shoal__Cut cuts[SHELF_MAX];
	Shoal__Cut *pointers[SHELF_MAX];
};

/* Returns how many there are. */
size_t cuts_message_fill(struct cuts_message *m, const struct slice *slices, uint32_t n);
/* Those that a model of this shape can have; others are passed over. Returns their number. */
uint32_t cuts_message_read(Shoal__Cut *const *cuts, size_t n, const struct model_shape *s,
	struct slice out[SHELF_MAX]);

/* The slices of the whole shards in a folder. Opens all of them. */
uint32_t cuts_of_folder(
	const char *folder, const uint8_t model_id[SHARD_HASH], struct slice out[SHELF_MAX]);

#endif
