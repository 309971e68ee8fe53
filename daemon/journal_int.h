/* The journal's file format, for journal.c and journal_read.c.
 *
 * Head: 8 bytes of magic, 16 random bytes (the key of all codes below), 16 bytes of code over both.
 * Record: u32 length of its body, u8 kind, u64 entry, body, 16 bytes of code over all of it and the
 * offset at which it stands, so that a record is good at one place of one file only. Little-endian;
 * ids are u32. */
#ifndef DAEMON_JOURNAL_INT_H
#define DAEMON_JOURNAL_INT_H

#include "daemon/journal.h"

#define JOURNAL_MAGIC "SHOALJ01"
#define JOURNAL_CODE  16
#define JOURNAL_KEY   16
#define JOURNAL_HEAD  (8 + JOURNAL_KEY + JOURNAL_CODE)
#define JOURNAL_FRONT (4 + 1 + 8) /* of a record, ahead of its body */

enum journal_kind {
	JOURNAL_BEGUN = 1,
	JOURNAL_GROWN,
	JOURNAL_ENDED,
	JOURNAL_FORGOTTEN,
	JOURNAL_MARKED /* older daemons write none, and take none: to them the file ends there */
};

/* The code over two pieces of bytes that stand at `offset`. */
void journal_code(const uint8_t key[JOURNAL_KEY], uint64_t offset, const void *front, size_t n,
	const void *body, size_t len, uint8_t out[JOURNAL_CODE]);

/* Reads a file's bytes. Returns how many of them are good (0: not even the head) and fills key;
 * stale: whether they hold entries that are forgotten. */
size_t journal_read(const uint8_t *data, size_t len, uint8_t key[JOURNAL_KEY], bool *stale,
	void (*found)(void *arg, const struct journal_entry *e), void *arg);

#endif
