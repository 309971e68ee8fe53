/* A plain HTTP client on blocking sockets: sends exactly the bytes it is given, reads one answer.
 */
#ifndef TESTS_SUPPORT_HTTP_CLIENT_H
#define TESTS_SUPPORT_HTTP_CLIENT_H

#include "base/buf.h"

#include <jansson.h>

struct answer {
	int status;        /* 0: the connection ended before an answer */
	char *head, *body; /* terminated; chunks are joined */
	size_t len;
	bool whole;   /* it ended as it said it would */
	json_t *json; /* of the body, or NULL */
};

int client_tcp(uint16_t port); /* connected; reads give up after 20 s */
int client_unix(const char *path);
void client_send(int fd, const char *data, size_t len); /* an error is the server's right */
/* Reads one answer; what follows it stays in `rest` (kept between calls on one connection). */
void client_read(int fd, struct buf *rest, struct answer *a);
void answer_free(struct answer *a);

/* One request on a connection of its own. headers: "" or lines that end with \r\n. body NULL:
 * none. */
void client_ask(int fd, const char *method, const char *path, const char *headers, const char *body,
	struct answer *a);
const char *answer_error(const struct answer *a, const char *key); /* of error, or "" */

#endif
