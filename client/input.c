#include "client/input.h"

#include "model/utf8.h"

#include <errno.h>
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
	const uint8_t *p = bytes;
	int step;

	for (size_t at = 0; at < len; at += (size_t)step) {
		step = utf8_step(p + at, len - at);
		if (step <= 0 || p[at] == '\0')
			return false;
	}
	return true;
}

int
input_exit(int code)
{
	return interrupted() ? EXIT_INTERRUPTED : code;
}
