/* What the bytes of an answer say: server-sent events (WHATWG HTML, "Server-sent events") that carry
 * chat.completion.chunk or text_completion objects, or one chat.completion or text_completion object. Pure: bytes
 * in, text out. */
#include "daemon/cloud_int.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void
cloud_reader_init(struct cloud_reader *r, bool stream)
{
	*r = (struct cloud_reader){.stream = stream, .usage.cost = PURSE_UNKNOWN};
	buf_init(&r->line, stream ? CLOUD_MOST_EVENT : CLOUD_MOST_WHOLE);
	buf_init(&r->data, CLOUD_MOST_EVENT);
	buf_init(&r->text, CLOUD_MOST_WHOLE);
}

void
cloud_reader_free(struct cloud_reader *r)
{
	buf_free(&r->line);
	buf_free(&r->data);
	buf_free(&r->text);
	cloud_calls_free(&r->calls);
}

static void
fail(struct cloud_reader *r, enum cloud_class class, const char *words)
{
	if (r->failed)
		return;
	r->failed = true;
	r->class = class;
	snprintf(r->words, sizeof r->words, "%s", words);
}

/* --- JSON ---------------------------------------------------------------------------------------- */

/* Shown to people: no byte that moves a cursor, and no half character where it is cut. */
static void
clean_copy(char *out, size_t size, const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	if (len >= size)
		for (len = size - 1; len > 0 && (text[len] & 0xC0) == 0x80;)
			len--;
	if (len > 0)
		memcpy(out, text, len);
	out[len] = '\0';
	for (unsigned char *c = (unsigned char *)out; *c != '\0'; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
}

/* {"error": {"message": ...}} or {"error": "..."}; false: no error there. */
static bool
take_error(json_t *o, char said[256])
{
	json_t *e = json_object_get(o, "error");

	if (e == NULL || json_is_null(e))
		return false;
	clean_copy(said, 256,
		json_string_value(json_is_string(e) ? e : json_object_get(e, "message")));
	return true;
}

static bool
take_tokens(json_t *usage, const char *name, uint64_t *out)
{
	json_t *v = json_object_get(usage, name);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

/* What makes no sense counts as not told: then the whole reservation is spent. */
static void
take_usage(struct cloud_reader *r, json_t *o)
{
	json_t *usage = json_object_get(o, "usage"), *cost = json_object_get(usage, "cost");
	struct cloud_usage u = {.cost = PURSE_UNKNOWN};
	double micro;

	if (!json_is_object(usage))
		return;
	u.told = take_tokens(usage, "prompt_tokens", &u.tokens_in) &&
		 take_tokens(usage, "completion_tokens", &u.tokens_out);
	if (json_is_number(cost)) {
		micro = ceil(json_number_value(cost) * 1e6 * (1 - 1e-12));
		if (micro >= 0 && micro <= (double)PURSE_MOST)
			u.cost = (uint64_t)micro;
		else
			u.told = false;
	}
	r->usage = u;
}

static bool
take_calls(struct cloud_reader *r, json_t *calls)
{
	const char *wrong;

	if (json_array_size(calls) == 0)
		return true;
	if (!r->tools)
		wrong = "the answer calls a tool, and none was offered";
	else
		wrong = cloud_calls_take(&r->calls, calls, r->stream);
	if (wrong != NULL)
		fail(r, CLOUD_MALFORMED, wrong);
	return wrong == NULL;
}

static void
take_choice(struct cloud_reader *r, json_t *choice)
{
	json_t *message =
		r->plain ? choice : json_object_get(choice, r->stream ? "delta" : "message");
	json_t *content = json_object_get(message, r->plain ? "text" : "content");
	json_t *finish = json_object_get(choice, "finish_reason");

	if (!take_calls(r, json_object_get(message, "tool_calls")))
		return;
	if (json_is_string(content))
		buf_append(&r->text, json_string_value(content), json_string_length(content));
	else if (content != NULL && !json_is_null(content))
		fail(r, CLOUD_MALFORMED, "the answer's content is no text");
	if (json_is_string(finish))
		clean_copy(r->finish, sizeof r->finish, json_string_value(finish));
	if (r->text.failed)
		fail(r, CLOUD_TOO_LARGE, "the answer is too long");
}

static void
take_object(struct cloud_reader *r, const void *data, size_t len)
{
	json_t *o = json_loadb(data, len, JSON_ALLOW_NUL, NULL);
	json_t *choices = json_object_get(o, "choices");

	if (!json_is_object(o)) {
		fail(r, CLOUD_MALFORMED, "what came is no JSON object");
	} else if (take_error(o, r->said)) {
		fail(r, CLOUD_SERVER, "the endpoint ended its answer with an error");
	} else {
		take_usage(r, o);
		if (json_array_size(choices) > 0)
			take_choice(r, json_array_get(choices, 0));
		else if (!r->stream || !json_is_array(choices))
			fail(r, CLOUD_MALFORMED, "what came has no choices");
	}
	json_decref(o);
}

/* Nothing more is to come. */
static void
finish(struct cloud_reader *r)
{
	const char *wrong = cloud_calls_end(&r->calls);

	r->finished = wrong == NULL;
	if (wrong != NULL)
		fail(r, CLOUD_MALFORMED, wrong);
}

/* --- events -------------------------------------------------------------------------------------- */

static void
end_event(struct cloud_reader *r)
{
	size_t len = r->data.len;

	if (len == 0)
		return;
	len--; /* the LF after its last line */
	if (len == 6 && memcmp(r->data.data, "[DONE]", 6) == 0)
		finish(r);
	else
		take_object(r, r->data.data, len);
	buf_clear(&r->data);
}

/* A field other than data says nothing here, and neither does a comment. */
static void
take_line(struct cloud_reader *r, const uint8_t *line, size_t len)
{
	size_t skip = 5;

	if (len == 0) {
		end_event(r);
		return;
	}
	if (len < 5 || memcmp(line, "data:", 5) != 0)
		return;
	skip += len > 5 && line[5] == ' ';
	buf_append(&r->data, line + skip, len - skip);
	buf_u8(&r->data, '\n');
	if (r->data.failed)
		fail(r, CLOUD_TOO_LARGE, "an event of the stream is too long");
}

/* Lines end with LF, CR, or both. */
static void
feed_lines(struct cloud_reader *r, const uint8_t *data, size_t len)
{
	while (len > 0 && !r->failed && !r->finished) {
		size_t n = 0;

		if (r->after_cr && data[0] == '\n') {
			r->after_cr = false;
			data++;
			len--;
			continue;
		}
		r->after_cr = false;
		while (n < len && data[n] != '\n' && data[n] != '\r')
			n++;
		buf_append(&r->line, data, n);
		if (r->line.failed) {
			fail(r, CLOUD_TOO_LARGE, "a line of the stream is too long");
			return;
		}
		if (n == len)
			return;
		r->after_cr = data[n] == '\r';
		take_line(r, r->line.data, r->line.len);
		buf_clear(&r->line);
		data += n + 1;
		len -= n + 1;
	}
}

void
cloud_reader_feed(struct cloud_reader *r, const void *data, size_t len)
{
	if (r->failed || r->finished)
		return;
	if (r->stream)
		feed_lines(r, data, len);
	else if (buf_append(&r->line, data, len) != 0)
		fail(r, CLOUD_TOO_LARGE, "the answer is too long");
}

/* A stream that said how it finished has ended, with [DONE] or without; any other one was cut. */
void
cloud_reader_end(struct cloud_reader *r)
{
	if (r->failed || r->finished)
		return;
	if (!r->stream)
		take_object(r, r->line.data, r->line.len);
	else if (r->finish[0] == '\0')
		fail(r, CLOUD_CUT, "the stream ended ahead of the answer's end");
	if (!r->failed)
		finish(r);
}

void
cloud_reader_refusal(const void *data, size_t len, char said[256])
{
	json_t *o = json_loadb(data, len, 0, NULL);

	said[0] = '\0';
	if (json_is_object(o) && !take_error(o, said))
		clean_copy(said, 256, json_string_value(json_object_get(o, "message")));
	json_decref(o);
}
