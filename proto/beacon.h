/* A beacon: one datagram by which a coordinator, whose address may have changed, tells its members
 * where it is. It is open to all on the network and says nothing to strangers: not who sends it, nor
 * for whom it is.
 *
 *   "SHOB" | version (1) | number of tags (1) | port (2) | time (8) | tags of 16 bytes
 *
 * port: TCP, where the coordinator listens; its address is that from which the datagram came. time:
 * milliseconds, larger in every beacon. A tag for each member: BLAKE2b-128 of the 16 bytes before
 * the tags, keyed with BLAKE2b-256, keyed with "shoal beacon", of the X25519 secret that the two
 * share. So nobody else can make a member dial, but by sending a beacon again; and whom it dials
 * must pass the handshake of links anyway. Numbers are little-endian. */
#ifndef PROTO_BEACON_H
#define PROTO_BEACON_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BEACON_KEY  32
#define BEACON_TAGS 64
#define BEACON_MOST (16 + 16 * BEACON_TAGS) /* bytes: goes unbroken over any network */

/* What two devices share: our secret, their static public key. -1: it is no usable key. */
int beacon_key(const uint8_t secret[32], const uint8_t public[32], uint8_t key[BEACON_KEY],
	struct err *err);

/* For n members (at most BEACON_TAGS) with these keys. Returns the bytes written. */
size_t beacon_write(uint16_t port, uint64_t time, const uint8_t keys[][BEACON_KEY], size_t n,
	uint8_t out[BEACON_MOST]);

/* Whether the datagram is a beacon with a tag for the holder of this key. */
bool beacon_read(const uint8_t *wire, size_t len, const uint8_t key[BEACON_KEY], uint16_t *port,
	uint64_t *time);

#endif
