/* Tokens that are guessed ahead: rows behind a session's last id, computed in the step that says its next token. What
 * the session picks decides which of them count: the row of a guess that it did not pick holds nothing, and what lies
 * behind it neither. Guesses are what stood before (model/lookup.h, sched/guess.h); or, where that says little, what a
 * smaller model drafts (daemon/drafter.h, sched/token_mode.h): then the session's next step waits for the draft, a
 * while, where that is predicted to pay. */
#include "daemon/engine_int.h"
#include "daemon/turn.h"

enum {
	MATCHED = 4,        /* tokens that agreed, from which on what stood before is asked alone */
	DRAFT_REQUESTS = 2, /* running, at most: where there are more, steps are fuller anyhow */
	DRAFT_NEAR = 64 /* ids that a drafter takes first, at most, if a step is to wait for it */
};

/* Whether the logits of each row are all sent here: then a guess is as dear as a token. */
static bool
sends_all_logits(const struct engine *e, uint32_t flags)
{
	return !engine_is_alone(e) && (flags & STEP_WHOLE) != 0;
}

/* Sums of more rows may go another way, which rounds elsewhere where they are rounded at all: the text would be another
 * one than without guesses. So many rows more go as these do. */
static uint32_t
rows_alike(const struct engine *e, uint32_t rows, uint32_t most)
{
	while (most > 0 && !engine_sums_alike(&e->c, rows, rows + most))
		most--;
	return most;
}

/* --- drafts ------------------------------------------------------------------------------------- */

/* Whether a step is worth waiting for: else others are in it anyhow, or a prompt, whose steps are long. */
static bool
is_calm(const struct engine *e)
{
	uint32_t running = 0;

	for (uint32_t i = 0; i < e->c.slots; i++) {
		const struct request *r = e->slots[i];
		size_t n;

		if (r == NULL)
			continue;
		running++;
		if (r->guide != NULL && !atomic_load(&r->led))
			continue; /* its ids are the main thread's */
		request_ids(r, &n);
		if (n > r->n_done + 1)
			return false;
	}
	return running <= DRAFT_REQUESTS;
}

/* Whether the step is better done without the draft that was asked for. */
static bool
is_too_late(struct engine *e, const struct request *r, size_t n_ids)
{
	uint64_t waited = uv_hrtime() - r->draft.since, ms;

	if (r->draft.behind != n_ids || !r->draft_near || waited >= r->draft_patience ||
		!is_calm(e))
		return true;
	ms = (r->draft_patience - waited) / 1000000 + 1;
	if (!uv_is_active((uv_handle_t *)&e->patience) || uv_timer_get_due_in(&e->patience) > ms)
		turn_wake_in(&e->patience, ms, &e->woken);
	return false;
}

/* Takes the draft that is there. Returns whether it is one for what comes next, be it empty. */
static bool
take_draft(struct engine *e, struct request *r, const struct desk_draft *draft, size_t n_ids,
	uint32_t most)
{
	if (r->draft_timed)
		token_pace_drafted(&e->drafts, draft->n, draft->seconds);
	if (draft->n > 0)
		r->n_draft_has = draft->behind;
	if (draft->behind != n_ids)
		return false;
	r->n_guess = draft->n < most ? draft->n : most;
	r->guess_drafted = r->n_guess > 0;
	memcpy(r->guess, draft->ids, r->n_guess * sizeof *r->guess);
	return true;
}

/* What is drafted behind the session's last id, into r->guess. False: it is waited for. */
static bool
draft_ahead(struct engine *e, struct request *r, size_t n_ids, uint32_t most)
{
	struct desk_draft draft;
	uint32_t room = session_guess_room(r->session), k;
	double patience = 0;
	size_t news;

	if (!desk_may_draft(r))
		return true;
	most = most < room ? most : room;
	if (desk_asks_draft(r)) {
		if (!desk_take_draft(e->c.desk, r, &draft))
			return is_too_late(e, r, n_ids);
		if (take_draft(e, r, &draft, n_ids, most))
			return true;
	}
	k = is_calm(e) ? token_pace_in_time(&e->drafts, &patience) : 0;
	k = k < most ? k : most;
	if (k == 0)
		return true;
	news = n_ids - r->n_draft_has;
	r->draft_patience = (uint64_t)(1e9 * patience);
	/* The first token is waited for by somebody who sees nothing yet. */
	r->draft_near = news <= DRAFT_NEAR && r->first_token != 0;
	r->draft_timed = news <= 1 + TOKEN_DRAFT_MOST;
	desk_ask_draft(e->c.desk, r, k);
	return is_too_late(e, r, n_ids);
}

/* --- guesses ------------------------------------------------------------------------------------ */

bool
guess_ahead(struct engine *e, struct request *r, uint32_t flags, uint32_t rows, uint32_t most)
{
	uint32_t n, kept;
	size_t n_ids;

	session_ids(r->session, &n_ids);
	kept = r->guess_drafted && r->guess_from == n_ids ? r->n_guess
							  : 0; /* the step was put off */
	r->guess_from = (uint32_t)n_ids;
	r->n_guess = 0;
	r->guess_drafted = false;
	if (!e->c.guess || n_ids != r->n_done + 1 || n_ids >= e->c.context ||
		sends_all_logits(e, flags) || guess_pauses(&e->guesses))
		return true;
	most = most < GUESS_MOST ? most : GUESS_MOST;
	if (most > e->c.context - n_ids)
		most = e->c.context - (uint32_t)n_ids;
	most = rows_alike(e, rows, most);
	if (kept > 0 && most > 0) {
		r->n_guess = kept < most ? kept : most;
		r->guess_drafted = true;
		return true;
	}
	n = session_guess(r->session, r->guess, most, &r->guess_matched);
	if (n == 0 || r->guess_matched < MATCHED) {
		if (!draft_ahead(e, r, n_ids, most))
			return false;
		if (r->n_guess > 0)
			return true;
	}
	r->n_guess = guess_length(&e->guesses, r->guess_matched, rows, n);
	return true;
}

void
guess_sent(struct engine *e, struct request *r, uint32_t end)
{
	r->n_guess = r->n_guess > 0 && end > r->guess_from ? end - r->guess_from : 0;
	r->n_guessed += r->n_guess;
	e->drafted += r->n_guess;
}

bool
guess_is_void(const struct request *r, uint32_t pos)
{
	size_t n;
	const uint32_t *ids = session_ids(r->session, &n);

	return pos + 1 != n || (pos >= r->guess_from && ids[pos] != r->guess[pos - r->guess_from]);
}

void
guess_used(struct engine *e, struct request *r, uint32_t pos)
{
	if (pos < r->guess_from)
		return;
	r->n_right++;
	e->accepted++;
}

void
guess_settle(struct engine *e, struct request *r)
{
	uint32_t checked, right;
	size_t n_ids;

	session_ids(r->session, &n_ids);
	if (r->n_done >= n_ids)
		r->n_done = (uint32_t)n_ids - 1;
	/* In a pipeline the first token may be undecided, which says nothing of the guesses behind it. */
	if (r->n_guess == 0 || n_ids == r->guess_from)
		return;
	right = (uint32_t)n_ids - 1 - r->guess_from;
	checked = right < r->n_guess ? right + 1 : right;
	if (r->guess_drafted)
		token_pace_checked(&e->drafts, checked, right);
	else
		guess_checked(&e->guesses, r->guess_matched, checked, right);
	r->n_guess = 0;
}

void
guess_timed(struct engine *e, uint32_t rows, double seconds)
{
	guess_step(&e->guesses, rows, seconds);
	if (rows <= 1 + TOKEN_DRAFT_MOST)
		token_pace_step(&e->drafts, rows, seconds);
}
