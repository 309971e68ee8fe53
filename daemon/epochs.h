/* The numbers of plans. One is never given twice, whatever happens to this device in between: so the
 * file `epoch` in the state directory is ahead of them. It holds the last one of a block, which is
 * on disk before the first one is used, and a restart begins behind it. Another block is taken while
 * much of this one is left: a disk that is full for some time keeps no plan from being made. */
#ifndef DAEMON_EPOCHS_H
#define DAEMON_EPOCHS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define EPOCHS_BLOCK 1000

struct epochs {            /* zeros: nothing was read yet */
	uint64_t last;     /* that was given, or may have been before this start */
	uint64_t reserved; /* the last one that may be given by what is on disk */
	bool read;
	bool warned; /* that no block could be taken */
};

/* The next one: above `seen`, too. -1: none is left, and no other block can be taken. */
int epochs_next(struct epochs *e, const char *dir, uint64_t seen, uint64_t *epoch, struct err *err);

#endif
