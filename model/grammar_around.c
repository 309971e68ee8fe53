/* What is around values: a whole text, calls. */
#include "model/grammar_step.h"

enum verdict
step_tagged(struct step *s)
{
	struct grammar_frame *f = s->f;

	if (f->state == TAGGED_BEHIND)
		return PASSED;
	if (f->state == TAGGED_VALUE) {
		s->into = piece(s, f->at)->node;
		f->state = TAGGED_BEHIND;
		return INTO;
	}
	if (!step_match(s, s->n->n, true))
		return DEAD;
	if (f->pos == piece(s, f->at)->len)
		f->state = TAGGED_VALUE;
	return TAKEN;
}

/* sub: how often it was begun again. */
static bool
repeats(const struct grammar_node *n, const struct grammar_frame *f)
{
	return f->sub + 1u < n->max;
}

enum verdict
step_sequence(struct step *s)
{
	struct grammar_frame *f = s->f;

	if (f->state == 0) { /* the first piece stands only between two turns */
		f->state = 1;
		f->at = 1;
	}
	if (f->at == s->n->n) {
		if (!repeats(s->n, f))
			return PASSED;
		f->sub++;
		f->at = 0;
	}
	if (piece(s, f->at)->node != GRAMMAR_NONE) {
		s->into = piece(s, f->at++)->node;
		return INTO;
	}
	if (grammar_text(s->g, piece(s, f->at))[f->pos] != s->c)
		return DEAD;
	if (++f->pos == piece(s, f->at)->len) {
		f->at++;
		f->pos = 0;
	}
	return f->at == s->n->n && !repeats(s->n, f) ? LEFT : TAKEN;
}

enum verdict
step_root(struct step *s)
{
	if (s->f->state == ROOT_BEHIND)
		return DEAD;
	if (step_blank(s))
		return TAKEN;
	s->f->state = ROOT_BEHIND;
	s->f->sub = 0;
	s->into = s->n->child;
	return INTO;
}
