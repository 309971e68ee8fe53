/* What seals in bulk, by OpenSSL. ChaCha20-Poly1305 (RFC 8439): the same bytes as libsodium's, which has no code made for
 * ARM and on x86 seals 1.2 GB/s where this does 3 (Zen 4, records of 8 KB and more). AES-256-GCM (NIST SP 800-38D): twice
 * as fast where a processor has instructions for it and no AVX512, as most laptops. */
#ifndef PROTO_AEAD_H
#define PROTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY   32
#define AEAD_NONCE 12
#define AEAD_TAG   16

enum aead_kind { AEAD_CHACHA, AEAD_AES, AEAD_KINDS };

struct aead;

const char *aead_name(enum aead_kind kind); /* as OpenSSL says it */

/* NULL where there is no memory, or OpenSSL does not do this cipher (as some are configured). */
struct aead *aead_new(enum aead_kind kind, const uint8_t key[AEAD_KEY]);
void aead_free(struct aead *a); /* wipes the key; NULL is fine */

int aead_rekey(struct aead *a, const uint8_t key[AEAD_KEY]);

/* ad: data that is not sealed but must be the same. seal writes len + AEAD_TAG bytes, open takes len bytes with the tag
 * and writes len - AEAD_TAG; in and out may be the same. -1: not what was sealed (what open has written then means
 * nothing), or longer than 1 GiB. */
int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *ad, size_t ad_len,
	const void *in, size_t len, uint8_t *out);
int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *ad, size_t ad_len,
	const void *in, size_t len, uint8_t *out);

#endif
