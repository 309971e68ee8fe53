#include "base/err.h"

#include <stdio.h>
#include <string.h>

static void
err_clean(struct err *err)
{
	for (char *c = err->msg; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

int
err_vset(struct err *err, const char *fmt, va_list ap)
{
	if (err != NULL) {
		vsnprintf(err->msg, sizeof err->msg, fmt, ap);
		err_clean(err);
	}
	return -1;
}

int
err_set(struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(err, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_errno(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	if (err == NULL)
		return -1;
	va_start(ap, fmt);
	err_vset(err, fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof err->msg - len, ": %s", strerror(errnum));
	return -1;
}

int
err_prefix(struct err *err, const char *fmt, ...)
{
	struct err old;
	va_list ap;
	size_t len;

	if (err == NULL)
		return -1;
	old = *err;
	va_start(ap, fmt);
	err_vset(err, fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof err->msg - len, "%s", old.msg);
	return -1;
}
