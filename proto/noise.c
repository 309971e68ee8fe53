/* Each pattern is a table of tokens, message by message, as the specification prints it;
 * noise_write and noise_read walk the same table. Names follow the specification: s, e static and
 * ephemeral keys, rs, re the other side's, ck chaining key, h handshake hash. */
#include "proto/noise.h"

#include "base/buf.h"
#include "proto/aead.h"

#include <sodium.h>

enum token { T_END, T_E, T_S, T_EE, T_ES, T_SE, T_SS, T_PSK };

#define MAX_TOKENS   6
#define MAX_MESSAGES 3

static const struct pattern {
	const char *name;
	bool known_statics; /* both static keys are pre-messages */
	bool psk;
	unsigned n_messages;
	enum token messages[MAX_MESSAGES][MAX_TOKENS];
} patterns[] = {
	[NOISE_XX_PSK3] = {"Noise_XXpsk3_25519_ChaChaPoly_SHA256", false, true, 3,
		{{T_E}, {T_E, T_EE, T_S, T_ES}, {T_S, T_SE, T_PSK}}},
	[NOISE_KK] = {"Noise_KK_25519_ChaChaPoly_SHA256", true, false, 2,
		{{T_E, T_ES, T_SS}, {T_E, T_EE, T_SE}}},
};

/* --- CipherState (section 5.1) --- */

/* Section 12.3 and 12.4: AESGCM counts with the last byte first. */
static void
cipher_nonce(const struct noise_cipher *c, uint64_t n, uint8_t nonce[12])
{
	memset(nonce, 0, 4);
	if (c->kind == AEAD_AES)
		for (int i = 0; i < 8; i++)
			nonce[4 + i] = (uint8_t)(n >> (56 - 8 * i));
	else
		put_le64(nonce + 4, n);
}

static void
cipher_init(struct noise_cipher *c, const uint8_t key[NOISE_KEY])
{
	*c = (struct noise_cipher){.has_key = true};
	memcpy(c->key, key, NOISE_KEY);
}

int
cipher_seal(struct noise_cipher *c, const void *ad, size_t ad_len, const void *in, size_t len,
	uint8_t *out)
{
	uint8_t nonce[12];

	if (!c->has_key || c->nonce == UINT64_MAX)
		return -1;
	cipher_nonce(c, c->nonce++, nonce);
	if (c->fast != NULL)
		return aead_seal(c->fast, nonce, ad, ad_len, in, len, out);
	return crypto_aead_chacha20poly1305_ietf_encrypt(
		out, NULL, in, len, ad, ad_len, NULL, nonce, c->key);
}

int
cipher_open(struct noise_cipher *c, const void *ad, size_t ad_len, const void *in, size_t len,
	uint8_t *out)
{
	uint8_t nonce[12];

	if (!c->has_key || c->nonce == UINT64_MAX || len < NOISE_TAG)
		return -1;
	cipher_nonce(c, c->nonce, nonce);
	if (c->fast != NULL ? aead_open(c->fast, nonce, ad, ad_len, in, len, out) != 0
			    : crypto_aead_chacha20poly1305_ietf_decrypt(
				      out, NULL, NULL, in, len, ad, ad_len, nonce, c->key) != 0)
		return -1;
	c->nonce++;
	return 0;
}

/* What seals goes on with a new key. */
static void
take_key(struct noise_cipher *c, const uint8_t key[NOISE_KEY])
{
	memcpy(c->key, key, NOISE_KEY);
	if (c->fast == NULL || aead_rekey(c->fast, c->key) == 0)
		return;
	aead_free(c->fast);
	c->fast = NULL;
	c->has_key = c->kind ==
		     AEAD_CHACHA; /* libsodium has no other: nothing is sealed or opened any more */
}

void
cipher_rekey(struct noise_cipher *c)
{
	uint8_t zeros[NOISE_KEY] = {0}, out[NOISE_KEY + NOISE_TAG], nonce[12];

	cipher_nonce(c, UINT64_MAX, nonce);
	if (c->fast == NULL)
		crypto_aead_chacha20poly1305_ietf_encrypt(
			out, NULL, zeros, sizeof zeros, NULL, 0, NULL, nonce, c->key);
	else if (aead_seal(c->fast, nonce, NULL, 0, zeros, sizeof zeros, out) != 0)
		c->has_key = false;
	take_key(c, out);
	sodium_memzero(out, sizeof out);
}

int
cipher_use(struct noise_cipher *c, enum aead_kind kind)
{
	c->fast = aead_new(kind, c->key);
	if (c->fast == NULL && kind != AEAD_CHACHA)
		return -1;
	c->kind = kind;
	return 0;
}

void
cipher_deinit(struct noise_cipher *c)
{
	aead_free(c->fast);
	sodium_memzero(c, sizeof *c);
}

/* --- SymmetricState (section 5.2) --- */

/* HKDF with up to three outputs (section 4.3). */
static void
hkdf(const uint8_t ck[32], const void *ikm, size_t len, uint8_t *out1, uint8_t *out2, uint8_t *out3)
{
	crypto_auth_hmacsha256_state st;
	uint8_t temp[32], in[33];
	uint8_t *outs[3] = {out1, out2, out3};

	crypto_auth_hmacsha256_init(&st, ck, 32);
	crypto_auth_hmacsha256_update(&st, ikm, len);
	crypto_auth_hmacsha256_final(&st, temp);
	for (uint8_t i = 0; i < 3 && outs[i] != NULL; i++) {
		size_t have = i == 0 ? 0 : 32;

		in[have] = (uint8_t)(i + 1);
		crypto_auth_hmacsha256_init(&st, temp, sizeof temp);
		crypto_auth_hmacsha256_update(&st, in, have + 1);
		crypto_auth_hmacsha256_final(&st, outs[i]);
		memcpy(in, outs[i], 32);
	}
	sodium_memzero(temp, sizeof temp);
	sodium_memzero(in, sizeof in);
	sodium_memzero(&st, sizeof st);
}

static void
mix_hash(struct noise *n, const void *data, size_t len)
{
	crypto_hash_sha256_state st;

	crypto_hash_sha256_init(&st);
	crypto_hash_sha256_update(&st, n->h, sizeof n->h);
	crypto_hash_sha256_update(&st, data, len);
	crypto_hash_sha256_final(&st, n->h);
}

static void
mix_key(struct noise *n, const void *ikm, size_t len)
{
	uint8_t ck[32], key[32];

	hkdf(n->ck, ikm, len, ck, key, NULL);
	memcpy(n->ck, ck, sizeof n->ck);
	cipher_init(&n->cipher, key);
	sodium_memzero(ck, sizeof ck);
	sodium_memzero(key, sizeof key);
}

static void
mix_key_and_hash(struct noise *n, const void *ikm, size_t len)
{
	uint8_t ck[32], hash[32], key[32];

	hkdf(n->ck, ikm, len, ck, hash, key);
	memcpy(n->ck, ck, sizeof n->ck);
	mix_hash(n, hash, sizeof hash);
	cipher_init(&n->cipher, key);
	sodium_memzero(ck, sizeof ck);
	sodium_memzero(hash, sizeof hash);
	sodium_memzero(key, sizeof key);
}

/* Appends in, sealed once there is a key, to *out. */
static int
encrypt_and_hash(struct noise *n, const void *in, size_t len, uint8_t **out)
{
	size_t out_len = len + (n->cipher.has_key ? NOISE_TAG : 0);

	if (!n->cipher.has_key) {
		if (len > 0)
			memcpy(*out, in, len);
	} else if (cipher_seal(&n->cipher, n->h, sizeof n->h, in, len, *out) != 0) {
		return -1;
	}
	mix_hash(n, *out, out_len);
	*out += out_len;
	return 0;
}

/* Takes the sealed form of len bytes off the front of the message. */
static int
decrypt_and_hash(struct noise *n, struct rd *r, size_t len, uint8_t *out)
{
	size_t in_len = len + (n->cipher.has_key ? NOISE_TAG : 0);
	const uint8_t *in = rd_bytes(r, in_len);

	if (in == NULL)
		return -1;
	if (!n->cipher.has_key) {
		if (len > 0)
			memcpy(out, in, len);
	} else if (cipher_open(&n->cipher, n->h, sizeof n->h, in, in_len, out) != 0) {
		return -1;
	}
	mix_hash(n, in, in_len);
	return 0;
}

/* --- HandshakeState (section 5.3) --- */

void
noise_public(uint8_t pub[NOISE_KEY], const uint8_t secret[NOISE_KEY])
{
	crypto_scalarmult_base(pub, secret);
}

void
noise_init(struct noise *n, enum noise_pattern p, bool initiator, const void *prologue,
	size_t prologue_len, const uint8_t secret[NOISE_KEY], const uint8_t *rs, const uint8_t *psk)
{
	const char *name = patterns[p].name;

	*n = (struct noise){.pattern = p, .initiator = initiator};
	memcpy(n->s_secret, secret, NOISE_KEY);
	noise_public(n->s_public, secret);
	if (psk != NULL)
		memcpy(n->psk, psk, NOISE_KEY);
	if (rs != NULL) {
		memcpy(n->rs, rs, NOISE_KEY);
		n->have_rs = true;
	}
	/* A name of up to 32 bytes is padded with zeros, a longer one hashed. */
	if (strlen(name) <= sizeof n->h)
		memcpy(n->h, name, strlen(name));
	else
		crypto_hash_sha256(n->h, (const uint8_t *)name, strlen(name));
	memcpy(n->ck, n->h, sizeof n->ck);
	mix_hash(n, prologue, prologue_len);
	if (patterns[p].known_statics) {
		mix_hash(n, initiator ? n->s_public : n->rs, NOISE_KEY);
		mix_hash(n, initiator ? n->rs : n->s_public, NOISE_KEY);
	}
}

void
noise_set_psk(struct noise *n, const uint8_t psk[NOISE_KEY])
{
	memcpy(n->psk, psk, NOISE_KEY);
}

void
noise_set_ephemeral(struct noise *n, const uint8_t secret[NOISE_KEY])
{
	memcpy(n->e_secret, secret, NOISE_KEY);
	noise_public(n->e_public, secret);
	n->have_e = true;
}

bool
noise_done(const struct noise *n)
{
	return n->next == patterns[n->pattern].n_messages;
}

bool
noise_my_turn(const struct noise *n)
{
	return !noise_done(n) && (n->next % 2 == 0) == n->initiator;
}

const uint8_t *
noise_remote(const struct noise *n)
{
	return n->have_rs ? n->rs : NULL;
}

size_t
noise_overhead(const struct noise *n)
{
	const enum token *t;
	bool key = n->cipher.has_key;
	size_t size = 0;

	if (noise_done(n))
		return 0;
	for (t = patterns[n->pattern].messages[n->next]; *t != T_END; t++) {
		if (*t == T_E)
			size += NOISE_KEY;
		else if (*t == T_S)
			size += NOISE_KEY + (key ? NOISE_TAG : 0);
		if (*t != T_S && (*t != T_E || patterns[n->pattern].psk))
			key = true;
	}
	return size + (key ? NOISE_TAG : 0);
}

/* The tokens that both sides handle alike: es and se name the initiator's key first. */
static int
mix_dh(struct noise *n, enum token t)
{
	bool own_s = t == T_SS || (t == T_SE && n->initiator) || (t == T_ES && !n->initiator);
	bool their_s = t == T_SS || (t == T_ES && n->initiator) || (t == T_SE && !n->initiator);
	uint8_t shared[32];
	int rc;

	if (t == T_PSK) {
		mix_key_and_hash(n, n->psk, sizeof n->psk);
		return 0;
	}
	/* libsodium returns -1 for a result of all zeros: a key of small order. */
	rc = crypto_scalarmult(shared, own_s ? n->s_secret : n->e_secret, their_s ? n->rs : n->re);
	if (rc == 0)
		mix_key(n, shared, sizeof shared);
	sodium_memzero(shared, sizeof shared);
	return rc;
}

static void
mix_ephemeral(struct noise *n, const uint8_t key[NOISE_KEY])
{
	mix_hash(n, key, NOISE_KEY);
	if (patterns[n->pattern].psk)
		mix_key(n, key, NOISE_KEY);
}

static int
write_token(struct noise *n, enum token t, uint8_t **out)
{
	if (t == T_E) {
		uint8_t secret[NOISE_KEY];

		if (!n->have_e) {
			randombytes_buf(secret, sizeof secret);
			noise_set_ephemeral(n, secret);
			sodium_memzero(secret, sizeof secret);
		}
		memcpy(*out, n->e_public, NOISE_KEY);
		*out += NOISE_KEY;
		mix_ephemeral(n, n->e_public);
		return 0;
	}
	if (t == T_S)
		return encrypt_and_hash(n, n->s_public, NOISE_KEY, out);
	return mix_dh(n, t);
}

static int
read_token(struct noise *n, enum token t, struct rd *r)
{
	const uint8_t *key;

	if (t == T_E) {
		key = rd_bytes(r, NOISE_KEY);
		if (key == NULL)
			return -1;
		memcpy(n->re, key, NOISE_KEY);
		n->have_re = true;
		mix_ephemeral(n, n->re);
		return 0;
	}
	if (t == T_S) {
		n->have_rs = decrypt_and_hash(n, r, NOISE_KEY, n->rs) == 0;
		return n->have_rs ? 0 : -1;
	}
	return mix_dh(n, t);
}

int
noise_write(struct noise *n, const void *payload, size_t len, uint8_t *out, size_t size,
	size_t *out_len, struct err *err)
{
	const enum token *t;
	uint8_t *p = out;

	if (!noise_my_turn(n))
		return err_set(err, "handshake: it is not our turn to write");
	*out_len = len + noise_overhead(n);
	if (len > NOISE_MAX_MESSAGE - 256 || *out_len > size)
		return err_set(err, "handshake: a payload of %zu bytes does not fit", len);
	for (t = patterns[n->pattern].messages[n->next]; *t != T_END; t++)
		if (write_token(n, *t, &p) != 0)
			goto fail;
	if (encrypt_and_hash(n, payload, len, &p) != 0)
		goto fail;
	n->next++;
	return 0;
fail:
	sodium_memzero(n, sizeof *n);
	return err_set(err, "handshake: the other side's key is not usable");
}

int
noise_read(struct noise *n, const void *msg, size_t len, uint8_t *payload, size_t size,
	size_t *payload_len, struct err *err)
{
	struct rd r = rd_init(msg, len);
	const enum token *t;
	size_t overhead;

	if (noise_done(n) || noise_my_turn(n))
		return err_set(err, "handshake: a message came out of turn");
	overhead = noise_overhead(n);
	if (len < overhead || len - overhead > size || len > NOISE_MAX_MESSAGE)
		return err_set(err,
			"handshake: message %u has %zu bytes, at least %zu are expected",
			n->next + 1, len, overhead);
	*payload_len = len - overhead;
	for (t = patterns[n->pattern].messages[n->next]; *t != T_END; t++)
		if (read_token(n, *t, &r) != 0)
			goto fail;
	if (decrypt_and_hash(n, &r, *payload_len, payload) != 0)
		goto fail;
	n->next++;
	return 0;
fail:
	sodium_memzero(n, sizeof *n);
	return err_set(err, "handshake: the other side has not the key or code that is expected");
}

void
noise_split(struct noise *n, struct noise_cipher *send, struct noise_cipher *recv, uint8_t hash[32])
{
	uint8_t k1[32], k2[32];

	hkdf(n->ck, NULL, 0, k1, k2, NULL);
	cipher_init(send, n->initiator ? k1 : k2);
	cipher_init(recv, n->initiator ? k2 : k1);
	if (hash != NULL)
		memcpy(hash, n->h, 32);
	sodium_memzero(k1, sizeof k1);
	sodium_memzero(k2, sizeof k2);
	sodium_memzero(n, sizeof *n);
}
