/* What a router knows of a prompt before any model has seen it: which words, pairs of neighbouring
 * words and shapes are in it, hashed to 2^16 buckets (feature hashing: Weinberger et al., ICML
 * 2009). Pure, no allocation; about 10 ns a byte.
 *
 * A word is a run of letters (bytes from 0x80 are letters, A-Z count as a-z), of at most
 * ROUTE_WORD bytes; a character of the scripts that write without blanks is a word of its own. A
 * run of digits counts by its length only, so that "18 degrees" and "23 degrees" are the same two
 * words. A word's second, third and fourth time are features of their own. A pair skips over
 * punctuation, which is a word too. Shapes are the numbers of bytes, words, numbers, lines,
 * capitals and marks: a feature for each step that is reached ("at least 6 words", "at least 7
 * words", ...), so that what is learned of a length holds for its neighbours.
 *
 * Only text that the user wrote is to be given: a system prompt or an injected reminder is the
 * same in every request and would drive the score. */
#ifndef SCHED_ROUTE_TEXT_H
#define SCHED_ROUTE_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum {
	ROUTE_BUCKETS = 1 << 16,
	ROUTE_PAIRS = 1 << 15, /* from this one on they are pairs' */
	ROUTE_FEATURES = 512,  /* of a prompt, at most */
	ROUTE_READ = 8192, /* bytes; of a longer text only the first and the last half of these */
	ROUTE_WORD = 32,
	ROUTE_NAME = 72 /* room for a feature's name */
};

/* A prompt's features, each bucket once, in the order in which they come. Where there are more than
 * ROUTE_FEATURES, those of every other bucket (of every fourth, and so on) are left out: always
 * the same buckets, so that what is learned of one prompt holds for the next. */
struct route_text {
	uint32_t n;
	uint16_t bucket[ROUTE_FEATURES];
	struct route_where {      /* what it is called, see route_text_name */
		uint16_t at, len; /* bytes, of the parts that were read; at: of a shape, the step */
		uint8_t kind;     /* enum route_kind */
	} where[ROUTE_FEATURES];
};

enum route_kind {
	ROUTE_WORD_ONE,
	ROUTE_WORD_PAIR,
	ROUTE_BYTES,
	ROUTE_LENGTH,
	ROUTE_NUMBERS,
	ROUTE_LINES,
	ROUTE_CAPITALS,
	ROUTE_MARKS,
	ROUTE_KINDS
};

/* len: of any size; text may have any bytes. An empty text has only shapes. */
void route_text(struct route_text *f, const char *text, size_t len);

/* Writes what a person would call feature i: "two degrees" or "at least 6 words". text, len: as
 * given to route_text. Bytes below 0x20 become blanks, a long name is cut at a character. */
void route_text_name(const struct route_text *f, uint32_t i, const char *text, size_t len,
	char name[static ROUTE_NAME]);

#endif
