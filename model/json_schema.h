/* JSON schemas to grammars: what a value of the schema looks like, so that a model can be held to it.
 *
 * Known are type (also a list), enum, const, anyOf, oneOf where its alternatives exclude each other, allOf
 * of one, $ref within the schema (also to itself), nullable; properties, required, additionalProperties;
 * items, prefixItems, minItems, maxItems; minLength, maxLength; minimum, maximum and their exclusive kin
 * (of numbers with fractions only where they are whole themselves). A keyword that says more about what is
 * valid is refused, with its place; what only describes is passed over, as are keywords that nobody knows.
 *
 * An object that has `properties` and does not speak of others gets no others. */
#ifndef MODEL_JSON_SCHEMA_H
#define MODEL_JSON_SCHEMA_H

#include "base/err.h"
#include "model/grammar.h"

#include <jansson.h>

#define JSON_SCHEMA_WIDTH 512 /* members of an object, values of an enum */

/* NULL: it cannot be promised, and why. */
struct grammar *json_schema_grammar(json_t *schema, struct err *err);

/* Calls of tools, as the text of a model at home:
 *
 *   OPEN
 *   {"name": NAME, "arguments": {...}}
 *   CLOSE */
struct json_calls {
	json_t *tools;     /* [{"function": {"name", "parameters", "strict"}}] */
	const char *only;  /* the one that is to be called; NULL: any */
	bool one;          /* one call; else one or more */
	json_t *or_schema; /* no call but a value of this is an answer, too; NULL: it is none */
	const char *open, *close;
};
/* Arguments are held to the parameters of their function, but for those of a schema that cannot be
 * promised: they are any object, unless the function is `strict`. */
struct grammar *json_calls_grammar(const struct json_calls *c, struct err *err);

#endif
