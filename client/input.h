/* Texts that come from outside: standard input, arguments. */
#ifndef CLIENT_INPUT_H
#define CLIENT_INPUT_H

#include "base/buf.h"
#include "client/client.h"

/* Appends all of standard input, as far as b may grow. -1 with what was wrong, also when Ctrl-C came. */
int input_read(struct buf *b, struct err *err);

/* Whether these bytes are a text that JSON takes, and that ends nowhere in between: UTF-8 without a NUL. */
bool input_is_text(const void *bytes, size_t len);

/* The exit code of a command whose input could not be used. */
int input_exit(int code);

#endif
