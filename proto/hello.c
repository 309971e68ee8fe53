#include "proto/hello.h"

#include <string.h>

static const char magic[4] = {'S', 'H', 'O', 'L'};

void
hello_write(const struct hello *h, uint8_t out[HELLO_BYTES])
{
	memset(out, 0, HELLO_BYTES);
	memcpy(out, magic, sizeof magic);
	out[4] = h->version;
	out[5] = h->purpose;
	memcpy(out + 8, h->who, sizeof h->who);
}

int
hello_read(const uint8_t in[HELLO_BYTES], struct hello *h, struct err *err)
{
	if (memcmp(in, magic, sizeof magic) != 0)
		return err_set(err, "what came is not Shoal's protocol");
	h->version = in[4];
	h->purpose = in[5];
	memcpy(h->who, in + 8, sizeof h->who);
	if (h->version != HELLO_VERSION)
		return err_set(err,
			"the other side speaks protocol version %u, this one %u: bring both to one "
			"version",
			h->version, HELLO_VERSION);
	if (h->purpose < LINK_PAIR || h->purpose > LINK_VOTE || in[6] != 0 || in[7] != 0)
		return err_set(err, "a link of purpose %u is not known here", h->purpose);
	return 0;
}
