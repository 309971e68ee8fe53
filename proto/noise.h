/* Noise handshakes (revision 34, noiseprotocol.org): 25519, ChaChaPoly, SHA256; the patterns XXpsk3
 * (pairing by invite code) and KK (peers that know each other), from one table of tokens. Bytes in,
 * bytes out; ephemeral keys come from libsodium unless a test gives them. */
#ifndef PROTO_NOISE_H
#define PROTO_NOISE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/aead.h"

#define NOISE_KEY         32
#define NOISE_TAG         16
#define NOISE_MAX_MESSAGE 65535

enum noise_pattern { NOISE_XX_PSK3, NOISE_KK };

struct noise_cipher { /* one direction of a transport, or the handshake's own */
	uint8_t key[NOISE_KEY];
	uint64_t nonce;
	bool has_key;
	enum aead_kind kind;
	struct aead
		*fast; /* with the same key, for many and long messages; NULL: libsodium seals */
};

struct noise {
	enum noise_pattern pattern;
	bool initiator;
	unsigned next; /* message of the pattern that is next */
	struct noise_cipher cipher;
	uint8_t ck[32], h[32];
	uint8_t s_secret[NOISE_KEY], s_public[NOISE_KEY];
	uint8_t e_secret[NOISE_KEY], e_public[NOISE_KEY];
	uint8_t rs[NOISE_KEY], re[NOISE_KEY];
	uint8_t psk[NOISE_KEY];
	bool have_e, have_rs, have_re;
};

/* rs: the other side's static key (KK), else NULL. psk: XXpsk3, else NULL; a responder may set it
 * later with noise_set_psk, before message 3. */
void noise_init(struct noise *n, enum noise_pattern p, bool initiator, const void *prologue,
	size_t prologue_len, const uint8_t secret[NOISE_KEY], const uint8_t *rs,
	const uint8_t *psk);
void noise_set_psk(struct noise *n, const uint8_t psk[NOISE_KEY]);
void noise_set_ephemeral(struct noise *n, const uint8_t secret[NOISE_KEY]); /* tests only */
bool noise_my_turn(const struct noise *n);
bool noise_done(const struct noise *n);

/* Bytes a handshake message adds to its payload, and writing and reading one. read returns the
 * payload's length, -1 when it is not what this handshake expects (nothing was learned; wipe and
 * close). */
size_t noise_overhead(const struct noise *n);
int noise_write(struct noise *n, const void *payload, size_t len, uint8_t *out, size_t size,
	size_t *out_len, struct err *err);
int noise_read(struct noise *n, const void *msg, size_t len, uint8_t *payload, size_t size,
	size_t *payload_len, struct err *err);

/* After the last message: the keys of the two directions, and the handshake's hash. Wipes n. */
void noise_split(
	struct noise *n, struct noise_cipher *send, struct noise_cipher *recv, uint8_t hash[32]);
const uint8_t *noise_remote(const struct noise *n); /* NULL while unknown */

void noise_public(uint8_t pub[NOISE_KEY], const uint8_t secret[NOISE_KEY]);

/* Transport: ciphertext is len + NOISE_TAG. The nonce counts up; 2^64-1 is refused. */
int cipher_seal(struct noise_cipher *c, const void *ad, size_t ad_len, const void *in, size_t len,
	uint8_t *out);
int cipher_open(struct noise_cipher *c, const void *ad, size_t ad_len, const void *in, size_t len,
	uint8_t *out);
void cipher_rekey(struct noise_cipher *c); /* section 4.2 of the specification */

/* OpenSSL seals from now on, with the key that there is; -1: it does not do this kind here. AEAD_CHACHA is what was done
 * before, faster; of a key for another kind nothing may have been sealed yet. Give such a cipher back with
 * cipher_deinit, which wipes it: copies of it share what it holds. */
int cipher_use(struct noise_cipher *c, enum aead_kind kind);
void cipher_deinit(struct noise_cipher *c);

#endif
