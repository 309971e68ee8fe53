#include "tests/support/schema_check.h"

#include <math.h>
#include <string.h>

static bool
has_type(json_t *value, const char *type)
{
	if (strcmp(type, "integer") == 0)
		return json_is_integer(value) ||
		       (json_is_real(value) &&
			       json_real_value(value) == floor(json_real_value(value)));
	return (strcmp(type, "object") == 0 && json_is_object(value)) ||
	       (strcmp(type, "array") == 0 && json_is_array(value)) ||
	       (strcmp(type, "string") == 0 && json_is_string(value)) ||
	       (strcmp(type, "number") == 0 && json_is_number(value)) ||
	       (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
	       (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool
type_holds(json_t *type, json_t *value)
{
	json_t *one;
	size_t i;

	if (json_is_string(type))
		return has_type(value, json_string_value(type));
	json_array_foreach(type, i, one)
	{
		if (has_type(value, json_string_value(one)))
			return true;
	}
	return type == NULL;
}

static size_t
characters(json_t *s)
{
	const char *p = json_string_value(s);
	size_t n = 0;

	for (size_t i = 0; i < json_string_length(s); i++)
		n += ((unsigned char)p[i] & 0xc0) != 0x80;
	return n;
}

static bool
above(json_t *schema, const char *name, double v)
{
	json_t *least = json_object_get(schema, name);

	return least == NULL || v >= json_number_value(least);
}

static bool
below(json_t *schema, const char *name, double v)
{
	json_t *most = json_object_get(schema, name);

	return most == NULL || v <= json_number_value(most);
}

static bool
number_holds(json_t *schema, double v)
{
	json_t *low = json_object_get(schema, "exclusiveMinimum"),
	       *high = json_object_get(schema, "exclusiveMaximum");

	return above(schema, "minimum", v) && below(schema, "maximum", v) &&
	       (low == NULL || v > json_number_value(low)) &&
	       (high == NULL || v < json_number_value(high));
}

static bool
array_holds(json_t *root, json_t *schema, json_t *value)
{
	json_t *items = json_object_get(schema, "items"),
	       *prefix = json_is_array(items) ? items : json_object_get(schema, "prefixItems"),
	       *item;
	size_t i;

	json_array_foreach(value, i, item)
	{
		json_t *s = i < json_array_size(prefix) ? json_array_get(prefix, i)
			    : json_is_array(items)      ? NULL
							: items;

		if (s != NULL && !schema_holds(root, s, item))
			return false;
	}
	i = json_array_size(value);
	return above(schema, "minItems", (double)i) && below(schema, "maxItems", (double)i);
}

static bool
object_holds(json_t *root, json_t *schema, json_t *value)
{
	json_t *properties = json_object_get(schema, "properties"),
	       *others = json_object_get(schema, "additionalProperties"), *v, *s;
	const char *name;
	size_t i;

	json_object_foreach(value, name, v)
	{
		s = json_object_get(properties, name);
		if (s == NULL)
			s = others;
		if (s != NULL && !schema_holds(root, s, v))
			return false;
	}
	json_array_foreach(json_object_get(schema, "required"), i, v)
	{
		if (json_object_get(value, json_string_value(v)) == NULL)
			return false;
	}
	return true;
}

static unsigned
how_many_hold(json_t *root, json_t *list, json_t *value)
{
	unsigned n = 0;
	json_t *s;
	size_t i;

	json_array_foreach(list, i, s) n += schema_holds(root, s, value);
	return n;
}

static json_t *
referred(json_t *root, const char *place)
{
	char word[128];
	json_t *v = root;

	for (place = strchr(place, '/'); place != NULL; place = strchr(place, '/')) {
		size_t n = strcspn(++place, "/");

		memcpy(word, place, n);
		word[n] = '\0';
		v = json_object_get(v, word);
	}
	return v;
}

static bool equal(json_t *a, json_t *b);

static bool
equal_members(json_t *a, json_t *b)
{
	const char *name;
	json_t *v;

	json_object_foreach(a, name, v)
	{
		if (!equal(v, json_object_get(b, name)))
			return false;
	}
	return json_object_size(a) == json_object_size(b);
}

/* As jansson has it, but that 1 and 1.0 are one number. */
static bool
equal(json_t *a, json_t *b)
{
	bool same = true;

	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b);
	if (json_is_object(a) && json_is_object(b))
		return equal_members(a, b);
	if (!json_is_array(a) || !json_is_array(b))
		return json_equal(a, b);
	for (size_t i = 0; same && i < json_array_size(a); i++)
		same = equal(json_array_get(a, i), json_array_get(b, i));
	return same && json_array_size(a) == json_array_size(b);
}

static bool
literal_holds(json_t *schema, json_t *value)
{
	json_t *is = json_object_get(schema, "const"), *list = json_object_get(schema, "enum"), *v;
	bool found = list == NULL;
	size_t i;

	json_array_foreach(list, i, v) found = found || equal(v, value);
	return found && (is == NULL || equal(is, value));
}

bool
schema_holds(json_t *root, json_t *schema, json_t *value)
{
	json_t *ref = json_object_get(schema, "$ref"), *any = json_object_get(schema, "anyOf"),
	       *one = json_object_get(schema, "oneOf"), *all = json_object_get(schema, "allOf");

	if (json_is_boolean(schema))
		return json_is_true(schema);
	if (json_is_null(value) && json_is_true(json_object_get(schema, "nullable")))
		return true;
	if ((ref != NULL && !schema_holds(root, referred(root, json_string_value(ref)), value)) ||
		(any != NULL && how_many_hold(root, any, value) == 0) ||
		(one != NULL && how_many_hold(root, one, value) != 1) ||
		(all != NULL && how_many_hold(root, all, value) != json_array_size(all)) ||
		!type_holds(json_object_get(schema, "type"), value) ||
		!literal_holds(schema, value))
		return false;
	if (json_is_object(value))
		return object_holds(root, schema, value);
	if (json_is_array(value))
		return array_holds(root, schema, value);
	if (json_is_number(value))
		return number_holds(schema, json_number_value(value));
	return !json_is_string(value) ||
	       (above(schema, "minLength", (double)characters(value)) &&
		       below(schema, "maxLength", (double)characters(value)));
}
