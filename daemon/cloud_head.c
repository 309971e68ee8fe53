/* The head of a request: all of it is made here, so that a preview shows what is sent. */
#include "daemon/cloud.h"

#include <string.h>

#define PATH "/chat/completions"

void
cloud_head(const struct cloud_request *r, bool mask, struct buf *out)
{
	const struct endpoint *e = r->endpoint;
	const char *host = strstr(e->url, "://") + 3, *path = strchr(host, '/');
	int host_len = path != NULL ? (int)(path - host) : (int)strlen(host);

	buf_printf(out, "POST %s" PATH " HTTP/1.1\r\n", path != NULL ? path : "");
	buf_printf(out, "Host: %.*s\r\n", host_len, host);
	if (e->key != NULL)
		buf_printf(out, "Authorization: Bearer %s\r\n", mask ? "***" : e->key);
	buf_printf(out,
		"User-Agent: shoal\r\n"
		"Accept: text/event-stream, application/json\r\n"
		"Content-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n",
		r->len);
}
