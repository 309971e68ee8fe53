#include "model/json_schema.h"
#include "tests/support/schema_check.h"
#include "tests/support/schema_walk.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

#define NODE                                                                                       \
	"{\"$defs\":{\"N\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},"     \
	"\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/N\"},{\"type\":\"null\"}]}},"                    \
	"\"required\":[\"v\",\"next\"],\"additionalProperties\":false}},\"$ref\":\"#/$defs/N\"}"
#define PETS                                                                                       \
	"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"cat\"},\"m\":{"       \
	"\"type\":"                                                                                \
	"\"boolean\"}},\"required\":[\"k\",\"m\"]},{\"type\":\"object\",\"properties\":{\"k\":"    \
	"{\"const\":\"dog\"},\"b\":{\"type\":\"number\"}},\"required\":[\"k\",\"b\"]}]}"
#define OPTIONAL                                                                                   \
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},\"ab\":{\"type\":"         \
	"\"null\"},\"abc\":{\"type\":\"null\"},\"b\\\"\\u00e9\":{\"type\":\"null\"}},"             \
	"\"required\":[\"abc\"]}"

/* A schema, texts that it lets pass, and texts that it does not, up to the first byte that is one too many;
 * a text that only lacks its end has none. */
static const struct {
	const char *schema;
	const char *valid[10], *invalid[12];
} cases[] = {
	{"{\"type\":\"object\"}",
		{"{}", " {\"a\": [1, \"x\", {\"b\": null}],\n  \"a\": -1.5e-7\n}", "{ }",
			"{\"\\u0061\\ud83d\\ude00\\n\":true}", "{\"\":[[],{}]}"},
		{"[", "{,", "{\"a\" ", "{\"a\":01", "{\"a\":1,}", "{}}", "{\"a\":\"\n",
			"{\"a\":tru ", "{\"a\":\"\\ud83dx", "{\"a\":\"\\u0000", "{\"a\":\"\xc0",
			"{\"a\":+"}},
	{"{\"type\":\"string\"}",
		{"\"\"", "\"a\\\\\\\"\"", "\"\xf0\x9f\x98\x80\xc3\xa9\"", "\n\"\x7f\""},
		{"'", "\"\x1f", "\"\\x", "\"\xed\xa0", "\"\xf4\x90", "\"\x80", "\"\\udc", "\"\"x"}},
	{"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
		{"\"ab\"", "\"\xc3\xa9\\u00e9\"", "\"\\ud83d\\ude00\xf0\x9f\x98\x80x\""},
		{"\"a\"", "\"abcd"}},
	{"{\"type\":\"integer\"}", {"0", "-12", "123456789012345678"},
		{"01", "1.", "1e", "1234567890123456789", "\"", "--"}},
	{"{\"type\":\"number\"}", {"0", "-0.5", "10", "3.25e+10", "1E5", "0.0"},
		{".", "1..", "1.e", "1e+e", "1e100", "00", "1-"}},
	{"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120}",
		{"-5", "0", "9", "13", "120", "-1"},
		{"-6", "-0", "121", "130", "200", "-50", "1200"}},
	{"{\"type\":\"integer\",\"exclusiveMinimum\":17,\"maximum\":9007199254740991}",
		{"18", "170", "20", "123456789012345"}, {"0", "-", "1234567890123456"}},
	{"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", {"0", "0.25", "1", "1.000", "0.0"},
		{"-", "1.001", "2", "10", "1e"}},
	{"{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":2}",
		{"0.001", "1", "1.99", "0.10"}, {"-", "2", "0.00000000000000000", "0e"}},
	{"{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}",
		{"0.123456789012345", "0.999999999999999", "0.000000000000001"},
		{"0.9999999999999999", "0.000000000000000", "1"}},
	{"{\"type\":\"number\",\"exclusiveMaximum\":5}",
		{"4.99999999999999", "3.99999999999999999", "-5.00000000000000001", "4"},
		{"4.999999999999999", "5"}},
	{"{\"type\":\"number\",\"exclusiveMinimum\":1}",
		{"1.00000000000001", "2.00000000000000001", "12345678901.5"},
		{"1.000000000000010", "1.00000000000000", "1.00}"}},
	{"{\"type\":\"number\",\"exclusiveMinimum\":-1000000000,\"exclusiveMaximum\":1000000000}",
		{"999999999.999999", "-999999999.999999", "99999999.99999999999999999"},
		{"999999999.9999999", "-999999999.9999999", "1000000000"}},
	{"{\"type\":\"number\",\"exclusiveMinimum\":1000000000,\"exclusiveMaximum\":100000000000}",
		{"1000000000.00001", "2000000000", "10000000000", "99999999999.9999"},
		{"1000000000.000010", "1000000000}", "99999999999.99999", "100000000000"}},
	{"{\"type\":\"number\",\"minimum\":-1,\"exclusiveMaximum\":1e15}",
		{"999999999999999", "99999999999999.5"}, {"999999999999999."}},
	{"{\"type\":\"number\",\"minimum\":0,\"exclusiveMaximum\":1e16}", {"999999999999999.5"},
		{"1000000000000000"}},
	{"{\"type\":\"number\",\"exclusiveMaximum\":-3}", {"-3.5", "-3.01", "-4", "-30"},
		{"0", "3", "-2."}},
	{"{\"enum\":[\"a\",\"ab\",1,10,null,[1,\"x\"],\"\\u00e9\\n\"]}",
		{"\"a\"", "\"ab\"", "1", "10", "null", "[1,\"x\"]", "\"\xc3\xa9\\n\""},
		{"\"b", "\"abc", "11", "100", "[1, "}},
	{"{\"enum\":[19.99,0.1,-0.30000000000000004,1e300,1.5e-9,2.0,-0.0,1e15]}",
		{"19.99", "0.1", "-0.30000000000000004", "1e+300", "1.5e-09", "2", "0",
			"1000000000000000"},
		{"19.98", "0.10", "-0.3,", "2.", "0.0", "-0}"}},
	{"{\"const\":{\"b\":[0.1,{\"d\":1.0,\"c\":\"\\u00e9\"}],\"a\":0.30000000000000004}}",
		{"{\"a\":0.30000000000000004,\"b\":[0.1,{\"c\":\"\xc3\xa9\",\"d\":1}]}"},
		{"{\"a\":0.30000000000000004,\"b\":[0.10"}},
	{"{\"oneOf\":[{\"enum\":[1,1.5]},{\"const\":2.0},{\"const\":{\"a\":1}},{\"const\":{\"b\":1}"
	 "}]}",
		{"1", "1.5", "2", "{\"a\":1}", "{\"b\":1}"}, {"1.0", "2.", "{\"c"}},
	{"{\"type\":\"string\",\"enum\":[\"x\",1,null]}", {"\"x\""}, {"1", "n"}},
	{"{\"const\":{\"a\":[true]}}", {"{\"a\":[true]}"}, {"{\"a\":[f"}},
	{"{\"type\":[\"string\",\"null\"],\"maxLength\":1}", {"null", "\"a\""}, {"\"ab", "1", "t"}},
	{"{\"type\":\"boolean\",\"nullable\":true}", {"null", "true", "false"}, {"0", "\""}},
	{"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":2}",
		{"[1]", "[1,2]", "[ 1,\n 2\n]"}, {"[]", "[1,2,", "[1,]", "[\"", "[1 2"}},
	{"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],"
	 "\"items\":"
	 "false,\"minItems\":2}",
		{"[\"a\", 1]"}, {"[1", "[\"a\"]", "[\"a\",1,"}},
	{"{\"type\":\"array\",\"items\":[{\"type\":\"null\"}],\"minItems\":1}",
		{"[null]", "[null,1,\"x\"]"}, {"[]", "[1"}},
	{OPTIONAL,
		{"{\"abc\":null}", "{\"a\":null,\"ab\":null,\"abc\":null,\"b\\\"\xc3\xa9\":null}",
			"{\"ab\":null,\"abc\":null}"},
		{"{}", "{\"a\":null}", "{\"b", "{\"abc\":null,\"a", "{\"abcd", "{\"abc\":null,\"c",
			"{\"\\", "{\"a\":null,\"a\""}},
	{"{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"}},"
	 "\"additionalProperties\":"
	 "{\"type\":\"string\"},\"required\":[\"id\"]}",
		{"{\"id\":1}", "{\"id\":1,\"i\":\"x\",\"idx\":\"y\",\"\xc3\xa9\":\"\"}",
			"{\"id\":1,\"x\\u0061\":\"\"}"},
		{"{\"x", "{\"id\":1,\"id\"", "{\"id\":1,\"x\":1", "{\"id\":1,\"\\",
			"{\"id\":1,\"i\\"}},
	{"{\"type\":\"object\",\"required\":[\"x\"]}", {"{\"x\":[1]}", "{\"x\":1,\"y\":2}"},
		{"{}", "{\"y"}},
	{"{\"type\":\"object\",\"properties\":{}}", {"{}"}, {"{\""}},
	{NODE, {"{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"},
		{"{\"v\":1}", "{\"v\":1,\"next\":[", "{\"n"}},
	{PETS, {"{\"k\":\"cat\",\"m\":true}", "{\"k\":\"dog\",\"b\":1.5}"},
		{"{\"k\":\"cat\",\"b", "{\"k\":\"co", "{\"m"}},
	{"{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
	 "\"required\":"
	 "[\"a\"]},{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":["
	 "\"a\"]}]}",
		{"{\"a\":1}", "{\"a\":\"x\"}"}, {"{\"a\":n", "{}"}},
	{"{\"allOf\":[{\"$ref\":\"#/$defs/a~1b\"}],\"$defs\":{\"a/"
	 "b\":{\"type\":\"null\"}},\"title\":\"t\","
	 "\"default\":null,\"x-y\":1,\"format\":\"uuid\",\"examples\":[1],\"description\":\"d\"}",
		{"null"}, {"0"}},
	{"true", {"1", "\"x\"", "[{}]", "null"}, {"x"}},
};

static struct grammar *
grammar_of(const char *schema, json_t **root)
{
	struct err err = {""};
	json_t *o = json_loads(schema, JSON_DECODE_ANY, NULL);
	struct grammar *g;

	ck_assert_msg(o != NULL, "%s", schema);
	g = json_schema_grammar(o, &err);
	ck_assert_msg(g != NULL, "%s: %s", schema, err.msg);
	if (root != NULL)
		*root = o;
	else
		json_decref(o);
	return g;
}

/* Every begin of a valid text passes, as walk_text goes byte by byte. */
START_TEST(valid_texts_pass)
{
	json_t *root, *value;
	struct grammar *g = grammar_of(cases[_i].schema, &root);

	for (size_t k = 0; k < COUNT(cases[_i].valid) && cases[_i].valid[k] != NULL; k++) {
		const char *text = cases[_i].valid[k];
		bool end;

		ck_assert_msg(walk_text(g, text, strlen(text), &end) == strlen(text), "%s: %s",
			cases[_i].schema, text);
		ck_assert_msg(end, "%s has no end", text);
		value = json_loads(text, JSON_DECODE_ANY, NULL);
		ck_assert_msg(schema_holds(root, root, value), "%s: %s", cases[_i].schema, text);
		json_decref(value);
	}
	grammar_unref(g);
	json_decref(root);
}
END_TEST

START_TEST(invalid_texts_stop_where_they_go_wrong)
{
	struct grammar *g = grammar_of(cases[_i].schema, NULL);

	for (size_t k = 0; k < COUNT(cases[_i].invalid) && cases[_i].invalid[k] != NULL; k++) {
		const char *text = cases[_i].invalid[k];
		bool end;

		ck_assert_msg(walk_text(g, text, strlen(text), &end) == strlen(text) - 1, "%s: %s",
			cases[_i].schema, text);
	}
	grammar_unref(g);
}
END_TEST

/* Whatever it lets pass can be read, and is valid; and it never comes to a place without a way on. */
START_TEST(random_texts_are_valid)
{
	json_t *root, *value;
	struct grammar *g = grammar_of(cases[_i].schema, &root);
	json_error_t e;
	struct buf text;

	for (uint64_t seed = 0; seed < 300; seed++) {
		buf_init(&text, 0);
		ck_assert_msg(walk_random(g, seed, seed % 200, &text) == 0, "%s, seed %d: %.*s",
			cases[_i].schema, (int)seed, (int)text.len, (const char *)text.data);
		value = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY, &e);
		ck_assert_msg(value != NULL, "%s: %.*s: %s", cases[_i].schema, (int)text.len,
			(const char *)text.data, e.text);
		ck_assert_msg(schema_holds(root, root, value), "%s: %.*s", cases[_i].schema,
			(int)text.len, (const char *)text.data);
		json_decref(value);
		buf_free(&text);
	}
	grammar_unref(g);
	json_decref(root);
}
END_TEST

/* Values nest as deep as the stack, and texts end there: recursive ones, too. */
START_TEST(depth_has_a_bound)
{
	struct grammar *g = grammar_of(NODE, NULL);
	char text[64 * 32] = "";
	bool end;
	size_t n;

	for (unsigned i = 0; i < 60; i++)
		strcat(text, "{\"v\":1,\"next\":");
	n = walk_text(g, text, strlen(text), &end);
	ck_assert_uint_gt(n, 25 * strlen("{\"v\":1,\"next\":"));
	ck_assert_uint_lt(n, GRAMMAR_DEPTH * strlen("{\"v\":1,\"next\":"));
	text[n] = '\0';
	strcat(text, "n");
	ck_assert_uint_eq(walk_text(g, text, n + 1, &end), n + 1);
	grammar_unref(g);
}
END_TEST

/* What is refused, and words of the message. */
static const struct {
	const char *schema, *words;
} refused[] = {
	{"{\"type\":\"string\",\"pattern\":\"^a\"}", "'pattern'"},
	{"{\"type\":\"object\",\"properties\":{\"zip\":{\"type\":\"string\",\"pattern\":\"^a\"}}}",
		"properties.zip: 'pattern'"},
	{"{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"array\","
	 "\"uniqueItems\":true}]}}",
		"items.anyOf[1]: 'uniqueItems'"},
	{"{\"type\":\"object\",\"patternProperties\":{}}", "'patternProperties'"},
	{"{\"not\":{}}", "'not'"},
	{"{\"type\":\"integer\",\"multipleOf\":2}", "'multipleOf'"},
	{"{\"type\":\"number\",\"minimum\":0.5}", "'minimum'"},
	{"{\"type\":\"integer\",\"minimum\":1000000000,\"maximum\":2000000000}", "1e9"},
	{"{\"type\":\"number\",\"minimum\":-2e9,\"maximum\":-1e9}", "1e9"},
	{"{\"type\":\"number\",\"maximum\":0.5}", "'maximum'"},
	{"{\"$ref\":\"#/$defs/gone\"}", "'$ref'"},
	{"{\"$ref\":\"http://x/y\"}", "'$ref'"},
	{"{\"$ref\":\"#\"}", "no value"},
	{"{\"$ref\":\"#/$defs/a\",\"minLength\":1,\"$defs\":{\"a\":{\"type\":\"string\"}}}",
		"'minLength' beside '$ref'"},
	{"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"string\",\"pattern\":\"x\"}}}",
		"#/$defs/a: 'pattern'"},
	{"{\"anyOf\":[]}", "'anyOf'"},
	{"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"string\",\"maxLength\":3}]}", "oneOf"},
	{"{\"oneOf\":[true,{\"anyOf\":[true,{\"type\":\"null\"}]}]}", "oneOf"},
	{"{\"oneOf\":[{\"minimum\":1},{\"type\":\"string\"}]}", "oneOf"},
	{"{\"oneOf\":[{\"const\":1},{\"const\":1.0}]}", "oneOf"},
	{"{\"oneOf\":[{\"const\":[0,[-3]]},{\"enum\":[null,[-0.0,[-3e0]]]}]}", "oneOf"},
	{"{\"oneOf\":[{\"const\":{\"a\":1,\"b\":2}},{\"const\":{\"b\":2,\"a\":1.0}}]}", "oneOf"},
	{"{\"allOf\":[{},{}]}", "'allOf'"},
	{"{\"type\":\"thing\"}", "'type'"},
	{"{\"type\":[]}", "'type'"},
	{"{\"type\":\"string\",\"maxLength\":-1}", "'maxLength'"},
	{"{\"type\":\"string\",\"minLength\":3,\"maxLength\":2}", "no value"},
	{"{\"enum\":7}", "'enum'"},
	{"{\"enum\":[]}", "no value"},
	{"false", "no value"},
	{"7", "must be an object"},
	{"{\"type\":\"object\",\"properties\":7}", "'properties'"},
	{"{\"type\":\"object\",\"required\":[7]}", "'required'"},
	{"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
		"no value"},
};

START_TEST(what_cannot_be_promised_is_refused)
{
	json_t *o = json_loads(refused[_i].schema, JSON_DECODE_ANY, NULL);
	struct err err = {""};

	ck_assert_ptr_null(json_schema_grammar(o, &err));
	ck_assert_msg(
		strstr(err.msg, refused[_i].words) != NULL, "%s: %s", refused[_i].schema, err.msg);
	json_decref(o);
}
END_TEST

/* --- calls ---------------------------------------------------------------------------------------- */

#define CALL(name, arguments)                                                                      \
	"<call>\n{\"name\": \"" name "\", \"arguments\": " arguments "}\n</call>"

static struct grammar *
calls_of(const char *only, bool one, bool schema, struct err *err)
{
	json_t *tools =
		json_loads("[{\"function\":{\"name\":\"on\",\"parameters\":{\"type\":\"object\","
			   "\"properties\":"
			   "{\"area\":{\"$ref\":\"#/$defs/"
			   "A\"}},\"required\":[\"area\"],\"$defs\":{\"A\":{\"enum\":"
			   "[\"hall\"]}}}}},{\"function\":{\"name\":\"once\",\"parameters\":{"
			   "\"type\":\"object\","
			   "\"properties\":{\"at\":{\"$ref\":\"#/$defs/"
			   "A\"}},\"required\":[\"at\"],\"$defs\":{\"A\":"
			   "{\"enum\":[7]}}}}},{\"function\":{\"name\":\"free\",\"parameters\":{"
			   "\"type\":\"object\","
			   "\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"x\"}}}}},"
			   "{\"function\":{\"name\":\"none\"}}]",
			0, NULL);
	json_t *value = schema ? json_loads("{\"type\":\"array\"}", 0, NULL) : NULL;
	const struct json_calls c = {.tools = tools,
		.only = only,
		.one = one,
		.or_schema = value,
		.open = "<call>",
		.close = "</call>"};
	struct grammar *g;

	g = json_calls_grammar(&c, err);
	json_decref(tools);
	json_decref(value);
	return g;
}

static void
expect(struct grammar *g, const char *text, size_t passed, bool ends)
{
	bool end;
	size_t n = walk_text(g, text, strlen(text), &end);

	ck_assert_msg(n == passed && end == ends, "%s: %zu bytes pass, %d", text, n, end);
}

static void
expect_passes(struct grammar *g, const char *text)
{
	expect(g, text, strlen(text), true);
}

static void
expect_begins(struct grammar *g, const char *text)
{
	expect(g, text, strlen(text), false);
}

static void
expect_refused(struct grammar *g, const char *text)
{
	expect(g, text, strlen(text) - 1, false);
}

START_TEST(calls_are_held_to_their_parameters)
{
	struct err err;
	struct grammar *g = calls_of(NULL, false, false, &err);

	ck_assert_msg(g != NULL, "%s", err.msg);
	expect_passes(g, CALL("on", "{\"area\":\"hall\"}"));
	expect_passes(g, "\n" CALL("once", "{\"at\": 7}") "\n" CALL("none", "{}"));
	expect_passes(g, CALL("free", "{\"whatever\":[1]}"));
	expect_begins(g, CALL("on", "{\"area\":\"hall\"}") "\n<call>");
	expect_refused(g, "<call>\n{\"name\": \"onc\"");
	expect_refused(g, "<call>\n{\"name\": \"on\", \"arguments\": {}");
	expect_refused(g, "<call>\n{\"name\": \"free\", \"arguments\": [");
	expect_refused(g, "<call>\n{\"name\": \"none\", \"arguments\": {\"");
	expect_refused(g, "t");
	grammar_unref(g);
}
END_TEST

START_TEST(one_call_is_one)
{
	struct err err;
	struct grammar *g = calls_of("once", true, false, &err);
	bool end;

	ck_assert_msg(g != NULL, "%s", err.msg);
	expect_passes(g, CALL("once", "{\"at\": 7}"));
	ck_assert_uint_eq(walk_text(g, CALL("once", "{\"at\":7}") "\n", 200, &end),
		strlen(CALL("once", "{\"at\":7}")));
	expect_refused(g, "<call>\n{\"name\": \"on\"");
	expect_refused(g, "<call>\n{\"name\": \"f");
	grammar_unref(g);
}
END_TEST

START_TEST(a_value_may_be_an_answer_too)
{
	struct err err;
	struct grammar *g = calls_of(NULL, true, true, &err);

	ck_assert_msg(g != NULL, "%s", err.msg);
	expect_passes(g, CALL("none", "{}"));
	expect_passes(g, "[1, 2]");
	expect_refused(g, "{");
	grammar_unref(g);
}
END_TEST

START_TEST(strict_parameters_that_cannot_be_held_are_refused)
{
	json_t *tools = json_loads(
		"[{\"function\":{\"name\":\"f\",\"strict\":true,\"parameters\":{\"type\":"
		"\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"x\"}"
		"}}}}]",
		0, NULL);
	const struct json_calls c = {.tools = tools, .open = "<", .close = ">"};
	struct err err;

	ck_assert_ptr_null(json_calls_grammar(&c, &err));
	ck_assert_msg(
		strstr(err.msg, "tools[0].function.parameters: properties.a: 'pattern'") != NULL,
		"%s", err.msg);
	json_decref(tools);
}
END_TEST

/* --- bounds --------------------------------------------------------------------------------------- */

/* Of a value, by way of others that are referred to. */
START_TEST(alternatives_are_bounded)
{
	for (int n = GRAMMAR_THREADS; n <= GRAMMAR_THREADS + 1; n++) {
		json_t *list = json_array(), *named = json_object(), *o;
		char name[16], place[32];
		struct grammar *g;
		struct err err = {""};

		for (int i = 0; i < n; i++) {
			snprintf(name, sizeof name, "d%d", i);
			snprintf(place, sizeof place, "#/$defs/%s", name);
			json_object_set_new(named, name, json_pack("{s:i}", "const", i));
			if (i < GRAMMAR_THREADS)
				json_array_append_new(list, json_pack("{s:s}", "$ref", place));
		}
		o = json_pack("{s:[{s:o},{s:s}],s:o}", "oneOf", "anyOf", list, "$ref", place,
			"$defs", named);
		g = json_schema_grammar(o, &err);
		ck_assert_ptr_null(g);
		/* As many as there can be, but the last one twice; or one more. */
		ck_assert_ptr_nonnull(
			strstr(err.msg, n == GRAMMAR_THREADS ? "of two of its alternatives"
							     : "more than 32 alternatives"));
		json_decref(o);
	}
}
END_TEST

/* As many alternatives of alternatives, members and values as there can be: made in no time, or refused. */
START_TEST(large_schemas_are_bounded)
{
	json_t *o = json_object(), *properties = json_object(), *values = json_array();
	struct err err;
	struct grammar *g;
	char name[16];

	for (int i = 0; i < JSON_SCHEMA_WIDTH; i++) {
		snprintf(name, sizeof name, "a%d", i);
		json_object_set_new(properties, name, json_pack("{s:O}", "enum", values));
		json_array_append_new(values, json_integer(i));
	}
	json_object_set_new(o, "properties", properties);
	g = json_schema_grammar(o, &err); /* 262,144 values are too many */
	ck_assert_ptr_null(g);
	json_array_clear(values);
	json_array_append_new(values, json_integer(1));
	g = json_schema_grammar(o, &err);
	ck_assert_msg(g != NULL, "%s", err.msg);
	expect_passes(g, "{\"a7\":1,\"a511\":1}");
	grammar_unref(g);
	json_object_set_new(properties, "more", json_true());
	ck_assert_ptr_null(json_schema_grammar(o, &err));
	json_decref(values);
	json_decref(o);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("grammar");
	TCase *t = tcase_create("schemas");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, valid_texts_pass, 0, COUNT(cases));
	tcase_add_loop_test(t, invalid_texts_stop_where_they_go_wrong, 0, COUNT(cases));
	tcase_add_loop_test(t, random_texts_are_valid, 0, COUNT(cases));
	tcase_add_loop_test(t, what_cannot_be_promised_is_refused, 0, COUNT(refused));
	tcase_add_test(t, depth_has_a_bound);
	tcase_add_test(t, alternatives_are_bounded);
	tcase_add_test(t, large_schemas_are_bounded);
	suite_add_tcase(s, t);
	t = tcase_create("calls");
	tcase_add_test(t, calls_are_held_to_their_parameters);
	tcase_add_test(t, one_call_is_one);
	tcase_add_test(t, a_value_may_be_an_answer_too);
	tcase_add_test(t, strict_parameters_that_cannot_be_held_are_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
