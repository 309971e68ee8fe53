/* The purse (sched/purse.h) with its journal in the state directory, so that no end of the process,
 * at whatever moment, lets more be spent than the budgets say. Main thread.
 *
 * A reservation is on the disk before purse_file_reserve returns; what it cost is written without
 * waiting for the disk. After a restart every reservation whose end is not in the file counts as
 * spent in full. Records that are not whole are dropped where no whole one follows: those can only
 * be ends, or a reservation for which nothing was sent yet. Anything else is damage, and then the
 * file is not used, for it may hide what was spent: whoever moves it away begins a new account.
 *
 * The file: records of 64 bytes, each with a BLAKE2b code over its place, its content, and a random
 * value in the first one. It has mode 0600, is written anew at each start and each time it has grown
 * by PURSE_FILE_GROWTH, and names API keys by numbers only. */
#ifndef DAEMON_PURSE_FILE_H
#define DAEMON_PURSE_FILE_H

#include "base/err.h"
#include "sched/purse.h"

#include <time.h>

#define PURSE_FILE_GROWTH (64u << 10) /* bytes */

struct purse_file;

/* Makes the file when there is none. NULL: it cannot be had, or is damaged (err says what to do). */
struct purse_file *purse_file_open(
	const char *path, const struct purse_limits *limits, time_t now, struct err *err);
/* What is open stays so in the file, and counts as spent when it is opened again. */
void purse_file_close(struct purse_file *f);

/* As in sched/purse.h. PURSE_UNWRITTEN: the disk did not take it (*err). */
enum purse_verdict purse_file_reserve(struct purse_file *f, time_t now, const struct purse_ask *ask,
	uint64_t *id, struct err *err);
uint64_t purse_file_settle(struct purse_file *f, time_t now, uint64_t id, uint64_t amount);
void purse_file_release(struct purse_file *f, time_t now, uint64_t id);

const struct purse *purse_file_purse(const struct purse_file *f);
/* The day and month of the device's own calendar. */
struct purse_date purse_file_date(time_t now);

#endif
