/* Items back into a complete answer. */
#include "daemon/api_parse.h"
#include "daemon/redact_json.h"

struct back {
	const struct redact *r;
	struct buf out;
	size_t left;
};

/* The text with its items, NULL without memory or room. */
static json_t *
text(struct back *b, json_t *v, bool json)
{
	struct redact_restore s = {.r = b->r, .json = json};

	buf_clear(&b->out);
	redact_restore_push(&s, json_string_value(v), json_string_length(v), &b->out);
	if (redact_restore_end(&s, &b->out) != 0 || b->out.len > b->left)
		return NULL;
	b->left -= b->out.len;
	return json_stringn(b->out.len > 0 ? (const char *)b->out.data : "", b->out.len);
}

static json_t *restored(struct back *b, const char *name, json_t *v, int depth);

static json_t *
list(struct back *b, json_t *v, int depth)
{
	json_t *out = json_array(), *e;
	size_t i;

	json_array_foreach(v, i, e)
	{
		if (json_array_append_new(out, restored(b, "", e, depth)) == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

/* Names of members are texts, too. */
static json_t *
object(struct back *b, json_t *v, int depth)
{
	json_t *out = json_object(), *e;
	const char *name;

	json_object_foreach(v, name, e)
	{
		json_t *value = restored(b, name, e, depth), *plain = json_string(name);
		json_t *key = plain != NULL ? text(b, plain, false) : NULL;
		int rc = -1;

		if (key != NULL && value != NULL)
			rc = json_object_set(out, json_string_value(key), value);
		json_decref(key);
		json_decref(plain);
		json_decref(value);
		if (rc == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

static json_t *
restored(struct back *b, const char *name, json_t *v, int depth)
{
	if (depth >= API_MAX_DEPTH)
		return NULL;
	if (json_is_string(v))
		return text(b, v, strcmp(name, "arguments") == 0);
	if (json_is_array(v))
		return list(b, v, depth + 1);
	return json_is_object(v) ? object(b, v, depth + 1) : json_incref(v);
}

json_t *
redact_json_answer(const struct redact *r, json_t *answer, struct err *err)
{
	struct back b = {.r = r, .left = REDACT_JSON_MAX_BYTES};
	json_t *out;

	buf_init(&b.out, REDACT_JSON_MAX_BYTES);
	out = restored(&b, "", answer, 0);
	buf_free(&b.out);
	if (out == NULL)
		err_set(err, "the answer is too long, or nested too deeply, to put personal data "
			     "back into it");
	return out;
}
