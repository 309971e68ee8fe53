#include "daemon/api_answer.h"

#include "daemon/log.h"

#define MAX_ANSWER (64u << 20) /* text of an answer that is not streamed */
#define ODDS_PART  64          /* tokens whose odds a stream's chunk has: some 100 kB */

void
api_answer_init(struct api_answer *w, struct http_request *r, const struct api_format *f,
	const struct api_request *a, const char *model)
{
	*w = (struct api_answer){.http = r,
		.stream = a->stream,
		.include_usage = a->include_usage,
		.return_tokens = a->return_tokens};
	api_head_make(&w->head, f, model);
	buf_init(&w->text, MAX_ANSWER);
	api_logprobs_init(&w->logprobs, a);
	answer_calls_init(w, a);
}

void
api_answer_free(struct api_answer *w)
{
	json_decref(w->shoal);
	api_logprobs_free(&w->logprobs);
	answer_calls_free(w);
	buf_free(&w->text);
}

static json_t *
take_text(struct api_answer *w)
{
	json_t *t = w->text.len > 0 ? json_stringn((const char *)w->text.data, w->text.len)
				    : json_string("");

	buf_clear(&w->text);
	return t;
}

static void
send_chunk(struct api_answer *w)
{
	json_t *choice = w->head.format->chunk_choice(take_text(w), NULL);

	api_logprobs_add(&w->logprobs, choice);
	sse_event(w->http, api_chunk(&w->head, choice));
}

static void
send_text(struct api_answer *w)
{
	if (w->text.len > 0)
		send_chunk(w);
}

void
api_answer_begin(struct api_answer *w)
{
	const struct api_format *f = w->head.format;
	json_t *first;

	if (w->kept != NULL) {
		if (w->text.len > 0) /* an echo */
			answer_job_text(w->kept, (const char *)w->text.data, w->text.len);
		return;
	}
	if (!w->stream)
		return;
	first = f->begin_choice != NULL ? f->begin_choice() : NULL;
	sse_begin(w->http);
	if (first != NULL)
		sse_event(w->http, api_chunk(&w->head, first));
	send_text(w); /* an echo */
}

void
api_answer_model(struct api_answer *w, const char *model)
{
	snprintf(w->head.model, sizeof w->head.model, "%s", model);
	if (w->kept != NULL)
		answer_job_model(w->kept, model);
}

void
api_answer_words(struct api_answer *w, const char *text, size_t len)
{
	if (w->tools)
		buf_append(&w->said, text, len);
	if (w->kept != NULL) {
		answer_job_text(w->kept, text, len);
		return;
	}
	utf8_push(&w->hold, text, len, &w->text);
	if (w->stream)
		send_text(w);
}

void
api_answer_odds(struct api_answer *w, const struct token_odds *odds, size_t n, bool lost)
{
	for (size_t i = 0; i < n || (i == 0 && lost); i += ODDS_PART) {
		api_logprobs_take(
			&w->logprobs, odds + i, n - i < ODDS_PART ? n - i : ODDS_PART, lost);
		if (api_logprobs_waiting(&w->logprobs) >= ODDS_PART)
			send_chunk(w);
	}
}

void
api_answer_text(struct api_answer *w, const char *text, size_t len)
{
	if (w->tools && !w->apart)
		call_reader_push(&w->reader, text, len);
	else
		api_answer_words(w, text, len);
}

void
api_answer_headers(struct http_request *r, const json_t *shoal)
{
	static const struct {
		const char *key, *header;
	} texts[] = {{"target", "X-Shoal-Target"}, {"model", "X-Shoal-Model"},
		{"reason", "X-Shoal-Reason"}};
	json_t *share = json_object_get(json_object_get(shoal, "token"), "large_share");
	char number[16];

	for (size_t i = 0; r->response != NULL && i < sizeof texts / sizeof *texts; i++) {
		const char *text = json_string_value(json_object_get(shoal, texts[i].key));

		if (text != NULL)
			http_header(r, texts[i].header, text);
	}
	if (r->response == NULL || !json_is_number(share))
		return;
	snprintf(number, sizeof number, "%.3f", json_number_value(share));
	http_header(r, "X-Shoal-Large-Share", number);
}

/* What only this server says. */
static json_t *
with_shoal(struct api_answer *w, json_t *o)
{
	if (w->shoal != NULL)
		json_object_set(o, "shoal", w->shoal);
	return o;
}

static void
end_stream(struct api_answer *w, const char *reason, const struct usage *u)
{
	json_t *last;

	send_text(w);
	last = api_last_chunk(&w->head, reason, u, w->return_tokens);
	api_logprobs_add(&w->logprobs, json_array_get(json_object_get(last, "choices"), 0));
	sse_event(w->http, with_shoal(w, last));
	if (w->include_usage)
		sse_event(w->http, api_usage_chunk(&w->head, u));
	sse_done(w->http);
}

static void
send_whole(struct api_answer *w, json_t *o)
{
	struct buf logprobs;

	if (!w->logprobs.wanted) {
		http_json(w->http, 200, o);
		return;
	}
	buf_init(&logprobs, 0);
	api_logprobs_add(&w->logprobs, json_array_get(json_object_get(o, "choices"), 0));
	api_logprobs_text(&w->logprobs, &logprobs);
	http_json_with(w->http, 200, o, w->logprobs.mark, &logprobs);
	buf_free(&logprobs);
}

static void
end_whole(struct api_answer *w, const char *reason, const struct usage *u)
{
	json_t *o;

	if (w->text.failed) {
		http_fail(w->http, 500, NULL, NULL, "the answer is longer than %u MiB: stream it",
			MAX_ANSWER >> 20);
	} else {
		o = api_whole(&w->head, take_text(w), reason, u, w->return_tokens);
		send_whole(w, with_shoal(w, answer_calls_add(w->calls, o)));
	}
	api_answer_headers(w->http, w->shoal);
}

void
api_answer_end(struct api_answer *w, const char *reason, const struct usage *u)
{
	api_answer_flush(w);
	if (w->lost || w->reader.failed) {
		api_answer_error(
			w, 500, "a call of a tool is too long, or there is no memory for it");
		return;
	}
	if (api_logprobs_failed(&w->logprobs)) {
		api_answer_error(w, 500,
			w->stream ? "there is no memory for the answer's logprobs"
				  : "the answer's logprobs are too long: stream it");
		return;
	}
	reason = answer_calls_reason(w->calls, reason);
	if (w->kept != NULL) {
		answer_job_end(w->kept, reason, u, w->shoal);
		return;
	}
	http_release(w->http);
	utf8_finish(&w->hold, &w->text);
	api_log(w->http->id, reason, u);
	if (w->stream)
		end_stream(w, reason, u);
	else
		end_whole(w, reason, u);
}

void
api_answer_error(struct api_answer *w, int status, const char *what)
{
	api_answer_fail(w, status, what, what);
}

void
api_answer_fail(struct api_answer *w, int status, const char *what, const char *logged)
{
	struct api_error e;

	if (w->kept != NULL) {
		log_warning("%s: failed: %s", w->head.id, logged);
		answer_job_fail(w->kept, status, what);
		return;
	}
	http_release(w->http);
	log_warning("%s: failed: %s", w->http->id, logged);
	api_error_set(&e, status >= 400 && status < 600 ? status : 500, NULL, NULL, "%s", what);
	if (w->http->streaming)
		sse_error(w->http, &e);
	else /* it is no stream, or not yet */
		http_error(w->http, &e);
}
