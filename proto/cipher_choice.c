#include "proto/cipher_choice.h"

#include "base/buf.h"

void
cipher_costs_write(const struct cipher_costs *c, uint8_t out[CIPHER_COSTS_BYTES])
{
	for (int k = 0; k < AEAD_KINDS; k++)
		put_le32(out + 4 * k, c->ns[k]);
}

int
cipher_costs_read(const uint8_t *in, size_t len, struct cipher_costs *c, struct err *err)
{
	*c = (struct cipher_costs){0};
	if (len == 0)
		return 0;
	if (len != CIPHER_COSTS_BYTES)
		return err_set(err, "its handshake says %zu bytes about its ciphers, not %d", len,
			CIPHER_COSTS_BYTES);
	for (int k = 0; k < AEAD_KINDS; k++)
		c->ns[k] = get_le32(in + 4 * k);
	return 0;
}

enum aead_kind
cipher_choose(const struct cipher_costs *a, const struct cipher_costs *b)
{
	enum aead_kind best = AEAD_CHACHA;
	uint64_t least = UINT64_MAX;

	for (enum aead_kind k = 0; k < AEAD_KINDS; k++) {
		uint64_t cost = (uint64_t)a->ns[k] + b->ns[k];

		if (a->ns[k] > 0 && b->ns[k] > 0 && cost < least) {
			least = cost;
			best = k;
		}
	}
	return best;
}
