#include "daemon/link_internal.h"

#include "daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_ROOM    65536
#define TENSOR_ROOM  (4 * READ_ROOM) /* the more at once, the fewer pieces of records are moved */
#define MAX_QUEUED   (8u << 20)      /* beside one message */
#define KEY_AGE_MS   (120 * 1000)
#define USER_TIMEOUT 2000
#define UNREAD_MS    500 /* in which what came before a failure is read */

static const char *const purposes[] = {"?", "pairing", "control", "tensor", "bulk", "vote"};

/* --- life --- */

static void
on_handle_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	if (--l->handles > 0)
		return;
	if (!l->silent && l->ev.on_close != NULL)
		l->ev.on_close(l, l->arg, l->why);
	record_deinit(&l->records);
	sodium_memzero(&l->noise, sizeof l->noise);
	buf_free(&l->in);
	buf_free(&l->out);
	free(l);
}

struct link *
link_new(uv_loop_t *loop, enum link_purpose purpose)
{
	struct link *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	uv_tcp_init(loop, &l->tcp);
	uv_timer_init(loop, &l->deadline);
	l->tcp.data = l->deadline.data = l;
	l->handles = 2;
	l->purpose = purpose;
	buf_init(&l->in, 0);
	buf_init(&l->out, 0);
	return l;
}

void
link_close(struct link *l, const char *why)
{
	if (l->state == LINK_CLOSED)
		return;
	link_leave_half_open(l);
	l->state = LINK_CLOSED;
	snprintf(l->why, sizeof l->why, "%s", why != NULL ? why : "");
	if (l->resolving)
		uv_cancel((uv_req_t *)&l->resolve);
	uv_close((uv_handle_t *)&l->deadline, on_handle_closed);
	/* The resolver's answer still needs the link: the socket closes after it. */
	if (!l->resolving)
		uv_close((uv_handle_t *)&l->tcp, on_handle_closed);
}

void
link_resolve_ended(struct link *l)
{
	uv_close((uv_handle_t *)&l->tcp, on_handle_closed);
}

/* Closes for a fault of the other side, with the one line that an operator sees. */
static void
refuse(struct link *l, const struct err *err)
{
	log_warning("%s link with %s refused: %s", purposes[l->purpose], l->address, err->msg);
	link_close(l, err->msg);
}

enum link_purpose
link_purpose(const struct link *l)
{
	return l->purpose;
}

const uint8_t *
link_remote(const struct link *l)
{
	return l->remote;
}

enum aead_kind
link_cipher(const struct link *l)
{
	return l->records.send.kind;
}

const char *
link_address(const struct link *l)
{
	return l->address;
}

void
link_set(struct link *l, const struct link_events *ev, void *arg)
{
	l->ev = *ev;
	l->arg = arg;
}

void *
link_arg(const struct link *l)
{
	return l->arg;
}

void
link_name_address(struct link *l)
{
	struct sockaddr_storage sa;
	int len = sizeof sa;
	char host[46] = "?";
	uint16_t port = 0;

	if (uv_tcp_getpeername(&l->tcp, (struct sockaddr *)&sa, &len) == 0) {
		if (sa.ss_family == AF_INET) {
			uv_ip4_name((struct sockaddr_in *)&sa, host, sizeof host);
			port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
		} else {
			uv_ip6_name((struct sockaddr_in6 *)&sa, host, sizeof host);
			port = ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
		}
	}
	snprintf(l->address, sizeof l->address, "%s:%u", host, port);
}

/* BBR sends no faster than it saw data arrive before. Sums come in bursts with nothing between them, so that what it
 * saw is less than the way can carry: between two daemons of one machine the sums of a prompt took up to twice as long. */
void
link_send_at_once(uv_os_fd_t fd)
{
	char name[16] = "";
	socklen_t len = sizeof name - 1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) != 0 ||
		strncmp(name, "bbr", 3) != 0)
		return;
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0)
		setsockopt(
			fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); /* everybody may choose it */
}

void
link_tune(struct link *l)
{
	unsigned timeout = USER_TIMEOUT;
	uv_os_fd_t fd;

	uv_tcp_nodelay(&l->tcp, 1);
	/* Written bytes that nobody confirms for this long: the other side is gone. */
	if (uv_fileno((uv_handle_t *)&l->tcp, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

/* --- reading --- */

static void
on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
	struct link *l = h->data;
	size_t room = l->state == LINK_OPEN && l->purpose == LINK_TENSOR ? TENSOR_ROOM : READ_ROOM;

	(void)suggested;
	if (buf_reserve(&l->in, room) != 0) {
		*out = uv_buf_init(NULL, 0);
		return;
	}
	*out = uv_buf_init((char *)l->in.data + l->in.len, (unsigned)(l->in.cap - l->in.len));
}

/* Gives every whole message in l->in to the owner. */
static void
deliver(struct link *l)
{
	size_t at = 0;

	while (l->state == LINK_OPEN) {
		const uint8_t *msg;
		size_t used, len;
		struct err err;
		int rc = record_open(
			&l->records, l->in.data + at, l->in.len - at, &used, &msg, &len, &err);

		if (rc < 0) {
			refuse(l, &err);
			return;
		}
		at += used;
		if (rc == 0)
			break;
		err.msg[0] = '\0';
		l->delivering = true;
		rc = l->ev.on_message(l, l->arg, msg, len, &err);
		l->delivering = false;
		if (rc != 0 && l->state == LINK_OPEN)
			refuse(l, &err);
	}
	if (l->state == LINK_OPEN)
		buf_consume(&l->in, at);
}

static void
on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct link *l = s->data;

	(void)b;
	if (l->state == LINK_CLOSED || n == 0)
		return;
	if (n < 0) {
		if (l->in.len > 0 && l->state == LINK_OPEN)
			log_warning("%s link with %s refused: it ended in the middle of a record",
				purposes[l->purpose], l->address);
		link_close(l,
			n == UV_EOF ? "the other side closed the connection" : uv_strerror((int)n));
		return;
	}
	l->in.len += (size_t)n;
	if (l->state != LINK_OPEN)
		link_handshake_step(l);
	if (l->state == LINK_OPEN && !l->delivering)
		deliver(l);
}

int
link_start_reading(struct link *l)
{
	return uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
}

void
link_opened(struct link *l)
{
	link_leave_half_open(l);
	uv_timer_stop(&l->deadline);
	l->state = LINK_OPEN;
	l->keyed_at = uv_now(l->tcp.loop);
	if (l->ev.on_open != NULL)
		l->ev.on_open(l, l->arg);
}

/* --- writing --- */

struct pending_write {
	uv_write_t req;
	struct link *l;
	size_t len;
	uint8_t data[];
};

static void
on_unread(uv_timer_t *t)
{
	struct link *l = t->data;

	link_close(l, uv_strerror(l->write_status));
}

/* A link that takes nothing any more may still have what the other side said before it went, above all why: its end
 * is what is read there. */
static void
on_written(uv_write_t *req, int status)
{
	struct pending_write *w = (struct pending_write *)req;
	struct link *l = w->l;

	l->queued -= w->len;
	free(w);
	if (status >= 0 || l->state == LINK_CLOSED || l->write_status != 0)
		return;
	l->write_status = status;
	if (l->state == LINK_OPEN)
		uv_timer_start(&l->deadline, on_unread, UNREAD_MS, 0);
	else
		link_close(l, uv_strerror(status));
}

/* Writes at once what the socket takes, and leaves the rest to libuv. */
static int
write_out(struct link *l, const uint8_t *data, size_t len)
{
	struct pending_write *w;
	uv_buf_t b;

	if (l->queued == 0) {
		b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
		int n = uv_try_write((uv_stream_t *)&l->tcp, &b, 1);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	if (len == 0)
		return 0;
	w = malloc(sizeof *w + len);
	if (w == NULL)
		return -1;
	memcpy(w->data, data, len);
	w->l = l;
	w->len = len;
	b = uv_buf_init((char *)w->data, (unsigned)len);
	if (uv_write(&w->req, (uv_stream_t *)&l->tcp, &b, 1, on_written) != 0) {
		free(w);
		return -1;
	}
	l->queued += len;
	return 0;
}

void
link_send_raw(struct link *l, const void *data, size_t len)
{
	if (write_out(l, data, len) != 0)
		link_close(l, "cannot write");
}

int
link_send(struct link *l, const void *head, size_t head_len, const void *body, size_t body_len)
{
	struct err err;

	if (l->state != LINK_OPEN || l->write_status != 0)
		return -1;
	if (uv_now(l->tcp.loop) - l->keyed_at > KEY_AGE_MS) {
		l->records.rekey_wanted = true;
		l->keyed_at = uv_now(l->tcp.loop);
	}
	if (l->queued + head_len + body_len > l->max_message + MAX_QUEUED) {
		link_close(l, "the other side does not read what it is sent");
		return -1;
	}
	buf_clear(&l->out);
	if (record_seal(&l->records, head, head_len, body, body_len, &l->out, &err) != 0 ||
		write_out(l, l->out.data, l->out.len) != 0) {
		link_close(l, "cannot write");
		return -1;
	}
	return 0;
}

size_t
link_queued(const struct link *l)
{
	return l->queued;
}

/* --- moving to another loop --- */

int
link_detach(struct link *l, struct link_detached *d, struct err *err)
{
	uv_os_fd_t fd;

	if (l->state != LINK_OPEN || l->queued > 0 || l->delivering)
		return err_set(err, "the link with %s cannot be moved now", l->address);
	if (uv_fileno((uv_handle_t *)&l->tcp, &fd) != 0 ||
		(d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
		return err_errno(err, errno, "the link with %s cannot be moved", l->address);
	uv_read_stop((uv_stream_t *)&l->tcp);
	d->purpose = l->purpose;
	memcpy(d->remote, l->remote, sizeof d->remote);
	memcpy(d->address, l->address, sizeof d->address);
	d->records = l->records;
	d->unread = l->in;
	l->records = (struct record_stream){0};
	buf_init(&l->in, 0);
	l->silent = true;
	link_close(l, "");
	return 0;
}

void
link_detached_discard(struct link_detached *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	record_deinit(&d->records);
	buf_free(&d->unread);
}

static void
on_attached(uv_timer_t *t)
{
	struct link *l = t->data;

	if (l->state == LINK_OPEN)
		deliver(l);
	if (l->state == LINK_OPEN && link_start_reading(l) != 0)
		link_close(l, "cannot read");
}

struct link *
link_attach(uv_loop_t *loop, struct link_detached *d, const struct link_events *ev, void *arg,
	struct err *err)
{
	struct link *l = link_new(loop, d->purpose);
	int rc = l != NULL ? uv_tcp_open(&l->tcp, d->fd) : UV_ENOMEM;

	if (rc != 0) {
		err_set(err, "a link cannot be taken over: %s", uv_strerror(rc));
		if (l != NULL) {
			l->silent = true;
			link_close(l, "");
		}
		link_detached_discard(d);
		return NULL;
	}
	d->fd = -1;
	memcpy(l->remote, d->remote, sizeof l->remote);
	memcpy(l->address, d->address, sizeof l->address);
	l->records = d->records;
	l->in = d->unread;
	l->max_message = l->records.max_message;
	d->records = (struct record_stream){0};
	buf_init(&d->unread, 0);
	link_set(l, ev, arg);
	link_tune(l);
	l->state = LINK_OPEN;
	l->keyed_at = uv_now(loop);
	/* What was read before waits until the owner is ready for it. */
	uv_timer_start(&l->deadline, on_attached, 0, 0);
	return l;
}
