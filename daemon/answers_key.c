/* Idempotency-Key and Last-Event-ID. */
#include "daemon/answers.h"

#include <sodium.h>
#include <stdlib.h>

/* A string of RFC 8941 ("..." with \" and \\ inside), or, as most clients send it, the bare text.
 * The key's length, or 0: it is none. */
static size_t
key_text(const char *s, char out[ANSWER_KEY_MAX + 1])
{
	size_t len = strlen(s), n = 0;
	bool quoted = len >= 2 && s[0] == '"' && s[len - 1] == '"';
	const char *end = s + len - (quoted ? 1 : 0);

	for (s += quoted ? 1 : 0; s < end; s++) {
		if (quoted && *s == '\\' && ++s == end)
			return 0;
		if (*s < 0x20 || *s > 0x7e || n == ANSWER_KEY_MAX)
			return 0;
		out[n++] = *s;
	}
	return n;
}

/* What is said in headers is a part of the request, as it would be in the body: an answer that a cloud gave is none
 * for who wants it from home. */
static void
hash_headers(const struct http_request *r, crypto_generichash_state *s)
{
	static const char *const names[] = {"X-Shoal-Privacy", "X-Shoal-Quality", "X-Shoal-Budget",
		"X-Shoal-Mode", "X-Shoal-Dry-Run"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *v = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, names[i]);

		if (v == NULL)
			continue;
		crypto_generichash_update(s, (const uint8_t *)names[i], strlen(names[i]) + 1);
		crypto_generichash_update(s, (const uint8_t *)v, strlen(v) + 1);
	}
}

static void
hash_key(const struct http_request *r, const char *text, size_t len, struct answer_key *k)
{
	const char *path = r->route->path;
	crypto_generichash_state s;
	uint8_t client[8];

	put_le64(client, r->client);
	crypto_generichash_init(&s, NULL, 0, sizeof k->name);
	crypto_generichash_update(&s, client, sizeof client);
	crypto_generichash_update(&s, (const uint8_t *)text, len);
	crypto_generichash_final(&s, k->name, sizeof k->name);
	crypto_generichash_init(&s, NULL, 0, sizeof k->request);
	crypto_generichash_update(&s, (const uint8_t *)path, strlen(path) + 1);
	hash_headers(r, &s);
	crypto_generichash_update(&s, r->body.data, r->body.len);
	crypto_generichash_final(&s, k->request, sizeof k->request);
}

static int
read_event(const char *s, struct answer_key *k, struct api_error *e)
{
	if (s[0] == '\0' || strlen(s) > 18 || strspn(s, "0123456789") != strlen(s))
		return api_error_set(e, 400, NULL, "Last-Event-ID",
			"Last-Event-ID is not the number of an event of this server");
	k->behind = true;
	k->event = strtoull(s, NULL, 10);
	return 0;
}

int
answer_key_read(struct http_request *r, const struct api_request *a, struct answer_key *k,
	bool *keyed, struct api_error *e)
{
	const char *name = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Idempotency-Key");
	const char *event = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Last-Event-ID");
	char text[ANSWER_KEY_MAX + 1];
	size_t len;

	*k = (struct answer_key){0};
	*keyed = name != NULL;
	if (name == NULL)
		return 0;
	len = key_text(name, text);
	if (len == 0)
		return api_error_set(e, 400, "invalid_idempotency_key", "Idempotency-Key",
			"Idempotency-Key must be 1 to %d printable ASCII characters",
			ANSWER_KEY_MAX);
	hash_key(r, text, len, k);
	return event != NULL && a->stream ? read_event(event, k, e) : 0;
}

uint64_t
answer_key_seed(const struct answer_key *k)
{
	uint8_t seed[16];

	crypto_generichash(
		seed, sizeof seed, k->name, sizeof k->name, k->request, sizeof k->request);
	return get_le64(seed);
}
