/* Which URLs may be called. Strict, so that what is checked here and what the HTTP client makes of it
 * cannot differ: no user, no query, no fragment, no escapes, no odd ways to write an address. */
#include "daemon/endpoints_int.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Only addresses: a name like localhost is what some resolver says it is. */
static bool
is_loopback(const char *host)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool
is_made_of(const char *s, size_t len, const char *others)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && (s[i] == '\0' || strchr(others, s[i]) == NULL))
			return false;
	return true;
}

/* "host", "[v6]": what is in it, and where it ends. */
static const char *
take_host(const char *at, char host[128])
{
	bool v6 = *at == '[';
	size_t len;

	at += v6;
	len = strcspn(at, v6 ? "]" : ":/");
	if (len == 0 || len >= 128 || !is_made_of(at, len, v6 ? ":." : "-."))
		return NULL;
	memcpy(host, at, len);
	host[len] = '\0';
	at += len;
	if (v6 && *at != ']')
		return NULL;
	return at + v6;
}

static const char *
take_port(const char *at)
{
	char *end;
	unsigned long port;

	if (*at != ':')
		return at;
	if (!isdigit((unsigned char)at[1]))
		return NULL;
	port = strtoul(at + 1, &end, 10);
	return port >= 1 && port <= 65535 ? end : NULL;
}

int
endpoint_check_url(const char *url, struct err *err)
{
	bool tls = strncmp(url, "https://", 8) == 0;
	const char *at;
	char host[128];

	if (!tls && strncmp(url, "http://", 7) != 0)
		return err_set(err, "url: '%s' does not begin with https://", url);
	at = take_host(url + (tls ? 8 : 7), host);
	if (at != NULL)
		at = take_port(at);
	if (at == NULL || (*at != '\0' && *at != '/') || !is_made_of(at, strlen(at), "/-._~"))
		return err_set(err,
			"url: '%s' is not https://HOST[:PORT][/PATH] of letters, digits and "
			"/ - . _ ~ alone",
			url);
	if (!tls && !is_loopback(host))
		return err_set(err,
			"url: '%s' would send prompts and keys in the clear: http is for "
			"127.0.0.1 and [::1] alone; use https",
			url);
	return 0;
}
