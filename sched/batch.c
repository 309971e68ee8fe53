/* The rule. Sessions are served in a circle that starts at `turn`. First everyone who has work gets
 * one row: that is all a decoding session needs, and it keeps a prompt moving behind many decoding
 * ones. Then prompts, and what is guessed or drafted, fill the room that is left, each as far as it
 * goes. The next turn starts with the first one who got nothing, or, when all got something, behind
 * the prompt that was filled up first: so nobody waits longer than one circle. */
#include "sched/batch.h"

#include <stdbool.h>

static uint32_t
work_of(const struct batch_session *s)
{
	return s->n_ids > s->n_done ? s->n_ids - s->n_done : 0;
}

/* How many of a part's rows are of ids whose logits are wanted: they are its last ones. */
static uint32_t
logits_of(const struct batch_session *s, const struct batch_part *p)
{
	uint32_t first = s->n_ids - 1 - s->more, end = p->from + p->n;

	if (first < p->from)
		first = p->from;
	return end > first ? end - first : 0;
}

uint32_t
batch_next(const struct batch_session *sessions, uint32_t n_sessions, uint32_t max_rows,
	uint32_t *turn, struct batch_part *parts)
{
	uint32_t room = max_rows, n_parts = 0, next;
	bool filled = false;

	if (n_sessions == 0)
		return 0;
	*turn %= n_sessions;
	next = *turn;
	for (uint32_t i = 0, at = *turn; i < n_sessions; i++, at = (at + 1) % n_sessions) {
		if (work_of(&sessions[at]) == 0)
			continue;
		if (room == 0) {
			*turn = at;
			goto out;
		}
		parts[n_parts++] = (struct batch_part){at, sessions[at].n_done, 1, 0};
		room--;
	}
	for (uint32_t i = 0; i < n_parts && room > 0; i++) {
		const struct batch_session *s = &sessions[parts[i].session];
		uint32_t more = work_of(s) - 1;
		bool prompt = more > s->more; /* not only what is guessed or drafted */

		if (more > room)
			more = room;
		if (prompt && !filled) {
			filled = true;
			next = (parts[i].session + 1) % n_sessions;
		}
		parts[i].n += more;
		room -= more;
	}
	*turn = next;
out:
	for (uint32_t i = 0; i < n_parts; i++)
		parts[i].logits = logits_of(&sessions[parts[i].session], &parts[i]);
	return n_parts;
}
