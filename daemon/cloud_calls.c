/* Calls of tools in a cloud's answer, which come in pieces: OpenAI's form, and what others make of it. Some
 * leave out the index, give arguments as an object, or repeat the name. */
#include "daemon/cloud_int.h"

#include <stdlib.h>
#include <string.h>

void
cloud_calls_free(struct cloud_calls *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		buf_free(&c->made[i].name);
		buf_free(&c->made[i].arguments);
	}
	free(c->made);
	*c = (struct cloud_calls){0};
}

static struct cloud_made *
add(struct cloud_calls *c, json_int_t index)
{
	struct cloud_made *m;

	if (c->n == CLOUD_MOST_CALLED)
		return NULL;
	if (c->made == NULL)
		c->made = calloc(CLOUD_MOST_CALLED, sizeof *c->made);
	if (c->made == NULL)
		return NULL;
	m = &c->made[c->n++];
	m->index = index;
	buf_init(&m->name, CLOUD_MOST_EVENT);
	buf_init(&m->arguments, CLOUD_MOST_WHOLE);
	return m;
}

/* Which one a piece belongs to: by its index; without one by its id, and what has neither goes on with
 * the last. NULL: there are too many. */
static struct cloud_made *
find(struct cloud_calls *c, json_t *piece, json_int_t place, bool stream)
{
	json_t *index = json_object_get(piece, "index");
	const char *id = json_string_value(json_object_get(piece, "id"));
	struct cloud_made *last = c->n > 0 ? &c->made[c->n - 1] : NULL;

	if (!stream)
		return add(c, place);
	if (json_is_integer(index)) {
		for (unsigned i = 0; i < c->n; i++)
			if (c->made[i].index == json_integer_value(index))
				return &c->made[i];
		return add(c, json_integer_value(index));
	}
	if (last == NULL || (id != NULL && id[0] != '\0' && strcmp(id, last->id) != 0))
		return add(c, c->n);
	return last;
}

/* A name of no use to a client is none; it gets one of this server's. */
static void
take_id(struct cloud_made *m, const char *id)
{
	size_t len = id != NULL ? strlen(id) : 0;

	for (size_t i = 0; i < len; i++)
		if (id[i] <= 0x20 || id[i] > 0x7e)
			return;
	if (len > 0 && len < sizeof m->id)
		memcpy(m->id, id, len + 1);
}

static int
take_arguments(struct cloud_made *m, json_t *v)
{
	char *dump;
	int rc;

	if (json_is_string(v))
		return buf_append(&m->arguments, json_string_value(v), json_string_length(v));
	if (!json_is_object(v))
		return v == NULL || json_is_null(v) ? 0 : -1;
	dump = json_dumps(v, JSON_COMPACT);
	rc = dump != NULL ? buf_str(&m->arguments, dump) : -1;
	free(dump);
	return rc;
}

static const char *
take_piece(struct cloud_calls *c, json_t *piece, json_int_t place, bool stream)
{
	const char *type = json_string_value(json_object_get(piece, "type"));
	json_t *f = json_object_get(piece, "function"), *name = json_object_get(f, "name");
	struct cloud_made *m;

	if (!json_is_object(piece) || (type != NULL && strcmp(type, "function") != 0))
		return "the answer calls what is no function";
	m = find(c, piece, place, stream);
	if (m == NULL)
		return "the answer calls too many tools";
	take_id(m, json_string_value(json_object_get(piece, "id")));
	if (json_is_string(name) && m->name.len == 0 &&
		buf_append(&m->name, json_string_value(name), json_string_length(name)) != 0)
		return "the name of a tool is too long";
	return take_arguments(m, json_object_get(f, "arguments")) == 0
		       ? NULL
		       : "the arguments of a call are too long, or no object";
}

const char *
cloud_calls_take(struct cloud_calls *c, json_t *list, bool stream)
{
	const char *wrong = NULL;
	json_t *piece;
	size_t i;

	json_array_foreach(list, i, piece)
	{
		if (wrong == NULL)
			wrong = take_piece(c, piece, (json_int_t)i, stream);
	}
	return wrong;
}

/* A zero byte ends a name, for those who are told of it. */
const char *
cloud_calls_end(struct cloud_calls *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct cloud_made *m = &c->made[i];

		if (m->name.len == 0 || memchr(m->name.data, 0, m->name.len) != NULL)
			return "the answer has a call without a name";
		if (m->arguments.len == 0)
			buf_str(&m->arguments, "{}");
		buf_u8(&m->name, 0);
		if (m->name.failed || m->arguments.failed)
			return "a call of the answer is too long";
	}
	return NULL;
}
