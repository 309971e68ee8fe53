/* Streams of events. Text waits in r->out until MHD asks for it; with nothing to send the
 * connection sleeps, and the next event wakes it. A stream that is silent for a second sends a
 * comment, so that nobody on the way takes it for dead. After the headers an error can only be an
 * event; a stream that failed ends without [DONE]. */
#include "daemon/http_internal.h"

#include "daemon/log.h"

#include <stdlib.h>

static ssize_t
on_read(void *arg, uint64_t pos, char *out, size_t max)
{
	struct http_request *r = arg;
	size_t n;

	(void)pos;
	if (r->out.len == 0 && r->more != NULL && !r->dead)
		r->more(r->job);
	if (r->dead)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = r->out.len < max ? r->out.len : max;
	if (n > 0) {
		memcpy(out, r->out.data, n);
		buf_consume(&r->out, n);
		return (ssize_t)n;
	}
	if (r->stream_ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	r->suspended = true;
	MHD_suspend_connection(r->mhd);
	return 0;
}

void
sse_begin(struct http_request *r)
{
	r->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, on_read, r, NULL);
	r->status = 200;
	if (r->response == NULL) {
		http_abandon(r);
		return;
	}
	r->streaming = true;
	r->last_out = uv_now(r->http->loop);
	MHD_add_response_header(r->response, "Content-Type", "text/event-stream");
	MHD_add_response_header(r->response, "Cache-Control", "no-cache");
	MHD_add_response_header(r->response, "X-Accel-Buffering", "no");
	http_common_headers(r);
	http_resume(r);
}

/* Cuts a client that is so far behind that its pending text has reached its bound. */
static void
flush(struct http_request *r)
{
	r->last_out = uv_now(r->http->loop);
	if (r->out.failed) {
		log_info("%s: the client reads too slowly: cut", r->id);
		http_abandon(r);
		return;
	}
	http_resume(r);
}

static int
dump(const char *data, size_t len, void *arg)
{
	return buf_append(arg, data, len);
}

static void
append(struct http_request *r, const uint64_t *id, json_t *event)
{
	size_t before = r->out.len;

	if (id != NULL)
		buf_printf(&r->out, "id: %llu\n", (unsigned long long)*id);
	buf_str(&r->out, "data: ");
	if (event == NULL || json_dump_callback(event, dump, &r->out,
				     JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0)
		r->out.failed = true;
	buf_str(&r->out, "\n\n");
	if (r->out.failed)
		r->out.len = before;
	json_decref(event);
}

static void
send_event(struct http_request *r, const uint64_t *id, json_t *event)
{
	if (r->stream_ended || r->dead) {
		json_decref(event);
		return;
	}
	append(r, id, event);
	flush(r);
}

void
sse_event(struct http_request *r, json_t *event)
{
	send_event(r, NULL, event);
}

void
sse_event_id(struct http_request *r, uint64_t id, json_t *event)
{
	send_event(r, &id, event);
}

void
sse_comment(struct http_request *r, const char *text)
{
	if (!r->streaming || r->stream_ended || r->dead)
		return;
	buf_printf(&r->out, ": %s\n\n", text);
	flush(r);
}

static void
end(struct http_request *r)
{
	r->stream_ended = true;
	http_release(r);
	flush(r);
}

void
sse_done(struct http_request *r)
{
	if (r->stream_ended || r->dead)
		return;
	buf_str(&r->out, "data: [DONE]\n\n");
	end(r);
}

void
sse_error(struct http_request *r, const struct api_error *e)
{
	if (r->stream_ended || r->dead)
		return;
	append(r, NULL, api_error_json(e));
	end(r);
}

void
sse_tick(struct http_request *r, uint64_t now)
{
	if (!r->streaming || r->stream_ended || r->dead || now - r->last_out < SSE_BEAT_MS)
		return;
	buf_str(&r->out, ":\n\n");
	flush(r);
}
