/* The coordinator's engine thread: gives slots to requests, picks the rows of each step, has them
 * computed by the group and lets each session take its logits. */
#include "daemon/engine_int.h"

#include <stdio.h>
#include <stdlib.h>

/* --- slots -------------------------------------------------------------------------------------- */

static void
count_requests(struct engine *e, int running, int waiting)
{
	uv_mutex_lock(&e->lock);
	e->stats.running = (uint32_t)((int)e->stats.running + running);
	e->stats.waiting = (uint32_t)((int)e->stats.waiting + waiting);
	uv_mutex_unlock(&e->lock);
}

static void
take_news(struct engine *e)
{
	struct request *r;

	uv_mutex_lock(&e->lock);
	while ((r = request_list_take(&e->news)) != NULL)
		request_list_add(&e->waiting, r);
	uv_mutex_unlock(&e->lock);
}

static void
drop_cancelled(struct engine *e)
{
	struct request_list all = e->waiting;
	struct request *r;

	for (uint32_t i = 0; i < e->c.slots; i++) {
		r = e->slots[i];
		if (r == NULL || !atomic_load(&r->cancelled))
			continue;
		e->slots[i] = NULL;
		count_requests(e, -1, 0);
		engine_post_gone(e, r);
	}
	if (all.head == NULL)
		return;
	request_list_init(&e->waiting);
	while ((r = request_list_take(&all)) != NULL) {
		if (!atomic_load(&r->cancelled)) {
			request_list_add(&e->waiting, r);
			continue;
		}
		count_requests(e, 0, -1);
		engine_post_gone(e, r);
	}
}

static void
fill_slots(struct engine *e)
{
	for (uint32_t i = 0; i < e->c.slots; i++) {
		struct request *r = e->slots[i] == NULL ? request_list_take(&e->waiting) : NULL;

		if (r == NULL)
			continue;
		r->started = uv_hrtime();
		e->slots[i] = r;
		count_requests(e, 1, -1);
	}
}

/* Every request that is there ends with an error; `running` has had a part of its answer. */
static void
end_all(struct engine *e, int running_status, const char *running, const char *waiting)
{
	struct request *r;

	take_news(e);
	drop_cancelled(e);
	for (uint32_t i = 0; i < e->c.slots; i++) {
		r = e->slots[i];
		if (r == NULL)
			continue;
		e->slots[i] = NULL;
		count_requests(e, -1, 0);
		engine_post_error(e, r, running_status, running);
	}
	while ((r = request_list_take(&e->waiting)) != NULL) {
		count_requests(e, 0, -1);
		engine_post_error(e, r, 503, waiting);
	}
}

/* --- a step ------------------------------------------------------------------------------------- */

/* What of a row's logits its session has to see. */
static uint32_t
wanted_logits(const struct engine *e, uint32_t slot)
{
	switch (session_needs(e->slots[slot]->session)) {
	case SAMPLER_BEST:
		return STEP_LOGITS;
	case SAMPLER_BEST_AND_SUM:
		return STEP_LOGITS | STEP_SUM;
	case SAMPLER_ALL:
		break;
	}
	return STEP_LOGITS | STEP_WHOLE;
}

/* Fills e->rows and e->tokens for the parts. Returns the number of rows. */
static uint32_t
lay_out_rows(struct engine *e, uint32_t n_parts, uint32_t *logits)
{
	uint32_t n = 0;

	*logits = 0;
	for (uint32_t i = 0; i < n_parts; i++) {
		const struct batch_part *part = &e->parts[i];
		uint32_t slot = e->slot_of[part->session];
		size_t n_ids;
		const uint32_t *ids = session_ids(e->slots[slot]->session, &n_ids);

		for (uint32_t k = 0; k < part->n; k++, n++) {
			e->tokens[n] = ids[part->from + k];
			e->rows[n] = (struct step_row){slot, part->from + k, 0};
		}
		if (part->logits) {
			e->rows[n - 1].flags = wanted_logits(e, slot);
			++*logits;
		}
	}
	return n;
}

static uint32_t
pick_parts(struct engine *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->c.slots; i++) {
		struct request *r = e->slots[i];
		size_t n_ids;

		if (r == NULL)
			continue;
		session_ids(r->session, &n_ids);
		e->sessions[n] = (struct batch_session){(uint32_t)n_ids, r->n_done};
		e->slot_of[n++] = i;
	}
	return n > 0 ? batch_next(e->sessions, n, e->c.max_rows, &e->turn, e->parts) : 0;
}

static void
finish(struct engine *e, uint32_t slot, enum session_end end)
{
	struct request *r = e->slots[slot];

	e->slots[slot] = NULL;
	count_requests(e, -1, 0);
	engine_post_end(e, r, end);
}

/* Whether the session of a part goes on, in e->piece what it has to say; number: of the part among
 * those with logits. False: its best tokens do not decide. */
static bool
next_token(struct engine *e, const struct request *r, uint32_t number, bool whole,
	enum session_end *end)
{
	if (!whole)
		return session_next_best(r->session, &e->best[number], &e->piece, end);
	*end = session_next(r->session, e->logits + (size_t)number * e->shape.vocab, &e->piece);
	return true;
}

/* Lets the session of a part that has logits go on. */
static bool
take_token(struct engine *e, const struct batch_part *part, uint32_t number, bool whole)
{
	uint32_t slot = e->slot_of[part->session];
	struct request *r = e->slots[slot];
	enum session_end end;
	size_t n_ids;

	buf_clear(&e->piece);
	if (!next_token(e, r, number, whole, &end))
		return false;
	if (r->first_token == 0)
		r->first_token = uv_hrtime();
	engine_post_text(e, r, &e->piece);
	session_ids(r->session, &n_ids);
	if (end == SESSION_RUNNING && n_ids > e->c.context)
		end = SESSION_CONTEXT;
	if (end != SESSION_RUNNING)
		finish(e, slot, end);
	return true;
}

/* Lets the sessions of the parts go on with what was computed. */
static int
take_logits(struct engine *e, uint32_t n_parts, struct err *err)
{
	uint32_t number = 0, row = 0, n_undecided = 0, k = 0;

	for (uint32_t i = 0; i < n_parts; i++) {
		const struct batch_part *part = &e->parts[i];
		bool whole;

		row += part->n;
		e->slots[e->slot_of[part->session]]->n_done += part->n;
		if (!part->logits)
			continue;
		whole = e->star == NULL || (e->rows[row - 1].flags & STEP_WHOLE) != 0;
		if (!take_token(e, part, number, whole))
			e->undecided[n_undecided++] = number;
		number++;
	}
	if (n_undecided == 0)
		return 0;
	if (star_ask(e->star, e->undecided, n_undecided, e->own, e->logits, err) != 0)
		return -1;
	number = 0;
	for (uint32_t i = 0; i < n_parts && k < n_undecided; i++) {
		if (!e->parts[i].logits)
			continue;
		if (number == e->undecided[k]) {
			take_token(e, &e->parts[i], number, true);
			k++;
		}
		number++;
	}
	return 0;
}

/* Has n rows computed; e->logits receives the whole vocabulary's for each row that wants them, or,
 * in a group, e->best the best tokens of those that need no more. */
static int
compute(struct engine *e, uint32_t n, uint32_t n_logits, struct err *err)
{
	if (forward_embed(e->forward, e->tokens, n, e->x, err) != 0)
		return -1;
	if (e->star != NULL && star_step(e->star, e->rows, n, e->x, err) != 0)
		return -1;
	if (forward_step(e->forward, e->rows, n, e->x, &e->own, err) != 0)
		return -1;
	if (e->star != NULL)
		return star_gather(e->star, e->own, e->best, e->logits, err);
	if (n_logits > 0)
		memcpy(e->logits, e->own, (size_t)n_logits * e->shape.vocab * sizeof *e->own);
	return 0;
}

/* What is told to the sessions of a step that failed although the group is whole. */
static void
step_failed(struct engine *e, const struct err *err)
{
	char what[600];

	snprintf(what, sizeof what, "the step could not be computed: %s", err->msg);
	if (e->star != NULL)
		star_break(e->star, "", what); /* the members are in the middle of it */
	else {
		end_all(e, 500, what, what);
		engine_post_broken(e, what); /* weights that cannot be read are looked for anew */
	}
}

static void
publish_stats(struct engine *e)
{
	struct star_stats s = {0};

	if (e->star != NULL)
		s = star_stats(e->star);
	uv_mutex_lock(&e->lock);
	e->stats.steps++;
	e->stats.reduce_seconds = s.reduce_seconds;
	e->stats.sent_bytes = s.sent_bytes;
	e->stats.received_bytes = s.received_bytes;
	uv_mutex_unlock(&e->lock);
}

/* Returns false when there is nothing to compute. */
static bool
hub_step(struct engine *e)
{
	uint32_t n_parts = pick_parts(e);
	uint32_t n, n_logits;
	struct err err = {""};

	if (n_parts == 0)
		return false;
	n = lay_out_rows(e, n_parts, &n_logits);
	if ((compute(e, n, n_logits, &err) != 0 || take_logits(e, n_parts, &err) != 0) &&
		(e->star == NULL || !star_broken(e->star)))
		step_failed(e, &err);
	publish_stats(e);
	return true;
}

/* --- life --------------------------------------------------------------------------------------- */

static void
group_broken(struct engine *e)
{
	const char *who = star_broken_who(e->star), *why = star_broken_why(e->star);
	char running[600], waiting[600];

	if (who[0] != '\0') {
		snprintf(running, sizeof running, "%s was lost during the answer: %s", who, why);
		snprintf(waiting, sizeof waiting, "%s was lost: %s", who, why);
	} else {
		snprintf(running, sizeof running, "the answer was cut off: %s", why);
		snprintf(waiting, sizeof waiting, "%s", why);
	}
	end_all(e, 502, running, waiting);
	if (!atomic_load(&e->broken))
		star_close(e->star);
	engine_post_broken(e, waiting);
}

static void
stopped(struct engine *e)
{
	char why[512], running[600];

	uv_mutex_lock(&e->lock);
	memcpy(why, e->why, sizeof why);
	uv_mutex_unlock(&e->lock);
	snprintf(running, sizeof running, "the answer was cut off: %s", why);
	end_all(e, 503, running, why);
}

void
hub_run(struct engine *e)
{
	while (!atomic_load(&e->stopping)) {
		if (e->star != NULL && star_broken(e->star)) {
			group_broken(e);
			uv_run(&e->loop, UV_RUN_ONCE);
			continue;
		}
		take_news(e);
		drop_cancelled(e);
		fill_slots(e);
		if (!hub_step(e))
			uv_run(&e->loop, UV_RUN_ONCE);
	}
	stopped(e);
}
