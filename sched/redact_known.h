/* Items that are known from a text which has them whole, with the words that tell what they are: what was made of such
 * a text (a quote, a summary) has lost those words, and may begin or end within an item, where no detector knows it.
 * Pure.
 *
 * An item is found again by its bytes; runs of white space are as good as any other, and one of fewer than four
 * bytes stands between what is no letter or digit. Finding takes a bounded number of steps for each byte, whatever is
 * known. */
#ifndef SCHED_REDACT_KNOWN_H
#define SCHED_REDACT_KNOWN_H

#include "sched/redact.h"

#define REDACT_KNOWN_TEXTS  32
#define REDACT_KNOWN_ITEMS  16384  /* different ones; each 64 bytes of a long one count as one */
#define REDACT_KNOWN_PLACES 262144 /* of items, in all texts together */

struct redact_known;

/* words (or NULL) must outlive it. NULL without memory. */
struct redact_known *redact_known_new(const struct redact_words *words);
void redact_known_free(struct redact_known *k);

/* Knows the items of this text, too, which is the next one by number, from 0. -1: there are too many, or it cannot
 * be searched; then it is of no use any more. */
int redact_known_search(struct redact_known *k, const char *text, size_t len, struct err *err);

/* A piece of the text of that number: moved to the borders of the items within which it begins and ends. */
void redact_known_widen(const struct redact_known *k, uint32_t text, size_t *at, size_t *end);

/* Cuts off what a text begins with if an item ends so, and what it ends with if one begins so: three bytes or more,
 * two of an item of four. An item that is whole stays. Dots and white space around the text do not count. */
void redact_known_clip(const struct redact_known *k, const char **text, size_t *len);

/* redact_text, for which what is known is an item wherever it stands. */
int redact_text_known(struct redact *r, const struct redact_known *k, const char *text, size_t len,
	struct buf *out, struct err *err);

#endif
