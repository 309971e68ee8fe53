/* The coordinator's engine thread: gives slots to requests, picks the rows of each step, has them
 * computed by the group and lets each session take its logits. */
#include "daemon/engine_int.h"
#include "daemon/turn.h"

#include <stdio.h>
#include <stdlib.h>

#define REST_NS 500000000u /* for so long a led request that rests keeps its slot from others */

/* --- slots -------------------------------------------------------------------------------------- */

static void
count_running(struct engine *e, int change)
{
	uv_mutex_lock(&e->lock);
	e->stats.running = (uint32_t)((int)e->stats.running + change);
	uv_mutex_unlock(&e->lock);
}

/* Where an answer goes on, what it had said was not said here: its rows were computed, as those of the prompt. */
static void
finish(struct engine *e, uint32_t slot, enum session_end end)
{
	struct request *r = e->slots[slot];
	const struct usage u = request_usage(r);

	e->slots[slot] = NULL;
	uv_mutex_lock(&e->lock);
	e->stats.running--;
	e->stats.prompt_tokens += u.prompt_tokens;
	e->stats.cached_tokens += u.cached;
	if (2 * (size_t)r->n_cached <= r->n_begun) {
		e->stats.computed_tokens += r->n_begun - r->n_cached;
		e->stats.computed_seconds += u.prompt_seconds;
	}
	e->stats.new_tokens += u.prompt_tokens + u.new_tokens - r->n_begun;
	e->stats.new_seconds += u.new_seconds;
	uv_mutex_unlock(&e->lock);
	desk_post_end(e->c.desk, r, end);
}

/* Those of which nobody wants any more. */
static void
drop_unwanted(struct engine *e)
{
	for (uint32_t i = 0; i < e->c.slots; i++) {
		struct request *r = e->slots[i];

		if (r != NULL && atomic_load(&r->cancelled)) {
			e->slots[i] = NULL;
			count_running(e, -1);
			desk_post_gone(e->c.desk, r);
		} else if (r != NULL && atomic_load(&r->stopped)) {
			finish(e, i, SESSION_STOP);
		}
	}
}

/* What of a request that was given back need not be computed again, and what must. */
static void
count_rows(struct engine *e, struct request *r)
{
	uv_mutex_lock(&e->lock);
	e->stats.kept_rows += r->n_done;
	e->stats.again_rows += r->n_had > r->n_done ? r->n_had - r->n_done : 0;
	uv_mutex_unlock(&e->lock);
	r->n_had = 0;
}

static uint32_t
free_slot(const struct engine *e)
{
	uint32_t i = 0;

	while (i < e->c.slots && e->slots[i] != NULL)
		i++;
	return i;
}

/* Rows of a request that need not be computed where they are there: all but the one whose logits it waits for. */
static size_t
rows_to_spare(const struct request *r, size_t n_ids)
{
	bool uncached =
		r->guide != NULL ? guide_is_uncached(r->guide) : session_is_uncached(r->session);

	return uncached ? 0 : n_ids - 1;
}

/* A free slot for the request, the one in which most of its rows are there. */
static uint32_t
place(struct engine *e, struct request *r)
{
	size_t n_ids, rows, most;
	const uint32_t *ids = request_ids(r, &n_ids);
	uint32_t slot;

	for (uint32_t i = 0; i < e->c.slots; i++)
		e->free_slots[i] = e->slots[i] == NULL;
	most = rows_to_spare(r, n_ids);
	slot = prefix_cache_choose(
		e->prefixes, e->free_slots, r->client, ids, most > 0 ? n_ids : 0);
	prefix_cache_take(e->prefixes, slot, r->client);
	rows = prefix_cache_rows(e->prefixes, slot, r->client, ids, n_ids);
	r->n_done = (uint32_t)(rows < most ? rows : most);
	if (r->guide == NULL && r->first_token == 0)
		r->n_cached = r->n_done;
	return slot;
}

static void
fill_slots(struct engine *e)
{
	struct request *r;
	uint32_t slot;

	while ((slot = free_slot(e)) < e->c.slots && (r = desk_take(e->c.desk)) != NULL) {
		if (r->guide != NULL && guide_context(r->guide) > e->c.context) {
			desk_post_failed(e->c.desk, r, 503, "the model's context has changed");
			continue;
		}
		if (r->started == 0)
			r->started = uv_hrtime();
		if (e->kv != NULL)
			slot = engine_kv_place(e, r);
		count_rows(e, r);
		if (e->prefixes != NULL)
			slot = place(e, r);
		e->slots[slot] = r;
		count_running(e, 1);
	}
}

/* Led requests that rest keep their slots, with what is computed of them, for a while when others wait
 * for one. */
static void
make_room(struct engine *e)
{
	uint64_t now = uv_hrtime(), soon = UINT64_MAX;
	bool room = !desk_waits(e->c.desk);

	for (uint32_t i = 0; i < e->c.slots && !room; i++) {
		struct request *r = e->slots[i];

		if (r == NULL || r->guide == NULL || atomic_load(&r->led))
			continue;
		if (now - r->rested < REST_NS) {
			soon = r->rested + REST_NS - now < soon ? r->rested + REST_NS - now : soon;
		} else if (desk_park(e->c.desk, r)) {
			e->slots[i] = NULL;
			count_running(e, -1);
			room = true;
		}
	}
	if (room)
		fill_slots(e);
	else if (soon != UINT64_MAX)
		turn_wake_in(&e->room, soon / 1000000 + 1, &e->woken); /* hub_run looks */
}

/* The running requests, oldest first, go to whatever engine comes next. */
static void
give_back(struct engine *e, int status, const char *why)
{
	struct request *head = NULL;

	drop_unwanted(e);
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

/* What of a row's logits its request has to see. */
static uint32_t
wanted_logits(const struct engine *e, uint32_t slot)
{
	const struct request *r = e->slots[slot];

	if (e->pipe != NULL && pipe_is_undecided(e, slot))
		return STEP_LOGITS | STEP_WHOLE;
	switch (r->guide != NULL ? guide_needs(r->guide) : session_needs(r->session)) {
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
		uint32_t slot = e->slot_of[part->session], flags = wanted_logits(e, slot);
		struct request *r = e->slots[slot];
		size_t n_ids;
		const uint32_t *ids = request_ids(r, &n_ids);

		guess_sent(e, r, part->from + part->n);
		for (uint32_t k = 0; k < part->n; k++, n++) {
			bool wants = k + part->logits >= part->n;
			uint32_t pos = part->from + k, guess = pos < n_ids ? 0 : STEP_GUESS;

			e->tokens[n] = guess == 0 ? ids[pos] : r->guess[pos - n_ids];
			e->rows[n] = (struct step_row){slot, pos, wants ? flags | guess : 0};
			if (e->prefixes != NULL)
				prefix_cache_put(e->prefixes, slot, pos, e->tokens[n]);
			if (wants)
				e->wanted[(*logits)++] = (struct wanted_row){slot, pos,
					engine_is_alone(e) || (flags & STEP_WHOLE) != 0, false};
		}
	}
	return n;
}

struct hub_pick
hub_pick(const struct engine *e, uint32_t requests)
{
	uint32_t most = engine_max_logits(e->c.slots, e->c.max_rows), running = 0;
	struct hub_pick p = {.spare = most < e->c.max_rows ? most - e->c.slots : most};

	for (uint32_t i = 0; i < e->c.slots; i++)
		running += e->slots[i] != NULL;
	p.rows = running < requests ? running : requests;
	return p;
}

bool
hub_work_of(struct engine *e, uint32_t slot, struct hub_pick *p, struct batch_session *s)
{
	struct request *r = e->slots[slot];
	uint32_t more = 0;
	size_t n, stale;

	if (r->guide != NULL) {
		if (!atomic_load(&r->led))
			return false;
		stale = guide_stale(r->guide);
		if (stale < r->n_done)
			r->n_done = (uint32_t)stale;
	} else if (!guess_ahead(e, r, wanted_logits(e, slot), p->rows, p->spare)) {
		p->waits = true;
		return false;
	} else {
		more = r->n_guess;
	}
	request_ids(r, &n);
	p->rows += more;
	p->spare -= more;
	*s = (struct batch_session){(uint32_t)n + more, r->n_done, more};
	return true;
}

/* Every session may have a row; what is left is for prompts, and shall not take too long. */
uint32_t
hub_room(const struct engine *e, uint32_t n)
{
	bool beside = false;
	uint32_t most;

	for (uint32_t i = 0; i < n; i++)
		beside |= e->sessions[i].n_ids == e->sessions[i].n_done + 1 + e->sessions[i].more;
	most = n + step_time_rows(&e->step_time, beside);
	return most < e->c.max_rows ? most : e->c.max_rows;
}

static uint32_t
pick_parts(struct engine *e)
{
	struct hub_pick pick = hub_pick(e, e->c.slots);
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->c.slots; i++)
		if (e->slots[i] != NULL && hub_work_of(e, i, &pick, &e->sessions[n]))
			e->slot_of[n++] = i;
	/* Those that have their drafts wait for the others': else they would take turns, with a step for each. */
	if (n == 0 || pick.waits)
		return 0;
	return batch_next(e->sessions, n, hub_room(e, n), &e->turn, e->parts);
}

/* Whether a session goes on, in e->piece what it has to say; number: of its row among those with
 * logits. False: its best tokens do not decide. */
static bool
next_token(struct engine *e, const struct request *r, uint32_t number, bool whole,
	enum session_end *end)
{
	if (!whole)
		return session_next_best(r->session, &e->best[number], &e->piece, end);
	*end = session_next(r->session, e->logits + (size_t)number * e->shape.vocab, &e->piece);
	return true;
}

/* Lets a session that has logits go on. */
static bool
take_token(struct engine *e, uint32_t slot, uint32_t pos, uint32_t number, bool whole)
{
	struct request *r = e->slots[slot];
	enum session_end end;
	size_t n_ids;

	if (guess_is_void(r, pos))
		return true;
	buf_clear(&e->piece);
	if (!next_token(e, r, number, whole, &end))
		return false;
	guess_used(e, r, pos);
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

/* The same of a led request. It may be led on by the main thread as soon as its choice is posted. */
static bool
take_choice(struct engine *e, struct request *r, uint32_t number, bool whole)
{
	struct guide_choice c;

	if (whole)
		guide_take(r->guide, e->logits + (size_t)number * e->shape.vocab, &c);
	else if (!guide_take_best(r->guide, &e->best[number], &c))
		return false;
	desk_post_choice(e->c.desk, r, &c);
	return true;
}

/* One whose logits are no numbers ends. */
static bool
is_broken(struct engine *e, uint32_t slot, uint32_t number, bool whole)
{
	uint32_t vocab = e->shape.vocab;
	struct request *r = e->slots[slot];
	struct err err;

	if (whole ? logits_check(e->logits + (size_t)number * vocab, vocab, &err) == 0
		  : best_check(&e->best[number], &err) == 0)
		return false;
	e->slots[slot] = NULL;
	count_running(e, -1);
	desk_post_failed(e->c.desk, r, 500, err.msg);
	return true;
}

bool
hub_take_row(struct engine *e, uint32_t slot, uint32_t pos, uint32_t number, bool whole)
{
	struct request *r = e->slots[slot];

	if (r == NULL || is_broken(e, slot, number, whole))
		return true;
	return r->guide != NULL ? take_choice(e, r, number, whole)
				: take_token(e, slot, pos, number, whole);
}

/* Gives rows what was computed for them, those of one request in their order. Returns how many are
 * undecided; those behind one of the same request wait for it. */
static uint32_t
take_rows(struct engine *e, uint32_t n)
{
	uint32_t n_undecided = 0, stuck = UINT32_MAX;

	for (uint32_t i = 0; i < n; i++) {
		struct wanted_row *w = &e->wanted[i];

		if (w->taken || w->slot == stuck)
			continue;
		w->taken = hub_take_row(e, w->slot, w->pos, i, w->whole);
		if (!w->taken) {
			e->undecided[n_undecided++] = i;
			stuck = w->slot;
		}
	}
	return n_undecided;
}

/* Lets the requests of the parts go on with what was computed. */
static int
take_logits(struct engine *e, uint32_t n_parts, uint32_t n_logits, struct err *err)
{
	uint32_t n;

	for (uint32_t i = 0; i < n_parts; i++)
		e->slots[e->slot_of[e->parts[i].session]]->n_done += e->parts[i].n;
	while ((n = take_rows(e, n_logits)) > 0) {
		if (star_ask(e->star, e->undecided, n, e->own, e->logits, err) != 0)
			return -1;
		for (uint32_t i = 0; i < n; i++)
			e->wanted[e->undecided[i]].whole = true;
	}
	for (uint32_t i = 0; i < n_parts; i++) {
		struct request *r = e->slots[e->slot_of[e->parts[i].session]];

		if (r != NULL && r->guide == NULL)
			guess_settle(e, r);
	}
	return 0;
}

int
hub_compute(struct engine *e, uint32_t n, struct err *err)
{
	uint32_t first = engine_divide(e, n);

	if (forward_embed(e->forward, e->tokens, n, e->x, err) != 0 ||
		engine_check_read(e, err) != 0)
		return -1;
	if (e->star != NULL && star_step(e->star, e->rows, n, first, e->x, err) != 0)
		return -1;
	return engine_forward(e, n, first, &e->own, err);
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
	uint64_t start = uv_hrtime();
	struct err err = {""};

	if (n_parts == 0)
		return false;
	n = hub_lay_out_rows(e, n_parts, &n_logits);
	if ((compute(e, n, n_logits, &err) != 0 || take_logits(e, n_parts, n_logits, &err) != 0) &&
		(e->star == NULL || !star_broken(e->star)))
		hub_step_failed(e, &err);
	if (n == n_logits) /* no prompt's */
		guess_timed(e, n, 1e-9 * (double)(uv_hrtime() - start));
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
		if (engine_kv_is_held(e)) {
			wait_for_news(e);
			continue;
		}
		drop_unwanted(e);
		fill_slots(e);
		engine_kv_settle(e);
		make_room(e);
		if (!(e->pipe != NULL ? pipe_step(e) : hub_step(e)))
			wait_for_news(e);
	}
	stopped(e);
	desk_detach(e->c.desk);
}
