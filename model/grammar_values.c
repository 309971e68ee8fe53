/* Values: literals, strings, numbers and arrays; and what they share with objects. */
#include "model/grammar_step.h"

#include <string.h>

#define INDENT 4 /* blanks behind a new line for each level, at most */

/* --- parts ---------------------------------------------------------------------------------------- */

bool
step_blank(struct step *s)
{
	uint32_t most = 2 + INDENT * (s->t->n - 1);
	struct grammar_frame *f = s->f;

	if (f->sub == 0 && (s->c == ' ' || s->c == '\n'))
		f->sub = s->c == ' ' ? 1 : 2;
	else if (f->sub >= 2 && f->sub < most && (s->c == ' ' || s->c == '\t'))
		f->sub++;
	else
		return false;
	return true;
}

enum verdict
step_begin(struct step *s, uint8_t c, uint8_t state)
{
	s->f->state = state;
	return s->c == c ? TAKEN : DEAD;
}

bool
step_match(const struct step *s, uint32_t end, bool members)
{
	const struct grammar_piece *like = piece(s, s->f->at);
	const uint8_t *text = grammar_text(s->g, like);
	uint16_t pos = s->f->pos;

	for (uint32_t i = s->f->at; i < end; i++) {
		const struct grammar_piece *p = piece(s, i);
		const uint8_t *other = grammar_text(s->g, p);

		if (p->len <= pos || other[pos] != s->c || memcmp(text, other, pos) != 0 ||
			(members && !fits(s, p->node)))
			continue;
		s->f->at = (uint16_t)i;
		s->f->pos++;
		return true;
	}
	return false;
}

/* Whether a literal is all there; 1 is, and goes on as 10 where that is one too. */
static bool
literal_goes_on(const struct step *s)
{
	const struct grammar_piece *p = piece(s, s->f->at), *next = p + 1;

	return s->f->at + 1 < s->n->n && next->len > p->len &&
	       memcmp(grammar_text(s->g, p), grammar_text(s->g, next), p->len) == 0;
}

enum verdict
step_literal(struct step *s)
{
	uint16_t len;

	if (!step_match(s, s->n->n, false))
		return s->f->pos == piece(s, s->f->at)->len ? PASSED : DEAD;
	len = piece(s, s->f->at)->len;
	return s->f->pos == len && !literal_goes_on(s) ? LEFT : TAKEN;
}

enum verdict
step_string(struct step *s)
{
	struct grammar_frame *f = s->f;
	int next;

	if (f->state == STRING_BEGIN)
		return step_begin(s, '"', STRING_IN);
	if (f->sub == LETTER_WHOLE && s->c == '"')
		return f->n >= s->n->min ? LEFT : DEAD;
	next = grammar_letter(f->sub, s->c);
	if (next < 0 || f->n == s->n->max)
		return DEAD;
	f->sub = (uint8_t)next;
	/* Where there is no most, nothing has to be counted beyond the least. */
	if (next == LETTER_WHOLE && (s->n->max != GRAMMAR_MANY || f->n < s->n->min))
		f->n++;
	return TAKEN;
}

enum verdict
step_number(struct step *s)
{
	if (grammar_digit(s->n, s->f, s->c))
		return TAKEN;
	return grammar_number_ends(s->n, s->f) ? PASSED : DEAD;
}

/* --- arrays --------------------------------------------------------------------------------------- */

static uint16_t
next_item(const struct step *s)
{
	uint32_t n = s->f->n;

	if (n >= s->n->max)
		return GRAMMAR_NONE;
	return n < s->n->n ? piece(s, n)->node : s->n->child;
}

static enum verdict
begin_item(struct step *s)
{
	uint32_t counted = s->n->min > s->n->n ? s->n->min : s->n->n;

	s->into = next_item(s);
	if (!fits(s, s->into))
		return DEAD;
	if (s->n->max != GRAMMAR_MANY || s->f->n < counted)
		s->f->n++;
	s->f->state = ARRAY_BEHIND;
	s->f->sub = 0;
	return INTO;
}

enum verdict
step_array(struct step *s)
{
	struct grammar_frame *f = s->f;

	if (f->state == ARRAY_BEGIN)
		return step_begin(s, '[', ARRAY_FIRST);
	if (step_blank(s))
		return TAKEN;
	if (f->state != ARRAY_NEXT && s->c == ']')
		return f->n >= s->n->min ? LEFT : DEAD;
	if (f->state != ARRAY_BEHIND)
		return begin_item(s);
	if (s->c != ',' || !fits(s, next_item(s)))
		return DEAD;
	f->state = ARRAY_NEXT;
	f->sub = 0;
	return TAKEN;
}
