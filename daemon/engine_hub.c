/* The coordinator's engine thread: gives slots to requests, picks the rows of each step, has them
 * computed by the group and lets each session take its logits. */
#include "base/file_guard.h"
#include "daemon/engine_int.h"

#include <stdio.h>
#include <stdlib.h>

/* --- slots -------------------------------------------------------------------------------------- */

static void
count_running(struct engine *e, int change)
{
	uv_mutex_lock(&e->lock);
	e->stats.running = (uint32_t)((int)e->stats.running + change);
	uv_mutex_unlock(&e->lock);
}

static void
drop_cancelled(struct engine *e)
{
	for (uint32_t i = 0; i < e->c.slots; i++) {
		struct request *r = e->slots[i];

		if (r == NULL || !atomic_load(&r->cancelled))
			continue;
		e->slots[i] = NULL;
		count_running(e, -1);
		desk_post_gone(e->c.desk, r);
	}
}

static void
fill_slots(struct engine *e)
{
	for (uint32_t i = 0; i < e->c.slots; i++) {
		struct request *r = e->slots[i] == NULL ? desk_take(e->c.desk) : NULL;

		if (r == NULL)
			continue;
		if (r->started == 0)
			r->started = uv_hrtime();
		e->slots[i] = r;
		count_running(e, 1);
	}
}

/* The running requests, oldest first, go to whatever engine comes next. */
static void
give_back(struct engine *e, int status, const char *why)
{
	struct request *head = NULL;

	drop_cancelled(e);
	for (uint32_t i = 0; i < e->c.slots; i++) {
		struct request *r = e->slots[i], **at = &head;

		if (r == NULL)
			continue;
		e->slots[i] = NULL;
		count_running(e, -1);
		while (*at != NULL && (*at)->number < r->number)
			at = &(*at)->next;
		r->next = *at;
		*at = r;
	}
	desk_give_back(e->c.desk, head, status, why);
}

/* --- a step ------------------------------------------------------------------------------------- */

/* What of a row's logits its session has to see. */
static uint32_t
wanted_logits(const struct engine *e, uint32_t slot)
{
	if (e->pipe != NULL && pipe_is_undecided(e, slot))
		return STEP_LOGITS | STEP_WHOLE;
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

uint32_t
hub_lay_out_rows(struct engine *e, uint32_t n_parts, uint32_t *logits)
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
	const struct usage *u = request_usage(r);

	e->slots[slot] = NULL;
	uv_mutex_lock(&e->lock);
	e->stats.running--;
	e->stats.prompt_tokens += u->prompt_tokens;
	e->stats.new_tokens += u->new_tokens;
	e->stats.prompt_seconds += u->prompt_seconds;
	e->stats.new_seconds += u->new_seconds;
	uv_mutex_unlock(&e->lock);
	desk_post_end(e->c.desk, r, end);
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

bool
hub_take_token(struct engine *e, const struct batch_part *part, uint32_t number, bool whole)
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
	desk_post_text(e->c.desk, r, &e->piece);
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
		if (!hub_take_token(e, part, number, whole))
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
			hub_take_token(e, &e->parts[i], number, true);
			k++;
		}
		number++;
	}
	return 0;
}

int
hub_compute(struct engine *e, uint32_t n, struct err *err)
{
	uint64_t read_errors = file_guard_errors();

	if (forward_embed(e->forward, e->tokens, n, e->x, err) != 0 ||
		engine_check_read(read_errors, err) != 0)
		return -1;
	if (e->star != NULL && star_step(e->star, e->rows, n, e->x, err) != 0)
		return -1;
	return engine_forward(e, n, &e->own, err);
}

/* Has n rows computed; e->logits receives the whole vocabulary's for each row that wants them, or,
 * in a group, e->best the best tokens of those that need no more. */
static int
compute(struct engine *e, uint32_t n, uint32_t n_logits, struct err *err)
{
	if (hub_compute(e, n, err) != 0)
		return -1;
	if (e->star != NULL)
		return star_gather(e->star, e->own, e->best, e->logits, err);
	if (n_logits > 0)
		memcpy(e->logits, e->own, (size_t)n_logits * e->shape.vocab * sizeof *e->own);
	return 0;
}

void
hub_step_failed(struct engine *e, const struct err *err)
{
	char what[600];

	snprintf(what, sizeof what, "the step could not be computed: %s", err->msg);
	if (e->star != NULL || e->ring != NULL) {
		engine_give_up(e, what); /* the others are in the middle of it */
		return;
	}
	give_back(e, 500, what);
	engine_post_broken(e, "", what); /* weights that cannot be read are looked for anew */
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
	n = hub_lay_out_rows(e, n_parts, &n_logits);
	if ((compute(e, n, n_logits, &err) != 0 || take_logits(e, n_parts, &err) != 0) &&
		(e->star == NULL || !star_broken(e->star)))
		hub_step_failed(e, &err);
	engine_publish(e);
	return true;
}

/* --- life --------------------------------------------------------------------------------------- */

static void
group_broken(struct engine *e, const char *who, const char *why)
{
	char running[600], news[600];

	if (who[0] != '\0') {
		snprintf(running, sizeof running, "%s was lost during the answer: %s", who, why);
		snprintf(news, sizeof news, "%s was lost: %s", who, why);
	} else {
		snprintf(running, sizeof running, "the answer was cut off: %s", why);
		snprintf(news, sizeof news, "%s", why);
	}
	give_back(e, 502, running);
	engine_unlink(e);
	engine_post_broken(e, who, news);
}

static void
stopped(struct engine *e)
{
	char why[512], running[600];

	uv_mutex_lock(&e->lock);
	memcpy(why, e->why, sizeof why);
	uv_mutex_unlock(&e->lock);
	snprintf(running, sizeof running, "the answer was cut off: %s", why);
	give_back(e, 503, running);
}

static void
wait_for_news(struct engine *e)
{
	if (e->ring != NULL)
		ring_wait(e->ring, &e->woken);
	else
		uv_run(&e->loop, UV_RUN_ONCE);
}

void
hub_run(struct engine *e)
{
	const char *who, *why;

	desk_attach(e->c.desk, &e->wake);
	while (!atomic_load(&e->stopping)) {
		e->woken = false;
		if (engine_is_cut(e, &who, &why) && !atomic_load(&e->broken))
			group_broken(e, who, why);
		if (atomic_load(&e->broken)) {
			uv_run(&e->loop, UV_RUN_ONCE);
			continue;
		}
		drop_cancelled(e);
		fill_slots(e);
		if (!(e->pipe != NULL ? pipe_step(e) : hub_step(e)))
			wait_for_news(e);
	}
	stopped(e);
	desk_detach(e->c.desk);
}
