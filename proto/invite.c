/* The code's bytes: kind (1: IPv4, 2: IPv6, 3: name) | address (4, 16, or a length and its bytes) |
 * port, big-endian | swarm key | secret | check (2 bytes of BLAKE2b over all before). */
#include "proto/invite.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>

#define CHECK     2
#define MAX_BYTES 384

enum { KIND_IPV4 = 1, KIND_IPV6 = 2, KIND_NAME = 3 };

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void
check_of(const uint8_t *data, size_t len, uint8_t check[CHECK])
{
	uint8_t hash[16];

	crypto_generichash(hash, sizeof hash, data, len, (const uint8_t *)"shoal invite", 12);
	memcpy(check, hash, CHECK);
}

static int
put_address(const struct invite *i, struct buf *b, struct err *err)
{
	uint8_t address[16];
	size_t len = strlen(i->host);

	if (inet_pton(AF_INET, i->host, address) == 1) {
		buf_u8(b, KIND_IPV4);
		buf_append(b, address, 4);
	} else if (inet_pton(AF_INET6, i->host, address) == 1) {
		buf_u8(b, KIND_IPV6);
		buf_append(b, address, 16);
	} else {
		if (len == 0 || len > 253)
			return err_set(
				err, "'%s' is no address that fits into an invite code", i->host);
		buf_u8(b, KIND_NAME);
		buf_u8(b, (uint8_t)len);
		buf_append(b, i->host, len);
	}
	buf_u8(b, (uint8_t)(i->port >> 8));
	return buf_u8(b, (uint8_t)i->port);
}

/* Base32, five bits a letter, in groups of five. */
static void
put_text(const uint8_t *data, size_t len, char *out)
{
	uint32_t acc = 0;
	unsigned bits = 0, letters = 0;

	for (size_t i = 0; i < len || bits > 0;) {
		if (bits < 5 && i < len) {
			acc = acc << 8 | data[i++];
			bits += 8;
			continue;
		}
		if (bits < 5) { /* the last letter is filled with zeros */
			acc <<= 5 - bits;
			bits = 5;
		}
		if (letters > 0 && letters % 5 == 0)
			*out++ = '-';
		bits -= 5;
		*out++ = alphabet[acc >> bits & 31];
		letters++;
	}
	*out = '\0';
}

int
invite_format(const struct invite *i, char out[INVITE_TEXT], struct err *err)
{
	uint8_t check[CHECK];
	struct buf b;
	int rc;

	buf_init(&b, MAX_BYTES);
	rc = put_address(i, &b, err);
	if (rc == 0) {
		buf_append(&b, i->swarm_key, sizeof i->swarm_key);
		buf_append(&b, i->secret, sizeof i->secret);
		check_of(b.data, b.len, check);
		buf_append(&b, check, sizeof check);
		put_text(b.data, b.len, out);
	}
	if (b.data != NULL)
		sodium_memzero(b.data, b.cap);
	buf_free(&b);
	return rc;
}

/* A letter's value; look-alikes count as what they look like. -1: no letter of a code. */
static int
letter_value(char c)
{
	const char *at;

	c = (char)toupper((unsigned char)c);
	if (c == 'O')
		c = '0';
	if (c == 'I' || c == 'L')
		c = '1';
	at = c != '\0' ? strchr(alphabet, c) : NULL;
	return at != NULL ? (int)(at - alphabet) : -1;
}

static int
get_bytes(const char *text, uint8_t out[MAX_BYTES], size_t *len, struct err *err)
{
	uint32_t acc = 0;
	unsigned bits = 0;

	*len = 0;
	for (; *text != '\0'; text++) {
		int v;

		if (*text == '-' || *text == ' ' || *text == '\n' || *text == '\r')
			continue;
		v = letter_value(*text);
		if (v < 0)
			return err_set(
				err, "'%c' is no letter of an invite code: it was mistyped", *text);
		acc = acc << 5 | (uint32_t)v;
		bits += 5;
		if (bits < 8)
			continue;
		if (*len == MAX_BYTES)
			return err_set(err, "this is too long for an invite code");
		bits -= 8;
		out[(*len)++] = (uint8_t)(acc >> bits);
	}
	/* The last letter is filled up with zeros. */
	if (bits >= 5 || (acc & ((1u << bits) - 1)) != 0)
		return err_set(err, "the invite code was mistyped: its last letter does not fit");
	return 0;
}

static int
get_address(struct rd *r, struct invite *i)
{
	char text[INET6_ADDRSTRLEN];
	const void *address;
	uint8_t kind = rd_u8(r), len;

	if (kind == KIND_IPV4 || kind == KIND_IPV6) {
		address = rd_bytes(r, kind == KIND_IPV4 ? 4 : 16);
		if (address == NULL || inet_ntop(kind == KIND_IPV4 ? AF_INET : AF_INET6, address,
					       text, sizeof text) == NULL)
			return -1;
		snprintf(i->host, sizeof i->host, "%s", text);
	} else if (kind == KIND_NAME) {
		len = rd_u8(r);
		address = rd_bytes(r, len);
		if (address == NULL || len == 0 || memchr(address, '\0', len) != NULL)
			return -1;
		memcpy(i->host, address, len);
		i->host[len] = '\0';
	} else {
		return -1;
	}
	i->port = (uint16_t)(rd_u8(r) << 8);
	i->port |= rd_u8(r);
	return r->failed || i->port == 0 ? -1 : 0;
}

int
invite_parse(const char *text, struct invite *i, struct err *err)
{
	uint8_t data[MAX_BYTES], check[CHECK];
	const uint8_t *key, *secret;
	struct rd r;
	size_t len;
	int rc = -1;

	if (get_bytes(text, data, &len, err) != 0)
		return -1;
	if (len < 1 + 4 + 2 + 32 + INVITE_SECRET + CHECK) {
		err_set(err, "this is too short for an invite code: part of it is missing");
		goto out;
	}
	check_of(data, len - CHECK, check);
	if (memcmp(check, data + len - CHECK, CHECK) != 0) {
		err_set(err, "the invite code was mistyped: its check does not fit; type it again");
		goto out;
	}
	r = rd_init(data, len - CHECK);
	*i = (struct invite){0};
	rc = get_address(&r, i);
	key = rd_bytes(&r, sizeof i->swarm_key);
	secret = rd_bytes(&r, sizeof i->secret);
	if (rc != 0 || key == NULL || secret == NULL || rd_left(&r) != 0) {
		rc = err_set(err, "the invite code is from another version of Shoal");
		goto out;
	}
	memcpy(i->swarm_key, key, sizeof i->swarm_key);
	memcpy(i->secret, secret, sizeof i->secret);
out:
	sodium_memzero(data, sizeof data);
	return rc;
}

void
invite_id(const uint8_t secret[INVITE_SECRET], uint8_t id[8])
{
	uint8_t hash[32];

	crypto_generichash(
		hash, sizeof hash, secret, INVITE_SECRET, (const uint8_t *)"shoal invite id!", 16);
	memcpy(id, hash, 8);
	sodium_memzero(hash, sizeof hash);
}

void
invite_psk(const uint8_t secret[INVITE_SECRET], uint8_t psk[32])
{
	crypto_generichash(psk, 32, secret, INVITE_SECRET, (const uint8_t *)"shoal invite psk", 16);
}
