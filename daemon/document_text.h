/* The documents of one request: cut into parts that are numbered through, and places in them. Pure;
 * the texts are the caller's. */
#ifndef DAEMON_DOCUMENT_TEXT_H
#define DAEMON_DOCUMENT_TEXT_H

#include "daemon/document_wish.h"
#include "sched/document.h"

struct document_texts {
	const char *text[DOCUMENTS_MAX];
	size_t len[DOCUMENTS_MAX];
	uint32_t n;
	size_t bytes; /* of all */
	struct document_part *parts;
	uint32_t *lines;                   /* of each part: the line that it begins in, from 1 */
	uint32_t first[DOCUMENTS_MAX + 1]; /* document i has parts first[i] to first[i + 1] - 1 */
	uint32_t n_parts;
};

/* Where something stands; document and part from 0, lines from 1. */
struct document_place {
	uint32_t document, part;
	size_t at, len; /* bytes, in its document */
	size_t line, last_line;
};

void document_texts_init(struct document_texts *t, const struct document_wish *w);
void document_texts_free(struct document_texts *t);

/* Cuts all of them, as document_cut does, into at most `most` parts together. -1: err says which size
 * would do. */
int document_texts_cut(
	struct document_texts *t, size_t max_part, size_t overlap, uint32_t most, struct err *err);
/* Each document is one part. -1 without memory. */
int document_texts_whole(struct document_texts *t);
/* The text of a part. */
const char *document_texts_part(const struct document_texts *t, uint32_t part, size_t *len);

void document_texts_place(const struct document_texts *t, uint32_t part, struct document_place *p);
/* The same of a place within a part, `at` bytes behind its begin. */
void document_texts_within(const struct document_texts *t, uint32_t part,
	const struct document_part *within, struct document_place *p);
/* Where a quote stands word for word (document_quote_find), in the first document that has it. */
bool document_texts_find(
	const struct document_texts *t, const char *quote, size_t len, struct document_place *p);

#endif
