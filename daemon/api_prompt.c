/* What to answer: the messages of a chat, the prompt of a completion. */
#include "daemon/api_tools.h"

#include <stdlib.h>

static const char *const roles[] = {"system", "developer", "user", "assistant"};

static int
bad_message(struct api_error *e, size_t i, const char *key, const char *must)
{
	char param[64];

	snprintf(param, sizeof param, "messages[%zu]%s%s", i, key[0] != '\0' ? "." : "", key);
	return api_error_set(e, 400, "invalid_value", param, "%s must be %s", param, must);
}

/* *result: it is a tool's, which models know as a user's message of a form of its own. */
static int
take_role(json_t *m, size_t i, const char **role, bool *result, struct api_error *e)
{
	*role = json_string_value(json_object_get(m, "role"));
	*result = *role != NULL && (strcmp(*role, "tool") == 0 || strcmp(*role, "function") == 0);
	if (*result)
		*role = "user";
	for (size_t k = 0; *role != NULL && k < sizeof roles / sizeof *roles; k++)
		if (strcmp(*role, roles[k]) == 0)
			return 0;
	return bad_message(e, i, "role", "system, developer, user, assistant or tool");
}

/* A list of text parts becomes one text, which takes the list's place as the content of m, which is what `where` names:
 * a part of the field `param`. */
static int
join_parts(json_t *m, json_t *parts, const char *param, const char *where, struct api_error *e)
{
	struct buf text;
	json_t *part, *joined;
	size_t k;

	buf_init(&text, 0);
	json_array_foreach(parts, k, part)
	{
		const char *type = json_string_value(json_object_get(part, "type"));
		json_t *t = json_object_get(part, "text");

		if (type == NULL || strcmp(type, "text") != 0 || !json_is_string(t)) {
			buf_free(&text);
			return api_error_set(e, 400, "unsupported_value", param,
				"%s.content[%zu] is of type '%.32s': only parts of type "
				"text, with a text, are supported",
				where, k, type != NULL ? type : "(none)");
		}
		buf_append(&text, json_string_value(t), json_string_length(t));
	}
	joined = text.failed ? NULL : json_stringn((const char *)text.data, text.len);
	if (text.len == 0 && !text.failed)
		joined = json_string("");
	buf_free(&text);
	if (joined == NULL || json_object_set_new(m, "content", joined) != 0)
		return api_error_set(e, 500, NULL, NULL, "out of memory");
	return 0;
}

static int
take_content(json_t *m, size_t i, const char **content, struct api_error *e)
{
	json_t *c = json_object_get(m, "content");
	char where[40];

	snprintf(where, sizeof where, "messages[%zu]", i);
	if (json_is_array(c) && join_parts(m, c, "messages", where, e) != 0)
		return -1;
	c = json_object_get(m, "content");
	if (c != NULL && !json_is_string(c) && !json_is_null(c))
		return bad_message(e, i, "content", "a text, a list of text parts, or null");
	*content = json_is_string(c) ? json_string_value(c) : "";
	return 0;
}

/* What a model is shown instead of the content, which stays as it came: its hash is known. */
static int
show(json_t *m, const struct buf *text, const char **content, struct api_error *e)
{
	json_t *shown = json_stringn((const char *)text->data, text->len);

	if (shown == NULL || json_object_set_new(m, "shoal_shown", shown) != 0)
		return api_error_set(e, 500, NULL, NULL, "out of memory");
	*content = json_string_value(shown);
	return 0;
}

/* An assistant's words and its calls behind them. */
static int
add_calls(json_t *m, size_t i, const char **content, struct api_error *e)
{
	struct buf text;
	int rc;

	buf_init(&text, 0);
	buf_str(&text, *content);
	rc = api_add_calls(&text, m, i, e);
	if (rc == 0)
		rc = show(m, &text, content, e);
	buf_free(&text);
	return rc;
}

/* Messages on their way into r. Results of one turn are one message, which is complete with the first one
 * that is something else. */
struct taking {
	struct api_request *r;
	struct buf results;
	json_t *last; /* of them; NULL: there are none */
};

static int
end_results(struct taking *t, struct api_error *e)
{
	struct chat_message *out = &t->r->messages[t->r->n_messages];
	int rc;

	if (t->last == NULL)
		return 0;
	out->role = "user";
	rc = show(t->last, &t->results, &out->content, e);
	t->r->n_messages++;
	t->last = NULL;
	buf_clear(&t->results);
	return rc;
}

static int
take_message(struct taking *t, json_t *m, size_t i, struct api_error *e)
{
	struct chat_message out;
	bool result;

	if (!json_is_object(m))
		return bad_message(e, i, "", "an object with role and content");
	if (take_role(m, i, &out.role, &result, e) != 0 || take_content(m, i, &out.content, e) != 0)
		return -1;
	if (result) {
		t->last = m;
		return api_add_result(&t->results, out.content, e);
	}
	if (end_results(t, e) != 0 || (api_has_calls(m) && add_calls(m, i, &out.content, e) != 0))
		return -1;
	t->r->messages[t->r->n_messages++] = out;
	return 0;
}

int
api_take_messages(struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	size_t n = json_array_size(v), i;
	struct taking t = {.r = r};
	json_t *m;
	int rc = 0;

	if (n == 0)
		return api_bad_value(f, e, "a list with at least one message");
	r->messages = calloc(n + 1, sizeof *r->messages); /* one more: tools */
	if (r->messages == NULL)
		return api_error_set(e, 500, NULL, NULL, "out of memory");
	buf_init(&t.results, 0);
	json_array_foreach(v, i, m)
	{
		rc = rc == 0 ? take_message(&t, m, i, e) : rc;
	}
	if (rc == 0)
		rc = end_results(&t, e);
	buf_free(&t.results);
	for (i = 0; rc == 0 && i < r->n_messages; i++)
		r->text_bytes += strlen(r->messages[i].content);
	return rc;
}

static int
take_ids(struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	size_t n = json_array_size(v), i;
	json_t *id;

	r->ids = calloc(n, sizeof *r->ids);
	if (r->ids == NULL)
		return api_error_set(e, 500, NULL, NULL, "out of memory");
	json_array_foreach(v, i, id)
	{
		json_int_t k = json_integer_value(id);

		if (!json_is_integer(id) || k < 0 || k >= UINT32_MAX)
			return api_error_set(e, 400, "invalid_value", f->name,
				"prompt[%zu] is not a token id", i);
		r->ids[i] = (uint32_t)k;
	}
	r->n_ids = n;
	return 0;
}

/* A text; a list of one text; a list of token ids; a list of one such list. */
int
api_take_prompt(struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	json_t *first = json_array_get(v, 0);

	if (json_is_array(v) && (json_is_string(first) || json_is_array(first))) {
		if (json_array_size(v) != 1)
			return api_error_set(e, 400, "unsupported_value", f->name,
				"prompt holds %zu prompts: this server answers one at a time",
				json_array_size(v));
		v = first;
	}
	if (json_is_string(v)) {
		r->prompt = json_string_value(v);
		r->text_bytes = json_string_length(v);
		return 0;
	}
	if (json_array_size(v) == 0)
		return api_bad_value(f, e, "a text or a list of token ids, and not empty");
	return take_ids(r, f, v, e);
}

/* OpenAI's "predicted outputs". */
int
api_take_prediction(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	static const char must[] =
		"an object of type 'content' whose content is a text or a list of text parts";
	const char *type = json_string_value(json_object_get(v, "type"));
	json_t *c = json_object_get(v, "content");

	if (type == NULL || strcmp(type, "content") != 0)
		return api_bad_value(f, e, must);
	if (json_is_array(c) && join_parts(v, c, f->name, f->name, e) != 0)
		return -1;
	r->prediction = json_string_value(json_object_get(v, "content"));
	return r->prediction != NULL ? 0 : api_bad_value(f, e, must);
}
