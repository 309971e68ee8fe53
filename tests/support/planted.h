/* Personal data that is nobody's, made from seeds, in the forms in which people write it. */
#ifndef TESTS_PLANTED_H
#define TESTS_PLANTED_H

#include "sched/redact.h"

#define PLANTED_KINDS 10 /* all but REDACT_MARK */
#define PLANTED_ITEMS 500

struct planted {
	enum redact_kind kind;
	char item[2048];
	char text[4096]; /* with the item in it */
	size_t at;       /* the item's place in text */
};

/* The words that items of kind REDACT_WORD are made of. */
extern const char *const planted_words[];
extern const size_t planted_n_words;

/* The i-th item, in a sentence of one of several languages, with punctuation beside it or none. */
void planted_make(unsigned i, struct planted *p);
/* A piece of the item, five bytes or more, that is to be found in the redacted text though nothing but
 * the item has it; NULL: none. */
const char *planted_leak(const struct planted *p, const char *redacted, size_t len);

#endif
