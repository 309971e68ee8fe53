/* A long document that stays at home: cut into parts that a small model can read, and quotes from it
 * checked. Pure: offsets into the caller's text, no copies. */
#ifndef SCHED_DOCUMENT_H
#define SCHED_DOCUMENT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOCUMENT_PARTS_MAX 4096
#define DOCUMENT_PART_MIN  64   /* bytes: least bound of a part's size */
#define DOCUMENT_QUOTE_MAX 4096 /* bytes */
#define DOCUMENT_QUOTE_MIN 4    /* characters of a quote that are not white space, each byte one */

struct document_part {
	size_t at, len; /* bytes */
};

/* Cuts text (UTF-8; anything else is cut as bytes) into parts of at most max_part bytes. A part ends
 * at the last end of a paragraph in its second half; else of a line, a sentence, a word, a character,
 * whichever comes first in this list. All but the first begin with up to `overlap` bytes that the
 * one before ended with, from the begin of a sentence or a word, so that what stands across a cut
 * stands whole in one part. Every byte is in some part. overlap must be at most a quarter of
 * max_part.
 *
 * parts[room]: *n of them. -1: bad sizes, an empty text, or more parts than there is room for: then
 * err says which size would do. Linear time. */
int document_cut(const char *text, size_t len, size_t max_part, size_t overlap,
	struct document_part *parts, size_t room, size_t *n, struct err *err);

/* Whether quote occurs in text word for word. White space is the only freedom: a run of it (space,
 * tab, line end, no-break space) is as good as any other, and what leads or trails the quote does not
 * count. *part (or NULL) gets the place in text, white space and all. A quote that is shorter than
 * DOCUMENT_QUOTE_MIN or longer than DOCUMENT_QUOTE_MAX is none. Linear time. */
bool document_quote_find(const char *text, size_t len, const char *quote, size_t quote_len,
	struct document_part *part);

#endif
