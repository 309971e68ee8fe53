/* Which rows go into the next step: one row for each decoding session, and the rest of the room for
 * chunks of prompts, in turn so that no session starves. Pure: a description of sessions in, rows
 * out. */
#ifndef SCHED_BATCH_H
#define SCHED_BATCH_H

#include <stdint.h>

struct batch_session {
	uint32_t n_ids;  /* ids known (prompt and generated) */
	uint32_t n_done; /* ids whose rows are computed; n_done < n_ids means there is work */
	uint32_t more;   /* ids before the last one whose logits are wanted, too */
};

struct batch_part {
	uint32_t session; /* index into the sessions given */
	uint32_t from;    /* ids [from, from + n) */
	uint32_t n;
	uint32_t logits; /* so many of the last rows' logits are wanted */
};

/* parts has room for n_sessions. `turn` rotates who is served first; it is moved on. Returns the
 * number of parts; their n add up to at most max_rows. */
uint32_t batch_next(const struct batch_session *sessions, uint32_t n_sessions, uint32_t max_rows,
	uint32_t *turn, struct batch_part *parts);

#endif
