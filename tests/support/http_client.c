#include "tests/support/http_client.h"

#include "tests/support/patience.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int
open_socket(int family, const struct sockaddr *at, socklen_t len)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (fd >= 0 && connect(fd, at, len) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int
client_tcp(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};

	return open_socket(AF_INET, (struct sockaddr *)&at, sizeof at);
}

int
client_unix(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	return open_socket(AF_UNIX, (struct sockaddr *)&at, sizeof at);
}

void
client_send(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

/* Reads more; false at the end. */
static bool
more(int fd, struct buf *b)
{
	ssize_t n;

	if (buf_reserve(b, 65537) != 0)
		return false;
	do
		n = recv(fd, b->data + b->len, 65536, 0);
	while (n < 0 && errno == EINTR); /* the process was stopped and goes on */
	if (n <= 0)
		return false;
	b->len += (size_t)n;
	return true;
}

static const char *
find(struct buf *b, size_t from, const char *what)
{
	if (buf_reserve(b, 1) == 0)
		b->data[b->len] = '\0';
	return b->len > from ? strstr((const char *)b->data + from, what) : NULL;
}

/* Reads until `what` is there at or after from; its offset, or -1. */
static ssize_t
read_to(int fd, struct buf *b, size_t from, const char *what)
{
	while (find(b, from, what) == NULL)
		if (!more(fd, b))
			return -1;
	return find(b, from, what) - (const char *)b->data;
}

static void
take_chunks(int fd, struct buf *b, size_t *pos, struct buf *body, struct answer *a)
{
	for (;;) {
		ssize_t eol = read_to(fd, b, *pos, "\r\n");
		size_t n, at;

		if (eol < 0)
			return;
		n = strtoul((const char *)b->data + *pos, NULL, 16);
		at = (size_t)eol + 2;
		while (b->len < at + n + 2)
			if (!more(fd, b))
				return;
		buf_append(body, b->data + at, n);
		*pos = at + n + 2;
		if (n == 0) {
			a->whole = true;
			return;
		}
	}
}

static void
take_body(int fd, struct buf *b, size_t *pos, struct buf *body, struct answer *a)
{
	const char *length = strcasestr(a->head, "\r\ncontent-length:");
	size_t n = length != NULL ? strtoul(length + 17, NULL, 10) : 0;

	if (strcasestr(a->head, "\r\ntransfer-encoding: chunked") != NULL) {
		take_chunks(fd, b, pos, body, a);
		return;
	}
	if (length == NULL) {
		a->whole = a->status == 204;
		return;
	}
	while (b->len < *pos + n)
		if (!more(fd, b))
			return;
	buf_append(body, b->data + *pos, n);
	*pos += n;
	a->whole = true;
}

void
client_read(int fd, struct buf *rest, struct answer *a)
{
	struct buf body;
	ssize_t end;
	size_t pos;

	*a = (struct answer){0};
	buf_init(&body, 0);
	end = read_to(fd, rest, 0, "\r\n\r\n");
	if (end >= 0) {
		pos = (size_t)end + 4;
		a->head = strndup((const char *)rest->data, pos);
		sscanf(a->head, "HTTP/1.%*c %d", &a->status);
		take_body(fd, rest, &pos, &body, a);
		buf_consume(rest, pos);
	}
	a->len = body.len;
	buf_u8(&body, 0);
	a->body = (char *)body.data;
	a->json = json_loadb(a->body, a->len, 0, NULL);
	if (a->head == NULL)
		a->head = strdup("");
}

void
answer_free(struct answer *a)
{
	free(a->head);
	free(a->body);
	json_decref(a->json);
	*a = (struct answer){0};
}

void
client_ask(int fd, const char *method, const char *path, const char *headers, const char *body,
	struct answer *a)
{
	struct buf out, rest;

	buf_init(&out, 0);
	buf_init(&rest, 0);
	buf_printf(&out, "%s %s HTTP/1.1\r\n%s", method, path, headers);
	if (strstr(headers, "Host:") == NULL)
		buf_str(&out, "Host: localhost\r\n");
	if (body != NULL)
		buf_printf(&out, "Content-Length: %zu\r\n", strlen(body));
	buf_str(&out, "\r\n");
	if (body != NULL)
		buf_str(&out, body);
	client_send(fd, (const char *)out.data, out.len);
	client_read(fd, &rest, a);
	buf_free(&out);
	buf_free(&rest);
}

const char *
answer_error(const struct answer *a, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(a->json, "error"), key));

	return s != NULL ? s : "";
}
