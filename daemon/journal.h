/* The journal of running answers: an append-only file in the state directory, so that a daemon that
 * was killed at any moment finds again what it was computing. Main thread.
 *
 * It knows entries, each with a number: begun (with a head of bytes), grown (by token ids), marked
 * (with bytes in place of the last mark), ended (with a tail of bytes), forgotten. What the bytes mean
 * is up to the caller (answers_bytes.c).
 *
 * What a crash leaves. Every record carries its length and a BLAKE2b code keyed by a random value in
 * the file's head; reading ends at the first record that is not whole, and the file is cut there. So
 * any tail may be missing, and an entry comes back as it stood some tokens earlier. That is enough:
 * a session's next token is a function of its parameters, its seed and its ids (model/session.h), so
 * ids that were lost are computed again and come out the same, also those whose text a client has
 * seen already. Hence nothing is synced to disk while tokens are added: a killed process loses
 * nothing (the kernel has the bytes), a machine without power loses the last seconds. Writes come
 * before their text is shown only so that a kill costs no computing.
 *
 * The file holds prompts: its mode is 0600, and forgotten entries leave it by a rewrite within a
 * minute (journal_tick). A rewrite goes to a file beside it, which is synced and renamed.
 *
 * A disk that is full or broken does not stop answers: the functions that write return -1, and the
 * entry is not in the journal then. */
#ifndef DAEMON_JOURNAL_H
#define DAEMON_JOURNAL_H

#include "base/buf.h"
#include "base/err.h"

#define JOURNAL_MAX_BYTES  (64u << 20) /* of the file */
#define JOURNAL_MAX_RECORD (40u << 20) /* of one head, ids, mark or tail */
#define JOURNAL_REWRITE_MS 60000       /* forgotten bytes stay no longer */

struct journal;

struct journal_entry { /* as found; good during the call */
	uint64_t number;
	const uint8_t *head, *mark, *tail;
	size_t head_len, mark_len, tail_len;
	const uint32_t *ids;
	size_t n_ids;
	bool ended;
};

/* Opens the file, or remembers its name to make it with the first entry. Calls `found` for each entry
 * that is not forgotten, in the order of their numbers' first records. NULL only without memory; what
 * of the file could not be read is said in `note` ("": nothing). */
struct journal *journal_open(const char *path,
	void (*found)(void *arg, const struct journal_entry *e), void *arg, struct err *note);
void journal_close(struct journal *j);

/* 0, or -1 when it could not be written (too large, or the disk's fault): then it is as if it had
 * not been called. Numbers are the caller's; one that is forgotten may not come again. */
int journal_begin(
	struct journal *j, uint64_t number, const void *head, size_t len, struct err *err);
int journal_grow(
	struct journal *j, uint64_t number, const uint32_t *ids, size_t n, struct err *err);
int journal_mark(struct journal *j, uint64_t number, const void *mark, size_t len, struct err *err);
int journal_end(struct journal *j, uint64_t number, const void *tail, size_t len, struct err *err);
/* live: whether other entries stay; without any the file is emptied at once. */
int journal_forget(struct journal *j, uint64_t number, bool live, struct err *err);

/* Whether it has grown so much, or holds for so long what is forgotten, that a rewrite is due. now: ms of any clock. */
bool journal_due(struct journal *j, uint64_t now);
/* Writes the file anew: `again` calls begin, grow, mark and end for all that lives (nonzero gives up).
 * -1: the old file is in use as before. */
int journal_rewrite(
	struct journal *j, int (*again)(void *arg, struct journal *j), void *arg, struct err *err);

#endif
