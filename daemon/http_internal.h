/* Inside the HTTP server: what http*.c, sse.c and the routes (api_*.c) share.
 *
 * A request: its head is checked (http_head.c), its body collected within bounds
 * (http_request.c), its route found (http_route.c). The route's function either answers at once
 * (http_json, http_fail), or says http_wait, or begins a stream (sse_begin). A request that waits
 * or streams is watched: when its client goes away, or the server stops, its `gone` function is
 * called, once, and frees what worked for it. */
#ifndef DAEMON_HTTP_INTERNAL_H
#define DAEMON_HTTP_INTERNAL_H

#include "daemon/api_parse.h"
#include "daemon/http.h"
#include "daemon/http_access.h"

#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>

#define HTTP_MAX_BODY        (32u << 20)
#define HTTP_MAX_BODIES      (128u << 20) /* being received, or kept, of all requests together */
#define HTTP_MAX_CONNECTIONS 512
#define HTTP_MAX_LISTENERS   8
#define HTTP_HEAD_SECONDS    30          /* until headers and body are here... */
#define HTTP_BODY_RATE       (64u << 10) /* ...plus a second for each so many bytes of a body */
#define HTTP_IDLE_SECONDS    75
#define HTTP_LINGER          32 /* connections turned away that may still read why */
#define SSE_BEAT_MS          1000
#define SSE_MAX_PENDING      (1u << 20) /* bytes a client may be behind */

struct http_request;

/* One MHD daemon on the loop. */
struct http_pump {
	struct http *http;
	struct MHD_Daemon *mhd;
	uv_poll_t poll; /* its epoll descriptor */
	uv_timer_t timer;
	unsigned connections; /* after the last run */
	bool kicked;
	bool unix_socket;
};

struct http_listener {
	struct http *http;
	uv_poll_t poll;
	int fd;
};

/* A connection turned away: closed a moment after its answer, so that the answer arrives. */
struct http_linger {
	int fd;
	uint64_t until; /* uv_now */
};

struct http_conn {
	struct http_conn *prev, *next;
	struct http *http;
	struct MHD_Connection *mhd;
	int fd;
	uint64_t deadline; /* uv_now; 0: a request is being answered */
};

struct http {
	uv_loop_t *loop;
	struct serve *serve;
	struct http_pump tcp, local;
	struct http_listener listeners[HTTP_MAX_LISTENERS];
	unsigned n_listeners;
	bool accept_paused; /* out of descriptors: goes on at the next tick */
	struct http_linger linger[HTTP_LINGER];
	struct http_conn *conns;
	struct http_request *requests;
	uv_timer_t tick;
	size_t body_bytes;
	uint64_t head_ms;    /* HTTP_HEAD_SECONDS */
	uint64_t request_ms; /* config's request_timeout; 0: none */
	struct http_keys keys;
	struct router *router;   /* of the model 'auto' */
	struct answers *answers; /* those with an Idempotency-Key */
	bool loopback;           /* every address it listens on is this machine's own */
	bool closing;
	bool orphan;      /* http_new failed: freed with the last handle */
	unsigned handles; /* being closed */
	uint16_t port;
	char socket[108];
	dev_t socket_dev; /* the socket file that we made */
	ino_t socket_ino;
};

enum http_method { HTTP_GET, HTTP_POST, HTTP_OPTIONS, HTTP_OTHER };

struct http_route {
	enum http_method method;
	const char *path; /* "/v1/models/{id}": one segment */
	bool control;     /* only on the unix socket */
	bool open;        /* needs no key */
	void (*run)(struct http_request *r);
};

struct http_request {
	struct http_request *prev, *next;
	struct http *http;
	struct http_pump *pump;
	struct http_conn *conn;
	struct MHD_Connection *mhd; /* NULL: MHD is done with it; freed when its poll has closed */
	char id[32];
	const struct http_route *route;
	char arg[256]; /* the {id} of the path, decoded */
	char origin[256];
	/* Who asks: a number that is the same for the same API key, without keys for the same address, on
	 * the unix socket for the same user. */
	uint64_t client;
	enum privacy key_privacy; /* how far what its API key asks may travel */
	struct buf body;
	size_t counted; /* bytes of it, by http_count_body */
	size_t discarded;
	bool arrived; /* the whole body is here */
	bool discard; /* an answer is there already: the body is only read away */
	bool suspended;
	bool queued;  /* MHD has the response */
	bool dead;    /* the client is gone, or too slow: cut it */
	bool watched; /* poll is a live handle */
	uv_poll_t poll;
	struct MHD_Response *response;
	int status;
	/* a stream */
	bool streaming, stream_ended;
	struct buf out;
	uint64_t last_out; /* uv_now */
	uint64_t end_by;   /* uv_now: then it ends with a 504; 0: it may wait and stream for ever */
	/* who works for it */
	void (*gone)(void *job);
	void (*more)(
		void *job); /* a stream that is asked for its next events when it has sent all */
	void *job;
};

/* --- for the routes --- */

/* What the route keeps of the body takes about as much memory: it counts among the bodies until the request ends. */
void http_count_body(struct http_request *r);

/* Answers. body is taken. */
void http_header(struct http_request *r, const char *name, const char *value); /* after it */
void http_json(struct http_request *r, int status, json_t *body);
/* The same, where for one string of the body, `mark`, which stands nowhere else in it, this JSON is put: it would be
 * too large as a tree. */
void http_json_with(
	struct http_request *r, int status, json_t *body, const char *mark, const struct buf *json);
/* A text; copied. */
void http_text(struct http_request *r, int status, const char *type, const char *text);
void http_error(struct http_request *r, const struct api_error *e);
void http_fail(struct http_request *r, int status, const char *code, const char *param,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Ends what waits or streams, with this error; its job hears that the client is gone. */
void http_end(struct http_request *r, const struct api_error *e);
/* Says who works for the request, until it is answered or the stream has ended. */
void http_wait(struct http_request *r, void (*gone)(void *job), void *job);

/* sse.c: a stream of events. Each function after sse_begin may be called whenever it is alive. */
void sse_begin(struct http_request *r);
void sse_event(struct http_request *r, json_t *event); /* event is taken */
/* The same with an `id:`, which the client may send back as Last-Event-ID. */
void sse_event_id(struct http_request *r, uint64_t id, json_t *event);
/* A line that is no event: clients pass over it. text: without line ends. */
void sse_comment(struct http_request *r, const char *text);
void sse_done(struct http_request *r);                             /* [DONE], and the end */
void sse_error(struct http_request *r, const struct api_error *e); /* an error, and the end */
void sse_tick(struct http_request *r, uint64_t now);

void api_health(struct http_request *r);
void api_models(struct http_request *r);
void api_model(struct http_request *r);
void api_chat(struct http_request *r);
void api_completions(struct http_request *r);
void api_status(struct http_request *r);
void api_peers(struct http_request *r);
void api_metrics(struct http_request *r);
void api_invite(struct http_request *r);
void api_join(struct http_request *r);
void api_leave(struct http_request *r);
void api_load(struct http_request *r);
void api_route_status(struct http_request *r);
void api_route_log(struct http_request *r);
void api_route_why(struct http_request *r);
void api_route_feedback(struct http_request *r);
void api_route_train(struct http_request *r);
void api_route_forget(struct http_request *r);
/* The body's object (new reference), or NULL after a 400. */
json_t *api_body_object(struct http_request *r);
/* The served model, or NULL after a 503 that says why there is none. */
const struct served_model *api_served(struct http_request *r);

/* --- between http*.c --- */

/* Finds the route; NULL after a 404 or 405. Fills r->arg. */
const struct http_route *http_route(struct http_request *r, const char *method, const char *path);
void http_preflight(struct http_request *r);

/* Checks a request's head: 0, or -1 with the answer in place. *fatal: the connection cannot be
 * trusted to be in step, close it. */
int http_head_check(struct http_request *r, const char *method, const char *path, bool *fatal);

enum MHD_Result http_handle(void *pump, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *data, size_t *len, void **slot);
void http_completed(
	void *pump, struct MHD_Connection *c, void **slot, enum MHD_RequestTerminationCode why);
void http_common_headers(struct http_request *r);
void http_resume(struct http_request *r);
void http_release(struct http_request *r); /* its job is over */
void http_cut(struct http_request *r);     /* cancels the job, closes the connection */
/* The same, but the job hears of it later: safe to call from within the job. */
void http_abandon(struct http_request *r);
void http_close_handle(struct http *h, uv_handle_t *handle);

int pump_open(struct http_pump *p, struct http *h, int listen_fd, struct err *err);
void pump_run(struct http_pump *p);
void pump_kick(struct http_pump *p); /* runs it soon: after a resume */
void pump_close(struct http_pump *p);

/* What `http` stands for, for freeaddrinfo. NULL: it is no address, or one that others reach without a key. */
struct addrinfo *listen_addresses(
	const char *address, bool have_keys, uint16_t *port, bool *loopback, struct err *err);
int listen_tcp(struct http *h, const char *address, bool have_keys, struct err *err);
int listen_unix(struct http *h, const char *path, struct err *err); /* a descriptor */
void listen_tick(struct http *h, uint64_t now);
/* Keeps a connection open for a moment behind its last answer, and closes fd then. fd < 0: nothing. */
void listen_linger(struct http *h, int fd);
void listen_close(struct http *h);

#endif
