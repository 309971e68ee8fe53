/* Bytes to whole UTF-8 characters: what JSON can hold. The begin of a character that is not whole
 * yet is held back; what can never become one turns to U+FFFD. */
#ifndef DAEMON_UTF8_HOLD_H
#define DAEMON_UTF8_HOLD_H

#include "base/buf.h"

struct utf8_hold {
	uint8_t held[4];
	uint8_t n;
};

void utf8_push(struct utf8_hold *h, const char *text, size_t len, struct buf *out);
void utf8_finish(struct utf8_hold *h, struct buf *out);

#endif
