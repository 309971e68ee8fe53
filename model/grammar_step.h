/* A byte, and where in a value it is read. */
#ifndef MODEL_GRAMMAR_STEP_H
#define MODEL_GRAMMAR_STEP_H

#include "model/grammar_int.h"

#define UNLIKE UINT16_MAX /* pos of a name that is not like any of the members' */

enum verdict {
	DEAD,
	TAKEN,
	LEFT,   /* taken, and the value has ended */
	PASSED, /* not taken: the value has ended before, and the byte is for the one around it */
	INTO    /* it begins a value within */
};

enum object_state {
	OBJECT_BEGIN,
	OBJECT_FIRST,
	OBJECT_NAME, /* of a member of the schema: `at`, as far as `pos` */
	OBJECT_COLON,
	OBJECT_VALUE,
	OBJECT_OTHER, /* the name of another member; at and pos: which of the schema's it is like */
	OBJECT_OTHER_COLON,
	OBJECT_OTHER_VALUE,
	OBJECT_BEHIND,
	OBJECT_NEXT
};

enum array_state { ARRAY_BEGIN, ARRAY_FIRST, ARRAY_BEHIND, ARRAY_NEXT };
enum string_state { STRING_BEGIN, STRING_IN };
enum tagged_state { TAGGED_TEXT, TAGGED_VALUE, TAGGED_BEHIND };
enum root_state { ROOT_BEGIN, ROOT_BEHIND };

/* What a byte is read with. */
struct step {
	const struct grammar *g;
	struct grammar_thread *t;
	struct grammar_frame *f; /* the top of t */
	const struct grammar_node *n;
	uint8_t c;
	uint16_t into;
	struct grammar_state *to;
};

/* A value of this node has room on the stack. */
static inline bool
fits(const struct step *s, uint16_t node)
{
	return node != GRAMMAR_NONE && s->t->n + s->g->nodes[node].need <= GRAMMAR_DEPTH;
}

static inline const struct grammar_piece *
piece(const struct step *s, uint32_t i)
{
	return &s->g->pieces[s->n->first + i];
}

/* grammar.c */
void grammar_copy_thread(struct grammar_thread *to, const struct grammar_thread *from);
void grammar_add_thread(struct grammar_state *to, const struct grammar_thread *t);

/* grammar_values.c */
enum verdict step_literal(struct step *s);
enum verdict step_string(struct step *s);
enum verdict step_number(struct step *s);
enum verdict step_array(struct step *s);
/* One space, or a new line and what indents it. */
bool step_blank(struct step *s);
enum verdict step_begin(struct step *s, uint8_t c, uint8_t state);
/* The first piece from `at` to the one before `end` that goes on with the byte, where `at` is one that
 * goes as far as `pos`. members: only those that there is room for. */
bool step_match(const struct step *s, uint32_t end, bool members);

/* grammar_object.c */
enum verdict step_object(struct step *s);

/* grammar_around.c */
enum verdict step_tagged(struct step *s);
enum verdict step_sequence(struct step *s);
enum verdict step_root(struct step *s);

#endif
