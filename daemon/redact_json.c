#include "daemon/redact_json.h"

#include "daemon/api_parse.h"
#include "daemon/redact_args.h"

struct walk {
	struct redact *r;
	struct buf out; /* one text at a time */
	size_t left;    /* bytes that texts may still have */
	char *dropped;
	size_t dropped_size;
	struct err *err;
};

static json_t *
no_memory(struct walk *w)
{
	err_set(w->err, "no memory to redact the request");
	return NULL;
}

/* The redacted text in w->out as JSON, if rc says that it is one. */
static json_t *
take(struct walk *w, int rc)
{
	json_t *t;

	if (rc != 0)
		return NULL;
	if (w->out.len > w->left) {
		err_set(w->err, "the redacted request is too long");
		return NULL;
	}
	w->left -= w->out.len;
	t = json_stringn(w->out.len > 0 ? (const char *)w->out.data : "", w->out.len);
	return t != NULL ? t : no_memory(w);
}

static json_t *
text(struct walk *w, const char *name, json_t *v)
{
	buf_clear(&w->out);
	return take(w, redact_member(w->r, name, json_string_value(v), json_string_length(v),
			       &w->out, w->err));
}

/* A number or a constant of no known place. */
static json_t *
bare(struct walk *w, const char *name, json_t *v)
{
	char *dump;
	int rc;
	bool same;

	if (!json_is_number(v))
		return json_incref(v);
	dump = json_dumps(v, JSON_ENCODE_ANY);
	if (dump == NULL)
		return no_memory(w);
	buf_clear(&w->out);
	rc = redact_member(w->r, name, dump, strlen(dump), &w->out, w->err);
	same = w->out.len == strlen(dump) && memcmp(w->out.data, dump, w->out.len) == 0;
	free(dump);
	if (rc != 0)
		return NULL;
	if (same)
		return json_incref(v);
	err_set(w->err, "a number looks like personal data: it cannot be replaced");
	return NULL;
}

static json_t *any(struct walk *w, const char *name, json_t *v, int depth);

static json_t *
list(struct walk *w, const char *name, json_t *v, int depth)
{
	json_t *out = json_array(), *e;
	size_t i;

	json_array_foreach(v, i, e)
	{
		json_t *c = any(w, name, e, depth);

		if (c == NULL || json_array_append_new(out, c) != 0) {
			if (c != NULL)
				no_memory(w);
			err_prefix(w->err, "[%zu]: ", i);
			json_decref(out);
			return NULL;
		}
	}
	return out != NULL ? out : no_memory(w);
}

/* The name of a member is text as well. */
static int
put_named(struct walk *w, json_t *out, const char *name, json_t *value)
{
	json_t *key;
	int rc = -1;

	if (value == NULL)
		return -1;
	buf_clear(&w->out);
	key = take(w, redact_text(w->r, name, strlen(name), &w->out, w->err));
	if (key == NULL)
		json_decref(value);
	else if (json_object_set_new(out, json_string_value(key), value) != 0)
		no_memory(w);
	else
		rc = 0;
	json_decref(key);
	return rc;
}

static json_t *
object(struct walk *w, json_t *v, int depth)
{
	json_t *out = json_object(), *e;
	const char *name;

	if (out == NULL)
		return no_memory(w);
	json_object_foreach(v, name, e)
	{
		if (put_named(w, out, name, any(w, name, e, depth)) == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

/* Any JSON, every text of it redacted. */
static json_t *
any(struct walk *w, const char *name, json_t *v, int depth)
{
	if (depth >= API_MAX_DEPTH) {
		err_set(w->err, "nested deeper than %d levels", API_MAX_DEPTH);
		return NULL;
	}
	if (json_is_string(v))
		return text(w, name, v);
	if (json_is_array(v))
		return list(w, name, v, depth + 1);
	if (json_is_object(v))
		return object(w, v, depth + 1);
	return bare(w, name, v);
}

static json_t *
whole(struct walk *w, const char *name, json_t *v)
{
	(void)name;
	if (json_is_null(v))
		return json_incref(v);
	if (!json_is_string(v)) {
		err_set(w->err, "must be a text");
		return NULL;
	}
	buf_clear(&w->out);
	return take(w, redact_whole(w->r, REDACT_WORD, json_string_value(v), json_string_length(v),
			       &w->out, w->err));
}

static json_t *
generic(struct walk *w, const char *name, json_t *v)
{
	return any(w, name, v, 0);
}

static json_t *
scalar(struct walk *w, const char *name, json_t *v)
{
	if (json_is_number(v) || json_is_boolean(v) || json_is_null(v))
		return json_incref(v);
	return generic(w, name, v);
}

static json_t *
args(struct walk *w, const char *name, json_t *v)
{
	if (!json_is_string(v))
		return generic(w, name, v);
	buf_clear(&w->out);
	return take(
		w, redact_args(w->r, json_string_value(v), json_string_length(v), &w->out, w->err));
}

static json_t *
refuse(struct walk *w, const char *name, json_t *v)
{
	if (json_is_null(v) || json_is_false(v) ||
		(json_is_string(v) && json_string_length(v) == 0) ||
		(json_is_array(v) && json_array_size(v) == 0) ||
		(json_is_object(v) && json_object_size(v) == 0))
		return json_incref(v); /* it asks for nothing */
	err_set(w->err,
		"%.64s cannot be searched for personal data, so that it cannot go to a cloud",
		name);
	return NULL;
}

/* What is done with a member: a list of these ends with no name, and whose take that has is for all
 * others; NULL there drops them. */
struct member {
	const char *name;
	json_t *(*take)(struct walk *w, const char *name, json_t *v); /* NULL: dropped */
};

static void
note(struct walk *w, const char *name)
{
	size_t len = w->dropped != NULL ? strlen(w->dropped) : 0;

	if (w->dropped != NULL && len + 1 < w->dropped_size)
		snprintf(w->dropped + len, w->dropped_size - len, "%s%.64s", len > 0 ? ", " : "",
			name);
}

static const struct member *
find(const struct member *m, const char *name)
{
	while (m->name != NULL && strcmp(m->name, name) != 0)
		m++;
	return m;
}

/* An object whose members are known. */
static json_t *
known(struct walk *w, const struct member *members, json_t *v)
{
	json_t *out, *e;
	const char *name;

	if (!json_is_object(v)) {
		err_set(w->err, "must be an object");
		return NULL;
	}
	out = json_object();
	json_object_foreach(v, name, e)
	{
		const struct member *m = find(members, name);
		json_t *c;

		if (m->take == NULL) {
			note(w, name);
			continue;
		}
		c = m->take(w, name, e);
		if (c != NULL && json_object_set_new(out, name, c) == 0)
			continue;
		if (c != NULL)
			no_memory(w);
		err_prefix(w->err, "%.64s: ", name);
		json_decref(out);
		return NULL;
	}
	return out != NULL ? out : no_memory(w);
}

/* A list of such objects; anything else stands for itself. */
static json_t *
known_list(struct walk *w, const struct member *members, json_t *v)
{
	json_t *out = json_array(), *e;
	size_t i;

	json_array_foreach(v, i, e)
	{
		json_t *c = known(w, members, e);

		if (c == NULL || json_array_append_new(out, c) != 0) {
			if (c != NULL)
				no_memory(w);
			err_prefix(w->err, "[%zu]: ", i);
			json_decref(out);
			return NULL;
		}
	}
	return out != NULL ? out : no_memory(w);
}

static json_t *
one_of(struct walk *w, const char *const *words, const char *what, json_t *v)
{
	const char *s = json_string_value(v);

	for (; *words != NULL; words++)
		if (s != NULL && strcmp(s, *words) == 0)
			return json_incref(v);
	err_set(w->err, "'%.32s' is no %s that can be searched for personal data",
		s != NULL ? s : "", what);
	return NULL;
}

static json_t *
part_type(struct walk *w, const char *name, json_t *v)
{
	static const char *const types[] = {"text", "refusal", NULL};

	(void)name;
	return one_of(w, types, "type of part", v);
}

static json_t *
role(struct walk *w, const char *name, json_t *v)
{
	static const char *const roles[] = {
		"system", "developer", "user", "assistant", "tool", "function", NULL};

	(void)name;
	return one_of(w, roles, "role", v);
}

static const struct member part[] = {{"type", part_type}, {"text", generic}, {"refusal", generic},
	{"cache_control", NULL}, {NULL, refuse}};

static json_t *
content(struct walk *w, const char *name, json_t *v)
{
	if (json_is_array(v))
		return known_list(w, part, v);
	return json_is_string(v) ? text(w, name, v) : refuse(w, "content", v);
}

static const struct member function[] = {
	{"name", generic}, {"arguments", args}, {"input", generic}, {NULL, refuse}};

static json_t *
called(struct walk *w, const char *name, json_t *v)
{
	(void)name;
	return json_is_null(v) ? json_incref(v) : known(w, function, v);
}

static const struct member call[] = {{"id", generic}, {"type", generic}, {"index", scalar},
	{"function", called}, {"custom", called}, {NULL, refuse}};

static json_t *
calls(struct walk *w, const char *name, json_t *v)
{
	return json_is_array(v) ? known_list(w, call, v) : refuse(w, name, v);
}

static const struct member message[] = {{"role", role}, {"content", content}, {"name", generic},
	{"tool_calls", calls}, {"tool_call_id", generic}, {"function_call", called},
	{"refusal", generic}, {"reasoning", generic}, {"reasoning_content", generic},
	{NULL, refuse}};

static json_t *
messages(struct walk *w, const char *name, json_t *v)
{
	(void)name;
	if (json_is_array(v))
		return known_list(w, message, v);
	err_set(w->err, "must be a list");
	return NULL;
}

static const struct member request_members[] = {{"messages", messages}, {"model", generic},
	{"tools", generic}, {"functions", generic}, {"tool_choice", generic},
	{"function_call", generic}, {"response_format", generic}, {"stop", generic},
	{"metadata", generic}, {"prediction", generic}, {"user", whole},
	{"safety_identifier", whole}, {"prompt_cache_key", whole}, {"temperature", scalar},
	{"top_p", scalar}, {"top_k", scalar}, {"min_p", scalar}, {"n", scalar}, {"seed", scalar},
	{"max_tokens", scalar}, {"max_completion_tokens", scalar}, {"presence_penalty", scalar},
	{"frequency_penalty", scalar}, {"repetition_penalty", scalar}, {"stream", scalar},
	{"stream_options", generic}, {"logprobs", scalar}, {"top_logprobs", scalar},
	{"parallel_tool_calls", scalar}, {"reasoning_effort", scalar}, {"verbosity", scalar},
	{"modalities", generic}, {"service_tier", scalar}, {"store", scalar}, {"audio", refuse},
	{"web_search_options", refuse}, {"logit_bias", refuse}, {NULL, NULL}};

json_t *
redact_json_request(struct redact *r, json_t *request, size_t max_bytes, char *dropped,
	size_t dropped_size, struct err *err)
{
	struct walk w = {.r = r, .dropped = dropped, .dropped_size = dropped_size, .err = err};
	json_t *out;

	if (max_bytes == 0 || max_bytes > REDACT_JSON_MAX_BYTES)
		max_bytes = REDACT_JSON_MAX_BYTES;
	w.left = max_bytes;
	buf_init(&w.out, max_bytes);
	if (dropped != NULL && dropped_size > 0)
		dropped[0] = '\0';
	out = known(&w, request_members, request);
	buf_free(&w.out);
	return out;
}
