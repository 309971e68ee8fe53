/* Tools, calls and results of a chat as a cloud gets them: built anew from what is understood of them. */
#include "daemon/wall_int.h"

#include "daemon/api_tools.h"

#include <stdlib.h>

static void
copy(json_t *to, json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	if (v != NULL && !json_is_null(v))
		json_object_set(to, name, v);
}

/* A schema with a name: under `schema`, or `parameters`. */
static json_t *
named_schema(json_t *from, const char *schema)
{
	json_t *o = json_object();

	copy(o, from, "name");
	copy(o, from, "description");
	copy(o, from, schema);
	if (json_is_boolean(json_object_get(from, "strict")))
		copy(o, from, "strict");
	return o;
}

json_t *
wall_tools(json_t *tools)
{
	json_t *list = json_array(), *tool;
	size_t i;

	json_array_foreach(tools, i, tool)
	{
		json_t *f = named_schema(json_object_get(tool, "function"), "parameters");

		json_array_append_new(
			list, json_pack("{s:s,s:o}", "type", "function", "function", f));
	}
	return list;
}

json_t *
wall_tool_choice(const struct api_request *a)
{
	if (a->only == NULL)
		return json_string("required");
	return json_pack("{s:s,s:{s:s}}", "type", "function", "function", "name", a->only);
}

json_t *
wall_response_format(const struct api_request *a)
{
	json_t *from = json_object_get(a->response_format, "json_schema");

	if (from == NULL)
		return json_pack("{s:s}", "type", "json_object");
	return json_pack(
		"{s:s,s:o}", "type", "json_schema", "json_schema", named_schema(from, "schema"));
}

/* Arguments are JSON in a string, also where a client has them as an object. */
static json_t *
arguments(json_t *v)
{
	char *dump;
	json_t *s;

	if (!json_is_object(v))
		return json_incref(v);
	dump = json_dumps(v, JSON_COMPACT);
	s = dump != NULL ? json_string(dump) : NULL;
	free(dump);
	return s;
}

static json_t *
calls(json_t *from)
{
	json_t *list = json_array(), *call;
	size_t i;

	json_array_foreach(from, i, call)
	{
		json_t *f = json_object_get(call, "function"), *id = json_object_get(call, "id");
		json_t *out = json_pack("{s:s,s:{s:O,s:o}}", "type", "function", "function", "name",
			json_object_get(f, "name"), "arguments",
			arguments(json_object_get(f, "arguments")));

		if (json_is_string(id))
			json_object_set(out, "id", id);
		json_array_append_new(list, out);
	}
	return list;
}

static int
add(json_t *list, json_t *m, struct err *err)
{
	const char *role = json_string_value(json_object_get(m, "role"));
	json_t *made = json_object_get(m, "tool_calls"), *id = json_object_get(m, "tool_call_id"),
	       *content = json_object_get(m, "content");
	bool result = strcmp(role, "tool") == 0;
	json_t *out;

	if (json_is_object(json_object_get(m, "function_call")) || strcmp(role, "function") == 0)
		return err_set(err, "'function_call' and the role 'function' are not sent to a "
				    "cloud beside 'tools'");
	if (result && !json_is_string(id))
		return err_set(err, "a result of a tool has no tool_call_id");
	out = json_pack("{s:s,s:O?}", "role", role, "content", content);
	/* Only beside calls may there be none. */
	if ((content == NULL || json_is_null(content)) && json_array_size(made) == 0)
		json_object_set_new(out, "content", json_string(""));
	if (json_array_size(made) > 0)
		json_object_set_new(out, "tool_calls", calls(made));
	if (result)
		json_object_set(out, "tool_call_id", id);
	return json_array_append_new(list, out) == 0 ? 0 : err_set(err, "out of memory");
}

json_t *
wall_tool_messages(const struct api_request *a, struct err *err)
{
	json_t *list = json_array(), *m;
	size_t i;

	json_array_foreach(json_object_get(a->root, "messages"), i, m)
	{
		if (add(list, m, err) == 0)
			continue;
		err_prefix(err, "messages[%zu]: ", i);
		json_decref(list);
		return NULL;
	}
	return list;
}
