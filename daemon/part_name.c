#include "daemon/part_name.h"

#include <stdio.h>
#include <string.h>

static const char *
text(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static json_t *
message_at(json_t *request, size_t i)
{
	return json_array_get(json_object_get(request, "messages"), i);
}

/* The function that a call or a tool is of: custom ones of newer clients have another member. */
static json_t *
function(json_t *o)
{
	json_t *f = json_object_get(o, "function");

	return f != NULL ? f : json_object_get(o, "custom");
}

/* Of the call that message i is the result of; "": it is not known. */
static const char *
called(json_t *request, size_t i)
{
	const char *id = text(message_at(request, i), "tool_call_id");

	while (i-- > 0) {
		json_t *call;
		size_t k;

		json_array_foreach(json_object_get(message_at(request, i), "tool_calls"), k, call)
		{
			if (strcmp(text(call, "id"), id) == 0)
				return text(function(call), "name");
		}
	}
	return "";
}

void
part_name_message(json_t *request, size_t i, char out[static PART_NAME])
{
	const char *role = text(message_at(request, i), "role");

	if (strcmp(role, "tool") == 0)
		snprintf(out, PART_NAME, "messages[%zu], the result of '%.64s'", i,
			called(request, i));
	else if (strcmp(role, "function") == 0)
		snprintf(out, PART_NAME, "messages[%zu], the result of '%.64s'", i,
			text(message_at(request, i), "name"));
	else
		snprintf(out, PART_NAME, "messages[%zu]", i);
}

void
part_name_call(json_t *request, size_t i, size_t call, char out[static PART_NAME])
{
	json_t *m = message_at(request, i),
	       *made = function(json_array_get(json_object_get(m, "tool_calls"), call));

	if (made == NULL)
		made = json_object_get(m, "function_call");
	snprintf(out, PART_NAME, "messages[%zu], the arguments for '%.64s'", i, text(made, "name"));
}

void
part_name_tool(json_t *request, size_t i, char out[static PART_NAME])
{
	json_t *tool = json_array_get(json_object_get(request, "tools"), i);

	snprintf(out, PART_NAME, "tools[%zu], the schema of '%.64s'", i,
		text(function(tool), "name"));
}
