/* The making of a grammar: nodes and pieces within bounds, and what has to be known of them all. */
#include "model/grammar_int.h"

#include <stdlib.h>

/* --- life ----------------------------------------------------------------------------------------- */

struct grammar *
grammar_new(struct err *err)
{
	struct grammar *g = calloc(1, sizeof *g);

	if (g == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	atomic_init(&g->refs, 1);
	buf_init(&g->texts, GRAMMAR_TEXT);
	return g;
}

struct grammar *
grammar_ref(struct grammar *g)
{
	if (g != NULL)
		atomic_fetch_add(&g->refs, 1);
	return g;
}

void
grammar_unref(struct grammar *g)
{
	if (g == NULL || atomic_fetch_sub(&g->refs, 1) > 1)
		return;
	free(g->nodes);
	free(g->pieces);
	buf_free(&g->texts);
	free(g);
}

/* --- parts ---------------------------------------------------------------------------------------- */

/* Room for one more of n; false: there is no memory. */
static bool
grow(void **list, uint32_t n, uint32_t *room, size_t size)
{
	uint32_t more = *room == 0 ? 16 : *room * 2;
	void *p;

	if (n < *room)
		return true;
	p = realloc(*list, more * size);
	if (p == NULL)
		return false;
	*list = p;
	*room = more;
	return true;
}

uint16_t
grammar_add_node(struct grammar *g, enum grammar_kind kind, struct err *err)
{
	void *nodes = g->nodes;

	if (g->n_nodes == GRAMMAR_NODES) {
		err_set(err, "it says more than %d things about values", GRAMMAR_NODES);
		return GRAMMAR_NONE;
	}
	if (!grow(&nodes, g->n_nodes, &g->room_nodes, sizeof *g->nodes)) {
		err_set(err, "out of memory");
		return GRAMMAR_NONE;
	}
	g->nodes = nodes;
	g->nodes[g->n_nodes] = (struct grammar_node){.kind = (uint8_t)kind,
		.child = GRAMMAR_NONE,
		.need = GRAMMAR_HOPELESS,
		.max = GRAMMAR_MANY};
	return (uint16_t)g->n_nodes++;
}

int
grammar_add_piece(struct grammar *g, uint16_t node, const char *text, size_t len, uint16_t value,
	bool required, struct err *err)
{
	struct grammar_node *n = &g->nodes[node];
	void *pieces = g->pieces;

	if (len > GRAMMAR_PIECE || g->n_pieces == GRAMMAR_PIECES)
		return err_set(err, "it has a text of more than %d bytes, or more than %d texts",
			GRAMMAR_PIECE, GRAMMAR_PIECES);
	if (!grow(&pieces, g->n_pieces, &g->room_pieces, sizeof *g->pieces))
		return err_set(err, "out of memory");
	g->pieces = pieces;
	if (n->n == 0)
		n->first = g->n_pieces;
	g->pieces[g->n_pieces++] = (struct grammar_piece){.text = (uint32_t)g->texts.len,
		.len = (uint16_t)len,
		.node = value,
		.required = required};
	n->n++;
	if (len > 0 && buf_append(&g->texts, text, len) != 0)
		return err_set(err, "its texts have more than %u bytes", GRAMMAR_TEXT);
	return 0;
}

/* --- alternatives of alternatives ------------------------------------------------------------------ */

#define MOST_SEEN (4 * GRAMMAR_THREADS) /* alternatives that are others, of one value */

struct flat {
	uint16_t seen[MOST_SEEN], ways[GRAMMAR_THREADS];
	uint32_t n_seen, n_ways;
};

static bool
note(uint16_t *list, uint32_t *n, uint32_t most, uint16_t id)
{
	for (uint32_t i = 0; i < *n; i++)
		if (list[i] == id)
			return true;
	if (*n == most)
		return false;
	list[(*n)++] = id;
	return true;
}

/* seen is a list of alternatives to look into, which grows as they are found. */
static int
flatten(const struct grammar *g, uint16_t id, struct flat *flat, struct err *err)
{
	*flat = (struct flat){.seen = {id}, .n_seen = 1};
	for (uint32_t i = 0; i < flat->n_seen; i++) {
		const struct grammar_node *n = &g->nodes[flat->seen[i]];

		for (uint32_t k = 0; k < n->n; k++) {
			uint16_t way = g->pieces[n->first + k].node;
			bool deeper = g->nodes[way].kind == GRAMMAR_ANY_OF;

			if (deeper ? !note(flat->seen, &flat->n_seen, MOST_SEEN, way)
				   : !note(flat->ways, &flat->n_ways, GRAMMAR_THREADS, way))
				return err_set(err, "a value has more than %d alternatives",
					GRAMMAR_THREADS);
		}
	}
	return 0;
}

/* From now on alternatives are values, and none is an alternative of others. */
static int
flatten_all(struct grammar *g, struct err *err)
{
	struct flat flat;

	for (uint32_t id = 0, n_nodes = g->n_nodes; id < n_nodes; id++) {
		if (g->nodes[id].kind != GRAMMAR_ANY_OF)
			continue;
		if (flatten(g, (uint16_t)id, &flat, err) != 0)
			return -1;
		g->nodes[id].n = 0;
		for (uint32_t k = 0; k < flat.n_ways; k++)
			if (grammar_add_piece(g, (uint16_t)id, NULL, 0, flat.ways[k], true, err) !=
				0)
				return -1;
	}
	return 0;
}

/* --- how deep at least ---------------------------------------------------------------------------- */

static uint16_t
need_of(const struct grammar *g, uint16_t id)
{
	return id == GRAMMAR_NONE ? GRAMMAR_HOPELESS : g->nodes[id].need;
}

static uint16_t
least_piece(const struct grammar *g, const struct grammar_node *n)
{
	uint16_t least = GRAMMAR_HOPELESS;

	for (uint32_t i = 0; i < n->n; i++) {
		uint16_t need = need_of(g, g->pieces[n->first + i].node);

		least = need < least ? need : least;
	}
	return least;
}

/* Of the first `count` pieces, those that must be there. */
static uint16_t
most_pieces(const struct grammar *g, const struct grammar_node *n, uint32_t count)
{
	uint16_t most = 0;

	for (uint32_t i = 0; i < n->n && i < count; i++) {
		const struct grammar_piece *p = &g->pieces[n->first + i];
		bool text = n->kind == GRAMMAR_SEQUENCE && p->node == GRAMMAR_NONE;
		uint16_t need = p->required && !text ? need_of(g, p->node) : 0;

		most = need > most ? need : most;
	}
	return most;
}

/* Below the frame of the node itself. */
static uint16_t
need_below(const struct grammar *g, const struct grammar_node *n)
{
	uint16_t most;

	switch (n->kind) {
	case GRAMMAR_ROOT:
		return need_of(g, n->child);
	case GRAMMAR_LITERALS:
		return n->n > 0 ? 0 : GRAMMAR_HOPELESS;
	case GRAMMAR_STRING:
		return n->min <= n->max ? 0 : GRAMMAR_HOPELESS;
	case GRAMMAR_NUMBER:
		return n->bounded && n->span[0].none && n->span[1].none ? GRAMMAR_HOPELESS : 0;
	case GRAMMAR_TAGGED:
		return least_piece(g, n);
	case GRAMMAR_ARRAY:
		if (n->min > n->max)
			return GRAMMAR_HOPELESS;
		most = most_pieces(g, n, n->min);
		return n->min > n->n && need_of(g, n->child) > most ? need_of(g, n->child) : most;
	}
	return most_pieces(g, n, n->n);
}

/* Grows from nothing, until nothing new is known: what refers only to itself stays hopeless, and so does
 * what no stack has room for. */
static void
find_needs(struct grammar *g)
{
	bool more = true;

	for (unsigned depth = 0; more && depth <= GRAMMAR_DEPTH; depth++) {
		more = false;
		for (uint32_t i = g->n_nodes; i-- > 0;) {
			struct grammar_node *n = &g->nodes[i];
			uint16_t need =
				n->kind == GRAMMAR_ANY_OF ? least_piece(g, n) : need_below(g, n);

			if (n->kind != GRAMMAR_ANY_OF && need != GRAMMAR_HOPELESS)
				need++;
			if (need < n->need) {
				n->need = need;
				more = true;
			}
		}
	}
}

/* --- members that must be there -------------------------------------------------------------------- */

static void
find_last_members(struct grammar *g)
{
	for (uint32_t id = 0; id < g->n_nodes; id++) {
		struct grammar_node *n = &g->nodes[id];

		for (uint32_t i = n->n, last = n->n; i-- > 0;) {
			struct grammar_piece *p = &g->pieces[n->first + i];

			last = p->required ? i : last;
			p->last = (uint16_t)last;
		}
	}
}

int
grammar_finish(struct grammar *g, struct err *err)
{
	if (flatten_all(g, err) != 0)
		return -1;
	find_needs(g);
	find_last_members(g);
	if (g->nodes[0].need > GRAMMAR_DEPTH)
		return err_set(err,
			"there is no value that it allows, or none that is nested less "
			"than %d levels deep",
			GRAMMAR_DEPTH);
	return 0;
}
