/* A file of `key = value` lines in sections, read with libinih; every error names file and line. */
#ifndef DAEMON_INI_FILE_H
#define DAEMON_INI_FILE_H

#include "base/err.h"

#include <stdbool.h>

struct ini_handler {
	/* [name] begins; NULL: nobody cares. */
	int (*section)(void *arg, const char *name, struct err *err);
	/* section: "" ahead of the first one. */
	int (*key)(void *arg, const char *section, const char *name, const char *value,
		struct err *err);
	void *arg;
};

/* Returns 0; -1 at the first error, of the file's form or of a handler, which gets the file and line
 * as prefix. must: a file that is not there is an error. */
int ini_file_read(const char *path, bool must, const struct ini_handler *h, struct err *err);

#endif
