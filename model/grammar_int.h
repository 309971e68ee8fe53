/* Inside a grammar, for those that make one (grammar_make.c) and the one that reads bytes (grammar.c). */
#ifndef MODEL_GRAMMAR_INT_H
#define MODEL_GRAMMAR_INT_H

#include "base/buf.h"
#include "base/err.h"
#include "model/grammar.h"

#include <stdatomic.h>

#define GRAMMAR_NONE      UINT16_MAX /* no node */
#define GRAMMAR_MANY      UINT32_MAX /* no bound */
#define GRAMMAR_HOPELESS  UINT16_MAX /* need of a node that has no finite text */
#define GRAMMAR_NODES     16384
#define GRAMMAR_PIECES    32768
#define GRAMMAR_TEXT      (256u << 10) /* bytes of all texts */
#define GRAMMAR_PIECE     4096         /* bytes of one text */
#define GRAMMAR_MAX_CALLS 16           /* that one answer makes */

enum grammar_kind {
	GRAMMAR_ROOT,     /* blanks, then the value of node `child` */
	GRAMMAR_ANY_OF,   /* one of the pieces' nodes */
	GRAMMAR_LITERALS, /* one of the pieces' texts, which are sorted */
	GRAMMAR_STRING,   /* of min to max characters */
	GRAMMAR_NUMBER,
	GRAMMAR_ARRAY,   /* the pieces' nodes, then any number of `child`; min to max items */
	GRAMMAR_OBJECT,  /* the pieces' members in their order, then any others, of node `child` */
	GRAMMAR_TAGGED,  /* one of the pieces' texts, then the piece's node */
	GRAMMAR_SEQUENCE /* the pieces, texts or nodes, from the second to the last; then, where it
			    may repeat (max > 1), from the first */
};

/* What a piece is depends on the kind of its node. */
struct grammar_piece {
	uint32_t text;
	uint16_t len;
	uint16_t node;
	uint16_t
		last; /* of a member: the first one from here on that must be there, else the number of them */
	bool required;
};

/* What the digits of a number without its sign may say. */
struct grammar_span {
	bool none;      /* there is no number of this sign */
	uint32_t low;   /* at least, */
	bool above;     /* and not just that */
	uint32_t high;  /* at most; GRAMMAR_MANY: no bound but its digits */
	bool below;     /* with any fraction, up to a bound that is itself out */
	uint8_t digits; /* before the point, at most */
};

struct grammar_node {
	uint8_t kind;
	bool whole;   /* a number without point and exponent */
	bool bounded; /* a number without exponent, in its spans */
	bool guessed; /* what it was made of has no type: values of other types are valid, too */
	uint16_t child, n;
	uint16_t need; /* frames until its end, at least */
	uint32_t first;
	uint32_t min, max;
	struct grammar_span span[2]; /* of positive numbers, of negative ones */
};

struct grammar {
	atomic_uint refs;
	struct grammar_node *nodes;
	struct grammar_piece *pieces;
	struct buf texts;
	uint32_t n_nodes, n_pieces, room_nodes, room_pieces;
};

static inline const uint8_t *
grammar_text(const struct grammar *g, const struct grammar_piece *p)
{
	return g->texts.data + p->text;
}

/* --- grammar_make.c: node 0 is the root. Each gives -1 or GRAMMAR_NONE where a bound is reached. ------ */

struct grammar *grammar_new(struct err *err);
uint16_t grammar_add_node(struct grammar *g, enum grammar_kind kind, struct err *err);
/* Behind the pieces that there are: those of one node are added one after the other. text may be NULL. */
int grammar_add_piece(struct grammar *g, uint16_t node, const char *text, size_t len,
	uint16_t value, bool required, struct err *err);
/* When all nodes are there. -1: there is no text that it would let pass, or there are too many ways. */
int grammar_finish(struct grammar *g, struct err *err);

/* --- grammar_letters.c: strings and numbers ---------------------------------------------------------- */

#define GRAMMAR_DIGITS 18 /* before the point: a reader may keep them in 64 bits */
#define GRAMMAR_APART  15 /* significant digits: doubles tell all numbers of so many apart */
#define LETTER_WHOLE   0  /* between two characters of a string */
/* The state within a character of a string behind one more byte of it, -1: it may not come. The quotes
 * around a string are not its own. */
int grammar_letter(uint8_t state, uint8_t c);

/* Of a number, in frame f. */
bool grammar_digit(const struct grammar_node *n, struct grammar_frame *f, uint8_t c);
bool grammar_number_ends(const struct grammar_node *n, const struct grammar_frame *f);

#endif
