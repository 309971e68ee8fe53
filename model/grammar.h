/* What a text has to look like, byte by byte: a machine with a stack of bounded depth, made of a JSON
 * schema (json_schema.h) or of the tools that may be called (grammar_calls.h). It says which bytes may
 * come next and whether the text may end; every state that it reaches can be brought to an end.
 *
 * What it lets pass is valid, but not all that is valid passes. Members of an object come in the order
 * of its schema, those that it does not name behind them; blanks between parts are one space, or a new
 * line with its indentation; numbers have at most 18 digits before the point, 17 behind it and 2 in the
 * exponent; values nest no deeper than the stack. */
#ifndef MODEL_GRAMMAR_H
#define MODEL_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAMMAR_DEPTH   32 /* frames: values within values */
#define GRAMMAR_THREADS 32 /* ways at once in which a text may be meant */

/* Never changes once it is made; any thread may use it. */
struct grammar;
struct grammar *grammar_ref(struct grammar *g); /* g may be NULL */
void grammar_unref(struct grammar *g);

/* Where in a value a text stands. */
struct grammar_frame {
	uint16_t node;
	uint8_t state, sub;
	union {
		struct {
			uint16_t at, pos; /* which text is being matched, and how far */
		};
		uint32_t n; /* characters, items, or the number so far */
	};
};

struct grammar_thread {
	uint32_t n;
	struct grammar_frame f[GRAMMAR_DEPTH];
};

struct grammar_state {
	uint32_t n; /* 0: no text goes on from here */
	struct grammar_thread t[GRAMMAR_THREADS];
};

void grammar_start(const struct grammar *g, struct grammar_state *s);
/* to: the state behind one more byte; another one than from. False: the byte may not come. */
bool grammar_feed(const struct grammar *g, const struct grammar_state *from, uint8_t c,
	struct grammar_state *to);
bool grammar_may_end(const struct grammar *g, const struct grammar_state *s);
/* It may end, and nothing may follow. */
bool grammar_ended(const struct grammar *g, const struct grammar_state *s);
/* As an assignment, but only of what is used. */
void grammar_copy(struct grammar_state *to, const struct grammar_state *from);
/* How many characters may follow, whichever they are, where it stands between two of a string in whatever
 * way the text is meant: 0 anywhere else. */
uint32_t grammar_in_string(const struct grammar *g, const struct grammar_state *s);
/* Whether it stands so in one of the ways at least. All read the same JSON: in the others it is within a
 * string, too, but in one of few. */
bool grammar_maybe_in_string(const struct grammar *g, const struct grammar_state *s);

#endif
