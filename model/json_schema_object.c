/* Objects, and calls of tools with objects as arguments. */
#include "model/json_schema_int.h"

#include <stdlib.h>
#include <string.h>

struct member {
	json_t *name;
	uint16_t node;
	bool required;
};

/* --- members -------------------------------------------------------------------------------------- */

/* What stands behind the first quote of a name: the rest of it as JSON, then `tail`. NULL: no memory. */
static char *
name_text(json_t *name, const char *tail)
{
	char *quoted = json_dumps(name, JSON_ENCODE_ANY | JSON_COMPACT), *text;
	size_t n;

	if (quoted == NULL)
		return NULL;
	n = strlen(quoted);
	text = malloc(n + strlen(tail));
	if (text != NULL) {
		memcpy(text, quoted + 1, n - 1);
		strcpy(text + n - 1, tail);
	}
	free(quoted);
	return text;
}

static int
add_named(struct maker *m, uint16_t node, json_t *name, const char *tail, uint16_t value,
	bool required)
{
	char *text = name_text(name, tail);
	int rc = text != NULL ? grammar_add_piece(
					m->g, node, text, strlen(text), value, required, m->err)
			      : err_set(m->err, "out of memory");

	free(text);
	return rc;
}

/* As the names of an object, each once: there may be many, and long ones. NULL: no memory. */
static json_t *
names_of(json_t *required)
{
	json_t *names = json_object(), *v;
	size_t i;

	json_array_foreach(required, i, v)
	{
		if (json_object_set_new(names, json_string_value(v), json_true()) == 0)
			continue;
		json_decref(names);
		return NULL;
	}
	return names;
}

/* Of `properties`, then what else must be there, of the schema for others. */
static int
collect(struct maker *m, json_t *properties, json_t *names, struct member *list, size_t *n,
	const struct place *at)
{
	struct place in = place_in(at, "properties"), each;
	const char *name;
	json_t *value;

	json_object_foreach(properties, name, value)
	{
		each = place_in(&in, name);
		list[*n] = (struct member){json_string(name), make_schema(m, value, &each),
			json_object_get(names, name) != NULL};
		if (list[(*n)++].node == GRAMMAR_NONE)
			return -1;
	}
	json_object_foreach(names, name, value)
	{
		if (json_object_get(properties, name) == NULL)
			list[(*n)++] = (struct member){json_string(name), GRAMMAR_NONE, true};
	}
	return 0;
}

/* The node of members that the schema does not describe. */
static uint16_t
make_others(struct maker *m, json_t *schema, const struct place *at)
{
	json_t *others = json_object_get(schema, "additionalProperties");
	struct place in = place_in(at, "additionalProperties");

	return others != NULL ? make_schema(m, others, &in) : make_any(m);
}

/* Whether it has no others but those that must be there. */
static bool
is_closed(json_t *schema)
{
	json_t *others = json_object_get(schema, "additionalProperties");

	return json_is_false(others) ||
	       (others == NULL && json_object_get(schema, "properties") != NULL);
}

static int
add_members(struct maker *m, uint16_t node, const struct member *list, size_t n, uint16_t others)
{
	for (size_t i = 0; i < n; i++)
		if (add_named(m, node, list[i].name, "",
			    list[i].node != GRAMMAR_NONE ? list[i].node : others,
			    list[i].required) != 0)
			return -1;
	return 0;
}

static int
check_object(json_t *properties, json_t *required, const struct place *at, struct err *err)
{
	json_t *v;
	size_t i;

	if (properties != NULL && !json_is_object(properties))
		return place_refuse(at, err, "'properties' must be an object");
	if (required != NULL && !json_is_array(required))
		return place_refuse(at, err, "'required' must be a list of names");
	json_array_foreach(required, i, v)
	{
		if (!json_is_string(v))
			return place_refuse(at, err, "'required' must be a list of names");
	}
	if (json_object_size(properties) + json_array_size(required) > 2 * JSON_SCHEMA_WIDTH ||
		json_object_size(properties) > JSON_SCHEMA_WIDTH)
		return place_refuse(
			at, err, "'properties' has more than %d members", JSON_SCHEMA_WIDTH);
	return 0;
}

uint16_t
make_object(struct maker *m, json_t *schema, const struct place *at)
{
	json_t *properties = json_object_get(schema, "properties"),
	       *required = json_object_get(schema, "required"), *names;
	struct member *list;
	uint16_t node, others;
	size_t n = 0;
	int rc = -1;

	if (check_object(properties, required, at, m->err) != 0)
		return GRAMMAR_NONE;
	node = grammar_add_node(m->g, GRAMMAR_OBJECT, m->err);
	others = make_others(m, schema, at);
	if (node == GRAMMAR_NONE || others == GRAMMAR_NONE)
		return GRAMMAR_NONE;
	if (!is_closed(schema))
		m->g->nodes[node].child = others;
	names = names_of(required);
	list = calloc(json_object_size(properties) + json_object_size(names) + 1, sizeof *list);
	if (list == NULL || names == NULL)
		err_set(m->err, "out of memory");
	else if (collect(m, properties, names, list, &n, at) == 0)
		rc = add_members(m, node, list, n, others);
	json_decref(names);
	while (n > 0)
		json_decref(list[--n].name);
	free(list);
	return rc == 0 ? node : GRAMMAR_NONE;
}

/* --- calls ---------------------------------------------------------------------------------------- */

static uint16_t
make_free_object(struct maker *m)
{
	uint16_t node = grammar_add_node(m->g, GRAMMAR_OBJECT, m->err), any = make_any(m);

	if (node != GRAMMAR_NONE)
		m->g->nodes[node].child = any;
	return any != GRAMMAR_NONE ? node : GRAMMAR_NONE;
}

/* Whether its parameters can be promised: another grammar than the one in the making tries. */
static bool
can_be_held(json_t *parameters, struct err *err)
{
	struct grammar *g = json_schema_grammar(parameters, err);

	grammar_unref(g);
	return g != NULL;
}

/* Whatever a schema says, arguments are an object. */
static uint16_t
make_arguments(struct maker *m, json_t *function, const struct place *at)
{
	json_t *parameters = json_object_get(function, "parameters");
	const char *type = json_string_value(json_object_get(parameters, "type"));
	struct err why;

	if (parameters == NULL || json_is_null(parameters)) /* it has none */
		return grammar_add_node(m->g, GRAMMAR_OBJECT, m->err);
	m->root = parameters;
	if (type != NULL && strcmp(type, "object") == 0 && can_be_held(parameters, &why))
		return make_schema(m, parameters, at);
	if (!json_is_true(json_object_get(function, "strict")))
		return make_free_object(m);
	place_refuse(at, m->err, "%s",
		type == NULL || strcmp(type, "object") != 0 ? "'type' must be 'object'" : why.msg);
	return GRAMMAR_NONE;
}

/* Its pieces are added when all values are made. */
static uint16_t
make_choice(struct maker *m, const struct json_calls *c)
{
	size_t n = json_array_size(c->tools), i;
	uint16_t *values = calloc(n + 1, sizeof *values), node = GRAMMAR_NONE;
	struct place at = {0}, in = place_in(&at, "tools"), each, parameters;
	int rc = values != NULL ? 0 : err_set(m->err, "out of memory");
	json_t *tool;

	json_array_foreach(c->tools, i, tool)
	{
		each = place_at(&in, i);
		parameters = place_in(&each, "function.parameters");
		if (rc == 0)
			values[i] =
				make_arguments(m, json_object_get(tool, "function"), &parameters);
		if (rc == 0 && values[i] == GRAMMAR_NONE)
			rc = -1;
	}
	if (rc == 0)
		node = grammar_add_node(m->g, GRAMMAR_TAGGED, m->err);
	json_array_foreach(c->tools, i, tool)
	{
		json_t *name = json_object_get(json_object_get(tool, "function"), "name");

		if (node != GRAMMAR_NONE &&
			(c->only == NULL || strcmp(c->only, json_string_value(name)) == 0) &&
			add_named(m, node, name, ", \"arguments\": ", values[i], true) != 0)
			node = GRAMMAR_NONE;
	}
	free(values);
	return node;
}

uint16_t
make_calls(struct maker *m, const struct json_calls *c)
{
	uint16_t choice = make_choice(m, c), node = GRAMMAR_NONE;
	struct buf open, close;

	if (choice == GRAMMAR_NONE)
		return GRAMMAR_NONE;
	buf_init(&open, 0);
	buf_init(&close, 0);
	buf_printf(&open, "%s\n{\"name\": \"", c->open);
	buf_printf(&close, "}\n%s", c->close);
	node = grammar_add_node(m->g, GRAMMAR_SEQUENCE, m->err);
	if (node != GRAMMAR_NONE)
		m->g->nodes[node].max = c->one ? 1 : GRAMMAR_MAX_CALLS;
	if (node == GRAMMAR_NONE ||
		grammar_add_piece(m->g, node, "\n", 1, GRAMMAR_NONE, true, m->err) != 0 ||
		grammar_add_piece(m->g, node, (const char *)open.data, open.len, GRAMMAR_NONE, true,
			m->err) != 0 ||
		grammar_add_piece(m->g, node, NULL, 0, choice, true, m->err) != 0 ||
		grammar_add_piece(m->g, node, (const char *)close.data, close.len, GRAMMAR_NONE,
			true, m->err) != 0)
		node = GRAMMAR_NONE;
	buf_free(&open);
	buf_free(&close);
	return node;
}
