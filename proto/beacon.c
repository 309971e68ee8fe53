#include "proto/beacon.h"

#include "base/buf.h"

#include <sodium.h>

enum { HEAD = 16, TAG = 16, VERSION = 1 };

static const uint8_t magic[4] = {'S', 'H', 'O', 'B'};
static const uint8_t purpose[] = "shoal beacon";

int
beacon_key(const uint8_t secret[32], const uint8_t public[32], uint8_t key[BEACON_KEY],
	struct err *err)
{
	uint8_t shared[crypto_scalarmult_BYTES];
	int rc = crypto_scalarmult(shared, secret, public);

	if (rc == 0)
		rc = crypto_generichash(
			key, BEACON_KEY, shared, sizeof shared, purpose, sizeof purpose - 1);
	sodium_memzero(shared, sizeof shared);
	return rc == 0 ? 0 : err_set(err, "a member's key is no usable key");
}

size_t
beacon_write(uint16_t port, uint64_t time, const uint8_t keys[][BEACON_KEY], size_t n,
	uint8_t out[BEACON_MOST])
{
	n = n < BEACON_TAGS ? n : BEACON_TAGS;
	memcpy(out, magic, sizeof magic);
	out[4] = VERSION;
	out[5] = (uint8_t)n;
	out[6] = (uint8_t)port;
	out[7] = (uint8_t)(port >> 8);
	put_le64(out + 8, time);
	for (size_t i = 0; i < n; i++)
		crypto_generichash(out + HEAD + i * TAG, TAG, out, HEAD, keys[i], BEACON_KEY);
	return HEAD + n * TAG;
}

bool
beacon_read(const uint8_t *wire, size_t len, const uint8_t key[BEACON_KEY], uint16_t *port,
	uint64_t *time)
{
	uint8_t tag[TAG];
	size_t n = len >= HEAD ? wire[5] : 0;
	bool ours = false;

	if (n == 0 || n > BEACON_TAGS || len != HEAD + n * TAG ||
		memcmp(wire, magic, sizeof magic) != 0 || wire[4] != VERSION)
		return false;
	crypto_generichash(tag, TAG, wire, HEAD, key, BEACON_KEY);
	for (size_t i = 0; i < n; i++)
		ours |= sodium_memcmp(tag, wire + HEAD + i * TAG, TAG) == 0;
	*port = (uint16_t)(wire[6] | wire[7] << 8);
	*time = get_le64(wire + 8);
	return ours && *port != 0;
}
