/* Invite codes: address, the inviting swarm's public key, a 128-bit secret and a check, in base32
 * without look-alikes (Crockford), upper or lower case, hyphens anywhere; a mistyped code is told
 * apart from a wrong one. Also the names of peers, which come from their keys. */
#ifndef PROTO_INVITE_H
#define PROTO_INVITE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define INVITE_SECRET 16

struct invite {
	char host[256]; /* IPv4, IPv6 (without brackets) or a name */
	uint16_t port;
	uint8_t swarm_key[32];
	uint8_t secret[INVITE_SECRET];
};

#define INVITE_TEXT 640
int invite_format(const struct invite *i, char out[INVITE_TEXT], struct err *err);
int invite_parse(const char *text, struct invite *i, struct err *err);

void invite_id(const uint8_t secret[INVITE_SECRET], uint8_t id[8]); /* for hello.who */
void invite_psk(
	const uint8_t secret[INVITE_SECRET], uint8_t psk[32]); /* keyed BLAKE2b, domain-separated */

/* "amber-otter-3f2a": two words and 4 hex digits of BLAKE2b(public key). Stable; not secret. */
#define PEER_NAME 32
void peer_name(const uint8_t pub[32], char out[PEER_NAME]);

#endif
