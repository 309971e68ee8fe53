#include "daemon/api_form.h"

#include "daemon/api_tools.h"
#include "daemon/call_reader.h"
#include "model/json_schema.h"

#include <stdlib.h>

/* --- the fields ----------------------------------------------------------------------------------- */

static int
bad_format(struct api_error *e, const char *must)
{
	return api_error_set(e, 400, "invalid_value", "response_format", "response_format%s", must);
}

/* Of type json_schema: {"name", "schema", "strict", "description"}. */
static int
check_named_schema(json_t *named, struct api_error *e)
{
	json_t *strict = json_object_get(named, "strict"),
	       *description = json_object_get(named, "description"),
	       *name = json_object_get(named, "name");

	if (!json_is_object(named))
		return bad_format(e, ".json_schema must be an object with a name and a schema");
	if (!json_is_string(name) || json_string_length(name) == 0 ||
		json_string_length(name) > API_MAX_TOOL_NAME)
		return bad_format(e, ".json_schema.name must be a text of 1 to 128 bytes");
	if (!json_is_object(json_object_get(named, "schema")))
		return bad_format(e, ".json_schema.schema must be an object, a JSON schema");
	if (strict != NULL && !json_is_boolean(strict) && !json_is_null(strict))
		return bad_format(e, ".json_schema.strict must be true or false");
	if (description != NULL && !json_is_string(description) && !json_is_null(description))
		return bad_format(e, ".json_schema.description must be a text");
	return 0;
}

int
api_take_response_format(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	const char *type = json_string_value(json_object_get(v, "type"));
	bool schema = type != NULL && strcmp(type, "json_schema") == 0;

	if (type == NULL)
		return api_bad_value(f, e, "an object with a type");
	if (strcmp(type, "text") == 0)
		return 0;
	if (!schema && strcmp(type, "json_object") != 0)
		return api_error_set(e, 400, "unsupported_value", f->name,
			"%s can be of type text, json_object or json_schema", f->name);
	if (!schema && json_object_get(v, "schema") != NULL)
		return bad_format(e, " of type json_object has no schema: type json_schema has");
	if (schema && check_named_schema(json_object_get(v, "json_schema"), e) != 0)
		return -1;
	r->response_format = v;
	return 0;
}

/* "none", "auto", "required", or {"type": "function", "function": {"name"}}. */
int
api_take_tool_choice(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	const char *s = json_string_value(v), *type = json_string_value(json_object_get(v, "type")),
		   *name = json_string_value(
			   json_object_get(json_object_get(v, "function"), "name"));

	r->no_calls = s != NULL && strcmp(s, "none") == 0;
	if (r->no_calls || (s != NULL && strcmp(s, "auto") == 0))
		return 0;
	if (s != NULL ? strcmp(s, "required") != 0
		      : type == NULL || strcmp(type, "function") != 0 || name == NULL)
		return api_error_set(e, 400, "unsupported_value", f->name,
			"%s can be 'none', 'auto', 'required', or {\"type\": \"function\", "
			"\"function\": {\"name\": NAME}}",
			f->name);
	r->must_call = v;
	r->only = name;
	return 0;
}

/* --- the grammar ---------------------------------------------------------------------------------- */

/* The schema of the answer, as a new reference; NULL: there is none, or no memory. */
static json_t *
wanted_schema(const struct api_request *r)
{
	json_t *named = json_object_get(r->response_format, "json_schema");

	if (r->response_format == NULL)
		return NULL;
	return named != NULL ? json_incref(json_object_get(named, "schema"))
			     : json_pack("{s:s}", "type", "object");
}

static struct grammar *
make_calls(const struct api_request *r, json_t *or_schema, struct err *err)
{
	const struct json_calls c = {.tools = r->tools,
		.only = r->only,
		.one = r->one_call || r->only != NULL,
		.or_schema = r->must_call != NULL ? NULL : or_schema,
		.open = CALL_OPEN,
		.close = CALL_CLOSE};

	return json_calls_grammar(&c, err);
}

static int
check_choice(const struct api_request *r, struct api_error *e)
{
	if (r->must_call == NULL)
		return 0;
	if (r->tools == NULL)
		return api_error_set(e, 400, "invalid_value", "tool_choice",
			"tool_choice asks for a call, and there are no tools");
	if (r->only != NULL && !api_has_tool(r->tools, r->only))
		return api_error_set(e, 400, "invalid_value", "tool_choice",
			"tool_choice names '%.128s', which is none of the tools", r->only);
	return 0;
}

int
api_make_form(struct api_request *r, struct api_error *e)
{
	bool calls = r->tools != NULL && (r->must_call != NULL || r->response_format != NULL);
	json_t *schema;
	struct err err;

	if (check_choice(r, e) != 0)
		return -1;
	if (!api_has_form(r))
		return 0;
	schema = wanted_schema(r);
	if (r->response_format != NULL && schema == NULL)
		return api_error_set(e, 500, NULL, NULL, "out of memory");
	r->grammar = calls ? make_calls(r, schema, &err) : json_schema_grammar(schema, &err);
	json_decref(schema);
	if (r->grammar == NULL)
		api_error_set(&r->no_form, 400, "unsupported_value",
			r->response_format != NULL && r->must_call == NULL ? "response_format"
									   : "tools",
			"a model at home cannot be held to this schema: %s", err.msg);
	return 0;
}

/* --- in words ------------------------------------------------------------------------------------- */

static void
describe_schema(json_t *named, struct buf *text)
{
	const char *description = json_string_value(json_object_get(named, "description"));
	char *schema = json_dumps(
		json_object_get(named, "schema"), JSON_COMPACT | JSON_REAL_PRECISION(15));

	if (schema == NULL)
		text->failed = true;
	else
		buf_printf(text, "Answer with JSON, and nothing else.%s%s It has this schema:\n%s",
			description != NULL ? " " : "", description != NULL ? description : "",
			schema);
	free(schema);
}

void
api_describe_form(const struct api_request *r, struct buf *text)
{
	json_t *named = json_object_get(r->response_format, "json_schema");

	if (r->response_format == NULL || r->must_call != NULL)
		return;
	buf_str(text, text->len > 0 ? "\n\n" : "");
	if (named != NULL)
		describe_schema(named, text);
	else
		buf_str(text, "Answer with a JSON object, and nothing else.");
}
