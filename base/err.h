/* The one error idiom: a function returns -1 or NULL and says in *err what was wrong, where, and
 * what to do, for the person who will read it. The message is made where the facts are and gains a
 * prefix ("models/a.gguf: ") on its way up. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

struct err {
	char msg[512];
};

/* Sets the message (err may be NULL) and returns -1, so that a caller can say
 * `return err_set(err, ...)`. Bytes below 0x20 become '?', a long message is cut. */
int err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_vset(struct err *err, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* The same, followed by ": " and the text of an errno value. */
int err_errno(struct err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts a text in front of the message that is there; returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
