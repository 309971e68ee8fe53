/* A set of held-out commands with their right answers, and the comparison of an answer with them.
 * The file has one JSON object a line: {"level": 1..9, "system": TEXT or "", "user": TEXT, "answer":
 * TEXT whose first line is JSON}; tools/hearth/corpus.py writes it. */
#ifndef CLIENT_EVAL_SET_H
#define CLIENT_EVAL_SET_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define EVAL_LEVELS 9 /* difficulties are 1 to 9 */

struct eval_sample {
	unsigned level;     /* how difficult it is */
	const char *system; /* "": none. Belong to the set, as what follows */
	const char *user;
	const char *wanted_text;
	json_t *wanted; /* the first line of the answer */
};

struct eval_set {
	struct eval_sample *samples;
	size_t n;
	json_t *lines; /* which the texts point into */
};

/* Reads a whole file; errors name the line. -1 leaves nothing to free. */
int eval_set_read(struct eval_set *set, const char *path, struct err *err);
void eval_set_free(struct eval_set *set);

/* Whether the first line of an answer is JSON that means the same: the order of an object's members
 * and blanks do not count, the order of actions does. What follows that line is not looked at. */
bool eval_right(const struct eval_sample *s, const char *answer, size_t len);

#endif
