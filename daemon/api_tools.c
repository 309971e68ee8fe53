/* Tool calls in a conversation, which other servers made: they are read as text, in the form that most
 * models with tools were trained on (that of Hermes and Qwen). This server makes none of its own. */
#include "daemon/api_fields.h"

#include "sched/route_prompt.h"

#include <stdlib.h>

static int
bad_call(struct api_error *e, size_t i, const char *must)
{
	return api_error_set(e, 400, "invalid_value", "messages",
		"messages[%zu]: a tool call must be %s", i, must);
}

/* {"name": ..., "arguments": ...}: of a call's `function`, or of a `function_call`. Arguments that are a
 * text are JSON that a model wrote, or nonsense: either way it is shown as it is. */
static int
add_call(struct buf *text, json_t *f, size_t i, struct api_error *e)
{
	json_t *name = json_object_get(f, "name"), *arguments = json_object_get(f, "arguments");
	char *quoted, *dump = NULL;

	if (!json_is_string(name) || !(json_is_string(arguments) || json_is_object(arguments)))
		return bad_call(e, i, "a function with a name and arguments");
	quoted = json_dumps(name, JSON_ENCODE_ANY);
	if (json_is_object(arguments))
		dump = json_dumps(arguments, JSON_PRESERVE_ORDER);
	if (quoted != NULL && (dump != NULL || json_is_string(arguments)))
		buf_printf(text, "%s<tool_call>\n{\"name\": %s, \"arguments\": %s}\n</tool_call>",
			text->len > 0 ? "\n" : "", quoted,
			dump != NULL ? dump : json_string_value(arguments));
	else
		text->failed = true;
	free(quoted);
	free(dump);
	return text->failed ? api_error_set(e, 500, NULL, NULL, "out of memory") : 0;
}

bool
api_has_calls(json_t *m)
{
	return json_array_size(json_object_get(m, "tool_calls")) > 0 ||
	       json_is_object(json_object_get(m, "function_call"));
}

int
api_add_calls(struct buf *text, json_t *m, size_t i, struct api_error *e)
{
	json_t *calls = json_object_get(m, "tool_calls"), *call,
	       *one = json_object_get(m, "function_call");
	size_t k;

	json_array_foreach(calls, k, call)
	{
		if (!json_is_object(json_object_get(call, "function")))
			return bad_call(e, i, "of type function");
		if (add_call(text, json_object_get(call, "function"), i, e) != 0)
			return -1;
	}
	return json_is_object(one) ? add_call(text, one, i, e) : 0;
}

int
api_add_result(struct buf *text, const char *result, struct api_error *e)
{
	buf_printf(text, "%s" ROUTE_RESULT_OPEN "%s" ROUTE_RESULT_CLOSE, text->len > 0 ? "\n" : "",
		result);
	return text->failed ? api_error_set(e, 500, NULL, NULL, "out of memory") : 0;
}
