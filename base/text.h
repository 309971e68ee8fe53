/* Texts in arrays of a fixed size. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/* Copies what fits of UTF-8, in whole characters: half a one would make a text that no JSON and no control
 * message takes. size: of out, at least 1. */
void text_copy(char *out, size_t size, const char *text);

#endif
