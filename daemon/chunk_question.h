/* What a device that has slices of a model is asked over a bulk link, and the questions that it has not answered
 * yet: whoever fetches asks ahead, and answers come in the order of the questions. Main thread. */
#ifndef DAEMON_CHUNK_QUESTION_H
#define DAEMON_CHUNK_QUESTION_H

#include "daemon/link.h"
#include "model/chunk.h"
#include "proto/control.h"
#include "sched/fetch.h"

/* Asks what it holds; it answers with its cuts (daemon/cuts_message.h). */
void held_ask(struct link *l, const uint8_t model_id[SHARD_HASH]);

struct chunk_questions {                       /* all 0: none */
	uint32_t asked[FETCH_ASKED], first, n; /* numbers, a circle */
};

/* Asks for a chunk, or a piece of one, by a number of the asker's own. At most FETCH_ASKED are open: fetch_next
 * sees to it. */
void chunk_ask(struct link *l, struct chunk_questions *q, const uint8_t model_id[SHARD_HASH],
	uint32_t number, const struct chunk *c);
/* An answer with that number has come. false: it is not the one that is due. */
bool chunk_answered(struct chunk_questions *q, uint32_t number);

/* What a question asks for; nothing has been checked. */
struct chunk chunk_question_read(const Shoal__FetchChunk *m);

#endif
