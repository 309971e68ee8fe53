/* The life of a request: from its head to its answer, and what ends it early. */
#include "daemon/http_internal.h"

#include "daemon/log.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

void
http_header(struct http_request *r, const char *name, const char *value)
{
	if (r->response != NULL)
		MHD_add_response_header(r->response, name, value);
}

void
http_common_headers(struct http_request *r)
{
	http_header(r, "x-request-id", r->id);
	if (r->origin[0] != '\0') {
		http_header(r, "Access-Control-Allow-Origin", r->origin);
		http_header(r, "Access-Control-Expose-Headers",
			"x-request-id, retry-after, x-shoal-target, x-shoal-model, x-shoal-reason, "
			"x-shoal-large-share");
		http_header(r, "Vary", "Origin");
	}
}

/* The answer is there: MHD asks for it when the request goes on. Headers may still be added before
 * that. */
static void
answer(struct http_request *r, int status, struct MHD_Response *response)
{
	r->response = response;
	r->status = status;
	http_release(r);
	if (response == NULL) {
		http_abandon(r);
		return;
	}
	http_common_headers(r);
	http_resume(r);
}

/* Takes body. */
static char *
text_of(json_t *body)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

	json_decref(body);
	return text;
}

/* Takes text. */
static void
answer_text(struct http_request *r, int status, char *text)
{
	struct MHD_Response *response = NULL;

	if (text != NULL)
		response =
			MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		free(text);
	else
		MHD_add_response_header(response, "Content-Type", "application/json");
	answer(r, status, response);
}

void
http_json(struct http_request *r, int status, json_t *body)
{
	answer_text(r, status, text_of(body));
}

void
http_json_with(
	struct http_request *r, int status, json_t *body, const char *mark, const struct buf *json)
{
	char *text = text_of(body), *at = text != NULL ? strstr(text, mark) : NULL, *all = NULL;
	size_t len = strlen(mark) + 2; /* with its quotes */

	if (at != NULL && !json->failed)
		all = malloc(strlen(text) + json->len + 1);
	if (all != NULL) {
		char *end = all + (--at - text);

		memcpy(all, text, (size_t)(at - text));
		memcpy(end, json->data, json->len);
		strcpy(end + json->len, at + len);
	}
	free(text);
	answer_text(r, status, all);
}

void
http_text(struct http_request *r, int status, const char *type, const char *text)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);

	if (response != NULL)
		MHD_add_response_header(response, "Content-Type", type);
	answer(r, status, response);
}

void
http_error(struct http_request *r, const struct api_error *e)
{
	http_json(r, e->status, api_error_json(e));
	if (e->status == 429 || e->status == 503)
		http_header(r, "Retry-After", "2");
	if (e->status == 504) /* as long again, as often as the SDKs try by themselves */
		http_header(r, "x-should-retry", "false");
}

void
http_fail(struct http_request *r, int status, const char *code, const char *param, const char *fmt,
	...)
{
	struct api_error e;
	char text[sizeof e.message];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	api_error_set(&e, status, code, param, "%s", text);
	http_error(r, &e);
}

/* A browser asks whether its page may send what the SDKs send. */
void
http_preflight(struct http_request *r)
{
	const char *headers = MHD_lookup_connection_value(
		r->mhd, MHD_HEADER_KIND, "Access-Control-Request-Headers");

	answer(r, 204,
		MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT));
	if (r->origin[0] == '\0')
		return;
	http_header(r, "Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
	http_header(r, "Access-Control-Allow-Headers",
		headers != NULL ? headers : "authorization, content-type");
	http_header(r, "Access-Control-Max-Age", "86400");
}

/* --- going on, and ending early --- */

void
http_resume(struct http_request *r)
{
	if (!r->suspended || r->mhd == NULL)
		return;
	r->suspended = false;
	MHD_resume_connection(r->mhd);
	pump_kick(r->pump);
}

void
http_cut(struct http_request *r)
{
	void (*gone)(void *job) = r->gone;

	r->dead = true;
	r->gone = NULL;
	r->more = NULL;
	if (gone != NULL)
		gone(r->job);
	http_resume(r);
}

void
http_abandon(struct http_request *r)
{
	r->dead = true;
	if (r->conn != NULL)
		shutdown(r->conn->fd, SHUT_RDWR);
	http_resume(r);
}

static void
on_gone(uv_poll_t *poll, int status, int events)
{
	struct http_request *r = poll->data;

	if (status == 0 && (events & UV_DISCONNECT) == 0)
		return;
	uv_poll_stop(poll);
	log_debug("%s: the client has gone away", r->id);
	http_cut(r);
}

/* A suspended connection is not read by MHD, which would notice a client that leaves only when it
 * writes again: minutes later, in a long prompt. */
static void
watch(struct http_request *r)
{
	if (r->watched || r->conn == NULL ||
		uv_poll_init(r->http->loop, &r->poll, r->conn->fd) != 0)
		return;
	r->watched = true;
	r->poll.data = r;
	uv_poll_start(&r->poll, UV_DISCONNECT, on_gone);
}

void
http_wait(struct http_request *r, void (*gone)(void *job), void *job)
{
	r->gone = gone;
	r->job = job;
	watch(r);
}

void
http_release(struct http_request *r)
{
	r->gone = NULL;
	r->more = NULL;
	r->job = NULL;
}

void
http_end(struct http_request *r, const struct api_error *e)
{
	void (*gone)(void *job) = r->gone;
	void *job = r->job;

	http_release(r);
	if (gone != NULL)
		gone(job);
	if (r->streaming)
		sse_error(r, e);
	else if (r->suspended && r->response == NULL)
		http_error(r, e);
}

/* --- MHD's callbacks --- */

static void
request_id(char id[32])
{
	uint8_t random[12];

	randombytes_buf(random, sizeof random);
	memcpy(id, "req_", 4);
	sodium_bin2hex(id + 4, 28, random, sizeof random);
}

static struct http_request *
request_new(struct http_pump *p, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct http_conn *conn = info != NULL ? info->socket_context : NULL;
	struct http_request *r = conn != NULL ? calloc(1, sizeof *r) : NULL;

	if (r == NULL)
		return NULL;
	r->http = p->http;
	r->pump = p;
	r->mhd = c;
	r->conn = conn;
	request_id(r->id);
	buf_init(&r->body, HTTP_MAX_BODY);
	buf_init(&r->out, SSE_MAX_PENDING);
	r->next = r->http->requests;
	if (r->next != NULL)
		r->next->prev = r;
	r->http->requests = r;
	/* A connection that was kept alive: what follows has its own time. */
	conn->deadline = uv_now(r->http->loop) + r->http->head_ms;
	return r;
}

static void
drop_body(struct http_request *r)
{
	r->http->body_bytes -= r->body.len;
	buf_free(&r->body);
}

void
http_count_body(struct http_request *r)
{
	r->counted = r->body.len;
	r->http->body_bytes += r->counted; /* the bytes themselves go when its route has run */
}

/* Frees a request when both MHD and the loop are done with it. */
static void
on_poll_closed(uv_handle_t *h)
{
	free(h->data);
}

static void
request_free(struct http_request *r)
{
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		r->http->requests = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	drop_body(r);
	r->http->body_bytes -= r->counted;
	buf_free(&r->out);
	r->mhd = NULL;
	r->conn = NULL;
	if (r->watched)
		uv_close((uv_handle_t *)&r->poll, on_poll_closed);
	else
		free(r);
}

void
http_completed(
	void *pump, struct MHD_Connection *c, void **slot, enum MHD_RequestTerminationCode why)
{
	struct http_request *r = *slot;

	(void)pump, (void)c, (void)why;
	if (r == NULL)
		return;
	*slot = NULL;
	r->suspended = false;
	if (r->gone != NULL)
		http_cut(r);
	if (r->route != NULL)
		log_debug("%s: %s %d", r->id, r->route->path, r->status);
	/* The client may now be idle for a while, and must then send its next one. */
	r->conn->deadline = uv_now(r->http->loop) + HTTP_IDLE_SECONDS * 1000 + r->http->head_ms;
	if (r->response != NULL)
		MHD_destroy_response(r->response);
	request_free(r);
}

/* Hands the answer to MHD, or lets the connection sleep until there is one. */
static enum MHD_Result
go_on(struct http_request *r)
{
	if (r->dead)
		return MHD_NO;
	if (r->response == NULL) {
		r->suspended = true;
		MHD_suspend_connection(r->mhd);
		return MHD_YES;
	}
	if (r->queued)
		return MHD_YES;
	r->queued = true;
	return MHD_queue_response(r->mhd, (unsigned)r->status, r->response);
}

static enum MHD_Result
take_head(struct http_request *r, const char *method, const char *path)
{
	bool fatal;

	if (r->http->closing)
		http_fail(r, 503, NULL, NULL, "the daemon is stopping");
	if (r->response == NULL && http_head_check(r, method, path, &fatal) != 0 && fatal) {
		/* Before the body: MHD closes the connection then, and clients are still sending. */
		listen_linger(r->http, fcntl(r->conn->fd, F_DUPFD_CLOEXEC, 0));
		return go_on(r);
	}
	r->discard = r->response != NULL || r->dead;
	return MHD_YES;
}

/* Body bytes. In mid-body no answer can be given: what is too much is read and dropped, up to a
 * point. */
static enum MHD_Result
take_body(struct http_request *r, const char *data, size_t len)
{
	struct http *h = r->http;

	if (!r->discard && r->body.len + len > HTTP_MAX_BODY)
		http_fail(r, 413, "body_too_large", NULL, "the body is larger than %u MiB",
			HTTP_MAX_BODY >> 20);
	else if (!r->discard && h->body_bytes + len > HTTP_MAX_BODIES)
		http_fail(r, 503, NULL, NULL, "too many large requests at once: try again");
	else if (!r->discard && buf_append(&r->body, data, len) != 0)
		http_fail(r, 503, NULL, NULL, "out of memory");
	else if (!r->discard)
		h->body_bytes += len;
	if (r->response != NULL && !r->discard) {
		r->discard = true;
		r->discarded = r->body.len;
		drop_body(r);
	}
	r->discarded += r->discard ? len : 0;
	if (r->conn->deadline != 0)
		r->conn->deadline += len * 1000 / HTTP_BODY_RATE;
	return r->dead || r->discarded > 2 * (size_t)HTTP_MAX_BODY ? MHD_NO : MHD_YES;
}

enum MHD_Result
http_handle(void *pump, struct MHD_Connection *c, const char *url, const char *method,
	const char *version, const char *data, size_t *len, void **slot)
{
	struct http_request *r = *slot;

	(void)version;
	if (r == NULL) {
		r = request_new(pump, c);
		*slot = r;
		return r != NULL ? take_head(r, method, url) : MHD_NO;
	}
	if (*len > 0) {
		size_t n = *len;

		*len = 0;
		return take_body(r, data, n);
	}
	if (!r->arrived) {
		r->arrived = true;
		r->conn->deadline = 0;
		if (!r->discard)
			r->route->run(r);
		drop_body(r);
	}
	return go_on(r);
}
