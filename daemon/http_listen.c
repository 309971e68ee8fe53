/* Listening sockets: TCP ones of our own, so that several addresses share one MHD daemon and what
 * is beyond the limit gets an answer; the unix socket with its mode and its stale file. */
#include "daemon/http_internal.h"

#include "base/file.h"
#include "daemon/config.h"
#include "daemon/log.h"

#include <errno.h>
#include <libgen.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG        256
#define ACCEPT_AT_ONCE 64
#define LINGER_READS   64
#define LOST_MS        30000 /* unacknowledged bytes: the client's network is gone */

static const char full_body[] =
	"{\"error\":{\"message\":\"too many connections: try again in a moment\","
	"\"type\":\"unavailable_error\",\"param\":null,\"code\":null}}\n";

/* Closing at once with unread bytes in the socket would reset it, and the answer with it. Who still sends
 * after that moment is not read for ever. */
static void
linger_end(struct http_linger *l)
{
	char drop[4096];

	if (l->fd < 0)
		return;
	for (int i = 0; i < LINGER_READS; i++)
		if (recv(l->fd, drop, sizeof drop, MSG_DONTWAIT) != (ssize_t)sizeof drop)
			break;
	close(l->fd);
	l->fd = -1;
}

void
listen_linger(struct http *h, int fd)
{
	struct http_linger *l = &h->linger[0];

	if (fd < 0)
		return;
	for (int i = 1; i < HTTP_LINGER; i++)
		if (h->linger[i].until < l->until)
			l = &h->linger[i];
	linger_end(l); /* the oldest */
	l->fd = fd;
	l->until = uv_now(h->loop) + 1000;
}

static void
turn_away(struct http *h, int fd)
{
	char answer[512];
	int len = snprintf(answer, sizeof answer,
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\nRetry-After: 2\r\nConnection: close\r\n\r\n%s",
		sizeof full_body - 1, full_body);

	if (send(fd, answer, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("http: could not turn a connection away: %s", strerror(errno));
	shutdown(fd, SHUT_WR);
	listen_linger(h, fd);
}

static void
take(struct http *h, int fd, const struct sockaddr *from, socklen_t len)
{
	unsigned lost = LOST_MS;
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(h->tcp.mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	if (info == NULL || info->num_connections >= HTTP_MAX_CONNECTIONS) {
		turn_away(h, fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost, sizeof lost);
	if (MHD_add_connection(h->tcp.mhd, fd, from, len) != MHD_YES) /* closes it */
		log_warning("http: a connection could not be taken: %s", strerror(errno));
}

static void
on_accept(uv_poll_t *poll, int status, int events)
{
	struct http_listener *l = poll->data;
	struct http *h = l->http;

	(void)status, (void)events;
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof from;
		int fd = accept4(
			l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take(h, fd, (struct sockaddr *)&from, len);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			   errno == ENOBUFS) {
			log_warning("http: cannot accept now: %s", strerror(errno));
			uv_poll_stop(poll);
			h->accept_paused = true;
			break;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			break;
		}
	}
	pump_run(&h->tcp);
}

void
listen_tick(struct http *h, uint64_t now)
{
	for (int i = 0; i < HTTP_LINGER; i++)
		if (h->linger[i].fd >= 0 && now >= h->linger[i].until)
			linger_end(&h->linger[i]);
	if (!h->accept_paused)
		return;
	h->accept_paused = false;
	for (unsigned i = 0; i < h->n_listeners; i++)
		uv_poll_start(&h->listeners[i].poll, UV_READABLE, on_accept);
}

/* Connections, streams and model files together pass the usual 1024. */
static void
raise_file_limit(void)
{
	struct rlimit lim;
	rlim_t want = 4096;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur >= want)
		return;
	lim.rlim_cur = lim.rlim_max < want ? lim.rlim_max : want;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static bool
is_loopback(const struct sockaddr *sa)
{
	const struct sockaddr_in *v4 = (const void *)sa;
	const struct sockaddr_in6 *v6 = (const void *)sa;

	if (sa->sa_family == AF_INET)
		return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
	return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static void
set_port(struct sockaddr *sa, uint16_t port)
{
	if (sa->sa_family == AF_INET)
		((struct sockaddr_in *)(void *)sa)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)(void *)sa)->sin6_port = htons(port);
}

static uint16_t
bound_port(int fd)
{
	struct sockaddr_storage at = {0};
	socklen_t len = sizeof at;

	getsockname(fd, (struct sockaddr *)&at, &len);
	if (at.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)(void *)&at)->sin6_port);
	return ntohs(((struct sockaddr_in *)(void *)&at)->sin_port);
}

static int
listen_one(struct http *h, const char *address, const struct addrinfo *ai, struct err *err)
{
	struct http_listener *l = &h->listeners[h->n_listeners];
	int one = 1, rc, v6only = strstr(address, "[::]") == NULL;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(err, errno, "http = %s", address);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (ai->ai_family == AF_INET6) /* [::] means everybody, v4 too */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
	set_port(ai->ai_addr, h->port);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		rc = errno;
		err_errno(err, rc, "http = %s: cannot listen there", address);
		close(fd);
		errno = rc;
		return -1;
	}
	rc = uv_poll_init(h->loop, &l->poll, fd);
	if (rc != 0) {
		close(fd);
		errno = -rc;
		return err_set(err, "http = %s: %s", address, uv_strerror(rc));
	}
	l->http = h;
	l->fd = fd;
	l->poll.data = l;
	h->n_listeners++;
	h->port = bound_port(fd);
	uv_poll_start(&l->poll, UV_READABLE, on_accept);
	return 0;
}

static int
listen_all(struct http *h, const char *address, const struct addrinfo *list, struct err *err)
{
	for (const struct addrinfo *ai = list; ai != NULL && h->n_listeners < HTTP_MAX_LISTENERS;
		ai = ai->ai_next) {
		/* "localhost" on a machine without IPv6: the other address is enough. */
		if (listen_one(h, address, ai, err) != 0 && errno != EADDRNOTAVAIL &&
			errno != EAFNOSUPPORT)
			return -1;
	}
	return h->n_listeners > 0 ? 0 : -1;
}

struct addrinfo *
listen_addresses(
	const char *address, bool have_keys, uint16_t *port, bool *loopback, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
	char host[256];
	int rc;

	if (config_address(address, host, sizeof host, port, err) != 0) {
		err_prefix(err, "http: ");
		return NULL;
	}
	rc = getaddrinfo(host, NULL, &hints, &list);
	if (rc != 0) {
		err_set(err, "http = %s: %s", address, gai_strerror(rc));
		return NULL;
	}
	*loopback = true;
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		*loopback = *loopback && is_loopback(ai->ai_addr);
	if (*loopback || have_keys)
		return list;
	err_set(err,
		"http = %s can be reached from other machines: let api_keys name a file with a key "
		"a line, or listen on 127.0.0.1",
		address);
	freeaddrinfo(list);
	return NULL;
}

int
listen_tcp(struct http *h, const char *address, bool have_keys, struct err *err)
{
	struct addrinfo *list;
	int rc;

	raise_file_limit();
	list = listen_addresses(address, have_keys, &h->port, &h->loopback, err);
	if (list == NULL)
		return -1;
	rc = listen_all(h, address, list, err);
	freeaddrinfo(list);
	return rc;
}

/* Removes a socket file that nobody answers on. */
static int
clear_stale(const struct sockaddr_un *at, struct err *err)
{
	struct stat st;
	int fd, rc, why;

	if (lstat(at->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : err_errno(err, errno, "%s", at->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, "%s is there and is no socket: remove it, or set `socket`",
			at->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, errno, "%s", at->sun_path);
	rc = connect(fd, (const struct sockaddr *)at, sizeof *at);
	why = errno;
	close(fd);
	if (rc == 0 || why == EAGAIN)
		return err_set(err, "another daemon answers on %s: stop it, or set `socket`",
			at->sun_path);
	if (why != ECONNREFUSED && why != ENOENT)
		return err_errno(err, why, "%s", at->sun_path);
	log_info("http: %s was left behind by a daemon that is gone: replaced", at->sun_path);
	if (unlink(at->sun_path) != 0 && errno != ENOENT)
		return err_errno(err, errno, "%s", at->sun_path);
	return 0;
}

static int
make_folder(const char *path, struct err *err)
{
	char copy[108];
	const char *dir;

	snprintf(copy, sizeof copy, "%s", path);
	dir = dirname(copy);
	return access(dir, F_OK) == 0 ? 0 : file_mkdirs(dir, 0755, err);
}

int
listen_unix(struct http *h, const char *path, struct err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof at.sun_path)
		return err_set(
			err, "socket = %s is longer than %zu bytes", path, sizeof at.sun_path - 1);
	strcpy(at.sun_path, path);
	if (make_folder(path, err) != 0 || clear_stale(&at, err) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, errno, "%s", path);
	/* The file is born with the descriptor's mode, so that there is no moment in which others
	 * may connect; the chmod gives back what the umask took. */
	fchmod(fd, 0660);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || chmod(path, 0660) != 0 ||
		stat(path, &st) != 0 || listen(fd, BACKLOG) != 0) {
		err_errno(err, errno, "%s: cannot listen there", path);
		close(fd);
		return -1;
	}
	strcpy(h->socket, path);
	h->socket_dev = st.st_dev;
	h->socket_ino = st.st_ino;
	return fd;
}

void
listen_close(struct http *h)
{
	struct stat st;

	for (unsigned i = 0; i < h->n_listeners; i++) {
		http_close_handle(h, (uv_handle_t *)&h->listeners[i].poll);
		close(h->listeners[i].fd);
	}
	h->n_listeners = 0;
	for (int i = 0; i < HTTP_LINGER; i++)
		linger_end(&h->linger[i]);
	/* Only the file that we made: another daemon may have taken the name. */
	if (h->socket[0] != '\0' && stat(h->socket, &st) == 0 && st.st_dev == h->socket_dev &&
		st.st_ino == h->socket_ino)
		unlink(h->socket);
	h->socket[0] = '\0';
}
