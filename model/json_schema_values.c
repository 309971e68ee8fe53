/* Values of one type each: literals, strings, numbers, arrays. */
#include "model/json_schema_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- literals ------------------------------------------------------------------------------------- */

static unsigned
type_of_value(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return SCHEMA_OBJECT;
	case JSON_ARRAY:
		return SCHEMA_ARRAY;
	case JSON_STRING:
		return SCHEMA_STRING;
	case JSON_INTEGER:
		return SCHEMA_INTEGER | SCHEMA_NUMBER;
	case JSON_REAL:
		return json_real_value(v) == floor(json_real_value(v))
			       ? SCHEMA_INTEGER | SCHEMA_NUMBER
			       : SCHEMA_NUMBER;
	case JSON_TRUE:
	case JSON_FALSE:
		return SCHEMA_BOOLEAN;
	case JSON_NULL:
		return SCHEMA_NULL;
	}
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes the texts, sorted or not: some may be equal. */
static int
add_literals(struct maker *m, uint16_t node, char **texts, size_t n)
{
	int rc = 0;

	qsort(texts, n, sizeof *texts, compare);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (i == 0 || strcmp(texts[i - 1], texts[i]) != 0)
			rc = grammar_add_piece(
				m->g, node, texts[i], strlen(texts[i]), GRAMMAR_NONE, true, m->err);
	return rc;
}

uint16_t
make_literals(struct maker *m, json_t *values, unsigned types, const struct place *at)
{
	uint16_t node = grammar_add_node(m->g, GRAMMAR_LITERALS, m->err);
	size_t n = 0, i;
	char **texts;
	json_t *v;
	int rc = 0;

	if (json_array_size(values) > JSON_SCHEMA_WIDTH) {
		place_refuse(at, m->err, "'enum' has more than %d values", JSON_SCHEMA_WIDTH);
		return GRAMMAR_NONE;
	}
	texts = calloc(json_array_size(values) + 1, sizeof *texts);
	json_array_foreach(values, i, v)
	{
		if (texts == NULL || (type_of_value(v) & types) == 0)
			continue; /* it is never valid */
		texts[n] = literal_text(v);
		if (texts[n] == NULL)
			rc = err_set(m->err, "out of memory");
		else
			n++;
	}
	if (texts == NULL)
		rc = err_set(m->err, "out of memory");
	if (node != GRAMMAR_NONE && rc == 0)
		rc = add_literals(m, node, texts, n);
	while (n > 0)
		free(texts[--n]);
	free(texts);
	return rc == 0 ? node : GRAMMAR_NONE;
}

uint16_t
make_words(struct maker *m, unsigned types)
{
	static const char *const words[] = {"false", "null", "true"};
	uint16_t node = grammar_add_node(m->g, GRAMMAR_LITERALS, m->err);

	for (size_t i = 0; node != GRAMMAR_NONE && i < 3; i++)
		if ((types & (i == 1 ? SCHEMA_NULL : SCHEMA_BOOLEAN)) != 0 &&
			grammar_add_piece(m->g, node, words[i], strlen(words[i]), GRAMMAR_NONE,
				true, m->err) != 0)
			return GRAMMAR_NONE;
	return node;
}

/* --- strings -------------------------------------------------------------------------------------- */

uint16_t
make_string(struct maker *m, json_t *schema, const struct place *at)
{
	uint16_t node = grammar_add_node(m->g, GRAMMAR_STRING, m->err);
	struct grammar_node *n;

	if (node == GRAMMAR_NONE)
		return GRAMMAR_NONE;
	n = &m->g->nodes[node];
	return schema_count(schema, "minLength", 0, &n->min, at, m->err) == 0 &&
			       schema_count(
				       schema, "maxLength", GRAMMAR_MANY, &n->max, at, m->err) == 0
		       ? node
		       : GRAMMAR_NONE;
}

/* --- numbers -------------------------------------------------------------------------------------- */

#define MOST_BOUND 1e9 /* that is kept to exactly */

struct bounds {
	double low, high;
	bool above, below; /* they themselves are out */
};

/* minimum and exclusiveMinimum, or those of the maximum with sign -1: the stricter one. */
static int
read_bound(json_t *schema, const char *name, const char *exclusive, double sign, double *bound,
	bool *out, const struct place *at, struct err *err)
{
	json_t *v = json_object_get(schema, name), *x = json_object_get(schema, exclusive);

	*bound = -INFINITY;
	*out = json_is_true(x); /* as schemas of before 2016 say it */
	if ((v != NULL && !json_is_number(v)) ||
		(x != NULL && !json_is_number(x) && !json_is_boolean(x)))
		return place_refuse(
			at, err, "'%s' must be a number", json_is_number(v) ? exclusive : name);
	if (v != NULL)
		*bound = sign * json_number_value(v);
	if (json_is_number(x) && sign * json_number_value(x) >= *bound) {
		*bound = sign * json_number_value(x);
		*out = true;
	}
	return 0;
}

/* The whole numbers between bounds have bounds of their own. */
static void
make_whole(struct bounds *b)
{
	double low = ceil(b->low), high = floor(b->high);

	b->low = b->above && low == b->low ? low + 1 : low;
	b->high = b->below && high == b->high ? high - 1 : high;
	b->above = b->below = false;
}

/* What only a number of digits keeps below: all numbers of so many are. A bound of more of them than doubles
 * tell apart may have been said as a little less, and numbers that are a little less be read as it. */
static void
set_digits(struct grammar_span *s, const struct bounds *b)
{
	while (s->digits > 1 &&
		(pow(10, s->digits) > b->high ||
			(pow(10, s->digits) == b->high && s->digits > GRAMMAR_APART)))
		s->digits--;
	s->below = b->below && pow(10, s->digits) == b->high;
}

/* Numbers of one sign, by what they are without it. false: beyond what can be kept to. */
static bool
set_span(struct grammar_span *s, struct bounds b, bool whole, bool negative)
{
	*s = (struct grammar_span){
		.none = b.high < 0 || (b.high == 0 && (b.below || negative)) || b.low > b.high,
		.high = GRAMMAR_MANY,
		.digits = GRAMMAR_DIGITS};
	if (b.low < 0) {
		b.low = 0;
		b.above = false;
	}
	if (negative && whole && b.low < 1)
		b.low = 1; /* no -0 */
	if (s->none)
		return true;
	if (b.low > MOST_BOUND || b.low != floor(b.low) ||
		(b.high <= MOST_BOUND && b.high != floor(b.high)))
		return false;
	s->low = (uint32_t)b.low;
	s->above = b.above;
	if (b.high > MOST_BOUND) {
		set_digits(s, &b);
		return b.low < pow(10, s->digits); /* 1e9 to 2e9: there would be none */
	}
	s->below = b.below;
	s->high = (uint32_t)(b.below ? b.high - 1 : b.high);
	s->none = s->low > s->high || (s->low == s->high && s->above && !s->below);
	return true;
}

static int
set_bounds(struct grammar_node *n, json_t *schema, const struct place *at, struct err *err)
{
	struct bounds b, minus;

	if (read_bound(schema, "minimum", "exclusiveMinimum", 1, &b.low, &b.above, at, err) != 0 ||
		read_bound(schema, "maximum", "exclusiveMaximum", -1, &b.high, &b.below, at, err) !=
			0)
		return -1;
	b.high = -b.high;
	n->bounded = isfinite(b.low) || isfinite(b.high);
	if (n->whole)
		make_whole(&b);
	minus = (struct bounds){-b.high, -b.low, b.below, b.above};
	if (set_span(&n->span[0], b, n->whole, false) &&
		set_span(&n->span[1], minus, n->whole, true))
		return 0;
	return place_refuse(at, err,
		isfinite(b.low)
			? "'minimum' is not supported where it is no whole number, or beyond 1e9"
			: "'maximum' is not supported where it is no whole number, or beyond -1e9");
}

uint16_t
make_number(struct maker *m, json_t *schema, bool whole, const struct place *at)
{
	uint16_t node = grammar_add_node(m->g, GRAMMAR_NUMBER, m->err);

	if (node == GRAMMAR_NONE)
		return GRAMMAR_NONE;
	m->g->nodes[node].whole = whole;
	return set_bounds(&m->g->nodes[node], schema, at, m->err) == 0 ? node : GRAMMAR_NONE;
}

/* --- arrays --------------------------------------------------------------------------------------- */

/* The first items, each of its own schema. */
static int
make_prefix(
	struct maker *m, json_t *list, const char *word, uint16_t *nodes, const struct place *at)
{
	struct place in = place_in(at, word), each;
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		each = place_at(&in, i);
		nodes[i] = make_schema(m, item, &each);
		if (nodes[i] == GRAMMAR_NONE)
			return -1;
	}
	return 0;
}

static int
set_items(struct maker *m, uint16_t node, json_t *prefix, json_t *items, const char *word,
	const struct place *at)
{
	size_t n = json_array_size(prefix);
	uint16_t *nodes = calloc(n + 1, sizeof *nodes), rest;
	struct place in = place_in(at, "items");
	int rc = nodes != NULL ? 0 : err_set(m->err, "out of memory");

	if (rc == 0)
		rc = make_prefix(m, prefix, word, nodes, at);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = grammar_add_piece(m->g, node, NULL, 0, nodes[i], true, m->err);
	free(nodes);
	if (rc != 0)
		return -1;
	rest = items != NULL ? make_schema(m, items, &in) : make_any(m);
	m->g->nodes[node].child = rest;
	return rest != GRAMMAR_NONE ? 0 : -1;
}

uint16_t
make_array(struct maker *m, json_t *schema, const struct place *at)
{
	json_t *prefix = json_object_get(schema, "prefixItems"),
	       *items = json_object_get(schema, "items");
	bool old = json_is_array(items); /* as schemas of before 2020 say it */
	uint16_t node;

	if ((prefix != NULL && !json_is_array(prefix)) || (prefix != NULL && old) ||
		json_array_size(old ? items : prefix) > JSON_SCHEMA_WIDTH) {
		place_refuse(at, m->err, "'prefixItems' must be a list of at most %d schemas",
			JSON_SCHEMA_WIDTH);
		return GRAMMAR_NONE;
	}
	node = grammar_add_node(m->g, GRAMMAR_ARRAY, m->err);
	if (node == GRAMMAR_NONE ||
		schema_count(schema, "minItems", 0, &m->g->nodes[node].min, at, m->err) != 0 ||
		schema_count(schema, "maxItems", GRAMMAR_MANY, &m->g->nodes[node].max, at,
			m->err) != 0 ||
		set_items(m, node, old ? items : prefix, old ? NULL : items,
			old ? "items" : "prefixItems", at) != 0)
		return GRAMMAR_NONE;
	return node;
}
