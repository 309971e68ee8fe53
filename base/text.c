#include "base/text.h"

#include <string.h>

void
text_copy(char *out, size_t size, const char *text)
{
	size_t len = strnlen(text, size);

	if (len == size)
		for (len = size - 1; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
			len--;
	memmove(out, text, len);
	out[len] = '\0';
}
