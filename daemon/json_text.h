/* JSON as the text that it is, where its very bytes matter: numbers keep their digits, strings their
 * escapes. Pure. Each takes text that is valid JSON, and does nothing worse to any other than to give
 * something back that is none either. */
#ifndef DAEMON_JSON_TEXT_H
#define DAEMON_JSON_TEXT_H

#include "base/buf.h"

#include <stdbool.h>

/* Behind the string that begins with the quote at `at`. */
size_t json_text_string_end(const char *s, size_t len, size_t at);
/* Appends it without the white space between its tokens. */
int json_text_minify(const char *s, size_t len, struct buf *out);
/* The value of a member of an object, which stands in s from *at on for *n bytes. name: without quotes;
 * a name that is written with escapes is not found. false: there is none. */
bool json_text_member(const char *s, size_t len, const char *name, size_t *at, size_t *n);

#endif
