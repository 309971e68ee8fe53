/* What small models say about the parts of a document, checked and merged. Pure.
 *
 * A reply is {"answer": TEXT or null, "quotes": [TEXT, ...]}; null: nothing in this part; a number, a
 * truth or a list of these is as good as its text, and other members do not count. Each quote
 * must stand in its part word for word (sched/document.h) or it is dropped, and an answer that is
 * left without any of the quotes it gave is dropped as well; one that gave none and stands in the
 * part itself is its own quote. A reply that is not this costs its own
 * request and no other. */
#ifndef DAEMON_DOCUMENT_REPLY_H
#define DAEMON_DOCUMENT_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "sched/document.h"

#include <jansson.h>

#define DOCUMENT_REPLY_QUOTES 16
#define DOCUMENT_REPLY_MAX    8000 /* bytes of its answer */

/* The one JSON object in a model's text, whatever stands around it, within the bounds of a request's
 * body. New reference, or NULL with err set. */
json_t *document_object(const char *text, size_t len, struct err *err);
/* A list of texts, or none at all (NULL, null). They live as long as v. */
int document_quotes_read(json_t *v, const char **quotes, size_t room, size_t *n, struct err *err);

enum document_state {
	DOCUMENT_MISSING, /* no reply: lost, late, refused */
	DOCUMENT_BAD,     /* not a reply, or no quote of it is true */
	DOCUMENT_NOTHING, /* the part has nothing to say */
	DOCUMENT_SAID
};

struct document_reply {
	enum document_state state;
	json_t *root; /* owns the texts */
	const char *answer;
	const char *quotes[DOCUMENT_REPLY_QUOTES]; /* true ones only */
	size_t n_quotes, n_dropped;
};

/* Reads a reply about part. Never fails: what is wrong is in its state, and in err (or NULL) in
 * words. */
void document_reply_read(const char *text, size_t len, const char *part, size_t part_len,
	struct document_reply *r, struct err *err);
/* The same for a reply without an object, of a model that writes none: all of it is the answer, and its
 * quotes are what it has in quotation marks. */
void document_reply_read_plain(
	const char *text, size_t len, const char *part, size_t part_len, struct document_reply *r);
/* As the one or the other, whichever it is. */
void document_reply_judge(const char *text, size_t len, const char *part, size_t part_len,
	struct document_reply *r, struct err *err);
void document_reply_free(struct document_reply *r);

/* For the supervisor, in the order of the requests: [{"part": NUMBER, "answer": TEXT, "quotes":
 * [TEXT]}, ...], only of those that said something, as many as fit into max_bytes of answers and
 * quotes; *n_left_out counts the others. parts[i]: whose part, from 0. NULL without memory. */
json_t *document_merge(const struct document_reply *replies, const uint32_t *parts, size_t n,
	size_t max_bytes, size_t *n_left_out);

#endif
