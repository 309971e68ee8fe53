#include "tests/support/shared_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *
shared_file(const char *name)
{
	static char path[4096];
	const char *src = getenv("SHOAL_SRCDIR");

	snprintf(path, sizeof path, "%s/../shared/%s", src != NULL ? src : SRCDIR, name);
	return access(path, R_OK) == 0 ? path : NULL;
}
