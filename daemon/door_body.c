/* Which bodies the door lets pass: those whose price has a bound that it can compute.
 *
 * Tokens of the prompt: a tokenizer makes at least one byte out of each, and what a template adds to
 * a message is less than the JSON around it, so the body's bytes are a bound; another one is the
 * endpoint's context. That holds for text. A picture's address is short and its tokens are many, a tool
 * of the endpoint's own or a search costs by the call, another tier has other prices: fields that are
 * not in these tables are refused. Functions of the client are text, and some words of the endpoint's
 * stand around them. */
#include "daemon/door_int.h"

#include <jansson.h>
#include <string.h>

enum kind { STRING = 1, NUMBER = 2, BOOLEAN = 4, OBJECT = 8, ARRAY = 16, NIL = 32 };

struct field {
	const char *name;
	unsigned kinds;
};

static const struct field body_fields[] = {
	{"model", STRING},
	{"messages", ARRAY},
	{"prompt", STRING},
	{"max_tokens", NUMBER},
	{"max_completion_tokens", NUMBER},
	{"stream", BOOLEAN},
	{"stream_options", OBJECT},
	{"n", NUMBER},
	{"temperature", NUMBER | NIL},
	{"top_p", NUMBER | NIL},
	{"top_k", NUMBER | NIL},
	{"min_p", NUMBER | NIL},
	{"seed", NUMBER | NIL},
	{"stop", STRING | ARRAY | NIL},
	{"frequency_penalty", NUMBER | NIL},
	{"presence_penalty", NUMBER | NIL},
	{"logit_bias", OBJECT | NIL},
	{"response_format", OBJECT},
	{"reasoning_effort", STRING},
	{"continue_final_message", BOOLEAN},
	{"add_generation_prompt", BOOLEAN},
	{"tools", ARRAY},
	{"tool_choice", STRING | OBJECT},
	{"parallel_tool_calls", BOOLEAN},
	{NULL, 0},
};

/* Those that mean something in a chat only. */
static const char *const of_chats[] = {"messages", "max_completion_tokens", "response_format",
	"reasoning_effort", "continue_final_message", "add_generation_prompt", "tools",
	"tool_choice", "parallel_tool_calls", NULL};

static const struct field message_fields[] = {
	{"role", STRING},
	{"content", STRING | ARRAY | NIL},
	{"name", STRING},
	{"prefix", BOOLEAN},
	{"tool_calls", ARRAY},
	{"tool_call_id", STRING},
	{NULL, 0},
};

static const struct field call_fields[] = {
	{"id", STRING},
	{"type", STRING},
	{"function", OBJECT},
	{NULL, 0},
};

static const struct field called_fields[] = {
	{"name", STRING},
	{"arguments", STRING},
	{NULL, 0},
};

static const struct field tool_fields[] = {
	{"type", STRING},
	{"function", OBJECT},
	{NULL, 0},
};

static const struct field function_fields[] = {
	{"name", STRING},
	{"description", STRING | NIL},
	{"parameters", OBJECT | NIL},
	{"strict", BOOLEAN | NIL},
	{NULL, 0},
};

static const struct field part_fields[] = {
	{"type", STRING},
	{"text", STRING},
	{NULL, 0},
};

static unsigned
kind_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return STRING;
	case JSON_INTEGER:
	case JSON_REAL:
		return NUMBER;
	case JSON_TRUE:
	case JSON_FALSE:
		return BOOLEAN;
	case JSON_OBJECT:
		return OBJECT;
	case JSON_ARRAY:
		return ARRAY;
	case JSON_NULL:
		return NIL;
	}
	return 0;
}

/* Names come from the tables: a field that is not in them may be called anything. */
static int
check_fields(json_t *o, const struct field *fields, const char *what, struct err *err)
{
	const char *name;
	json_t *value;

	if (!json_is_object(o))
		return err_set(err, "%s is no object", what);
	json_object_foreach(o, name, value)
	{
		const struct field *f = fields;

		while (f->name != NULL && strcmp(f->name, name) != 0)
			f++;
		if (f->name == NULL)
			return err_set(err, "%s has a field that clouds are not sent", what);
		if ((f->kinds & kind_of(value)) == 0)
			return err_set(err, "%s: '%s' is of a kind that clouds are not sent", what,
				f->name);
	}
	return 0;
}

static int
check_content(json_t *content, struct err *err)
{
	json_t *part;
	size_t i;

	if (content == NULL)
		return err_set(err, "a message has no content");
	json_array_foreach(content, i, part)
	{
		const char *type = json_string_value(json_object_get(part, "type"));

		if (check_fields(part, part_fields, "a part of a message", err) != 0)
			return -1;
		if (type == NULL || strcmp(type, "text") != 0 ||
			json_object_get(part, "text") == NULL)
			return err_set(err, "a part of a message is not text");
	}
	return 0;
}

/* Calls, or tools: functions all of them. list NULL: there is none. */
static int
check_functions(json_t *list, const struct field *fields, const struct field *within,
	const char *what, struct err *err)
{
	json_t *o;
	size_t i;

	if (list != NULL && json_array_size(list) == 0)
		return err_set(err, "a list of functions is empty");
	json_array_foreach(list, i, o)
	{
		const char *type = json_string_value(json_object_get(o, "type"));
		json_t *f = json_object_get(o, "function");

		if (check_fields(o, fields, what, err) != 0 ||
			check_fields(f, within, "a function", err) != 0)
			return -1;
		if (type == NULL || strcmp(type, "function") != 0)
			return err_set(err, "%s is of no function", what);
	}
	return 0;
}

/* "required", or the function that is to be called. */
static int
check_choice(json_t *choice, struct err *err)
{
	json_t *f = json_object_get(choice, "function");

	if (choice == NULL ||
		(json_is_string(choice) && strcmp(json_string_value(choice), "required") == 0))
		return 0;
	if (json_is_string(choice))
		return err_set(err, "'tool_choice' is of a kind that clouds are not sent");
	if (check_fields(choice, tool_fields, "'tool_choice'", err) != 0 ||
		check_fields(f, function_fields, "a function", err) != 0)
		return -1;
	return json_object_size(f) == 1 && json_is_string(json_object_get(f, "name"))
		       ? 0
		       : err_set(err, "'tool_choice' is more than the name of a function");
}

static int
check_messages(json_t *messages, struct err *err)
{
	json_t *m;
	size_t i;

	if (json_array_size(messages) == 0)
		return err_set(err, "the body has no messages");
	json_array_foreach(messages, i, m)
	{
		json_t *calls = json_object_get(m, "tool_calls");

		if (check_fields(m, message_fields, "a message", err) != 0 ||
			check_content(json_object_get(m, "content"), err) != 0 ||
			check_functions(calls, call_fields, called_fields, "a call", err) != 0)
			return -1;
		if (json_object_get(m, "role") == NULL)
			return err_set(err, "a message has no role");
	}
	return 0;
}

static int
check_prompt(json_t *body, const struct endpoint *e, struct err *err)
{
	if (!e->completions)
		return err_set(err, "the body has a prompt, and the endpoint takes chats only");
	if (json_string_length(json_object_get(body, "prompt")) == 0)
		return err_set(err, "the prompt is empty");
	for (const char *const *name = of_chats; *name != NULL; name++)
		if (json_object_get(body, *name) != NULL)
			return err_set(err, "the body has a prompt and '%s'", *name);
	return 0;
}

/* *out: the larger one of what is there and *out. */
static int
take_bound(json_t *body, const char *name, const struct endpoint *e, uint64_t *out, struct err *err)
{
	json_t *v = json_object_get(body, name);
	json_int_t n = json_integer_value(v);

	if (v == NULL)
		return 0;
	if (!json_is_integer(v) || n < 1 || n > e->max_tokens)
		return err_set(err, "%s is not from 1 to the endpoint's %u", name, e->max_tokens);
	if ((uint64_t)n > *out)
		*out = (uint64_t)n;
	return 0;
}

static int
check_object(json_t *body, const struct endpoint *e, struct door_body *b, struct err *err)
{
	const char *model = json_string_value(json_object_get(body, "model"));
	json_t *n = json_object_get(body, "n");

	if (check_fields(body, body_fields, "the body", err) != 0)
		return -1;
	if (model == NULL || strcmp(model, e->model) != 0)
		return err_set(err, "the body is not for the endpoint's model");
	if (n != NULL && !(json_is_integer(n) && json_integer_value(n) == 1))
		return err_set(err, "n: more than one answer is not asked of clouds");
	if (take_bound(body, "max_tokens", e, &b->tokens_out, err) != 0 ||
		take_bound(body, "max_completion_tokens", e, &b->tokens_out, err) != 0)
		return -1;
	if (b->tokens_out == 0)
		return err_set(err, "the body says no max_tokens: nobody knows what it may cost");
	if (json_object_get(body, "tools") != NULL)
		b->tokens_in += DOOR_TOOLS_TOKENS;
	if (b->tokens_in > e->context)
		b->tokens_in = e->context;
	if (check_functions(json_object_get(body, "tools"), tool_fields, function_fields, "a tool",
		    err) != 0 ||
		check_choice(json_object_get(body, "tool_choice"), err) != 0)
		return -1;
	b->plain = json_object_get(body, "prompt") != NULL;
	return b->plain ? check_prompt(body, e, err)
			: check_messages(json_object_get(body, "messages"), err);
}

int
door_body_check(const struct door_request *r, struct door_body *b, struct err *err)
{
	json_t *body;
	int rc;

	if (r->len > DOOR_MOST_BODY)
		return err_set(err, "the body is longer than %u MiB", DOOR_MOST_BODY >> 20);
	*b = (struct door_body){
		.tokens_in = r->len < r->endpoint->context ? r->len : r->endpoint->context};
	body = json_loadb(r->body, r->len, JSON_REJECT_DUPLICATES, NULL);
	rc = body != NULL ? check_object(body, r->endpoint, b, err)
			  : err_set(err, "the body is not JSON");
	json_decref(body);
	return rc;
}
