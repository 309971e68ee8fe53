/* Reads bytes. A state is a set of threads, each a stack of frames: where alternatives begin a thread
 * becomes several, and those that a byte contradicts are gone. Values are begun by their first byte, so
 * that a state behind a colon is one thread whatever may follow.
 *
 * That every state can be brought to an end: each node knows how many frames it takes at least, and none
 * is begun, nor the name of a member written, without so much room. */
#include "model/grammar_step.h"

#include <string.h>

static void feed_thread(
	const struct grammar *g, struct grammar_thread *t, uint8_t c, struct grammar_state *to);

/* --- threads -------------------------------------------------------------------------------------- */

void
grammar_copy_thread(struct grammar_thread *to, const struct grammar_thread *from)
{
	to->n = from->n;
	memcpy(to->f, from->f, from->n * sizeof *from->f);
}

/* Those that came to the same are one. Beyond the bound the last ones are dropped: fewer texts pass. */
void
grammar_add_thread(struct grammar_state *to, const struct grammar_thread *t)
{
	for (uint32_t i = 0; i < to->n; i++)
		if (to->t[i].n == t->n && memcmp(to->t[i].f, t->f, t->n * sizeof *t->f) == 0)
			return;
	if (to->n < GRAMMAR_THREADS)
		grammar_copy_thread(&to->t[to->n++], t);
}

static void
push(const struct grammar *g, struct grammar_thread *t, uint16_t id, uint8_t c,
	struct grammar_state *to)
{
	if (t->n + g->nodes[id].need > GRAMMAR_DEPTH)
		return;
	t->f[t->n++] = (struct grammar_frame){.node = id};
	feed_thread(g, t, c, to);
}

static void
enter(const struct grammar *g, struct grammar_thread *t, uint16_t id, uint8_t c,
	struct grammar_state *to)
{
	const struct grammar_node *n = &g->nodes[id];
	struct grammar_thread way;

	if (n->kind != GRAMMAR_ANY_OF) {
		push(g, t, id, c, to);
		return;
	}
	for (uint32_t i = 0; i < n->n; i++) {
		grammar_copy_thread(&way, t);
		push(g, &way, g->pieces[n->first + i].node, c, to);
	}
}

/* --- a byte --------------------------------------------------------------------------------------- */

static enum verdict
read_byte(struct step *s)
{
	switch ((enum grammar_kind)s->n->kind) {
	case GRAMMAR_ROOT:
		return step_root(s);
	case GRAMMAR_LITERALS:
		return step_literal(s);
	case GRAMMAR_STRING:
		return step_string(s);
	case GRAMMAR_NUMBER:
		return step_number(s);
	case GRAMMAR_ARRAY:
		return step_array(s);
	case GRAMMAR_OBJECT:
		return step_object(s);
	case GRAMMAR_TAGGED:
		return step_tagged(s);
	case GRAMMAR_SEQUENCE:
		return step_sequence(s);
	case GRAMMAR_ANY_OF: /* has no frame */
		break;
	}
	return DEAD;
}

static void
feed_thread(const struct grammar *g, struct grammar_thread *t, uint8_t c, struct grammar_state *to)
{
	while (t->n > 0) {
		struct grammar_frame *f = &t->f[t->n - 1];
		struct step s = {.g = g, .t = t, .f = f, .n = &g->nodes[f->node], .c = c, .to = to};

		switch (read_byte(&s)) {
		case DEAD:
			return;
		case PASSED:
			t->n--;
			continue;
		case INTO:
			enter(g, t, s.into, c, to);
			return;
		case LEFT:
			t->n--;
			break;
		case TAKEN:
			break;
		}
		grammar_add_thread(to, t);
		return;
	}
}

void
grammar_start(const struct grammar *g, struct grammar_state *s)
{
	(void)g;
	s->n = 1;
	s->t[0].n = 1;
	s->t[0].f[0] = (struct grammar_frame){.node = 0};
}

bool
grammar_feed(const struct grammar *g, const struct grammar_state *from, uint8_t c,
	struct grammar_state *to)
{
	struct grammar_thread t;

	to->n = 0;
	for (uint32_t i = 0; i < from->n; i++) {
		grammar_copy_thread(&t, &from->t[i]);
		feed_thread(g, &t, c, to);
	}
	return to->n > 0;
}

void
grammar_copy(struct grammar_state *to, const struct grammar_state *from)
{
	to->n = from->n;
	for (uint32_t i = 0; i < from->n; i++)
		grammar_copy_thread(&to->t[i], &from->t[i]);
}

/* --- ends ----------------------------------------------------------------------------------------- */

/* Whether the value of a frame is whole as it stands, with nothing of it to come. */
static bool
whole(const struct grammar *g, const struct grammar_frame *f)
{
	const struct grammar_node *n = &g->nodes[f->node];

	switch ((enum grammar_kind)n->kind) {
	case GRAMMAR_ROOT:
		return f->state == ROOT_BEHIND;
	case GRAMMAR_LITERALS:
		return f->pos == g->pieces[n->first + f->at].len;
	case GRAMMAR_NUMBER:
		return grammar_number_ends(n, f);
	case GRAMMAR_TAGGED:
		return f->state == TAGGED_BEHIND;
	case GRAMMAR_SEQUENCE:
		return f->state != 0 && f->at == n->n;
	default: /* it would be gone */
		return false;
	}
}

bool
grammar_may_end(const struct grammar *g, const struct grammar_state *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t n = s->t[i].n;

		while (n > 0 && whole(g, &s->t[i].f[n - 1]))
			n--;
		if (n == 0)
			return true;
	}
	return false;
}

bool
grammar_ended(const struct grammar *g, const struct grammar_state *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->t[i].n != 1 || !whole(g, &s->t[i].f[0]))
			return false;
	return s->n > 0;
}

static bool
between_letters(const struct grammar *g, const struct grammar_frame *f)
{
	uint8_t kind = g->nodes[f->node].kind;

	return f->sub == LETTER_WHOLE && ((kind == GRAMMAR_OBJECT && f->state == OBJECT_OTHER) ||
						 (kind == GRAMMAR_STRING && f->state == STRING_IN));
}

static uint32_t
left_in_string(const struct grammar *g, const struct grammar_frame *f)
{
	const struct grammar_node *n = &g->nodes[f->node];

	if (!between_letters(g, f))
		return 0;
	if (n->kind == GRAMMAR_OBJECT)
		return n->n == 0 || f->pos == UNLIKE ? UINT32_MAX : 0;
	return n->max == GRAMMAR_MANY ? UINT32_MAX : n->max - f->n;
}

uint32_t
grammar_in_string(const struct grammar *g, const struct grammar_state *s)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t left = left_in_string(g, &s->t[i].f[s->t[i].n - 1]);

		if (left == 0)
			return 0;
		most = left > most ? left : most;
	}
	return most;
}

bool
grammar_maybe_in_string(const struct grammar *g, const struct grammar_state *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (between_letters(g, &s->t[i].f[s->t[i].n - 1]))
			return true;
	return false;
}
