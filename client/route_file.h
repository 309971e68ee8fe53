/* Labelled queries in files, for `shoal route train`. */
#ifndef CLIENT_ROUTE_FILE_H
#define CLIENT_ROUTE_FILE_H

#include "base/err.h"

#include <jansson.h>

/* Lines of {"prompt": TEXT, "small": 0..1, "large": 0..1}, maybe with "cloud" and "signals". A list, new
 * reference, or NULL with file and line. */
json_t *route_file_read(const char *path, struct err *err);
/* The same from what `shoal eval --signals` wrote of the same queries with the small and with the large
 * model. */
json_t *route_file_join(const char *small, const char *large, struct err *err);

#endif
