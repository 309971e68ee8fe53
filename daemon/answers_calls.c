/* Calls of tools in answers that are kept: the text is the words then, and calls stand behind it, wherever they
 * were made. Who reads the answer gets them when it has ended, for nobody acts on a part of it. */
#include "daemon/answers_int.h"
#include "daemon/api_answer.h"

void
kept_call(struct kept *k, json_t *call)
{
	json_t *f = json_object_get(call, "function");

	if (k->calls == NULL)
		k->calls = json_array();
	k->calls_bytes += json_string_length(json_object_get(f, "name")) +
			  json_string_length(json_object_get(f, "arguments"));
	/* An answer without it would be another one: it fails as one whose text is too long. */
	if (k->calls_bytes > API_MOST_CALLS || json_array_append_new(k->calls, call) != 0)
		k->text.failed = true;
}

static void
on_words(void *arg, const char *text, size_t len)
{
	struct kept *k = arg;

	utf8_push(&k->hold, text, len, &k->text);
}

/* Its id follows from the answer's: after a restart it is the same. */
static void
on_call(void *arg, const char *name, const char *arguments, size_t len)
{
	struct kept *k = arg;
	const char *answer = strchr(k->head.id, '-');
	char id[sizeof k->head.id + 16];

	snprintf(id, sizeof id, "call_%s-%zu", answer != NULL ? answer + 1 : k->head.id,
		json_array_size(k->calls));
	kept_call(k, answer_call(id, name, arguments, len));
}

void
kept_offer(struct kept *k, json_t *tools, bool one)
{
	const struct call_events events = {on_words, on_call, k};

	call_reader_init(&k->reader, tools, one, &events);
}

void
kept_take(struct kept *k, const char *text, size_t len)
{
	if (k->reader.tools != NULL)
		call_reader_push(&k->reader, text, len);
	else
		utf8_push(&k->hold, text, len, &k->text);
}

void
kept_take_again(struct kept *k, const char *text, size_t len)
{
	json_t *tools = json_incref(k->reader.tools);
	bool one = k->reader.one;

	k->text.len = k->prefix;
	k->hold = (struct utf8_hold){0};
	json_array_clear(k->calls);
	k->calls_bytes = 0;
	if (tools != NULL) {
		call_reader_free(&k->reader);
		kept_offer(k, tools, one);
	}
	kept_take(k, text, len);
	json_decref(tools);
}

void
kept_took_all(struct kept *k)
{
	if (k->reader.tools != NULL)
		call_reader_end(&k->reader);
	k->text.failed |= k->reader.failed;
	utf8_finish(&k->hold, &k->text);
}
