/* Read errors of mapped files. A page that cannot be read, because its disk is broken or its file
 * was cut short, ends a process with SIGBUS. Behind the guard the page reads as zeros from then on
 * instead, and the error is counted: whoever computed with it looks at the count before and after,
 * and does not use what came out.
 *
 * Any thread may call any of these; file_map and file_unmap report what is mapped. */
#ifndef BASE_FILE_GUARD_H
#define BASE_FILE_GUARD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes SIGBUS over for the whole process. Without it read errors end the process. */
int file_guard_start(struct err *err);
/* Pages that could not be read since then. */
uint64_t file_guard_errors(void);

void file_guard_add(const void *data, size_t len);
void file_guard_remove(const void *data);
/* Whether a page of the mapping that begins there could not be read. */
bool file_guard_failed(const void *data);

#endif
