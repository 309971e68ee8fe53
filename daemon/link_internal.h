/* Inside of links: link.c (messages, moving, closing), link_open.c (dialling, listening, handshakes). */
#ifndef DAEMON_LINK_INTERNAL_H
#define DAEMON_LINK_INTERNAL_H

#include "daemon/link.h"
#include "proto/noise.h"

enum link_state {
	LINK_CONNECTING,
	LINK_HELLO,
	LINK_HANDSHAKE,
	LINK_PROOF, /* accepted: what was said so far may be a recording */
	LINK_OPEN,
	LINK_CLOSED
};

struct link {
	enum link_state state;
	enum link_purpose purpose;
	bool dialled;
	struct link_events ev;
	void *arg;
	char why[256];    /* once closed */
	bool silent;      /* closed without on_close (detached) */
	unsigned handles; /* libuv handles that are not closed yet */

	uv_tcp_t tcp;
	/* Of the handshake; later it delivers what was read before an attach, or ends what cannot be written. */
	uv_timer_t deadline;
	uv_connect_t connect;
	uv_getaddrinfo_t resolve;
	bool resolving;
	char address[64];

	/* until open */
	const struct link_identity *me;
	struct link_gate gate;          /* of an accepted link */
	struct link_listener *listener; /* while it is half open */
	struct link *newer;             /* half-open one of the same listener */
	uint8_t hello[HELLO_BYTES];
	uint8_t remote[32];
	struct noise noise;
	const struct cipher_costs *costs; /* ours, or NULL */
	struct cipher_costs theirs;       /* as the other side said; all 0: nothing */
	size_t max_message;

	/* when open */
	struct record_stream records;
	uint64_t keyed_at; /* uv_now when the sending key was new */
	struct buf in;     /* read, not yet understood */
	size_t in_room;    /* bytes of in.data handed to libuv */
	struct buf out;    /* sealed, being built */
	size_t queued;     /* handed to libuv, not yet written */
	int write_status;  /* why nothing can be written any more; 0: it can */
	bool delivering;   /* inside on_message */
};

/* A link whose handles are initialised on the loop, with nothing connected; NULL: out of memory. */
struct link *link_new(uv_loop_t *loop, enum link_purpose purpose);
/* A link that was closed while its name was looked up closes its socket only now. */
void link_resolve_ended(struct link *l);
int link_start_reading(struct link *l);
void link_send_raw(struct link *l, const void *data, size_t len); /* before it is open */
void link_opened(struct link *l);
void link_leave_half_open(struct link *l);
void link_name_address(struct link *l);
void link_tune(struct link *l); /* TCP options */
/* Of a socket that is not connected yet, or listens: those that it accepts take it over. */
void link_send_at_once(uv_os_fd_t fd);
/* Handles what is in l->in before the link is open; called after each read. */
void link_handshake_step(struct link *l);

#endif
