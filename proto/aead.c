#include "proto/aead.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define MOST ((size_t)1 << 30)

struct aead {
	EVP_CIPHER_CTX *seal, *open; /* with the key: a message brings its nonce only */
};

static const EVP_CIPHER *
cipher_of(enum aead_kind kind)
{
	return kind == AEAD_AES ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
}

const char *
aead_name(enum aead_kind kind)
{
	return kind == AEAD_AES ? "aes-256-gcm" : "chacha20-poly1305";
}

struct aead *
aead_new(enum aead_kind kind, const uint8_t key[AEAD_KEY])
{
	struct aead *a = calloc(1, sizeof *a);

	if (a == NULL)
		return NULL;
	a->seal = EVP_CIPHER_CTX_new();
	a->open = EVP_CIPHER_CTX_new();
	if (a->seal == NULL || a->open == NULL ||
		EVP_EncryptInit_ex(a->seal, cipher_of(kind), NULL, NULL, NULL) != 1 ||
		EVP_DecryptInit_ex(a->open, cipher_of(kind), NULL, NULL, NULL) != 1 ||
		aead_rekey(a, key) != 0) {
		aead_free(a);
		return NULL;
	}
	return a;
}

void
aead_free(struct aead *a)
{
	if (a == NULL)
		return;
	EVP_CIPHER_CTX_free(a->seal);
	EVP_CIPHER_CTX_free(a->open);
	free(a);
}

int
aead_rekey(struct aead *a, const uint8_t key[AEAD_KEY])
{
	return EVP_EncryptInit_ex(a->seal, NULL, NULL, key, NULL) == 1 &&
			       EVP_DecryptInit_ex(a->open, NULL, NULL, key, NULL) == 1
		       ? 0
		       : -1;
}

int
aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *ad, size_t ad_len,
	const void *in, size_t len, uint8_t *out)
{
	int n;

	if (len > MOST || ad_len > MOST ||
		EVP_EncryptInit_ex(a->seal, NULL, NULL, NULL, nonce) != 1)
		return -1;
	if (ad_len > 0 && EVP_EncryptUpdate(a->seal, NULL, &n, ad, (int)ad_len) != 1)
		return -1;
	if (len > 0 && EVP_EncryptUpdate(a->seal, out, &n, in, (int)len) != 1)
		return -1;
	return EVP_EncryptFinal_ex(a->seal, out + len, &n) == 1 &&
			       EVP_CIPHER_CTX_ctrl(
				       a->seal, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, out + len) == 1
		       ? 0
		       : -1;
}

int
aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *ad, size_t ad_len,
	const void *in, size_t len, uint8_t *out)
{
	uint8_t tag[AEAD_TAG], rest[AEAD_TAG];
	int n;

	if (len < AEAD_TAG || len > MOST || ad_len > MOST)
		return -1;
	len -= AEAD_TAG;
	for (size_t i = 0; i < AEAD_TAG; i++)
		tag[i] = ((const uint8_t *)in)[len + i];
	if (EVP_DecryptInit_ex(a->open, NULL, NULL, NULL, nonce) != 1 ||
		EVP_CIPHER_CTX_ctrl(a->open, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, tag) != 1)
		return -1;
	if (ad_len > 0 && EVP_DecryptUpdate(a->open, NULL, &n, ad, (int)ad_len) != 1)
		return -1;
	if (len > 0 && EVP_DecryptUpdate(a->open, out, &n, in, (int)len) != 1)
		return -1;
	return EVP_DecryptFinal_ex(a->open, rest, &n) == 1 ? 0 : -1;
}
