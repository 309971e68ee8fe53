/* Objects: members of the schema in their order, then others. */
#include "model/grammar_step.h"

/* Behind the last of the members that may be next. */
static uint32_t
end_of_names(const struct step *s)
{
	uint32_t last = s->f->at < s->n->n ? piece(s, s->f->at)->last : s->n->n;

	return last < s->n->n ? last + 1 : last;
}

static bool
all_there(const struct step *s)
{
	return s->f->at >= s->n->n || piece(s, s->f->at)->last == s->n->n;
}

static bool
named_may_follow(const struct step *s)
{
	for (uint32_t i = s->f->at, end = end_of_names(s); i < end; i++)
		if (fits(s, piece(s, i)->node))
			return true;
	return false;
}

static bool
other_may_follow(const struct step *s)
{
	return all_there(s) && fits(s, s->n->child);
}

/* The quote of a name, which may be one of the schema's or another one: then the thread is two. */
static enum verdict
begin_name(struct step *s)
{
	bool named = named_may_follow(s), other = other_may_follow(s);
	struct grammar_thread way;
	struct grammar_frame *f = s->f;

	if (s->c != '"' || !(named || other))
		return DEAD;
	if (other && named) {
		grammar_copy_thread(&way, s->t);
		f = &way.f[way.n - 1];
	}
	if (other) {
		f->state = OBJECT_OTHER;
		f->sub = LETTER_WHOLE;
		f->at = f->pos = 0;
	}
	if (other && named)
		grammar_add_thread(s->to, &way);
	if (named) {
		s->f->state = OBJECT_NAME;
		s->f->sub = 0;
		s->f->pos = 0;
	}
	return TAKEN;
}

static enum verdict
read_name(struct step *s)
{
	if (!step_match(s, end_of_names(s), true))
		return DEAD;
	if (s->f->pos == piece(s, s->f->at)->len)
		s->f->state = OBJECT_COLON;
	return TAKEN;
}

/* A name that is none of the schema's. As long as it is like one of them it is written without escapes, which
 * could spell that one in another way. */
static enum verdict
read_other_name(struct step *s)
{
	struct grammar_frame *f = s->f;
	bool end = f->sub == LETTER_WHOLE && s->c == '"';
	bool unlike = f->pos == UNLIKE || s->n->n == 0;
	bool like = !unlike && step_match(s, s->n->n, false);
	int next = end ? LETTER_WHOLE : grammar_letter(f->sub, s->c);

	if (next < 0 || (end && like) || (s->c == '\\' && !unlike))
		return DEAD;
	if (!like) { /* from now on, all of them are one state */
		f->at = 0;
		f->pos = UNLIKE;
	}
	f->sub = (uint8_t)next;
	if (end)
		f->state = OBJECT_OTHER_COLON;
	return TAKEN;
}

static enum verdict
begin_member(struct step *s)
{
	struct grammar_frame *f = s->f;
	bool other = f->state == OBJECT_OTHER_VALUE;

	if (step_blank(s))
		return TAKEN;
	s->into = other ? s->n->child : piece(s, f->at)->node;
	f->at = other ? s->n->n : (uint16_t)(f->at + 1);
	f->pos = 0;
	f->state = OBJECT_BEHIND;
	f->sub = 0;
	return INTO;
}

static enum verdict
behind_member(struct step *s)
{
	if (step_blank(s))
		return TAKEN;
	if (s->c == '}')
		return all_there(s) ? LEFT : DEAD;
	if (s->f->state == OBJECT_FIRST)
		return begin_name(s);
	if (s->c != ',' || !(named_may_follow(s) || other_may_follow(s)))
		return DEAD;
	s->f->state = OBJECT_NEXT;
	s->f->sub = 0;
	return TAKEN;
}

enum verdict
step_object(struct step *s)
{
	switch ((enum object_state)s->f->state) {
	case OBJECT_BEGIN:
		return step_begin(s, '{', OBJECT_FIRST);
	case OBJECT_FIRST:
	case OBJECT_BEHIND:
		return behind_member(s);
	case OBJECT_NEXT:
		return step_blank(s) ? TAKEN : begin_name(s);
	case OBJECT_NAME:
		return read_name(s);
	case OBJECT_OTHER:
		return read_other_name(s);
	case OBJECT_COLON:
	case OBJECT_OTHER_COLON:
		return step_begin(s, ':', s->f->state + 1);
	case OBJECT_VALUE:
	case OBJECT_OTHER_VALUE:
		return begin_member(s);
	}
	return DEAD;
}
