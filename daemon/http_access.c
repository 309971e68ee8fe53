#include "daemon/http_access.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static int
add_key(struct http_keys *k, const char *key, size_t len, enum privacy privacy, struct err *err)
{
	uint8_t(*more)[32], *policies;

	if (k->n == HTTP_MAX_KEYS)
		return err_set(err, "more than %d keys", HTTP_MAX_KEYS);
	more = realloc(k->hashes, (k->n + 1) * sizeof *more);
	if (more != NULL)
		k->hashes = more;
	policies = realloc(k->privacy, k->n + 1);
	if (policies != NULL)
		k->privacy = policies;
	if (more == NULL || policies == NULL)
		return err_set(err, "out of memory");
	policies[k->n] = (uint8_t)privacy;
	crypto_generichash(more[k->n++], 32, (const unsigned char *)key, len, NULL, 0);
	return 0;
}

/* "KEY", or "KEY privacy=WORD". */
static int
add_line(struct http_keys *k, const char *line, size_t len, struct err *err)
{
	static const char option[] = "privacy=";
	size_t key = 0, at, n = sizeof option - 1;
	enum privacy privacy = PRIVACY_CLOUD;
	char word[16] = "";

	while (key < len && line[key] != ' ' && line[key] != '\t')
		key++;
	for (at = key; at < len && (line[at] == ' ' || line[at] == '\t'); at++)
		;
	if (at < len) {
		if (len - at < n || memcmp(line + at, option, n) != 0 ||
			len - at - n >= sizeof word)
			return err_set(err,
				"behind a key may stand privacy=device, home, redact or "
				"cloud, and nothing else");
		memcpy(word, line + at + n, len - at - n);
		if (privacy_parse(word, &privacy, err) != 0)
			return -1;
	}
	return add_key(k, line, key, privacy, err);
}

static int
add_lines(struct http_keys *k, const char *s, size_t len, struct err *err)
{
	const char *end = s + len;

	while (s < end) {
		const char *eol = memchr(s, '\n', (size_t)(end - s));
		const char *next = eol != NULL ? eol + 1 : end;
		const char *last = eol != NULL ? eol : end;

		while (s < last && (*s == ' ' || *s == '\t'))
			s++;
		while (last > s && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r'))
			last--;
		if (s < last && *s != '#' && add_line(k, s, (size_t)(last - s), err) != 0)
			return -1;
		s = next;
	}
	return k->n > 0 ? 0 : err_set(err, "holds no key: write one a line");
}

int
http_keys_read(struct http_keys *k, const char *path, struct err *err)
{
	struct buf text;
	int rc;

	*k = (struct http_keys){0};
	buf_init(&text, 1 << 20);
	rc = file_read(path, &text, err);
	if (rc == 0) {
		rc = add_lines(k, (const char *)text.data, text.len, err);
		if (rc != 0)
			err_prefix(err, "%s: ", path);
	}
	if (text.data != NULL)
		sodium_memzero(text.data, text.cap);
	buf_free(&text);
	if (rc != 0)
		http_keys_free(k);
	return rc;
}

void
http_keys_free(struct http_keys *k)
{
	free(k->hashes);
	free(k->privacy);
	*k = (struct http_keys){0};
}

bool
http_keys_accept(const struct http_keys *k, const char *authorization, enum privacy *privacy)
{
	uint8_t hash[32];
	int found = 0, policy = 0;

	if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0)
		return false;
	authorization += 7;
	while (*authorization == ' ')
		authorization++;
	crypto_generichash(
		hash, 32, (const unsigned char *)authorization, strlen(authorization), NULL, 0);
	for (size_t i = 0; i < k->n; i++) {
		int same = sodium_memcmp(hash, k->hashes[i], 32) == 0;

		found |= same;
		policy |= -same & k->privacy[i];
	}
	*privacy = (enum privacy)policy;
	return found != 0;
}

/* The name in "name", "name:port", "[v6]:port". false: it is none of these. */
static bool
host_name(const char *host, char name[256])
{
	const char *end, *port;
	size_t len;

	if (host[0] == '[') {
		host++;
		end = strchr(host, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		port = end + 1;
	} else {
		end = host + strcspn(host, ":");
		port = end;
	}
	len = (size_t)(end - host);
	if (len >= 256 || (*port == ':' && strspn(port + 1, "0123456789") != strlen(port + 1)))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (len > 1 && name[len - 1] == '.') /* the root's dot */
		name[len - 1] = '\0';
	return true;
}

static bool
ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n > m && strcasecmp(s + n - m, suffix) == 0;
}

static bool
is_address(const char *name)
{
	struct in_addr v4;
	struct in6_addr v6;

	return inet_pton(AF_INET, name, &v4) == 1 || inet_pton(AF_INET6, name, &v6) == 1;
}

static bool
is_loopback(const char *name)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, name, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return inet_pton(AF_INET6, name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool
http_host_local(const char *host)
{
	static const char *const suffixes[] = {".local", ".localhost", ".internal"};
	char name[256], own[256] = "";

	if (!host_name(host, name))
		return false;
	/* A rebound name is a name: an address in Host means that the page was asked by it. */
	if (is_address(name) || strcasecmp(name, "localhost") == 0)
		return true;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		if (ends_with(name, suffixes[i]))
			return true;
	return gethostname(own, sizeof own - 1) == 0 && own[0] != '\0' &&
	       strcasecmp(name, own) == 0;
}

bool
http_origin_allowed(const char *origin, const char *host)
{
	static const char *const apps[] = {"app://", "file://", "tauri://", "vscode-webview://"};
	const char *rest;
	char name[256];

	for (size_t i = 0; i < sizeof apps / sizeof *apps; i++)
		if (strncasecmp(origin, apps[i], strlen(apps[i])) == 0)
			return true;
	if (strncasecmp(origin, "http://", 7) == 0)
		rest = origin + 7;
	else if (strncasecmp(origin, "https://", 8) == 0)
		rest = origin + 8;
	else
		return false; /* "null" too: any page can make itself a frame of that origin */
	if (host != NULL && strcasecmp(rest, host) == 0)
		return true;
	return host_name(rest, name) && (strcasecmp(name, "localhost") == 0 ||
						ends_with(name, ".localhost") || is_loopback(name));
}
