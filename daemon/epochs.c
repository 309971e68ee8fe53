#include "daemon/epochs.h"

#include "base/file.h"
#include "daemon/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that an earlier start may have given. */
static void
read_last(struct epochs *e, const char *path)
{
	struct buf b;

	buf_init(&b, 32);
	if (file_read(path, &b, NULL) == 0 && buf_u8(&b, 0) == 0)
		e->last = e->reserved = strtoull((const char *)b.data, NULL, 10);
	buf_free(&b);
	e->read = true;
}

static int
take_block(struct epochs *e, const char *path, struct err *err)
{
	uint64_t until = e->last + EPOCHS_BLOCK;
	char text[32];

	snprintf(text, sizeof text, "%llu\n", (unsigned long long)until);
	if (file_write(path, text, strlen(text), 0600, err) != 0)
		return -1;
	e->reserved = until;
	e->warned = false;
	return 0;
}

int
epochs_next(struct epochs *e, const char *dir, uint64_t seen, uint64_t *epoch, struct err *err)
{
	char path[4096 + 16];
	uint64_t left;

	snprintf(path, sizeof path, "%s/epoch", dir);
	if (!e->read)
		read_last(e, path);
	if (e->last < seen)
		e->last = seen;
	left = e->reserved > e->last ? e->reserved - e->last : 0;
	if (left <= EPOCHS_BLOCK / 2 && take_block(e, path, err) != 0) {
		if (left == 0)
			return err_prefix(err, "no number for a plan: ");
		if (!e->warned)
			log_warning("%s (%llu more plans can be made without)", err->msg,
				(unsigned long long)left);
		e->warned = true;
	}
	*epoch = ++e->last;
	return 0;
}
