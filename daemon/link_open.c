/* How a link comes to be: dialling or accepting, the hello, the handshake. */
#include "daemon/link_internal.h"

#include "daemon/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS   5000
#define MAX_HALF_OPEN 32
#define MAX_HANDSHAKE 512 /* bytes of a handshake message */

struct link_listener {
	uv_tcp_t tcp;
	const struct link_identity *me;
	struct link_gate gate;
	struct link *oldest; /* of the half-open links, which point here; in the order of coming */
	uint32_t half_open;  /* how many: the last one frees a closed listener */
	bool closing, closed;
};

static void
enter_half_open(struct link *l, struct link_listener *s)
{
	struct link **at = &s->oldest;

	while (*at != NULL)
		at = &(*at)->newer;
	*at = l;
	l->newer = NULL;
	l->listener = s;
	s->half_open++;
}

void
link_leave_half_open(struct link *l)
{
	struct link_listener *s = l->listener;
	struct link **at;

	if (s == NULL)
		return;
	for (at = &s->oldest; *at != l; at = &(*at)->newer)
		;
	*at = l->newer;
	l->listener = NULL;
	s->half_open--;
	if (s->closed && s->half_open == 0)
		free(s);
}

/* --- the handshake, both sides --- */

static void
handshake_failed(struct link *l, const struct err *err)
{
	if (!l->dialled)
		log_warning("link from %s turned away: %s", l->address, err->msg);
	link_close(l, err->msg);
}

/* Both messages of KK are sealed when their payload is written; the first of XX is not: whoever pairs says nothing. */
static size_t
write_costs(const struct link *l, uint8_t out[CIPHER_COSTS_BYTES])
{
	if (l->costs == NULL || l->purpose == LINK_PAIR)
		return 0;
	cipher_costs_write(l->costs, out);
	return CIPHER_COSTS_BYTES;
}

static enum aead_kind
chosen_cipher(const struct link *l)
{
	return l->costs == NULL ? AEAD_CHACHA : cipher_choose(l->costs, &l->theirs);
}

/* Asks the gate about a connection that came in. ev: NULL: only whether it would be let in. */
static int
ask_gate(
	struct link *l, uint8_t psk[32], const struct link_events **ev, void **arg, struct err *err)
{
	struct hello h;

	if (hello_read(l->hello, &h, err) != 0)
		return -1;
	return l->gate.admit(l->gate.arg, l, &h, psk, ev, arg, &l->max_message, err);
}

/* KK ends with the answer to its first message, in which nothing is fresh: who sends a recording of one gets that far.
 * The dialler's first record, an empty one, shows that it has the keys. */
static int
send_proof(struct link *l, struct err *err)
{
	struct buf b;
	int rc;

	buf_init(&b, 0);
	rc = record_seal(&l->records, NULL, 0, NULL, 0, &b, err);
	if (rc == 0)
		link_send_raw(l, b.data, b.len);
	buf_free(&b);
	return rc;
}

/* Nothing is kept for a connection, and nobody else is let go for it, before this. */
static int
take_proof(struct link *l, struct err *err)
{
	const struct link_events *ev = NULL;
	const uint8_t *msg;
	uint8_t psk[32] = {0};
	size_t used, len;
	void *arg = NULL;
	int rc = record_open(&l->records, l->in.data, l->in.len, &used, &msg, &len, err);

	if (rc <= 0)
		return rc;
	buf_consume(&l->in, used);
	if (ask_gate(l, psk, &ev, &arg, err) != 0)
		return -1;
	link_set(l, ev, arg);
	record_limit(&l->records, l->max_message);
	link_opened(l);
	return 0;
}

static void
keys_agreed(struct link *l)
{
	struct err err;

	if (l->purpose == LINK_PAIR) {
		link_opened(l); /* XX has a third message, which is fresh */
	} else if (!l->dialled) {
		record_limit(&l->records, 0); /* the proof is empty */
		l->state = LINK_PROOF;
	} else if (send_proof(l, &err) != 0) {
		handshake_failed(l, &err);
	} else if (l->state != LINK_CLOSED) {
		link_opened(l);
	}
}

static void
handshake_done(struct link *l)
{
	struct noise_cipher send, recv;
	const uint8_t *remote = noise_remote(&l->noise);
	static const uint8_t nobody[32];
	struct err err;
	int rc;

	/* Who dials by an invite knows which key must answer. */
	if (l->dialled && sodium_memcmp(l->remote, nobody, 32) != 0 &&
		sodium_memcmp(l->remote, remote, 32) != 0) {
		err_set(&err, "another device than expected answers at %s", l->address);
		handshake_failed(l, &err);
		return;
	}
	memcpy(l->remote, remote, 32);
	noise_split(&l->noise, &send, &recv, NULL);
	rc = record_init(&l->records, &send, &recv, chosen_cipher(l), l->max_message, &err);
	sodium_memzero(&send, sizeof send);
	sodium_memzero(&recv, sizeof recv);
	if (rc != 0)
		handshake_failed(l, &err);
	else
		keys_agreed(l);
}

static int
handshake_write(struct link *l, struct err *err)
{
	uint8_t msg[4 + MAX_HANDSHAKE], costs[CIPHER_COSTS_BYTES];
	size_t len;

	if (noise_write(&l->noise, costs, write_costs(l, costs), msg + 4, MAX_HANDSHAKE, &len,
		    err) != 0)
		return -1;
	put_le32(msg, (uint32_t)len);
	link_send_raw(l, msg, len + 4);
	return l->state == LINK_CLOSED ? err_set(err, "cannot write") : 0;
}

/* Takes one handshake message off l->in. 1: taken, 0: not whole yet, -1. */
static int
handshake_read(struct link *l, struct err *err)
{
	uint8_t payload[MAX_HANDSHAKE];
	size_t len, payload_len;

	if (l->in.len < 4)
		return 0;
	len = get_le32(l->in.data);
	if (len > MAX_HANDSHAKE)
		return err_set(err, "a handshake message of %zu bytes is too long", len);
	if (l->in.len < 4 + len)
		return 0;
	if (noise_read(&l->noise, l->in.data + 4, len, payload, sizeof payload, &payload_len,
		    err) != 0 ||
		cipher_costs_read(payload, payload_len, &l->theirs, err) != 0)
		return -1;
	buf_consume(&l->in, 4 + len);
	return 1;
}

/* The first 40 bytes of a connection that came in: is it one of ours? */
static int
take_hello(struct link *l, struct err *err)
{
	const struct link_events *ev = NULL;
	struct hello h;
	uint8_t psk[32] = {0};
	void *arg = NULL;
	int rc;

	memcpy(l->hello, l->in.data, HELLO_BYTES);
	if (hello_read(l->hello, &h, err) != 0)
		return -1;
	buf_consume(&l->in, HELLO_BYTES);
	l->purpose = (enum link_purpose)h.purpose;
	l->max_message = 1u << 20;
	if (l->purpose == LINK_PAIR) {
		rc = ask_gate(l, psk, &ev, &arg, err);
		if (rc == 0)
			link_set(l, ev, arg);
		noise_init(&l->noise, NOISE_XX_PSK3, false, l->hello, HELLO_BYTES, l->me->secret,
			NULL, psk);
	} else {
		memcpy(l->remote, h.who, 32);
		rc = ask_gate(l, psk, NULL, NULL, err);
		noise_init(&l->noise, NOISE_KK, false, l->hello, HELLO_BYTES, l->me->secret, h.who,
			NULL);
	}
	sodium_memzero(psk, sizeof psk);
	if (rc == 0)
		l->state = LINK_HANDSHAKE;
	return rc;
}

void
link_handshake_step(struct link *l)
{
	struct err err;
	int rc = 1;

	if (l->state == LINK_HELLO) {
		/* Garbage is told from a slow beginning at its first bytes. */
		if (l->in.len > 0 && memcmp(l->in.data, "SHOL", l->in.len < 4 ? l->in.len : 4) != 0)
			rc = err_set(&err, "what came is not Shoal's protocol");
		else if (l->in.len < HELLO_BYTES)
			return;
		else
			rc = take_hello(l, &err);
	}
	while (rc >= 0 && l->state == LINK_HANDSHAKE) {
		if (noise_done(&l->noise))
			handshake_done(l);
		else if (noise_my_turn(&l->noise))
			rc = handshake_write(l, &err);
		else if ((rc = handshake_read(l, &err)) == 0)
			return;
	}
	if (rc >= 0 && l->state == LINK_PROOF)
		rc = take_proof(l, &err);
	if (rc < 0 && l->state != LINK_CLOSED)
		handshake_failed(l, &err);
}

static void
on_deadline(uv_timer_t *t)
{
	struct link *l = t->data;
	struct err err;

	err_set(&err,
		l->state == LINK_CONNECTING ? "no answer from %s within 5 s"
					    : "%s did not end its handshake within 5 s",
		l->address);
	handshake_failed(l, &err);
}

/* --- dialling --- */

static void
on_connected(uv_connect_t *req, int status)
{
	struct link *l = req->data;
	struct err err;

	if (l->state == LINK_CLOSED)
		return;
	if (status < 0) {
		err_set(&err, "%s: %s", l->address, uv_strerror(status));
		link_close(l, err.msg);
		return;
	}
	link_tune(l);
	link_send_raw(l, l->hello, HELLO_BYTES);
	if (l->state == LINK_CLOSED)
		return;
	l->state = LINK_HANDSHAKE;
	if (link_start_reading(l) != 0)
		link_close(l, "cannot read");
	else
		link_handshake_step(l);
}

static int
make_socket(struct link *l, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return uv_translate_sys_error(errno);
	link_send_at_once(fd);
	rc = uv_tcp_open(&l->tcp, fd);
	if (rc != 0)
		close(fd);
	return rc;
}

static void
connect_to(struct link *l, const struct sockaddr *sa)
{
	int rc = make_socket(l, sa->sa_family);

	l->connect.data = l;
	if (rc == 0)
		rc = uv_tcp_connect(&l->connect, &l->tcp, sa, on_connected);
	if (rc != 0)
		link_close(l, uv_strerror(rc));
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct link *l = req->data;
	struct err err;

	l->resolving = false;
	if (l->state == LINK_CLOSED) {
		link_resolve_ended(l); /* closed meanwhile */
	} else if (status < 0) {
		err_set(&err, "%s: %s", l->address, uv_strerror(status));
		link_close(l, err.msg);
	} else {
		connect_to(l, found->ai_addr);
	}
	uv_freeaddrinfo(found);
}

static void
start_dialling(struct link *l, const char *host, uint16_t port)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	char service[8];
	int rc;

	if (uv_ip4_addr(host, port, &v4) == 0) {
		connect_to(l, (const struct sockaddr *)&v4);
	} else if (uv_ip6_addr(host, port, &v6) == 0) {
		connect_to(l, (const struct sockaddr *)&v6);
	} else {
		snprintf(service, sizeof service, "%u", port);
		l->resolve.data = l;
		rc = uv_getaddrinfo(l->tcp.loop, &l->resolve, on_resolved, host, service, &hints);
		l->resolving = rc == 0;
		if (rc != 0)
			link_close(l, uv_strerror(rc));
	}
}

struct link *
link_dial(uv_loop_t *loop, const struct link_identity *me, const char *host, uint16_t port,
	enum link_purpose purpose, const uint8_t *remote, const uint8_t *psk, const uint8_t *id,
	size_t max_message, const struct link_events *ev, void *arg)
{
	struct link *l = link_new(loop, purpose);
	struct hello h = {.version = HELLO_VERSION, .purpose = (uint8_t)purpose};

	if (l == NULL)
		return NULL;
	l->dialled = true;
	l->me = me;
	l->costs = me->costs;
	l->max_message = max_message;
	link_set(l, ev, arg);
	snprintf(l->address, sizeof l->address, "%s:%u", host, port);
	if (remote != NULL)
		memcpy(l->remote, remote, 32);
	if (purpose == LINK_PAIR)
		memcpy(h.who, id, 8);
	else
		memcpy(h.who, me->public, 32);
	hello_write(&h, l->hello);
	noise_init(&l->noise, purpose == LINK_PAIR ? NOISE_XX_PSK3 : NOISE_KK, true, l->hello,
		HELLO_BYTES, me->secret, purpose == LINK_PAIR ? NULL : remote, psk);
	uv_timer_start(&l->deadline, on_deadline, DEADLINE_MS, 0);
	start_dialling(l, host, port);
	return l;
}

/* --- listening --- */

static bool
same_host(const struct link *a, const struct link *b)
{
	const char *port = strrchr(a->address, ':'); /* there always is one */

	return strncmp(a->address, b->address, (size_t)(port - a->address) + 1) == 0;
}

/* Room for one more: the host with the most half-open links loses its oldest, so that one that
 * opens many and says nothing hinders nobody but itself. */
static void
cut_one_off(struct link_listener *s)
{
	struct link *victim = NULL;
	uint32_t most = 0;

	for (struct link *l = s->oldest; l != NULL; l = l->newer) {
		uint32_t n = 0;

		for (const struct link *o = s->oldest; o != NULL; o = o->newer)
			n += same_host(l, o);
		if (n > most) {
			most = n;
			victim = l;
		}
	}
	if (victim == NULL)
		return;
	log_warning("link from %s cut off: %u have not ended their handshake", victim->address,
		s->half_open);
	link_close(victim, "too many at once");
}

static void
on_connection(uv_stream_t *server, int status)
{
	struct link_listener *s = server->data;
	struct link *l = status == 0 ? link_new(server->loop, LINK_CONTROL) : NULL;

	if (l == NULL)
		return;
	l->me = s->me;
	l->costs = s->me->costs;
	l->gate = s->gate;
	l->state = LINK_HELLO;
	if (uv_accept(server, (uv_stream_t *)&l->tcp) != 0) {
		link_close(l, "cannot accept");
		return;
	}
	link_name_address(l);
	if (s->half_open >= MAX_HALF_OPEN)
		cut_one_off(s);
	enter_half_open(l, s);
	link_tune(l);
	uv_timer_start(&l->deadline, on_deadline, DEADLINE_MS, 0);
	if (link_start_reading(l) != 0)
		link_close(l, "cannot read");
}

static void
on_listener_closed(uv_handle_t *h)
{
	struct link_listener *s = h->data;

	s->closed = true;
	if (s->half_open == 0)
		free(s);
}

struct link_listener *
link_listen(uv_loop_t *loop, const struct link_identity *me, const char *host, uint16_t port,
	const struct link_gate *gate, struct err *err)
{
	struct link_listener *s = calloc(1, sizeof *s);
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} sa;
	uv_os_fd_t fd;
	int rc;

	if (s == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	if (uv_ip4_addr(host, port, &sa.v4) != 0 && uv_ip6_addr(host, port, &sa.v6) != 0) {
		err_set(err, "listen: '%s' is no numeric address", host);
		free(s);
		return NULL;
	}
	s->me = me;
	s->gate = *gate;
	uv_tcp_init(loop, &s->tcp);
	s->tcp.data = s;
	rc = uv_tcp_bind(&s->tcp, &sa.any, 0);
	if (rc == 0 && uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0)
		link_send_at_once(fd);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&s->tcp, 64, on_connection);
	if (rc != 0) {
		err_set(err,
			"cannot listen for peers on %s port %u: %s; choose another with --listen",
			host, port, uv_strerror(rc));
		uv_close((uv_handle_t *)&s->tcp, on_listener_closed);
		return NULL;
	}
	return s;
}

uint16_t
link_listener_port(const struct link_listener *s)
{
	struct sockaddr_storage sa;
	int len = sizeof sa;

	if (uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&sa, &len) != 0)
		return 0;
	return ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
					     : ((struct sockaddr_in6 *)&sa)->sin6_port);
}

void
link_listener_close(struct link_listener *s)
{
	if (s != NULL && !s->closing) {
		s->closing = true;
		uv_close((uv_handle_t *)&s->tcp, on_listener_closed);
	}
}
