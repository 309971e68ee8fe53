/* One encrypted connection to another peer, on any libuv loop.
 *
 * Happy path: connecting -> hello -> handshake -> open -> closed; one that came in has to prove after
 * the handshake that it is no recording. Every failure goes straight to closed with a reason. The last handle to close calls on_close and frees; nothing else does.
 *
 * A link can be moved to another thread's loop: link_detach takes the socket, the keys and what has
 * been read already; link_attach builds a link from it. */
#ifndef DAEMON_LINK_H
#define DAEMON_LINK_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/cipher_choice.h"
#include "proto/hello.h"
#include "proto/record.h"

#include <uv.h>

struct link;

struct link_events {
	/* The handshake is done; remote is the other side's static key. */
	void (*on_open)(struct link *l, void *arg);
	/* One whole message; msg is good during the call. Returning -1 closes the link (err says
	 * why). */
	int (*on_message)(
		struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err);
	/* Gone, for whatever reason; after it the pointer is void. why is "" when we closed it
	 * ourselves. */
	void (*on_close)(struct link *l, void *arg, const char *why);
};

struct link_identity {
	const uint8_t *secret; /* ours; outlives the link */
	const uint8_t *public;
	const struct cipher_costs *costs; /* seal_costs(), or NULL: ChaCha20-Poly1305 in any case */
};

/* Dials host:port (numeric or a name). remote: the key that must answer; psk: pairing. Never fails
 * at once: what goes wrong arrives in on_close. */
struct link *link_dial(uv_loop_t *loop, const struct link_identity *me, const char *host,
	uint16_t port, enum link_purpose purpose, const uint8_t *remote, const uint8_t *psk,
	const uint8_t *invite_id, size_t max_message, const struct link_events *ev, void *arg);

/* Who may come in. Of one that pairs this is asked with its hello, which has the id of an invite; psk is to be filled.
 * Of others it is asked twice: with the hello, which anybody may have sent (ev and ev_arg are NULL: only whether it
 * would be let in; nothing is to be kept of it), and again when it has proved who it is. Returns 0, and where ev is not
 * NULL the events that the link shall have; -1 turns it away (err goes to the log, not to the other side). */
struct link_gate {
	int (*admit)(void *arg, struct link *l, const struct hello *h, uint8_t psk[32],
		const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err);
	void *arg;
};

struct link_listener;
struct link_listener *link_listen(uv_loop_t *loop, const struct link_identity *me, const char *host,
	uint16_t port, const struct link_gate *gate, struct err *err);
uint16_t link_listener_port(const struct link_listener *l); /* what port 0 became */
void link_listener_close(struct link_listener *l);

enum link_purpose link_purpose(const struct link *l);
const uint8_t *link_remote(const struct link *l); /* 32 bytes */
const char *link_address(const struct link *l);   /* "192.168.1.7:51312" for logs */
enum aead_kind link_cipher(const struct link *l); /* of an open one */
void link_set(struct link *l, const struct link_events *ev, void *arg);
void *link_arg(const struct link *l);

/* Sends a message of two pieces: tries to write at once, queues the rest. -1: closed, or more than
 * the bound (max_message + 8 MiB) is queued; the link closes itself then. One on which nothing can be written any
 * more closes when what had come before is read. */
int link_send(struct link *l, const void *head, size_t head_len, const void *body, size_t body_len);
size_t link_queued(const struct link *l); /* bytes not yet written */
void link_close(struct link *l, const char *why);

struct link_detached {
	int fd;
	enum link_purpose purpose;
	uint8_t remote[32];
	char address[64];
	struct record_stream records;
	struct buf unread;
};
/* Only when open and nothing is queued. The link itself is closed without on_close. */
/* Closes one that is not attached after all. */
void link_detached_discard(struct link_detached *d);
int link_detach(struct link *l, struct link_detached *d, struct err *err);
struct link *link_attach(uv_loop_t *loop, struct link_detached *d, const struct link_events *ev,
	void *arg, struct err *err);

#endif
