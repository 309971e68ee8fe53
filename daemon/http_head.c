/* What is checked before anything of a request is believed: framing that proxies could read
 * otherwise, who asks, and from which page. */
#include "daemon/http_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

struct head {
	struct MHD_Connection *mhd;
	const char *again; /* a word about routing that is there a second time */
	unsigned n_length, n_host, n_auth, n_encoding, n_origin, n_key, n_event, n_blank;
	const char *length, *host, *auth, *encoding, *origin, *content;
};

/* The value is not the one that a look-up finds: the header stood there before. */
static bool
is_again(const struct head *d, const char *key, const char *value)
{
	return strncasecmp(key, "X-Shoal-", 8) == 0 &&
	       MHD_lookup_connection_value(d->mhd, MHD_HEADER_KIND, key) != value;
}

static enum MHD_Result
note(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct head *d = arg;

	(void)kind;
	d->n_blank += key[strcspn(key, " \t")] != '\0';
	if (strcasecmp(key, "Content-Length") == 0) {
		d->n_length++;
		d->length = value;
	} else if (strcasecmp(key, "Host") == 0) {
		d->n_host++;
		d->host = value;
	} else if (strcasecmp(key, "Authorization") == 0) {
		d->n_auth++;
		d->auth = value;
	} else if (strcasecmp(key, "Transfer-Encoding") == 0) {
		d->n_encoding++;
		d->encoding = value;
	} else if (strcasecmp(key, "Origin") == 0) {
		d->n_origin++;
		d->origin = value;
	} else if (strcasecmp(key, "Content-Encoding") == 0) {
		d->content = value;
	} else if (strcasecmp(key, "Idempotency-Key") == 0) {
		d->n_key++;
	} else if (strcasecmp(key, "Last-Event-ID") == 0) {
		d->n_event++;
	} else if (is_again(d, key, value)) {
		d->again = key;
	}
	return MHD_YES;
}

/* MHD takes the first of two lengths, and a length beside chunks, and does not know "Content-Length "
 * (RFC 9112, 5.1): another program in front of us may take the other, and see other requests than we do. */
static int
check_framing(struct http_request *r, const struct head *d)
{
	if (d->n_length > 1 || d->n_host > 1 || d->n_auth > 1 || d->n_encoding > 1 ||
		d->n_origin > 1 || d->n_key > 1 || d->n_event > 1)
		http_fail(r, 400, NULL, NULL, "a header that may occur once occurs twice");
	else if (d->n_blank > 0)
		http_fail(r, 400, NULL, NULL, "a header's name has a blank in it or behind it");
	/* A stricter one that a proxy adds behind the client's must not be overlooked. */
	else if (d->again != NULL)
		http_fail(r, 400, NULL, NULL, "the header %.40s occurs twice: send it once",
			d->again);
	else if (d->n_encoding > 0 && (d->n_length > 0 || d->encoding == NULL ||
					      strcasecmp(d->encoding, "chunked") != 0))
		http_fail(r, 400, NULL, NULL,
			"Transfer-Encoding can only be chunked, and without a Content-Length");
	else if (d->n_length > 0 && (d->length == NULL || d->length[0] == '\0' ||
					    strspn(d->length, "0123456789") != strlen(d->length)))
		http_fail(r, 400, NULL, NULL, "Content-Length is not a number");
	else if (d->length != NULL && strtoull(d->length, NULL, 10) > HTTP_MAX_BODY)
		http_fail(r, 413, "body_too_large", NULL,
			"the body is larger than %u MiB: send less of the conversation",
			HTTP_MAX_BODY >> 20);
	else
		return 0;
	return -1;
}

/* The unix socket is guarded by its file's mode; pages cannot reach it. */
static int
check_page(struct http_request *r, const struct head *d)
{
	if (r->pump->unix_socket)
		return 0;
	if (r->http->loopback && d->host != NULL && !http_host_local(d->host)) {
		http_fail(r, 403, "host_not_allowed", NULL,
			"this server listens on this machine only, and does not answer as '%.100s'",
			d->host);
		return -1;
	}
	if (d->origin == NULL)
		return 0;
	if (!http_origin_allowed(d->origin, d->host)) {
		http_fail(r, 403, "origin_not_allowed", NULL,
			"pages of '%.100s' may not use this server", d->origin);
		return -1;
	}
	snprintf(r->origin, sizeof r->origin, "%s", d->origin);
	return 0;
}

static int
check_key(struct http_request *r, const struct head *d)
{
	r->key_privacy = PRIVACY_CLOUD;
	if (r->pump->unix_socket || r->http->keys.n == 0 || r->route->open ||
		http_keys_accept(&r->http->keys, d->auth, &r->key_privacy))
		return 0;
	http_fail(r, 401, "invalid_api_key", NULL,
		d->auth == NULL ? "this server needs an API key: send Authorization: Bearer KEY"
				: "the API key is not one of this server's");
	http_header(r, "WWW-Authenticate", "Bearer");
	return -1;
}

/* 8 bytes of a hash: clients are told apart by it, and nothing is learned from it. */
static uint64_t
client_number(const char *kind, const void *who, size_t len)
{
	crypto_generichash_state s;
	uint8_t hash[16];

	crypto_generichash_init(&s, NULL, 0, sizeof hash);
	crypto_generichash_update(&s, (const uint8_t *)kind, strlen(kind) + 1);
	crypto_generichash_update(&s, who, len);
	crypto_generichash_final(&s, hash, sizeof hash);
	return get_le64(hash);
}

static uint64_t
find_client(const struct http_request *r, const struct head *d)
{
	struct sockaddr_storage at = {0};
	socklen_t len = sizeof at;
	struct ucred user = {.uid = (uid_t)-1};

	if (r->pump->unix_socket) {
		len = sizeof user;
		getsockopt(r->conn->fd, SOL_SOCKET, SO_PEERCRED, &user, &len);
		return client_number("uid", &user.uid, sizeof user.uid);
	}
	if (r->http->keys.n > 0 && d->auth != NULL)
		return client_number("key", d->auth, strlen(d->auth));
	getpeername(r->conn->fd, (struct sockaddr *)&at, &len);
	if (at.ss_family == AF_INET6)
		return client_number("v6", &((struct sockaddr_in6 *)&at)->sin6_addr, 16);
	return client_number("v4", &((struct sockaddr_in *)&at)->sin_addr, 4);
}

int
http_head_check(struct http_request *r, const char *method, const char *path, bool *fatal)
{
	struct head d = {.mhd = r->mhd};

	MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, note, &d);
	*fatal = true;
	if (check_framing(r, &d) != 0)
		return -1;
	/* With Expect: 100-continue the client waits for a word before it sends the body. */
	*fatal = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Expect") != NULL;
	if (check_page(r, &d) != 0)
		return -1;
	r->route = http_route(r, method, path);
	if (r->route == NULL || check_key(r, &d) != 0)
		return -1;
	r->client = find_client(r, &d);
	if (r->route->control && !r->pump->unix_socket) {
		http_fail(r, 403, NULL, NULL, "%s is answered on the unix socket only",
			r->route->path);
		return -1;
	}
	if (d.content != NULL && strcasecmp(d.content, "identity") != 0) {
		http_fail(r, 415, NULL, NULL,
			"a body in Content-Encoding '%.32s' is not supported: send it as it is",
			d.content);
		return -1;
	}
	return 0;
}
