/* What a router is evaluated on: for each command of a set one line of JSON with how sure the model
 * was and whether it was right. Lines stand in the order of the set:
 *
 *   {"level": N, "kinds": [...] where the set has them, "user": TEXT, "right": 0 or 1, "tokens": N,
 *    "seconds": S, and a number for each figure of model/token_signal.h by its name} */
#ifndef CLIENT_EVAL_SIGNALS_H
#define CLIENT_EVAL_SIGNALS_H

#include "client/eval_set.h"
#include "model/token_signal.h"

struct eval_signals;

/* Makes the file, or empties it. */
struct eval_signals *eval_signals_open(const char *path, struct err *err);
/* at: the sample's place in the set. */
int eval_signals_write(struct eval_signals *f, const struct eval_set *set, size_t at, bool right,
	const struct token_signals *s, double seconds, struct err *err);
/* Writes what is left; -1 where that fails. f may be NULL. */
int eval_signals_close(struct eval_signals *f, struct err *err);

#endif
