/* What the files of json_schema share. */
#ifndef MODEL_JSON_SCHEMA_INT_H
#define MODEL_JSON_SCHEMA_INT_H

#include "model/grammar_int.h"
#include "model/json_schema.h"

/* Types that a value can be of. */
enum schema_type {
	SCHEMA_OBJECT = 1,
	SCHEMA_ARRAY = 2,
	SCHEMA_STRING = 4,
	SCHEMA_NUMBER = 8,
	SCHEMA_INTEGER = 16,
	SCHEMA_BOOLEAN = 32,
	SCHEMA_NULL = 64,
	SCHEMA_ANY = 127
};

/* Where in the schema something stands: for messages. */
struct place {
	const struct place *up; /* NULL: the schema itself */
	const char *word;       /* NULL: the next is of a list */
	size_t number;
	unsigned depth;
};

struct late; /* what is done when all is known */

struct maker {
	struct grammar *g;
	json_t *root; /* that `$ref` is in */
	struct late *late;
	uint32_t n_late, room_late;
	uint32_t compared; /* texts of alternatives with one another */
	uint16_t any;      /* the node of any value */
	struct err *err;
};

struct place place_in(const struct place *up, const char *word);
struct place place_at(const struct place *up, size_t number);
/* -1, with the words and where that is. */
int place_refuse(const struct place *at, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* json_schema.c: from a schema to a node, GRAMMAR_NONE: refused. */
uint16_t make_schema(struct maker *m, json_t *schema, const struct place *at);
uint16_t make_any(struct maker *m);
int maker_init(struct maker *m, struct err *err);
void maker_free(struct maker *m);
/* What was referred to, and what must not overlap. Only then may the grammar be finished. */
int maker_resolve(struct maker *m);
int maker_check(struct maker *m);

/* json_schema_late.c */
uint16_t make_reference(struct maker *m, json_t *ref, const struct place *at);
int late_exclusive(struct maker *m, const uint16_t *ways, size_t n, const struct place *at);

/* json_schema_words.c */
/* The types that a schema's values can be of; 0: refused. */
unsigned schema_types(json_t *schema, const struct place *at, struct err *err);
/* That no keyword says more about values of these types than is known here. */
int schema_check(json_t *schema, unsigned types, const struct place *at, struct err *err);
/* That none says anything beside the keyword `beside`, but what is in `but` (NULL at its end). */
int schema_alone(json_t *schema, const char *beside, const char *const *but, const struct place *at,
	struct err *err);
/* A whole number that is not negative; absent: `otherwise`. */
int schema_count(json_t *schema, const char *name, uint32_t otherwise, uint32_t *out,
	const struct place *at, struct err *err);

/* json_schema_literal.c: to be freed; NULL: no memory. */
char *literal_text(json_t *v);

/* json_schema_values.c: nodes of one type each. */
uint16_t make_literals(struct maker *m, json_t *values, unsigned types, const struct place *at);
uint16_t make_words(struct maker *m, unsigned types); /* true, false, null */
uint16_t make_string(struct maker *m, json_t *schema, const struct place *at);
uint16_t make_number(struct maker *m, json_t *schema, bool whole, const struct place *at);
uint16_t make_array(struct maker *m, json_t *schema, const struct place *at);
/* json_schema_object.c */
uint16_t make_object(struct maker *m, json_t *schema, const struct place *at);
uint16_t make_calls(struct maker *m, const struct json_calls *c);

#endif
