/* Clients of answers. Streams are pulled: a client gets the next event when it has taken the last
 * one, so that one that reads slowly, or a long answer that is sent again, takes no memory. */
#include "daemon/answers_int.h"
#include "daemon/api_answer.h"

#include <stdlib.h>

#define PIECE 16384 /* bytes of text in an event at most */

static void
reader_free(struct reader *rd)
{
	struct kept *k = rd->kept;

	if (rd->prev != NULL)
		rd->prev->next = rd->next;
	else
		k->readers = rd->next;
	if (rd->next != NULL)
		rd->next->prev = rd->prev;
	free(rd);
	if (k->readers == NULL && k->state == KEPT_RUNNING)
		k->until = uv_now(k->all->loop) + k->all->grace_ms;
}

static void
on_gone(void *job)
{
	reader_free(job);
}

/* Its head: whose ids, in whose words. */
static struct api_head
head_of(const struct reader *rd)
{
	struct api_head h = rd->kept->head;

	h.format = rd->format;
	return h;
}

static json_t *
with_shoal(const struct kept *k, json_t *o)
{
	if (k->shoal != NULL)
		json_object_set(o, "shoal", k->shoal);
	return o;
}

/* --- streams ------------------------------------------------------------------------------------ */

static void
stream_fail(struct reader *rd, int status, const char *what)
{
	struct http_request *r = rd->http;
	struct api_error e;

	api_error_set(&e, status, NULL, NULL, "%s", what);
	reader_free(rd);
	sse_error(r, &e);
}

static void
send_piece(struct reader *rd)
{
	const struct buf *t = &rd->kept->text;
	const char *at = (const char *)t->data + rd->sent;
	size_t left = t->len - (size_t)rd->sent, n = left < PIECE ? left : PIECE;
	struct api_head h = head_of(rd);

	if (((unsigned char)at[0] & 0xc0) == 0x80) {
		stream_fail(rd, 400, "Last-Event-ID is not the number of an event of this answer");
		return;
	}
	while (n < left && ((unsigned char)at[n] & 0xc0) == 0x80)
		n--;
	rd->sent += n;
	sse_event_id(rd->http, rd->sent,
		api_chunk(&h, rd->format->chunk_choice(json_stringn(at, n), NULL)));
}

static void
send_call(struct reader *rd, size_t i)
{
	json_t *call = json_copy(json_array_get(rd->kept->calls, i));
	struct api_head h = head_of(rd);

	json_object_set_new(call, "index", json_integer((json_int_t)i));
	rd->sent++;
	sse_event_id(rd->http, rd->sent, api_chunk(&h, answer_calls_choice(rd->format, call)));
}

/* Behind the text: the calls, the last choice, the usage, the end. */
static void
send_end(struct reader *rd)
{
	const struct kept *k = rd->kept;
	struct http_request *r = rd->http;
	struct api_head h = head_of(rd);
	uint64_t behind = rd->sent - k->text.len, calls = json_array_size(k->calls);

	if (behind < calls) {
		send_call(rd, behind);
		return;
	}
	behind -= calls;
	if (behind > 2) {
		stream_fail(rd, 400, "Last-Event-ID is not the number of an event of this answer");
	} else if (behind == 0) {
		rd->sent++;
		sse_event_id(r, rd->sent,
			with_shoal(k, api_last_chunk(&h, kept_reason(k), &k->usage, rd->tokens)));
	} else if (behind == 1 && rd->include_usage) {
		rd->sent++;
		sse_event_id(r, rd->sent, api_usage_chunk(&h, &k->usage));
	} else {
		reader_free(rd);
		sse_done(r);
	}
}

/* The connection has sent all it had. */
static void
on_more(void *job)
{
	struct reader *rd = job;
	const struct kept *k = rd->kept;
	struct api_head h = head_of(rd);

	if (!rd->begun) {
		rd->begun = true;
		if (rd->format->begin_choice != NULL) {
			sse_event_id(rd->http, 0, api_chunk(&h, rd->format->begin_choice()));
			return;
		}
	}
	if (rd->sent < k->text.len)
		send_piece(rd);
	else if (k->state == KEPT_ENDED)
		send_end(rd);
}

/* --- whole answers ------------------------------------------------------------------------------ */

static void
send_whole(struct reader *rd)
{
	const struct kept *k = rd->kept;
	struct http_request *r = rd->http;
	struct api_head h = head_of(rd);
	json_t *text = k->text.len > 0 ? json_stringn((const char *)k->text.data, k->text.len)
				       : json_string("");
	json_t *o = api_whole(&h, text, kept_reason(k), &k->usage, rd->tokens);

	reader_free(rd);
	http_release(r);
	http_json(r, 200, with_shoal(k, answer_calls_add(k->calls, o)));
	api_answer_headers(r, k->shoal);
}

/* --- all ---------------------------------------------------------------------------------------- */

void
readers_wake(struct kept *k)
{
	for (struct reader *rd = k->readers; rd != NULL; rd = rd->next)
		if (rd->stream)
			http_resume(rd->http);
}

void
readers_ended(struct kept *k)
{
	readers_wake(k);
	for (struct reader *rd = k->readers, *next; rd != NULL; rd = next) {
		next = rd->next;
		if (!rd->stream)
			send_whole(rd);
	}
}

void
readers_fail(struct kept *k)
{
	while (k->readers != NULL) {
		struct http_request *r = k->readers->http;
		bool stream = k->readers->stream;

		reader_free(k->readers);
		http_release(r);
		if (stream)
			sse_error(r, &k->error);
		else
			http_error(r, &k->error);
	}
}

void
reader_attach(struct kept *k, struct http_request *r, const struct answer_key *key,
	const struct api_request *a, const struct api_format *f)
{
	struct reader *rd = calloc(1, sizeof *rd);

	if (rd == NULL) {
		http_fail(r, 503, NULL, NULL, "out of memory");
		return;
	}
	*rd = (struct reader){.kept = k,
		.next = k->readers,
		.http = r,
		.format = f,
		.stream = a->stream,
		.include_usage = a->include_usage,
		.tokens = a->return_tokens,
		.begun = key->behind,
		.sent = key->behind ? key->event : 0};
	if (rd->next != NULL)
		rd->next->prev = rd;
	k->readers = rd;
	http_wait(r, on_gone, rd);
	if (rd->stream) {
		r->more = on_more;
		sse_begin(r);
	} else if (k->state == KEPT_ENDED) {
		send_whole(rd);
	}
}
