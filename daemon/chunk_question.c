#include "daemon/chunk_question.h"

#include "daemon/swarm.h"

void
held_ask(struct link *l, const uint8_t model_id[SHARD_HASH])
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__FetchHeld fetch = SHOAL__FETCH_HELD__INIT;

	fetch.model_id = (ProtobufCBinaryData){SHARD_HASH, (uint8_t *)(uintptr_t)model_id};
	e.body_case = SHOAL__ENVELOPE__BODY_FETCH_HELD;
	e.fetch_held = &fetch;
	swarm_pack_send(l, &e);
}

void
chunk_ask(struct link *l, struct chunk_questions *q, const uint8_t model_id[SHARD_HASH],
	uint32_t number, const struct chunk *c)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__FetchChunk fetch = SHOAL__FETCH_CHUNK__INIT;

	fetch.model_id = (ProtobufCBinaryData){SHARD_HASH, (uint8_t *)(uintptr_t)model_id};
	fetch.number = number;
	fetch.role = c->role;
	fetch.layer = c->layer;
	fetch.expert = c->expert;
	fetch.type = c->dtype;
	fetch.row_first = c->row0;
	fetch.rows = c->rows;
	fetch.col_first = c->col0;
	fetch.cols = c->cols;
	e.body_case = SHOAL__ENVELOPE__BODY_FETCH_CHUNK;
	e.fetch_chunk = &fetch;
	q->asked[(q->first + q->n++) % FETCH_ASKED] = number;
	swarm_pack_send(l, &e);
}

bool
chunk_answered(struct chunk_questions *q, uint32_t number)
{
	if (q->n == 0 || q->asked[q->first] != number)
		return false;
	q->first = (q->first + 1) % FETCH_ASKED;
	q->n--;
	return true;
}

struct chunk
chunk_question_read(const Shoal__FetchChunk *m)
{
	return (struct chunk){m->role, m->layer, m->expert, m->type, m->row_first, m->rows,
		m->col_first, m->cols};
}
