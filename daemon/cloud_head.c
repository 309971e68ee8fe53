/* The head of a request: all of it is made here, so that a preview shows what is sent. */
#include "daemon/cloud_int.h"

#include <string.h>

const char *
cloud_path(const struct cloud_request *r)
{
	return r->plain ? "/completions" : "/chat/completions";
}

void
cloud_head(const struct cloud_request *r, bool mask, struct buf *out)
{
	const struct endpoint *e = r->endpoint;
	const char *host = strstr(e->url, "://") + 3, *path = strchr(host, '/');
	int host_len = path != NULL ? (int)(path - host) : (int)strlen(host);

	buf_printf(out, "POST %s%s HTTP/1.1\r\n", path != NULL ? path : "", cloud_path(r));
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
