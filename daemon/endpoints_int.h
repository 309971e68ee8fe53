/* Parts of an endpoint that are checked by files of their own. */
#ifndef DAEMON_ENDPOINTS_INT_H
#define DAEMON_ENDPOINTS_INT_H

#include "daemon/endpoints.h"

/* Whether url may be called: https to anywhere, http to an address of the loopback only. */
int endpoint_check_url(const char *url, struct err *err);

/* The key in a file ("name" in $CREDENTIALS_DIRECTORY, or an absolute path), in memory to be freed
 * with sodium_free. */
char *endpoint_read_key(const char *file, struct err *err);

#endif
