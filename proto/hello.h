/* The first bytes of a link, in clear, before its handshake; they are also the handshake's
 * prologue, so a changed byte fails it.
 *
 *   "SHOL" | version | purpose | 2 zero bytes | 32 bytes: who
 *
 * who: the dialler's static public key (KK), or for pairing the first 8 bytes of BLAKE2b of the
 * invite's secret and zeros (which invite, without the secret). */
#ifndef PROTO_HELLO_H
#define PROTO_HELLO_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HELLO_BYTES   40
#define HELLO_VERSION 2

enum link_purpose {
	LINK_PAIR = 1,
	LINK_CONTROL = 2,
	LINK_TENSOR = 3,
	LINK_BULK = 4,
	LINK_VOTE = 5
};

struct hello {
	uint8_t version;
	uint8_t purpose;
	uint8_t who[32];
};

void hello_write(const struct hello *h, uint8_t out[HELLO_BYTES]);
/* -1: not Shoal at all, another version (the message says both), an unknown purpose. */
int hello_read(const uint8_t in[HELLO_BYTES], struct hello *h, struct err *err);

#endif
