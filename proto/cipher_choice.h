/* Which cipher the two sides of a link seal with. Each says in its handshake message what both cost it; the one that
 * costs them less together is taken. The handshake vouches for what was said, so nobody between can talk them down. */
#ifndef PROTO_CIPHER_CHOICE_H
#define PROTO_CIPHER_CHOICE_H

#include "base/err.h"
#include "proto/aead.h"

enum {
	CIPHER_COSTS_BYTES = 4 * AEAD_KINDS,
	CIPHER_COSTS_OF = 8192 /* bytes that are sealed and opened */
};

struct cipher_costs {
	uint32_t ns[AEAD_KINDS]; /* to seal and to open CIPHER_COSTS_OF bytes; 0: it cannot */
};

void cipher_costs_write(const struct cipher_costs *c, uint8_t out[CIPHER_COSTS_BYTES]);
/* No bytes: the other side says nothing, which leaves ChaCha20-Poly1305. -1: neither that nor costs. */
int cipher_costs_read(const uint8_t *in, size_t len, struct cipher_costs *c, struct err *err);

/* Both sides come to the same. */
enum aead_kind cipher_choose(const struct cipher_costs *a, const struct cipher_costs *b);

#endif
