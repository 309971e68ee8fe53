/* Tokens that are guessed ahead (model/lookup.h, sched/guess.h): rows behind a session's last id, computed in the step
 * that says its next token. What the session picks decides which of them count: the row of a guess that it did not pick
 * holds nothing, and what lies behind it neither. */
#include "daemon/engine_int.h"

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
	const struct collective *c;

	if (e->star == NULL || e->c.payload == FRAME_F32)
		return most;
	c = star_collective(e->star);
	while (most > 0 && (star_way(e->star, rows + most) != star_way(e->star, rows) ||
				   c->by_rows(c, rows + most) != c->by_rows(c, rows)))
		most--;
	return most;
}

uint32_t
guess_ahead(struct engine *e, struct request *r, uint32_t flags, uint32_t rows, uint32_t most)
{
	uint32_t n;
	size_t n_ids;

	session_ids(r->session, &n_ids);
	r->guess_from = (uint32_t)n_ids;
	r->n_guess = 0;
	if (!e->c.guess || n_ids != r->n_done + 1 || n_ids >= e->c.context ||
		sends_all_logits(e, flags))
		return 0;
	most = most < GUESS_MOST ? most : GUESS_MOST;
	if (most > e->c.context - n_ids)
		most = e->c.context - (uint32_t)n_ids;
	n = session_guess(r->session, r->guess, rows_alike(e, rows, most), &r->guess_matched);
	r->n_guess = guess_length(&e->guesses, r->guess_matched, rows, n);
	return r->n_guess;
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
	guess_checked(&e->guesses, r->guess_matched, checked, right);
	r->n_guess = 0;
}
