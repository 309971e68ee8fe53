/* Sends one request, a chat or a plain prompt, to one endpoint that speaks the OpenAI API, and gives its answer as
 * it comes. Main thread; all of it runs in the libuv loop.
 *
 * Only the door (daemon/door.h) may call cloud_send and cloud_knock: it knows what may leave the house. A test holds
 * that by the symbols of the object files.
 *
 *   cloud.c       calls: deadlines, what an end means, events
 *   cloud_head.c  the head of a request, byte by byte
 *   cloud_sse.c   what the bytes of an answer say
 *   cloud_curl.c  libcurl's transfers, driven by the loop
 *
 * What holds of every call. TLS certificates are verified, there is no way not to. Proxies that the
 * environment names are not used: where prompts go is the configuration's to say. No redirect is
 * followed. HTTP/1.1 and a connection of its own for each call: on a kept connection, and with
 * refused streams of HTTP/2, libcurl sends a request again by itself, and a prompt must go out once
 * for each time that it was allowed to. A name is looked up when a call is made and never before.
 * An answer's bytes are bounded, as are the times to connect, to the first byte, between bytes, and
 * altogether. */
#ifndef DAEMON_CLOUD_H
#define DAEMON_CLOUD_H

#include "base/buf.h"
#include "daemon/endpoints.h"
#include "sched/breaker.h"

#include <uv.h>

#define CLOUD_CONNECT_MS 1500  /* name, TCP and TLS together: who is offline answers at home soon */
#define CLOUD_FIRST_MS   60000 /* from then to the first byte of the answer's body */
#define CLOUD_IDLE_MS    30000 /* between its bytes */
#define CLOUD_MOST_BYTES (64u << 20) /* of an answer, all that is around the text included */
#define CLOUD_MOST_CALLS 256         /* at once */

enum cloud_class {
	CLOUD_OFFLINE,   /* no connection, or none that is trusted: nothing was sent */
	CLOUD_TIMEOUT,   /* a deadline passed after that, or 408 */
	CLOUD_RATE,      /* 429, 402: too many requests, or the account there is empty */
	CLOUD_AUTH,      /* 401, 403 */
	CLOUD_REFUSED,   /* other 4xx: the request's fault */
	CLOUD_SERVER,    /* 5xx, a redirect, an error in the stream */
	CLOUD_CUT,       /* the connection ended ahead of the answer's end */
	CLOUD_MALFORMED, /* what came is no answer */
	CLOUD_TOO_LARGE
};

struct cloud_usage {
	bool told;
	uint64_t tokens_in, tokens_out;
	uint64_t cost; /* as the endpoint says it, in micro-units; PURSE_UNKNOWN: it does not */
};

struct cloud_error {
	enum cloud_class class;
	int status;               /* of HTTP; 0: none came */
	uint64_t retry_after_ms;  /* 0: not said */
	bool sent;                /* a byte of the request may have arrived */
	struct cloud_usage usage; /* told in a stream that was cut later */
	char words[160]; /* what happened: never a key, nor anything that the endpoint wrote */
	char said[256]; /* what the endpoint wrote, cleaned of the key. It may quote the prompt: for
			    the one who asked, not for a log */
};

#define CLOUD_MOST_ID 256

/* A call of a tool, whole. */
struct cloud_called {
	const char *id, *name; /* id "": it gave none that can be used */
	const char *arguments; /* JSON, by its word */
	size_t len;
};

/* Called from the loop. After `end` or `error` the call is gone. Each may cancel this call or others
 * and send new ones. */
struct cloud_events {
	void (*heard)(void *arg); /* an answer (status 200) begins; may be NULL */
	void (*text)(void *arg, const char *delta, size_t len);
	void (*end)(void *arg, const char *finish_reason, const struct cloud_usage *usage);
	void (*error)(void *arg, const struct cloud_error *e);
	void *arg;
	/* Each call of a tool, behind all text and right ahead of `end`. NULL: none was offered, and an
	 * answer with one is malformed. */
	void (*call)(void *arg, const struct cloud_called *c);
};

struct cloud_limits {
	uint32_t connect_ms, first_ms, idle_ms;
	size_t most_bytes;
};

struct cloud_request {
	const struct endpoint *endpoint;
	const void *body; /* JSON; copied */
	size_t len;
	uint32_t timeout_ms; /* for all of it, at most the endpoint's own; 0: that */
	bool plain;          /* the body has a prompt: it is for /completions */
};

struct cloud;
struct cloud_call;

/* limits NULL: those above. Opens nothing. */
struct cloud *cloud_new(uv_loop_t *loop, const struct cloud_limits *limits, struct err *err);
/* Cancels what runs, without events. The memory is given back once the loop has run on. */
void cloud_close(struct cloud *c);

/* NULL: it was not sent, and no event will come. Events come later, never from in here. */
struct cloud_call *cloud_send(struct cloud *c, const struct cloud_request *r,
	const struct cloud_events *events, struct err *err);
/* Connects to it (name, TCP, TLS) and closes, without a byte of HTTP: `end` when that works, else
 * `error`. Timings, and who may call it, are as for cloud_send. */
struct cloud_call *cloud_knock(struct cloud *c, const struct endpoint *e,
	const struct cloud_events *events, struct err *err);
/* Ends a call at once: its connection is closed when this returns, and no event follows. Returns
 * whether a byte of it may have arrived. *usage (may be NULL): what was told so far. */
bool cloud_cancel(struct cloud_call *call, struct cloud_usage *usage);
uint32_t cloud_running(const struct cloud *c);

/* The very head that cloud_send writes ahead of the body, appended to `out`. With mask the key is
 * three asterisks. */
void cloud_head(const struct cloud_request *r, bool mask, struct buf *out);

/* "offline", "timeout", ...: the label in metrics. */
const char *cloud_class_word(enum cloud_class class);
/* What it means for the endpoint's breaker. */
enum breaker_outcome cloud_outcome(enum cloud_class class);

#endif
