/* The HTTP API: libmicrohttpd driven from the libuv loop, on TCP and on the unix socket. Main
 * thread. */
#ifndef DAEMON_HTTP_H
#define DAEMON_HTTP_H

#include "daemon/config.h"
#include "daemon/serve.h"

struct http;

/* Whether http_new would take `http` and `api_keys` of the configuration; what is unwise of them is said in the log. */
int http_check(const struct config *c, struct err *err);
struct http *http_new(uv_loop_t *loop, const struct config *c, struct serve *s, struct err *err);
uint16_t http_port(const struct http *h); /* what port 0 became; 0 when off */
/* Ends running streams with an error event, closes all handles; free after the loop has ended. */
void http_close(struct http *h);
void http_free(struct http *h);

#endif
