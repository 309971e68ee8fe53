/* A file that is read past the page cache, where the file system can (O_DIRECT); elsewhere what was
 * read is dropped from the cache again, so that a model larger than memory pushes nothing else
 * out. */
#ifndef MODEL_DIRECT_H
#define MODEL_DIRECT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIRECT_ALIGN 4096 /* of places, lengths and memory */

struct direct_file {
	int fd;
	bool direct; /* past the cache */
	char path[4096];
};

int direct_open(struct direct_file *f, const char *path, struct err *err);
void direct_close(struct direct_file *f); /* one that was never opened (zeroes) is fine */

/* Reads all of it; a file that ends before is an error, which names the place. Any thread. */
int direct_read(const struct direct_file *f, void *out, size_t len, uint64_t at, struct err *err);

#endif
