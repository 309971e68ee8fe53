/* Schemas of anybody: any JSON as one, and such as have the known keywords in any arrangement. Whatever is
 * accepted makes texts that can be read and are valid by it, and any bytes as a text do no harm. The first
 * byte of an input says which, the second is a seed. */
#include "model/json_schema.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/schema_check.h"
#include "tests/support/schema_walk.h"

#include <jansson.h>

enum part { TEXT, KEYWORDS, PARTS };

/* --- a schema of bytes ---------------------------------------------------------------------------- */

struct source {
	const uint8_t *data;
	size_t left;
};

static unsigned
take(struct source *s, unsigned below)
{
	if (s->left == 0)
		return 0;
	s->left--;
	return *s->data++ % below;
}

static json_t *make(struct source *s, unsigned depth);

static json_t *
literal(struct source *s)
{
	static const char *const texts[] = {"1", "10", "-2", "0.5", "\"a\"", "\"ab\"", "\"\\n\"",
		"null", "true", "[1]", "{\"a\":1}"};

	return json_loads(texts[take(s, sizeof texts / sizeof *texts)], JSON_DECODE_ANY, NULL);
}

static json_t *
list(struct source *s, json_t *(*one)(struct source *s, unsigned depth), unsigned depth)
{
	json_t *v = json_array();

	for (unsigned n = 1 + take(s, 3); n > 0; n--)
		json_array_append_new(v, one != NULL ? one(s, depth) : literal(s));
	return v;
}

static json_t *
word(struct source *s, unsigned depth)
{
	static const char *const types[] = {
		"object", "array", "string", "number", "integer", "boolean", "null"};

	(void)depth;
	return json_string(types[take(s, 7)]);
}

static const char *
name(struct source *s)
{
	static const char *const names[] = {"a", "ab", "b", "\"\\", "\xc3\xa9"};

	return names[take(s, 5)];
}

static json_t *
members(struct source *s, unsigned depth)
{
	json_t *v = json_object();

	for (unsigned n = take(s, 4); n > 0; n--) {
		const char *of = name(s);

		json_object_set_new(v, of, make(s, depth));
	}
	return v;
}

/* Near nothing, and near what bounds can be kept to. */
static json_t *
bound(struct source *s)
{
	static const json_int_t units[] = {1, 1, 10000, 100000000};
	json_int_t n = (json_int_t)take(s, 256) - 128;

	return json_integer(n * units[take(s, 4)] + (json_int_t)take(s, 3) - 1);
}

static void
add_keyword(json_t *o, struct source *s, unsigned depth)
{
	static const char *const numbers[] = {"minLength", "maxLength", "minItems", "maxItems"};
	static const char *const bounds[] = {
		"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};

	switch (take(s, 14)) {
	case 0:
		json_object_set_new(o, "properties", members(s, depth));
		break;
	case 1:
		json_object_set_new(o, "required", json_pack("[s,s]", name(s), name(s)));
		break;
	case 2:
		json_object_set_new(o, "additionalProperties", make(s, depth));
		break;
	case 3:
		json_object_set_new(o, "items", make(s, depth));
		break;
	case 4:
		json_object_set_new(o, "prefixItems", list(s, make, depth));
		break;
	case 5:
		json_object_set_new(o, "enum", list(s, NULL, depth));
		break;
	case 6:
		json_object_set_new(o, "const", literal(s));
		break;
	case 7:
		json_object_set_new(o, "anyOf", list(s, make, depth));
		break;
	case 8:
		json_object_set_new(o, "oneOf", list(s, make, depth));
		break;
	case 9:
		json_object_set_new(o, "$ref", json_string("#/$defs/d"));
		break;
	case 10:
		json_object_set_new(o, "nullable", json_true());
		break;
	case 11:
		json_object_set_new(o, bounds[take(s, 4)], bound(s));
		break;
	default:
		json_object_set_new(o, numbers[take(s, 4)], json_integer(take(s, 5)));
	}
}

static json_t *
make(struct source *s, unsigned depth)
{
	json_t *o;

	if (depth > 5 || take(s, 16) == 0)
		return json_boolean(take(s, 4) != 0);
	o = json_object();
	if (take(s, 4) != 0)
		json_object_set_new(o, "type", take(s, 4) != 0 ? word(s, 0) : list(s, word, 0));
	for (unsigned n = take(s, 4); n > 0; n--)
		add_keyword(o, s, depth + 1);
	return o;
}

static json_t *
schema_of(const uint8_t *data, size_t size)
{
	struct source s = {data, size};
	json_t *o;

	if (data[-2] % PARTS == TEXT)
		return json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
	o = make(&s, 0);
	if (json_is_object(o))
		json_object_set_new(o, "$defs", json_pack("{s:o}", "d", make(&s, 0)));
	return o;
}

/* --- its texts ------------------------------------------------------------------------------------ */

/* References that a text makes may lead anywhere: the validator knows only those that are made here. */
static void
try_random(const struct grammar *g, json_t *schema, uint64_t seed, bool check)
{
	json_t *value;
	struct buf text;
	int rc;

	buf_init(&text, 0);
	rc = walk_random(g, seed, 100, &text);
	require(rc >= 0);
	/* A long string or array may have to be longer than anybody waits for. */
	if (rc == 0) {
		value = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY, NULL);
		require(value != NULL);
		require(!check || schema_holds(schema, schema, value));
		json_decref(value);
	}
	buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {""};
	struct grammar *g;
	json_t *schema;
	bool end;

	if (size < 3)
		return 0;
	schema = schema_of(data + 2, size - 2);
	if (schema == NULL)
		return 0;
	g = json_schema_grammar(schema, &err);
	require(g != NULL || err.msg[0] != '\0');
	if (g != NULL)
		walk_text(g, (const char *)data, size, &end);
	for (uint64_t seed = data[1]; g != NULL && seed < data[1] + 4u; seed++)
		try_random(g, schema, seed, data[0] % PARTS == KEYWORDS);
	grammar_unref(g);
	json_decref(schema);
	return 0;
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	static const char *const seeds[] = {" {\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
					    "[\"string\",\"null\"],\"maxLength\":3},"
					    "\"ab\":{\"type\":\"integer\",\"minimum\":-3,"
					    "\"maximum\":12}},\"required\":[\"ab\"],"
					    "\"additionalProperties\":{\"type\":\"boolean\"}}",
		" {\"type\":\"array\",\"items\":{\"enum\":[\"a\",1,10,null]},\"minItems\":1,"
		"\"maxItems\":3}",
		" {\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"next\":{\"anyOf\":[{\"$"
		"ref\":"
		"\"#/$defs/n\"},{\"type\":\"null\"}]}},\"required\":[\"next\"]}},\"$ref\":\"#/"
		"$defs/n\"}",
		" {\"oneOf\":[{\"type\":\"number\",\"exclusiveMinimum\":0},{\"const\":\"x\"},{"
		"\"type\":\"array\","
		"\"prefixItems\":[{\"type\":\"string\"}],\"items\":false}]}",
		" {\"allOf\":[{\"type\":\"object\"}],\"nullable\":true,\"description\":\"d\"}"};
	uint8_t bytes[64];
	unsigned n = sizeof seeds / sizeof *seeds;

	if (i < n)
		return fuzz_seed_part(TEXT, seeds[i], strlen(seeds[i]), out, max);
	for (unsigned k = 0; k < sizeof bytes; k++)
		bytes[k] = (uint8_t)((i * 2654435761u + k * 40503u * (i + 1)) >> 5);
	return i < n + 400 ? fuzz_seed_part(KEYWORDS, bytes, sizeof bytes, out, max) : 0;
}
