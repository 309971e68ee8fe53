/* What can only be done when the rest is known: schemas that others refer to, as often as they like and
 * within themselves, are made once; and that alternatives of `oneOf` exclude each other is looked at when
 * all of them are values. */
#include "model/json_schema_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LATE     2048       /* schemas that are referred to, and `oneOf`s */
#define MOST_COMPARED (4u << 20) /* texts, to see whether alternatives exclude each other */

struct late {
	json_t *schema; /* that is referred to, NULL: there is none; */
	json_t *root;   /* in which it is, */
	uint16_t node;  /* and what it becomes an alternative of */
	uint32_t n;     /* alternatives that must exclude each other */
	uint16_t ways[GRAMMAR_THREADS];
	char where[200];
};

/* NULL: there is no room. */
static struct late *
add_late(struct maker *m)
{
	uint32_t room = m->room_late == 0 ? 16 : m->room_late * 2;
	struct late *more;

	if (m->n_late == MOST_LATE) {
		err_set(m->err, "more than %d of its schemas are referred to, or have 'oneOf'",
			MOST_LATE);
		return NULL;
	}
	if (m->n_late == m->room_late) {
		more = realloc(m->late, room * sizeof *more);
		if (more == NULL) {
			err_set(m->err, "out of memory");
			return NULL;
		}
		m->late = more;
		m->room_late = room;
	}
	return &m->late[m->n_late++];
}

/* --- references ----------------------------------------------------------------------------------- */

/* A word of a JSON pointer (RFC 6901), as it is meant. */
static bool
unescape(const char *s, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '~') {
			if (i + 1 == len || (s[i + 1] != '0' && s[i + 1] != '1'))
				return false;
			c = s[++i] == '0' ? '~' : '/';
		}
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

/* Borrowed; NULL: there is none. */
static json_t *
follow(json_t *root, const char *pointer)
{
	char word[256];
	json_t *v = root;

	if (*pointer++ != '#')
		return NULL;
	while (v != NULL && *pointer == '/') {
		size_t len = strcspn(++pointer, "/");

		if (!unescape(pointer, len, word, sizeof word))
			return NULL;
		v = json_is_array(v) ? json_array_get(v, strtoul(word, NULL, 10))
				     : json_object_get(v, word);
		pointer += len;
	}
	return *pointer == '\0' ? v : NULL;
}

uint16_t
make_reference(struct maker *m, json_t *ref, const struct place *at)
{
	json_t *schema = json_is_string(ref) ? follow(m->root, json_string_value(ref)) : NULL;
	struct late *l;
	uint16_t node;

	if (schema == NULL) {
		place_refuse(at, m->err,
			"'$ref' must be the place of a schema in this one, as "
			"'#/$defs/NAME'");
		return GRAMMAR_NONE;
	}
	for (uint32_t i = 0; i < m->n_late; i++)
		if (m->late[i].schema == schema)
			return m->late[i].node;
	node = grammar_add_node(m->g, GRAMMAR_ANY_OF, m->err);
	l = node != GRAMMAR_NONE ? add_late(m) : NULL;
	if (l == NULL)
		return GRAMMAR_NONE;
	*l = (struct late){.schema = schema, .root = m->root, .node = node};
	snprintf(l->where, sizeof l->where, "%.190s", json_string_value(ref));
	return node;
}

int
maker_resolve(struct maker *m)
{
	for (uint32_t i = 0; i < m->n_late; i++) { /* more may be added meanwhile */
		struct place at = {0}, in;
		char where[sizeof m->late[i].where];
		uint16_t made, node = m->late[i].node;

		if (m->late[i].schema == NULL)
			continue;
		memcpy(where, m->late[i].where, sizeof where);
		in = place_in(&at, where);
		m->root = m->late[i].root;
		made = make_schema(m, m->late[i].schema, &in);
		if (made == GRAMMAR_NONE ||
			grammar_add_piece(m->g, node, NULL, 0, made, true, m->err) != 0)
			return -1;
	}
	return 0;
}

/* --- alternatives that exclude each other ----------------------------------------------------------- */

int
late_exclusive(struct maker *m, const uint16_t *ways, size_t n, const struct place *at)
{
	struct late *l = add_late(m);
	struct err where = {""};

	if (l == NULL)
		return -1;
	*l = (struct late){.n = (uint32_t)n};
	memcpy(l->ways, ways, n * sizeof *ways);
	place_refuse(at, &where, "oneOf");
	snprintf(l->where, sizeof l->where, "%.190s", where.msg);
	return 0;
}

static const struct grammar_piece *
piece(const struct maker *m, const struct grammar_node *n, uint32_t i)
{
	return &m->g->pieces[n->first + i];
}

static bool
same_text(struct maker *m, const struct grammar_piece *a, const struct grammar_piece *b)
{
	m->compared++;
	return a->len == b->len &&
	       memcmp(grammar_text(m->g, a), grammar_text(m->g, b), a->len) == 0;
}

static bool
no_common_text(struct maker *m, const struct grammar_node *a, const struct grammar_node *b)
{
	for (uint32_t i = 0; i < a->n && m->compared < MOST_COMPARED; i++)
		for (uint32_t k = 0; k < b->n; k++)
			if (same_text(m, piece(m, a, i), piece(m, b, k)))
				return false;
	return m->compared < MOST_COMPARED;
}

/* A value that is one of some literals; NULL: it is not. */
static const struct grammar_node *
literals(const struct maker *m, uint16_t id)
{
	const struct grammar_node *n = &m->g->nodes[id];

	if (n->kind == GRAMMAR_ANY_OF && n->n == 1)
		n = &m->g->nodes[piece(m, n, 0)->node];
	return n->kind == GRAMMAR_LITERALS ? n : NULL;
}

/* Whether a member that both must have is one that tells them apart. */
static bool
tells_apart(struct maker *m, const struct grammar_piece *p, const struct grammar_piece *q)
{
	const struct grammar_node *one = literals(m, p->node), *other = literals(m, q->node);

	m->compared++;
	return one != NULL && other != NULL && p->required && q->required && same_text(m, p, q) &&
	       no_common_text(m, one, other);
}

static bool
told_apart(struct maker *m, const struct grammar_node *a, const struct grammar_node *b)
{
	for (uint32_t i = 0; i < a->n && m->compared < MOST_COMPARED; i++)
		for (uint32_t k = 0; k < b->n; k++)
			if (tells_apart(m, piece(m, a, i), piece(m, b, k)))
				return true;
	return false;
}

/* By the first byte. */
static bool
begins_as(const struct maker *m, const struct grammar_node *literals, enum grammar_kind kind)
{
	for (uint32_t i = 0; i < literals->n; i++) {
		uint8_t c = *grammar_text(m->g, piece(m, literals, i));
		enum grammar_kind of = c == '"'   ? GRAMMAR_STRING
				       : c == '{' ? GRAMMAR_OBJECT
				       : c == '[' ? GRAMMAR_ARRAY
						  : GRAMMAR_NUMBER;

		if (of == kind && c != 't' && c != 'f' && c != 'n')
			return true;
	}
	return false;
}

static bool
exclude(struct maker *m, const struct grammar_node *a, const struct grammar_node *b)
{
	if (a->guessed || b->guessed)
		return false;
	if (a->kind == GRAMMAR_LITERALS && b->kind == GRAMMAR_LITERALS)
		return no_common_text(m, a, b);
	if (a->kind == GRAMMAR_LITERALS)
		return !begins_as(m, a, b->kind);
	if (b->kind == GRAMMAR_LITERALS)
		return !begins_as(m, b, a->kind);
	if (a->kind != b->kind)
		return true;
	return a->kind == GRAMMAR_OBJECT && told_apart(m, a, b);
}

/* Number i of the values that an alternative is one of; GRAMMAR_NONE: there are no more. */
static uint16_t
value_of(const struct maker *m, uint16_t way, uint32_t i)
{
	const struct grammar_node *n = &m->g->nodes[way];

	if (n->kind != GRAMMAR_ANY_OF)
		return i == 0 ? way : GRAMMAR_NONE;
	return i < n->n ? piece(m, n, i)->node : GRAMMAR_NONE;
}

static bool
ways_exclude(struct maker *m, uint16_t one, uint16_t other)
{
	uint16_t a, b;

	for (uint32_t i = 0; (a = value_of(m, one, i)) != GRAMMAR_NONE; i++)
		for (uint32_t k = 0; (b = value_of(m, other, k)) != GRAMMAR_NONE; k++)
			if (a == b || !exclude(m, &m->g->nodes[a], &m->g->nodes[b]))
				return false;
	return true;
}

int
maker_check(struct maker *m)
{
	for (uint32_t i = 0; i < m->n_late; i++) {
		const struct late *l = &m->late[i];

		for (uint32_t a = 0; a < l->n; a++)
			for (uint32_t b = a + 1; b < l->n; b++)
				if (!ways_exclude(m, l->ways[a], l->ways[b]))
					return err_set(m->err,
						"%s: values may be of two of its alternatives, "
						"and must not, or they are too many: use 'anyOf'",
						l->where);
	}
	return 0;
}
