/* What a supervisor wants to know of a document: a plan, as data. The model that made it is not
 * trusted: the plan is read against a fixed schema, nothing in it is ever executed, looked up or
 * opened, and its cost is known before the first job runs. Pure: JSON in, a checked plan out.
 *
 * One of the two, and no other member:
 *   {"jobs": [{"instruction": TEXT, "parts": "all" or [NUMBER, ...]}, ...]}
 *   {"answer": TEXT, "quotes": [TEXT, ...]}        (quotes may be left out)
 * Parts are numbered from 1. A job asks one instruction of each of its parts, by a request each. */
#ifndef DAEMON_DOCUMENT_PLAN_H
#define DAEMON_DOCUMENT_PLAN_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define DOCUMENT_INSTRUCTION_MAX 4000  /* bytes */
#define DOCUMENT_ANSWER_MAX      65536 /* bytes */
#define DOCUMENT_QUOTES_MAX      64
#define DOCUMENT_REQUESTS_MAX    4096

struct document_limits {
	uint32_t parts;        /* of the document */
	uint32_t max_requests; /* in one plan, jobs times parts; of DOCUMENT_REQUESTS_MAX */
	uint32_t max_rounds;   /* plans with jobs; the one behind the last must answer */
};

struct document_request {
	const char *instruction;
	uint32_t part; /* from 0 */
};

struct document_plan {
	json_t *root; /* owns all texts */
	struct document_request *requests;
	size_t n_requests; /* 0: it answers */
	const char *answer;
	const char *quotes[DOCUMENT_QUOTES_MAX]; /* not checked against the document */
	size_t n_quotes;
};

/* Reads the plan of round `round` (from 0). Text around the one JSON object (a fence, a sentence) is
 * passed over: models like to write it. -1: err says what is wrong, for the log and for asking the
 * supervisor again; document_plan_free in both cases. */
int document_plan_parse(const char *text, size_t len, const struct document_limits *l,
	uint32_t round, struct document_plan *p, struct err *err);
void document_plan_free(struct document_plan *p);

#endif
