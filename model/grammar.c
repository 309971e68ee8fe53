/* Reads bytes. A state is a set of threads, each a stack of frames: where alternatives begin a thread
 * becomes several, and those that a byte contradicts are gone. Values are begun by their first byte, so
 * that a state behind a colon is one thread whatever may follow.
 *
 * That every state can be brought to an end: each node knows how many frames it takes at least, and none
 * is begun, nor the name of a member written, without so much room. */
#include "model/grammar_int.h"

#include <string.h>

#define INDENT 4          /* blanks behind a new line for each level, at most */
#define UNLIKE UINT16_MAX /* pos of a name that is not like any of the members' */

enum verdict {
	DEAD,
	TAKEN,
	LEFT,   /* taken, and the value has ended */
	PASSED, /* not taken: the value has ended before, and the byte is for the one around it */
	INTO    /* it begins a value within */
};

enum object_state {
	OBJECT_BEGIN,
	OBJECT_FIRST,
	OBJECT_NAME, /* of a member of the schema: `at`, as far as `pos` */
	OBJECT_COLON,
	OBJECT_VALUE,
	OBJECT_OTHER, /* the name of another member; at and pos: which of the schema's it is like */
	OBJECT_OTHER_COLON,
	OBJECT_OTHER_VALUE,
	OBJECT_BEHIND,
	OBJECT_NEXT
};

enum array_state { ARRAY_BEGIN, ARRAY_FIRST, ARRAY_BEHIND, ARRAY_NEXT };
enum string_state { STRING_BEGIN, STRING_IN };
enum tagged_state { TAGGED_TEXT, TAGGED_VALUE, TAGGED_BEHIND };
enum root_state { ROOT_BEGIN, ROOT_BEHIND };

/* What a byte is read with. */
struct step {
	const struct grammar *g;
	struct grammar_thread *t;
	struct grammar_frame *f; /* the top of t */
	const struct grammar_node *n;
	uint8_t c;
	uint16_t into;
	struct grammar_state *to;
};

static void feed_thread(
	const struct grammar *g, struct grammar_thread *t, uint8_t c, struct grammar_state *to);

/* --- threads -------------------------------------------------------------------------------------- */

static void
copy_thread(struct grammar_thread *to, const struct grammar_thread *from)
{
	to->n = from->n;
	memcpy(to->f, from->f, from->n * sizeof *from->f);
}

/* Those that came to the same are one. Beyond the bound the last ones are dropped: fewer texts pass. */
static void
add_thread(struct grammar_state *to, const struct grammar_thread *t)
{
	for (uint32_t i = 0; i < to->n; i++)
		if (to->t[i].n == t->n && memcmp(to->t[i].f, t->f, t->n * sizeof *t->f) == 0)
			return;
	if (to->n < GRAMMAR_THREADS)
		copy_thread(&to->t[to->n++], t);
}

static bool
fits(const struct step *s, uint16_t node)
{
	return node != GRAMMAR_NONE && s->t->n + s->g->nodes[node].need <= GRAMMAR_DEPTH;
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
		copy_thread(&way, t);
		push(g, &way, g->pieces[n->first + i].node, c, to);
	}
}

/* --- parts ---------------------------------------------------------------------------------------- */

/* One space, or a new line and what indents it. */
static bool
blank(struct step *s)
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

static const struct grammar_piece *
piece(const struct step *s, uint32_t i)
{
	return &s->g->pieces[s->n->first + i];
}

static enum verdict
begin(struct step *s, uint8_t c, uint8_t state)
{
	s->f->state = state;
	return s->c == c ? TAKEN : DEAD;
}

/* The first piece from `at` to the one before `end` that goes on with the byte, where `at` is one that
 * goes as far as `pos`. members: only those that there is room for. */
static bool
match(const struct step *s, uint32_t end, bool members)
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

static enum verdict
read_literal(struct step *s)
{
	uint16_t len;

	if (!match(s, s->n->n, false))
		return s->f->pos == piece(s, s->f->at)->len ? PASSED : DEAD;
	len = piece(s, s->f->at)->len;
	return s->f->pos == len && !literal_goes_on(s) ? LEFT : TAKEN;
}

static enum verdict
read_string(struct step *s)
{
	struct grammar_frame *f = s->f;
	int next;

	if (f->state == STRING_BEGIN)
		return begin(s, '"', STRING_IN);
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

static enum verdict
read_number(struct step *s)
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

static enum verdict
read_array(struct step *s)
{
	struct grammar_frame *f = s->f;

	if (f->state == ARRAY_BEGIN)
		return begin(s, '[', ARRAY_FIRST);
	if (blank(s))
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

/* --- objects -------------------------------------------------------------------------------------- */

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
		copy_thread(&way, s->t);
		f = &way.f[way.n - 1];
	}
	if (other) {
		f->state = OBJECT_OTHER;
		f->sub = LETTER_WHOLE;
		f->at = f->pos = 0;
	}
	if (other && named)
		add_thread(s->to, &way);
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
	if (!match(s, end_of_names(s), true))
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
	bool like = !unlike && match(s, s->n->n, false);
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

	if (blank(s))
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
	if (blank(s))
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

static enum verdict
read_object(struct step *s)
{
	switch ((enum object_state)s->f->state) {
	case OBJECT_BEGIN:
		return begin(s, '{', OBJECT_FIRST);
	case OBJECT_FIRST:
	case OBJECT_BEHIND:
		return behind_member(s);
	case OBJECT_NEXT:
		return blank(s) ? TAKEN : begin_name(s);
	case OBJECT_NAME:
		return read_name(s);
	case OBJECT_OTHER:
		return read_other_name(s);
	case OBJECT_COLON:
	case OBJECT_OTHER_COLON:
		return begin(s, ':', s->f->state + 1);
	case OBJECT_VALUE:
	case OBJECT_OTHER_VALUE:
		return begin_member(s);
	}
	return DEAD;
}

/* --- what is around a value ------------------------------------------------------------------------- */

static enum verdict
read_tagged(struct step *s)
{
	struct grammar_frame *f = s->f;

	if (f->state == TAGGED_BEHIND)
		return PASSED;
	if (f->state == TAGGED_VALUE) {
		s->into = piece(s, f->at)->node;
		f->state = TAGGED_BEHIND;
		return INTO;
	}
	if (!match(s, s->n->n, true))
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

static enum verdict
read_sequence(struct step *s)
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

static enum verdict
read_root(struct step *s)
{
	if (s->f->state == ROOT_BEHIND)
		return DEAD;
	if (blank(s))
		return TAKEN;
	s->f->state = ROOT_BEHIND;
	s->f->sub = 0;
	s->into = s->n->child;
	return INTO;
}

/* --- a byte --------------------------------------------------------------------------------------- */

static enum verdict
read_byte(struct step *s)
{
	switch ((enum grammar_kind)s->n->kind) {
	case GRAMMAR_ROOT:
		return read_root(s);
	case GRAMMAR_LITERALS:
		return read_literal(s);
	case GRAMMAR_STRING:
		return read_string(s);
	case GRAMMAR_NUMBER:
		return read_number(s);
	case GRAMMAR_ARRAY:
		return read_array(s);
	case GRAMMAR_OBJECT:
		return read_object(s);
	case GRAMMAR_TAGGED:
		return read_tagged(s);
	case GRAMMAR_SEQUENCE:
		return read_sequence(s);
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
		add_thread(to, t);
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
		copy_thread(&t, &from->t[i]);
		feed_thread(g, &t, c, to);
	}
	return to->n > 0;
}

void
grammar_copy(struct grammar_state *to, const struct grammar_state *from)
{
	to->n = from->n;
	for (uint32_t i = 0; i < from->n; i++)
		copy_thread(&to->t[i], &from->t[i]);
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

static uint32_t
left_in_string(const struct grammar *g, const struct grammar_frame *f)
{
	const struct grammar_node *n = &g->nodes[f->node];

	if (f->sub != LETTER_WHOLE)
		return 0;
	if (n->kind == GRAMMAR_OBJECT)
		return f->state == OBJECT_OTHER && (n->n == 0 || f->pos == UNLIKE) ? UINT32_MAX : 0;
	if (n->kind != GRAMMAR_STRING || f->state != STRING_IN)
		return 0;
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
