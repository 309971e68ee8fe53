/* Which keywords there are, and of what types of values they speak. */
#include "model/json_schema_int.h"

#include <stdio.h>
#include <string.h>

/* --- places --------------------------------------------------------------------------------------- */

struct place
place_in(const struct place *up, const char *word)
{
	return (struct place){.up = up, .word = word, .depth = up->depth + 1};
}

struct place
place_at(const struct place *up, size_t number)
{
	return (struct place){.up = up, .number = number, .depth = up->depth + 1};
}

static void
write_place(const struct place *at, struct buf *out)
{
	const struct place *way[64];
	unsigned n = 0;

	for (; at->up != NULL && n < 64; at = at->up)
		way[n++] = at;
	while (n-- > 0)
		if (way[n]->word != NULL)
			buf_printf(out, "%s%.40s", out->len > 0 ? "." : "", way[n]->word);
		else
			buf_printf(out, "[%zu]", way[n]->number);
}

int
place_refuse(const struct place *at, struct err *err, const char *fmt, ...)
{
	struct buf where;
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	buf_init(&where, 200);
	write_place(at, &where);
	err_set(err, "%.*s%s%s", (int)where.len, where.len > 0 ? (const char *)where.data : "",
		where.len > 0 ? ": " : "", what);
	buf_free(&where);
	return -1;
}

/* --- keywords ------------------------------------------------------------------------------------- */

#define NUMBERS (SCHEMA_NUMBER | SCHEMA_INTEGER)

static const struct keyword {
	const char *name;
	unsigned types; /* of whose values it speaks */
	bool known;
} keywords[] = {
	{"$dynamicRef", SCHEMA_ANY, false},
	{"$recursiveRef", SCHEMA_ANY, false},
	{"$ref", SCHEMA_ANY, true},
	{"additionalItems", SCHEMA_ARRAY, false},
	{"additionalProperties", SCHEMA_OBJECT, true},
	{"allOf", SCHEMA_ANY, true},
	{"anyOf", SCHEMA_ANY, true},
	{"const", SCHEMA_ANY, true},
	{"contains", SCHEMA_ARRAY, false},
	{"dependencies", SCHEMA_OBJECT, false},
	{"dependentRequired", SCHEMA_OBJECT, false},
	{"dependentSchemas", SCHEMA_OBJECT, false},
	{"else", SCHEMA_ANY, false},
	{"enum", SCHEMA_ANY, true},
	{"exclusiveMaximum", NUMBERS, true},
	{"exclusiveMinimum", NUMBERS, true},
	{"if", SCHEMA_ANY, false},
	{"items", SCHEMA_ARRAY, true},
	{"maxContains", SCHEMA_ARRAY, false},
	{"maxItems", SCHEMA_ARRAY, true},
	{"maxLength", SCHEMA_STRING, true},
	{"maxProperties", SCHEMA_OBJECT, false},
	{"maximum", NUMBERS, true},
	{"minContains", SCHEMA_ARRAY, false},
	{"minItems", SCHEMA_ARRAY, true},
	{"minLength", SCHEMA_STRING, true},
	{"minProperties", SCHEMA_OBJECT, false},
	{"minimum", NUMBERS, true},
	{"multipleOf", NUMBERS, false},
	{"not", SCHEMA_ANY, false},
	{"nullable", 0, true}, /* says that null is valid, too */
	{"oneOf", SCHEMA_ANY, true},
	{"pattern", SCHEMA_STRING, false},
	{"patternProperties", SCHEMA_OBJECT, false},
	{"prefixItems", SCHEMA_ARRAY, true},
	{"properties", SCHEMA_OBJECT, true},
	{"propertyNames", SCHEMA_OBJECT, false},
	{"required", SCHEMA_OBJECT, true},
	{"then", SCHEMA_ANY, false},
	{"type", SCHEMA_ANY, true},
	{"unevaluatedItems", SCHEMA_ARRAY, false},
	{"unevaluatedProperties", SCHEMA_OBJECT, false},
	{"uniqueItems", SCHEMA_ARRAY, false},
};

/* NULL: it says nothing about what is valid. */
static const struct keyword *
find_keyword(const char *name, json_t *value)
{
	if (strcmp(name, "uniqueItems") == 0 && json_is_false(value))
		return NULL;
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
		if (strcmp(keywords[i].name, name) == 0)
			return &keywords[i];
	return NULL;
}

int
schema_check(json_t *schema, unsigned types, const struct place *at, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach(schema, name, value)
	{
		const struct keyword *k = find_keyword(name, value);

		if (k != NULL && !k->known && (k->types & types) != 0)
			return place_refuse(at, err, "'%s' is not supported: leave it out", name);
	}
	return 0;
}

static bool
is_among(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

int
schema_alone(json_t *schema, const char *beside, const char *const *but, const struct place *at,
	struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach(schema, name, value)
	{
		if (strcmp(name, beside) != 0 && !is_among(name, but) &&
			find_keyword(name, value) != NULL)
			return place_refuse(
				at, err, "'%s' beside '%s' is not supported", name, beside);
	}
	return 0;
}

/* --- types ---------------------------------------------------------------------------------------- */

static unsigned
type_of(json_t *word)
{
	static const struct {
		const char *word;
		unsigned type;
	} types[] = {{"object", SCHEMA_OBJECT}, {"array", SCHEMA_ARRAY}, {"string", SCHEMA_STRING},
		{"number", SCHEMA_NUMBER}, {"integer", SCHEMA_INTEGER}, {"boolean", SCHEMA_BOOLEAN},
		{"null", SCHEMA_NULL}};

	for (size_t i = 0; json_is_string(word) && i < sizeof types / sizeof *types; i++)
		if (strcmp(types[i].word, json_string_value(word)) == 0)
			return types[i].type;
	return 0;
}

/* What is said of one type is meant for values of that type, where none is named. */
static unsigned
guess(json_t *schema)
{
	unsigned types = 0;
	const char *name;
	json_t *value;

	json_object_foreach(schema, name, value)
	{
		const struct keyword *k = find_keyword(name, value);

		if (k != NULL && k->types != SCHEMA_ANY)
			types |= k->types;
	}
	return types != 0 ? types : SCHEMA_ANY;
}

unsigned
schema_types(json_t *schema, const struct place *at, struct err *err)
{
	json_t *type = json_object_get(schema, "type"), *word;
	unsigned types = 0, one;
	size_t i;

	if (type == NULL)
		return guess(schema);
	if (!json_is_array(type))
		types = type_of(type);
	json_array_foreach(type, i, word)
	{
		one = type_of(word);
		if (one == 0)
			types = 0;
		if (one == 0)
			break;
		types |= one;
	}
	if (types == 0)
		place_refuse(at, err, "'type' must be a type of JSON, or a list of them");
	return types;
}

int
schema_count(json_t *schema, const char *name, uint32_t otherwise, uint32_t *out,
	const struct place *at, struct err *err)
{
	json_t *v = json_object_get(schema, name);
	double d = json_number_value(v);

	*out = otherwise;
	if (v == NULL)
		return 0;
	if (!json_is_number(v) || !(d >= 0) || d != (double)(uint64_t)(d < 4e9 ? d : 4e9))
		return place_refuse(at, err, "'%s' must be a whole number up to 4000000000", name);
	*out = (uint32_t)d;
	return 0;
}
