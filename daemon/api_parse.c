#include "daemon/api_parse.h"

#include "daemon/api_form.h"
#include "daemon/api_tools.h"

#include <stdlib.h>

/* What jansson would allocate for a body grows with the number of its values, not with its bytes
 * ("[0,0,..." costs twenty times its length): count before parsing. Needs no valid JSON. */
static int
check_size(const char *s, size_t len, struct api_error *e)
{
	size_t values = 0, objects = 0;
	int depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		if (quoted) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				quoted = false;
			continue;
		}
		quoted = s[i] == '"';
		values += s[i] == ',' || s[i] == '[' || s[i] == '{';
		objects += s[i] == '{' || s[i] == '[';
		depth += (s[i] == '{' || s[i] == '[') - (s[i] == '}' || s[i] == ']');
		if (depth > API_MAX_DEPTH)
			return api_error_set(e, 400, NULL, NULL,
				"the body is nested deeper than %d levels", API_MAX_DEPTH);
		if (values > API_MAX_VALUES || objects > API_MAX_OBJECTS)
			return api_error_set(e, 400, NULL, NULL,
				"the body holds more than %u values or %u objects and lists",
				API_MAX_VALUES, API_MAX_OBJECTS);
	}
	return 0;
}

/* Much of it is JSON that cannot be taken. jansson quotes what it met, which is the user's text: say only
 * the place. */
static void
not_parsed(const json_error_t *je, struct api_error *e)
{
	const char *what = "is not valid JSON";

	switch (json_error_code(je)) {
	case json_error_null_character:
	case json_error_null_byte_in_key:
		what = "has \\u0000 in a text, which texts here cannot hold";
		break;
	case json_error_numeric_overflow:
		what = "has a number that is too large: whole ones have 64 bits, others a double's "
		       "range";
		break;
	case json_error_duplicate_key:
		what = "has a key twice in one object";
		break;
	default:
		break;
	}
	api_error_set(e, 400, NULL, NULL, "the body %s: line %d, column %d (byte %d)", what,
		je->line, je->column, je->position);
}

json_t *
api_parse_object(const void *body, size_t len, struct api_error *e)
{
	json_error_t je;
	json_t *root;

	if (len == 0)
		return json_object();
	if (check_size(body, len, e) != 0)
		return NULL;
	root = json_loadb(body, len, JSON_REJECT_DUPLICATES, &je);
	if (root == NULL) {
		not_parsed(&je, e);
		return NULL;
	}
	if (!json_is_object(root)) {
		api_error_set(e, 400, NULL, NULL, "the body must be a JSON object");
		json_decref(root);
		return NULL;
	}
	return root;
}

static void
note_unknown(struct api_request *r, const char *name)
{
	size_t len = strlen(r->unknown);

	snprintf(r->unknown + len, sizeof r->unknown - len, "%s%s", len > 0 ? ", " : "", name);
}

/* What nobody reads is not kept as long as the request. */
static int
take_fields(struct api_request *r, struct api_error *e)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(r->root, next, name, value)
	{
		const struct api_field *f = api_field_find(r->kind, name);

		if (f == NULL)
			note_unknown(r, name);
		if (f == NULL || f->take == NULL)
			json_object_del(r->root, name);
		else if (!json_is_null(value) && f->take(r, f, value, e) != 0)
			return -1;
	}
	return 0;
}

/* Where they cannot be told: a prompt's tokens are not looked at, and those of calls are no text of the answer. */
static int
check_logprobs(const struct api_request *r, struct api_error *e)
{
	if (!r->logprobs && r->kind == API_CHAT && r->top_logprobs > 0)
		return api_error_set(e, 400, "invalid_value", "top_logprobs",
			"top_logprobs needs logprobs: set that to true, too");
	if (r->logprobs && r->echo)
		return api_error_set(e, 400, "unsupported_value", "logprobs",
			"logprobs are of the answer alone: leave out echo or logprobs");
	if (r->logprobs && r->tools != NULL)
		return api_error_set(e, 400, "unsupported_value", "logprobs",
			"logprobs do not go with calls of tools: leave out tools or logprobs");
	return 0;
}

static int
check_whole(struct api_request *r, struct api_error *e)
{
	if (r->kind == API_CHAT && r->n_messages == 0)
		return api_error_set(e, 400, "missing_required_parameter", "messages",
			"messages is missing: a list of {\"role\", \"content\"}");
	if (r->kind == API_COMPLETION && r->prompt == NULL && r->ids == NULL)
		return api_error_set(e, 400, "missing_required_parameter", "prompt",
			"prompt is missing: a text, or a list of token ids");
	if (r->max_tokens == 0)
		r->max_tokens = r->kind == API_CHAT ? UINT32_MAX : 16;
	return 0;
}

int
api_parse(enum api_kind kind, const void *body, size_t len, struct api_request *r,
	struct api_error *e)
{
	*r = (struct api_request){.kind = kind,
		.max_guesses = UINT32_MAX,
		.sampler = {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .penalty_last = 64}};
	if (len == 0)
		return api_error_set(e, 400, NULL, NULL,
			"the body is empty: send a JSON object with \"%s\"",
			kind == API_CHAT ? "messages" : "prompt");
	r->root = api_parse_object(body, len, e);
	if (r->root == NULL || take_fields(r, e) != 0)
		return -1;
	if (check_whole(r, e) != 0 || api_show_tools(r, e) != 0 || check_logprobs(r, e) != 0)
		return -1;
	return api_make_form(r, e);
}

void
api_request_free(struct api_request *r)
{
	json_decref(r->root);
	grammar_unref(r->grammar);
	free(r->messages);
	free(r->ids);
	*r = (struct api_request){0};
}
