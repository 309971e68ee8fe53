#include "model/json_schema_int.h"

#include <stdlib.h>
#include <string.h>

#define MOST_DEPTH 48 /* of schemas within schemas */

int
maker_init(struct maker *m, struct err *err)
{
	*m = (struct maker){.any = GRAMMAR_NONE, .err = err, .g = grammar_new(err)};
	return m->g != NULL && grammar_add_node(m->g, GRAMMAR_ROOT, err) != GRAMMAR_NONE ? 0 : -1;
}

void
maker_free(struct maker *m)
{
	free(m->late);
	grammar_unref(m->g);
	*m = (struct maker){0};
}

/* --- any value ------------------------------------------------------------------------------------ */

/* Objects and arrays of any values: it is known before it is whole. */
uint16_t
make_any(struct maker *m)
{
	static const struct place nowhere;
	uint16_t ways[5], node = m->any;
	json_t *said;

	if (node != GRAMMAR_NONE)
		return node;
	m->any = node = grammar_add_node(m->g, GRAMMAR_ANY_OF, m->err);
	said = json_object();
	ways[0] = grammar_add_node(m->g, GRAMMAR_OBJECT, m->err);
	ways[1] = grammar_add_node(m->g, GRAMMAR_ARRAY, m->err);
	ways[2] = make_string(m, said, &nowhere);
	ways[3] = make_number(m, said, false, &nowhere);
	ways[4] = make_words(m, SCHEMA_BOOLEAN | SCHEMA_NULL);
	json_decref(said);
	for (unsigned i = 0; i < 5; i++) {
		if (node == GRAMMAR_NONE || ways[i] == GRAMMAR_NONE)
			return GRAMMAR_NONE;
		if (i < 2)
			m->g->nodes[ways[i]].child = node;
		if (grammar_add_piece(m->g, node, NULL, 0, ways[i], true, m->err) != 0)
			return GRAMMAR_NONE;
	}
	return node;
}

/* --- alternatives --------------------------------------------------------------------------------- */

static uint16_t
any_of(struct maker *m, const uint16_t *ways, size_t n)
{
	uint16_t node;

	if (n == 1)
		return ways[0];
	node = grammar_add_node(m->g, GRAMMAR_ANY_OF, m->err);
	for (size_t i = 0; node != GRAMMAR_NONE && i < n; i++)
		if (grammar_add_piece(m->g, node, NULL, 0, ways[i], true, m->err) != 0)
			return GRAMMAR_NONE;
	return node;
}

static uint16_t
make_alternatives(struct maker *m, json_t *schema, const char *word, const struct place *at)
{
	static const char *const but[] = {"nullable", NULL};
	json_t *list = json_object_get(schema, word), *way;
	struct place in = place_in(at, word), each;
	uint16_t ways[GRAMMAR_THREADS], node;
	size_t n = json_array_size(list), i;

	if (schema_alone(schema, word, but, at, m->err) != 0)
		return GRAMMAR_NONE;
	if (!json_is_array(list) || n == 0 || n > GRAMMAR_THREADS) {
		place_refuse(at, m->err, "'%s' must be a list of 1 to %d schemas", word,
			GRAMMAR_THREADS);
		return GRAMMAR_NONE;
	}
	json_array_foreach(list, i, way)
	{
		each = place_at(&in, i);
		ways[i] = make_schema(m, way, &each);
		if (ways[i] == GRAMMAR_NONE)
			return GRAMMAR_NONE;
	}
	node = any_of(m, ways, n);
	if (node != GRAMMAR_NONE && n > 1 && strcmp(word, "oneOf") == 0 &&
		late_exclusive(m, ways, n, at) != 0)
		return GRAMMAR_NONE;
	return node;
}

static uint16_t
make_all_of(struct maker *m, json_t *schema, const struct place *at)
{
	static const char *const but[] = {"nullable", NULL};
	struct place in = place_in(at, "allOf"), first = place_at(&in, 0);
	json_t *list = json_object_get(schema, "allOf");

	if (schema_alone(schema, "allOf", but, at, m->err) != 0)
		return GRAMMAR_NONE;
	if (json_array_size(list) != 1) {
		place_refuse(at, m->err, "'allOf' of more than one schema is not supported");
		return GRAMMAR_NONE;
	}
	return make_schema(m, json_array_get(list, 0), &first);
}

/* --- by type -------------------------------------------------------------------------------------- */

static uint16_t
make_typed(struct maker *m, json_t *schema, unsigned types, const struct place *at)
{
	uint16_t ways[6];
	size_t n = 0;

	if (schema_check(schema, types, at, m->err) != 0)
		return GRAMMAR_NONE;
	if ((types & SCHEMA_OBJECT) != 0)
		ways[n++] = make_object(m, schema, at);
	if ((types & SCHEMA_ARRAY) != 0)
		ways[n++] = make_array(m, schema, at);
	if ((types & SCHEMA_STRING) != 0)
		ways[n++] = make_string(m, schema, at);
	if ((types & (SCHEMA_NUMBER | SCHEMA_INTEGER)) != 0)
		ways[n++] = make_number(m, schema, (types & SCHEMA_NUMBER) == 0, at);
	if ((types & (SCHEMA_BOOLEAN | SCHEMA_NULL)) != 0)
		ways[n++] = make_words(m, types);
	for (size_t i = 0; i < n; i++) {
		if (ways[i] == GRAMMAR_NONE)
			return GRAMMAR_NONE;
		m->g->nodes[ways[i]].guessed = json_object_get(schema, "type") == NULL;
	}
	return any_of(m, ways, n);
}

static uint16_t
make_chosen(struct maker *m, json_t *schema, const char *word, const struct place *at)
{
	static const char *const but[] = {"type", "nullable", NULL};
	json_t *said = json_object_get(schema, word), *list;
	unsigned types = json_object_get(schema, "type") != NULL ? schema_types(schema, at, m->err)
								 : SCHEMA_ANY;
	uint16_t node;

	if (types == 0 || schema_alone(schema, word, but, at, m->err) != 0)
		return GRAMMAR_NONE;
	if (strcmp(word, "enum") == 0 && !json_is_array(said)) {
		place_refuse(at, m->err, "'enum' must be a list of values");
		return GRAMMAR_NONE;
	}
	list = strcmp(word, "enum") == 0 ? json_incref(said) : json_pack("[O]", said);
	node = make_literals(m, list, types, at);
	json_decref(list);
	return node;
}

static uint16_t
make_referred(struct maker *m, json_t *schema, const struct place *at)
{
	static const char *const but[] = {"nullable", NULL};

	return schema_alone(schema, "$ref", but, at, m->err) == 0
		       ? make_reference(m, json_object_get(schema, "$ref"), at)
		       : GRAMMAR_NONE;
}

static uint16_t
make_said(struct maker *m, json_t *schema, const struct place *at)
{
	unsigned types;

	if (json_object_get(schema, "$ref") != NULL)
		return make_referred(m, schema, at);
	if (json_object_get(schema, "const") != NULL)
		return make_chosen(m, schema, "const", at);
	if (json_object_get(schema, "enum") != NULL)
		return make_chosen(m, schema, "enum", at);
	if (json_object_get(schema, "anyOf") != NULL)
		return make_alternatives(m, schema, "anyOf", at);
	if (json_object_get(schema, "oneOf") != NULL)
		return make_alternatives(m, schema, "oneOf", at);
	if (json_object_get(schema, "allOf") != NULL)
		return make_all_of(m, schema, at);
	types = schema_types(schema, at, m->err);
	return types != 0 ? make_typed(m, schema, types, at) : GRAMMAR_NONE;
}

/* `nullable` of OpenAPI: an enum has to name null itself. */
static uint16_t
or_null(struct maker *m, json_t *schema, uint16_t node)
{
	uint16_t ways[2] = {node, GRAMMAR_NONE};

	if (node == GRAMMAR_NONE || !json_is_true(json_object_get(schema, "nullable")) ||
		json_object_get(schema, "enum") != NULL || json_object_get(schema, "const") != NULL)
		return node;
	ways[1] = make_words(m, SCHEMA_NULL);
	return ways[1] != GRAMMAR_NONE ? any_of(m, ways, 2) : GRAMMAR_NONE;
}

uint16_t
make_schema(struct maker *m, json_t *schema, const struct place *at)
{
	if (json_is_true(schema))
		return make_any(m);
	if (json_is_false(schema)) /* no value */
		return grammar_add_node(m->g, GRAMMAR_LITERALS, m->err);
	if (json_is_object(schema) && at->depth <= MOST_DEPTH)
		return or_null(m, schema, make_said(m, schema, at));
	place_refuse(at, m->err,
		json_is_object(schema) ? "schemas are nested too deep"
				       : "a schema must be an object");
	return GRAMMAR_NONE;
}

/* --- all of it ------------------------------------------------------------------------------------ */

static struct grammar *
finish(struct maker *m, uint16_t value)
{
	struct grammar *g = NULL;

	if (value != GRAMMAR_NONE && maker_resolve(m) == 0) {
		m->g->nodes[0].child = value;
		if (grammar_finish(m->g, m->err) == 0 && maker_check(m) == 0)
			g = grammar_ref(m->g);
	}
	maker_free(m);
	return g;
}

struct grammar *
json_schema_grammar(json_t *schema, struct err *err)
{
	static const struct place top;
	struct maker m;

	if (maker_init(&m, err) != 0) {
		maker_free(&m);
		return NULL;
	}
	m.root = schema;
	return finish(&m, make_schema(&m, schema, &top));
}

struct grammar *
json_calls_grammar(const struct json_calls *c, struct err *err)
{
	static const struct place top;
	uint16_t ways[2];
	struct maker m;

	if (maker_init(&m, err) != 0) {
		maker_free(&m);
		return NULL;
	}
	ways[0] = make_calls(&m, c);
	if (c->or_schema == NULL || ways[0] == GRAMMAR_NONE)
		return finish(&m, ways[0]);
	m.root = c->or_schema;
	ways[1] = make_schema(&m, c->or_schema, &top);
	return finish(&m, ways[1] != GRAMMAR_NONE ? any_of(&m, ways, 2) : GRAMMAR_NONE);
}
