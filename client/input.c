#include "client/input.h"

#include "model/utf8.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int
input_read(struct buf *b, struct err *err)
{
	char chunk[16384];
	ssize_t n;

	for (;;) {
		n = read(STDIN_FILENO, chunk, sizeof chunk);
		if (interrupted())
			return err_set(err, "interrupted while standard input was read");
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read standard input");
		if (buf_append(b, chunk, (size_t)n) != 0)
			return err_set(err, "standard input is longer than %zu bytes", b->max);
	}
}

bool
input_is_text(const void *bytes, size_t len)
{
	return len == 0 || (memchr(bytes, 0, len) == NULL && utf8_whole(bytes, len) == len);
}

int
input_exit(int code)
{
	return interrupted() ? EXIT_INTERRUPTED : code;
}
