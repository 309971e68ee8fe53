#include "daemon/api_tools.h"

#include "daemon/api_form.h"
#include "daemon/call_reader.h"
#include "sched/route_prompt.h"

#include <stdlib.h>

/* --- which may be called -------------------------------------------------------------------------- */

static int
bad_tool(struct api_error *e, size_t i, const char *what)
{
	return api_error_set(e, 400, "invalid_value", "tools", "tools[%zu]%s", i, what);
}

/* It stands in prompts, in answers and in logs of clients: one line of text. */
static bool
is_name(const char *s)
{
	size_t len = s != NULL ? strlen(s) : 0;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return len > 0 && len <= API_MAX_TOOL_NAME;
}

static int
check_tool(json_t *tool, size_t i, struct api_error *e)
{
	const char *type = json_string_value(json_object_get(tool, "type"));
	json_t *f = json_object_get(tool, "function"),
	       *parameters = json_object_get(f, "parameters"),
	       *description = json_object_get(f, "description");

	if (type == NULL || strcmp(type, "function") != 0)
		return bad_tool(e, i, " must be of type function: this server runs none itself");
	if (!is_name(json_string_value(json_object_get(f, "name"))))
		return bad_tool(e, i, ".function must be an object with a name of 1 to 128 bytes");
	if (parameters != NULL && !json_is_null(parameters) && !json_is_object(parameters))
		return bad_tool(e, i, ".function.parameters must be an object, a JSON schema");
	if (description != NULL && !json_is_null(description) && !json_is_string(description))
		return bad_tool(e, i, ".function.description must be a text");
	return 0;
}

int
api_take_tools(struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	json_t *tool;
	size_t i;

	if (json_is_array(v) && json_array_size(v) == 0)
		return 0;
	if (!json_is_array(v) || json_array_size(v) > API_MAX_TOOLS)
		return api_error_set(e, 400, "invalid_value", f->name,
			"tools must be a list of at most %d functions", API_MAX_TOOLS);
	json_array_foreach(v, i, tool) if (check_tool(tool, i, e) != 0) return -1;
	r->tools = v;
	return 0;
}

int
api_take_parallel(struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	if (!json_is_boolean(v))
		return api_bad_value(f, e, "true or false");
	r->one_call = json_is_false(v);
	return 0;
}

bool
api_has_tool(json_t *tools, const char *name)
{
	json_t *tool;
	size_t i;

	json_array_foreach(tools, i, tool)
	{
		const char *s = json_string_value(
			json_object_get(json_object_get(tool, "function"), "name"));

		if (strcmp(s, name) == 0)
			return true;
	}
	return false;
}

/* What a model at home is told, behind the words of the user's own system message. */
static void
describe(const struct api_request *r, struct buf *text)
{
	json_t *tools = r->tools, *tool;
	size_t i;

	buf_printf(text,
		"%sThese functions can be called; each line is one of them, as JSON:\n<tools>\n",
		text->len > 0 ? "\n\n" : "");
	json_array_foreach(tools, i, tool)
	{
		char *line = json_dumps(
			json_object_get(tool, "function"), JSON_COMPACT | JSON_REAL_PRECISION(15));

		if (line == NULL)
			text->failed = true;
		else
			buf_printf(text, "%s\n", line);
		free(line);
	}
	buf_str(text, "</tools>\nA call of one is written so:\n" CALL_OPEN
		      "\n{\"name\": \"NAME\", \"arguments\": {\"PARAMETER\": VALUE}}\n" CALL_CLOSE
		      "\nIts result comes in the next message, within <tool_response>. ");
	if (r->must_call == NULL)
		buf_str(text, "Where no call is needed, answer in words.");
	else
		buf_printf(text, "Answer with a call%s%s.", r->only != NULL ? " of " : "",
			r->only != NULL ? r->only : "");
}

static bool
is_system(const struct chat_message *m)
{
	return strcmp(m->role, "system") == 0 || strcmp(m->role, "developer") == 0;
}

/* The first message, or one ahead of all: the list has room for one more. */
static int
put_first(struct api_request *r, const char *text)
{
	json_t *kept = json_string(text);
	bool there = r->n_messages > 0 && is_system(&r->messages[0]);

	if (kept == NULL || json_object_set_new(r->root, "shoal_tools", kept) != 0)
		return -1;
	if (there) {
		r->text_bytes -= strlen(r->messages[0].content);
	} else {
		memmove(r->messages + 1, r->messages, r->n_messages * sizeof *r->messages);
		r->n_messages++;
		r->messages[0].role = "system";
	}
	r->messages[0].content = json_string_value(kept);
	r->text_bytes += json_string_length(kept);
	return 0;
}

int
api_show_tools(struct api_request *r, struct api_error *e)
{
	struct buf text;
	int rc = -1;

	if (r->no_calls)
		r->tools = NULL;
	if (r->kind != API_CHAT || (r->tools == NULL && r->response_format == NULL))
		return 0;
	buf_init(&text, 0);
	if (r->n_messages > 0 && is_system(&r->messages[0]))
		buf_str(&text, r->messages[0].content);
	if (r->tools != NULL)
		describe(r, &text);
	api_describe_form(r, &text);
	if (buf_u8(&text, 0) == 0)
		rc = put_first(r, (const char *)text.data);
	buf_free(&text);
	return rc == 0 ? 0 : api_error_set(e, 500, NULL, NULL, "out of memory");
}

/* --- in a conversation ---------------------------------------------------------------------------- */

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
		buf_printf(text, "%s" CALL_OPEN "\n{\"name\": %s, \"arguments\": %s}\n" CALL_CLOSE,
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
