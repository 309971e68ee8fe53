/* An MHD daemon on a libuv loop: its epoll descriptor is polled, its timeouts are a timer.
 *
 * MHD does not wake anybody for a resumed connection, and 0.9.75 does not count one in its timeout
 * either: whoever resumes must kick. MHD_run is never called from within an MHD callback. */
#include "daemon/http_internal.h"

#include "daemon/log.h"

#include <stdlib.h>

#define MAX_TURNS 16 /* of MHD in one go, so that the rest of the loop gets its turn */

static void __attribute__((format(printf, 2, 0))) on_log(void *arg, const char *fmt, va_list ap)
{
	char line[512];

	(void)arg;
	vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\r\n")] = '\0';
	log_debug("http: %s", line);
}

static _Noreturn void
on_panic(void *arg, const char *file, unsigned line, const char *reason)
{
	(void)arg;
	log_error("http: libmicrohttpd gave up in %s:%u: %s", file, line, reason);
	abort(); /* its state is lost: it must not return */
}

/* Paths stay as they came: decoding in place would turn %2F into / and cut the text at %00. */
static size_t
keep_escapes(void *arg, struct MHD_Connection *c, char *s)
{
	(void)arg, (void)c;
	return strlen(s);
}

static void
on_connection(
	void *arg, struct MHD_Connection *c, void **slot, enum MHD_ConnectionNotificationCode what)
{
	struct http_pump *p = arg;
	const union MHD_ConnectionInfo *info;
	struct http_conn *conn = *slot;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		conn = calloc(1, sizeof *conn);
		info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
		*slot = conn;
		if (conn == NULL)
			return; /* its first request is refused */
		conn->http = p->http;
		conn->mhd = c;
		conn->fd = info != NULL ? (int)info->connect_fd : -1;
		conn->deadline = uv_now(p->http->loop) + p->http->head_ms;
		conn->next = p->http->conns;
		if (conn->next != NULL)
			conn->next->prev = conn;
		p->http->conns = conn;
		return;
	}
	if (conn == NULL)
		return;
	if (conn->prev != NULL)
		conn->prev->next = conn->next;
	else
		p->http->conns = conn->next;
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	free(conn);
	*slot = NULL;
}

static unsigned
connections(const struct http_pump *p)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(p->mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info != NULL ? info->num_connections : 0;
}

static void
on_timer(uv_timer_t *t)
{
	pump_run(t->data);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	pump_run(poll->data);
}

void
pump_run(struct http_pump *p)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	bool again = true, timed = false;

	if (p->mhd == NULL)
		return;
	p->kicked = false;
	for (int i = 0; again && i < MAX_TURNS; i++) {
		unsigned now;

		MHD_run(p->mhd);
		now = connections(p);
		timed = MHD_get_timeout(p->mhd, &ms) == MHD_YES;
		/* At its limit MHD stops to listen, and starts again only in the run after one
		 * has left. */
		again = now < p->connections || (timed && ms == 0);
		p->connections = now;
	}
	if (again || p->kicked)
		uv_timer_start(&p->timer, on_timer, 0, 0);
	else if (timed)
		uv_timer_start(&p->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&p->timer);
}

void
pump_kick(struct http_pump *p)
{
	p->kicked = true;
	if (p->mhd != NULL)
		uv_timer_start(&p->timer, on_timer, 0, 0);
}

static struct MHD_Daemon *
start(struct http_pump *p, int listen_fd)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem listening[] = {
		{MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL}, {MHD_OPTION_END, 0, NULL}};

	if (listen_fd < 0) {
		flags |= MHD_USE_NO_LISTEN_SOCKET;
		listening[0].option = MHD_OPTION_END;
	}
	return MHD_start_daemon(flags, 0, NULL, NULL, http_handle, p, MHD_OPTION_EXTERNAL_LOGGER,
		on_log, NULL, MHD_OPTION_ARRAY, listening, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_MAX_CONNECTIONS + 8,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_SECONDS,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED,
		http_completed, p, MHD_OPTION_NOTIFY_CONNECTION, on_connection, p, MHD_OPTION_END);
}

int
pump_open(struct http_pump *p, struct http *h, int listen_fd, struct err *err)
{
	const union MHD_DaemonInfo *info;
	int rc;

	MHD_set_panic_func(on_panic, NULL);
	p->http = h;
	p->mhd = start(p, listen_fd);
	if (p->mhd == NULL)
		return err_set(err, "libmicrohttpd does not start");
	info = MHD_get_daemon_info(p->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	rc = info == NULL ? UV_EBADF : uv_poll_init(h->loop, &p->poll, info->epoll_fd);
	if (rc != 0) {
		MHD_stop_daemon(p->mhd);
		p->mhd = NULL;
		return err_set(err, "libmicrohttpd has no epoll descriptor: %s", uv_strerror(rc));
	}
	p->poll.data = p;
	p->timer.data = p;
	uv_timer_init(h->loop, &p->timer);
	uv_poll_start(&p->poll, UV_READABLE, on_poll);
	return 0;
}

void
pump_close(struct http_pump *p)
{
	struct MHD_Daemon *mhd = p->mhd;

	if (mhd == NULL)
		return;
	http_close_handle(p->http, (uv_handle_t *)&p->timer);
	http_close_handle(p->http, (uv_handle_t *)&p->poll);
	p->mhd = NULL;
	MHD_stop_daemon(mhd);
}
