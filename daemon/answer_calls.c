/* Calls of tools in an answer: held until they are whole, then sent as OpenAI's clients read them. */
#include "daemon/api_answer.h"

#include "daemon/privacy_messages.h"

#define MOST_SAID (1u << 20) /* of the words is remembered */

static void
on_text(void *arg, const char *text, size_t len)
{
	api_answer_words(arg, text, len);
}

static void
on_call(void *arg, const char *name, const char *arguments, size_t len)
{
	api_answer_call(arg, NULL, name, arguments, len);
}

void
answer_calls_init(struct api_answer *w, const struct api_request *a)
{
	const struct call_events events = {on_text, on_call, w};

	w->tools = a->tools != NULL;
	buf_init(&w->said, MOST_SAID);
	if (!w->tools)
		return;
	call_reader_init(&w->reader, a->tools, a->one_call, &events);
	w->reader.as_wanted = a->must_call != NULL;
	w->calls = json_array();
}

void
answer_calls_free(struct api_answer *w)
{
	call_reader_free(&w->reader);
	json_decref(w->calls);
	buf_free(&w->said);
}

void
api_answer_apart(struct api_answer *w, bool apart)
{
	w->apart = apart;
}

void
api_answer_flush(struct api_answer *w)
{
	if (w->tools && !w->apart)
		call_reader_end(&w->reader);
}

bool
api_answer_enough(const struct api_answer *w)
{
	return w->tools && !w->apart && call_reader_done(&w->reader);
}

json_t *
answer_calls_choice(const struct api_format *f, json_t *call)
{
	json_t *choice = f->chunk_choice(NULL, NULL);

	json_object_set_new(json_object_get(choice, "delta"), "tool_calls", json_pack("[o]", call));
	return choice;
}

static void
send_delta(struct api_answer *w, json_t *call)
{
	sse_event(w->http, api_chunk(&w->head, answer_calls_choice(w->head.format, call)));
}

/* Clients know a call by its index; its name is in the first piece, its arguments behind. */
static void
send_call(struct api_answer *w, int index, json_t *call)
{
	json_t *f = json_object_get(call, "function");

	send_delta(w, json_pack("{s:i,s:O,s:s,s:{s:O,s:s}}", "index", index, "id",
			      json_object_get(call, "id"), "type", "function", "function", "name",
			      json_object_get(f, "name"), "arguments", ""));
	send_delta(w, json_pack("{s:i,s:{s:O}}", "index", index, "function", "arguments",
			      json_object_get(f, "arguments")));
}

json_t *
answer_call(const char *id, const char *name, const char *arguments, size_t len)
{
	return json_pack("{s:s,s:s,s:{s:s,s:s%}}", "id", id, "type", "function", "function", "name",
		name, "arguments", arguments, len);
}

void
api_answer_call(
	struct api_answer *w, const char *id, const char *name, const char *arguments, size_t len)
{
	size_t bytes = strlen(name) + len;
	char own[40];
	json_t *call;

	if (w->lost || (w->reader.one && json_array_size(w->calls) > 0))
		return;
	w->lost = bytes > API_MOST_CALLS - w->calls_bytes;
	if (w->lost)
		return;
	w->calls_bytes += bytes;
	if (id == NULL || id[0] == '\0') {
		api_make_id(own, sizeof own, "call_");
		id = own;
	}
	call = answer_call(id, name, arguments, len);
	if (call == NULL || json_array_append(w->calls, call) != 0)
		w->lost = true; /* an answer without it would be another one */
	else if (w->kept != NULL)
		answer_job_call(w->kept, call);
	else if (w->stream)
		send_call(w, (int)json_array_size(w->calls) - 1, call);
	json_decref(call);
}

const char *
answer_calls_reason(json_t *calls, const char *reason)
{
	bool called = json_array_size(calls) > 0;

	if (called)
		return strcmp(reason, "stop") == 0 ? "tool_calls" : reason;
	/* A cloud's word: clients look for calls then. */
	return strcmp(reason, "tool_calls") == 0 ? "stop" : reason;
}

json_t *
answer_calls_add(json_t *calls, json_t *whole)
{
	json_t *choice = json_array_get(json_object_get(whole, "choices"), 0),
	       *message = json_object_get(choice, "message");

	if (json_array_size(calls) == 0)
		return whole;
	json_object_set(message, "tool_calls", calls);
	if (json_string_length(json_object_get(message, "content")) == 0)
		json_object_set_new(message, "content", json_null());
	return whole;
}

void
api_answer_texts(const struct api_answer *w, void (*each)(void *arg, const char *text, size_t len),
	void *arg)
{
	struct buf text;
	json_t *call;
	size_t i;

	if (w->said.len > 0)
		each(arg, (const char *)w->said.data, w->said.len);
	json_array_foreach(w->calls, i, call)
	{
		buf_init(&text, 0);
		privacy_call_text(json_object_get(call, "function"), &text);
		if (text.len > 0 && !text.failed)
			each(arg, (const char *)text.data, text.len);
		buf_free(&text);
	}
}
