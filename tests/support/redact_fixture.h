/* A session with the planted words, a redacted text and what it is restored to. */
#ifndef TESTS_REDACT_FIXTURE_H
#define TESTS_REDACT_FIXTURE_H

#include "sched/redact.h"

extern struct redact_words *words;
extern struct redact *r;
extern struct buf out, back;
extern struct err err;

void redact_setup(void);
void redact_cleanup(void);

/* The redacted text, in out, ended by a 0. */
const char *redacted(const char *text);
/* Restores out into back, cut at `cut` into two pieces, or into bytes when it is SIZE_MAX. */
void restore(size_t cut);
/* text becomes want, and itself again. */
void expect(const char *text, const char *want);

#endif
