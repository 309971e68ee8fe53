/* What two models did on the same commands: the files of `shoal eval hearth --signals`. */
#ifndef TESTS_ROUTE_TRACES_H
#define TESTS_ROUTE_TRACES_H

#include "base/err.h"
#include "sched/gain.h"

struct trace {
	struct route_text text;
	float figure[TOKEN_FIGURES]; /* of the small model's answer */
	double small, large;         /* right: 0 or 1 */
	double small_s, large_s;     /* seconds to the answer */
	int level;
	char kinds[120]; /* "|later|several|" */
	char *user;
};

struct trace_set {
	const char *name;
	struct trace *t;
	size_t n;
};

/* Reads FOLDER/NAME.hearth-small.jsonl and FOLDER/NAME.hearth.jsonl. */
int trace_set_read(struct trace_set *s, const char *folder, const char *name, struct err *err);
void trace_set_free(struct trace_set *s);
bool trace_has(const struct trace *t, const char *kind);
/* What it teaches; with figures. */
void trace_row(struct gain_row *r, const struct trace *t);

#endif
