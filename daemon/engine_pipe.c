/* The coordinator of a pipeline keeps several steps under way, so that every stage has something to do:
 * rows of other sessions than those whose tokens are awaited, and the next parts of prompts. Sessions
 * are divided among the steps, so that as many as there are stages go around at a time.
 *
 * A request's n_done counts the rows that were sent, not those that came back. Where the best tokens do not
 * decide, the row is computed once more, for all of its logits: the same bits, as rows do not depend on what
 * else is in a step.
 *
 * Of a request that is led (model/guide.h), or has guesses under way, nothing more is sent while rows are under way whose
 * choices it waits for: they decide how it goes on. */
#include "daemon/engine_int.h"

#include <stdlib.h>

struct pipe_part {                  /* of a step under way */
	uint64_t request;           /* its number; the slot may be another's by now */
	uint32_t slot, pos, logits; /* rows that want them, the first one's position */
	bool whole;
};

struct pipe_round {
	uint64_t since;
	uint32_t rows; /* of generation only; else 0 */
	uint32_t n;
	struct pipe_part *parts; /* [slots] */
};

struct pipe {
	uint32_t depth, slots, turn; /* turn: slot that is looked at first */
	uint32_t first, n;
	struct pipe_round *rounds; /* [depth] steps under way, a circle */
	struct pipe_part *parts;   /* [depth][slots] */
	/* [slots] number of a request, and 1; 0: nobody's. */
	uint64_t *undecided; /* its row is computed again */
	uint64_t *awaited;   /* nothing more is sent of it until what is under way has come */
};

uint64_t
pipe_bytes(const struct engine_config *c)
{
	if (c->stages < 2)
		return 0;
	return ring_depth(c->stages) *
		       (sizeof(struct pipe_round) + (uint64_t)c->slots * sizeof(struct pipe_part)) +
	       (uint64_t)c->slots * 2 * sizeof(uint64_t);
}

struct pipe *
pipe_new(const struct engine_config *c)
{
	struct pipe *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->depth = ring_depth(c->stages);
	p->slots = c->slots;
	p->rounds = calloc(p->depth, sizeof *p->rounds);
	p->parts = calloc((size_t)p->depth * c->slots, sizeof *p->parts);
	p->undecided = calloc(c->slots, sizeof *p->undecided);
	p->awaited = calloc(c->slots, sizeof *p->awaited);
	if (p->rounds == NULL || p->parts == NULL || p->undecided == NULL || p->awaited == NULL) {
		pipe_free(p);
		return NULL;
	}
	for (uint32_t i = 0; i < p->depth; i++)
		p->rounds[i].parts = p->parts + (size_t)i * c->slots;
	return p;
}

void
pipe_free(struct pipe *p)
{
	if (p == NULL)
		return;
	free(p->rounds);
	free(p->parts);
	free(p->undecided);
	free(p->awaited);
	free(p);
}

bool
pipe_is_undecided(const struct engine *e, uint32_t slot)
{
	return e->pipe->undecided[slot] == e->slots[slot]->number + 1;
}

/* --- beginning a step --------------------------------------------------------------------------- */

/* Sessions of a step, at most: running ones, divided among the stages. */
static uint32_t
most_sessions(const struct engine *e)
{
	uint32_t running = 0;

	for (uint32_t i = 0; i < e->c.slots; i++)
		running += e->slots[i] != NULL;
	return (running + e->c.stages - 1) / e->c.stages;
}

/* Those that have rows to compute and wait for no token, in turn. */
static uint32_t
pick_parts(struct engine *e)
{
	struct pipe *p = e->pipe;
	uint32_t most = most_sessions(e), n = 0, turn = 0, room;
	struct hub_pick pick = hub_pick(e, most);

	for (uint32_t i = 0, slot = p->turn; i < e->c.slots && n < most;
		i++, slot = (slot + 1) % e->c.slots) {
		struct request *r = e->slots[slot];

		if (r == NULL || p->awaited[slot] == r->number + 1 ||
			!hub_work_of(e, slot, &pick, &e->sessions[n]) ||
			e->sessions[n].n_done >= e->sessions[n].n_ids)
			continue;
		e->slot_of[n++] = slot;
		p->turn = (slot + 1) % e->c.slots;
	}
	room = e->c.max_rows < STEP_PIPE_ROWS ? e->c.max_rows : STEP_PIPE_ROWS;
	return n > 0 ? batch_next(e->sessions, n, room, &turn, e->parts) : 0;
}

/* Keeps who is in the step; its rows count as done. */
static void
note_round(struct engine *e, uint32_t n_parts, uint32_t n, uint32_t n_logits)
{
	struct pipe *p = e->pipe;
	struct pipe_round *round = &p->rounds[(p->first + p->n++) % p->depth];
	uint32_t row = 0;

	*round = (struct pipe_round){uv_hrtime(), n == n_logits ? n : 0, n_parts, round->parts};
	for (uint32_t i = 0; i < n_parts; i++) {
		const struct batch_part *part = &e->parts[i];
		uint32_t slot = e->slot_of[part->session];
		struct request *r = e->slots[slot];

		row += part->n;
		r->n_done += part->n;
		if (part->logits > (r->guide != NULL ? 0 : 1))
			p->awaited[slot] = r->number + 1;
		round->parts[i] = (struct pipe_part){.request = r->number,
			.slot = slot,
			.pos = part->from + part->n - part->logits,
			.logits = part->logits,
			.whole = (e->rows[row - 1].flags & STEP_WHOLE) != 0};
	}
}

static bool
begin(struct engine *e)
{
	uint32_t n_parts = e->pipe->n < e->pipe->depth ? pick_parts(e) : 0, n, n_logits;
	const char *who, *why;
	struct err err = {""};

	if (n_parts == 0)
		return false;
	n = hub_lay_out_rows(e, n_parts, &n_logits);
	note_round(e, n_parts, n, n_logits);
	if (hub_compute(e, n, &err) == 0) {
		if (e->star != NULL)
			star_end(e->star);
		if (ring_pass(e->ring, e->rows, n, e->x, &err) == 0)
			return true;
	}
	if (!engine_is_cut(e, &who, &why))
		hub_step_failed(e, &err);
	return true;
}

/* --- its answer --------------------------------------------------------------------------------- */

/* A session that is there yet: what was guessed wrong, and the row of a token that is not decided, are computed anew. */
static void
settle(struct engine *e, const struct pipe_part *part)
{
	struct request *r = e->slots[part->slot];

	if (part->logits > 0 && r != NULL && r->number == part->request && r->guide == NULL)
		guess_settle(e, r);
}

/* The rows of one request, in their order; those behind one that is undecided are computed again with
 * it. */
static void
take_part(struct engine *e, const struct pipe_part *part, uint32_t number)
{
	struct pipe *p = e->pipe;

	for (uint32_t i = 0; i < part->logits; i++) {
		struct request *r = e->slots[part->slot];

		if (r == NULL || r->number != part->request)
			return; /* it was cancelled meanwhile, or it has ended */
		p->undecided[part->slot] = p->awaited[part->slot] = 0;
		if (hub_take_row(e, part->slot, part->pos + i, number + i, part->whole))
			continue;
		p->undecided[part->slot] = part->request + 1;
		if (r->guide != NULL)
			r->n_done = part->pos;
		break;
	}
	settle(e, part);
}

static bool
take_answer(struct engine *e)
{
	struct pipe *p = e->pipe;
	const struct pipe_round *round = &p->rounds[p->first];
	uint32_t number = 0;

	if (!ring_answer(e->ring, e->best, e->logits))
		return false;
	p->first = (p->first + 1) % p->depth;
	p->n--;
	guess_timed(e, round->rows, 1e-9 * (double)(uv_hrtime() - round->since));
	for (uint32_t i = 0; i < round->n; i++) {
		take_part(e, &round->parts[i], number);
		number += round->parts[i].logits;
	}
	return true;
}

bool
pipe_step(struct engine *e)
{
	bool answered, began;

	/* An answer that is here goes before another step: its sessions may be in that. */
	uv_run(&e->loop, UV_RUN_NOWAIT);
	answered = take_answer(e);
	began = begin(e);
	if (began)
		engine_publish(e);
	return answered || began;
}
