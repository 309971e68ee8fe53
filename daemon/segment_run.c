#include "daemon/segment_run.h"

#include "daemon/led_answer.h"
#include "daemon/log.h"
#include "sched/segments.h"

#include <stdlib.h>

#define MAX_TEXT   (1u << 20) /* that waits */
#define LEAST_ECHO 16         /* bytes: what is shorter may well be said again */

struct segment_run {
	struct segment_events ev;
	void *arg;
	const struct tokenizer *tokenizer;
	bool adds_space; /* its tokenizer does, ahead of any text */
	float margin;
	struct led_answer answer;

	struct desk *desk; /* the small model's */
	struct request *request;
	size_t same; /* ids of the answer and of `held` that it certainly has */
	struct segment_doubt doubt;
	uint32_t held[SEGMENT_HOLD], n_held;

	bool asked;           /* the cloud speaks */
	bool rest;            /* the rest of the answer */
	uint32_t before;      /* its tokens when it was asked */
	struct buf asked_for; /* the text that it continues */
	size_t echo;          /* bytes of that which it has repeated so far */
	bool echoes;          /* and nothing else yet */
	struct buf heard;     /* of its text: not taken apart yet */
	struct segment_figures figures;
};

/* --- ends --------------------------------------------------------------------------------------- */

static void
drop_small(struct segment_run *t)
{
	if (t->request != NULL)
		desk_cancel(t->desk, t->request);
	t->request = NULL;
}

void
segment_run_cancel(struct segment_run *t)
{
	drop_small(t);
	led_free(&t->answer);
	buf_free(&t->asked_for);
	buf_free(&t->heard);
	free(t);
}

static void
fail(struct segment_run *t, int status, const char *what)
{
	if (t->asked)
		t->ev.enough(t->arg);
	drop_small(t);
	t->ev.on_error(t->arg, status, what);
	segment_run_cancel(t);
}

static void
end(struct segment_run *t, const char *reason)
{
	struct usage u = led_usage(&t->answer);

	if (t->asked)
		t->ev.enough(t->arg);
	drop_small(t);
	t->ev.on_end(t->arg, reason, &u, &t->figures);
	segment_run_cancel(t);
}

/* --- the answer --------------------------------------------------------------------------------- */

/* A token of one of the two is decided; returns whether the answer goes on. */
static bool
say(struct segment_run *t, uint32_t id, uint32_t *count)
{
	if (session_state(t->answer.said) != SESSION_RUNNING)
		return false;
	++*count;
	return led_say(&t->answer, id);
}

/* Passes on what waits. Returns whether the answer goes on; else t is gone. */
static bool
flush(struct segment_run *t)
{
	enum session_end e = session_state(t->answer.said);
	struct err err = {"not enough memory for what the cloud says"};

	if (t->heard.failed || led_pass_on(&t->answer, t->ev.on_text, t->arg, &err) != 0) {
		fail(t, 503, err.msg);
		return false;
	}
	if (e == SESSION_RUNNING)
		return true;
	end(t, session_end_name(e));
	return false;
}

static uint32_t
new_tokens(const struct segment_run *t)
{
	size_t n;

	session_ids(t->answer.said, &n);
	return (uint32_t)(n - session_n_prompt(t->answer.said));
}

/* Whatever was said, stop texts that are half said included. */
static int
said_text(const struct segment_run *t, struct buf *out)
{
	size_t n;
	const uint32_t *ids = session_ids(t->answer.said, &n);

	buf_clear(out);
	for (size_t i = session_n_prompt(t->answer.said); i < n; i++)
		if (token_bytes(t->tokenizer, ids[i], false, false, out) != 0)
			return -1;
	return out->failed ? -1 : 0;
}

/* --- leading the small model --------------------------------------------------------------------- */

/* The ids that it is to have, [*n]. */
static uint32_t *
wanted_ids(const struct segment_run *t, size_t *n)
{
	const uint32_t *ids = session_ids(t->answer.said, n);
	uint32_t *all = malloc((*n + t->n_held + 1) * sizeof *all);

	if (all == NULL)
		return NULL;
	memcpy(all, ids, *n * sizeof *all);
	memcpy(all + *n, t->held, t->n_held * sizeof *all);
	*n += t->n_held;
	return all;
}

static int
lead(struct segment_run *t, struct err *err)
{
	size_t n, have;
	const uint32_t *its = desk_led_ids(t->request, &have);
	uint32_t *all = wanted_ids(t, &n), left = led_room(&t->answer) - t->n_held;
	struct guide_run run = {.margin = t->figures.alone ? -1 : t->margin};
	int rc;

	if (all == NULL)
		return err_set(err, "out of memory for an answer");
	while (t->same < n && t->same < have && all[t->same] == its[t->same])
		t->same++;
	run.keep = t->same;
	run.ids = all + t->same;
	run.n = n - t->same;
	run.more = (left < GUIDE_MOST ? left : GUIDE_MOST) - 1;
	rc = desk_lead(t->desk, t->request, &run, err);
	free(all);
	return rc;
}

/* --- asking the cloud ---------------------------------------------------------------------------- */

static bool
ask(struct segment_run *t, bool all)
{
	if (said_text(t, &t->asked_for) != 0)
		return false;
	t->echo = 0;
	t->echoes = t->asked_for.len >= LEAST_ECHO;
	buf_clear(&t->heard);
	t->before = t->figures.cloud;
	t->rest = all;
	t->asked = t->ev.ask(t->arg, (const char *)t->asked_for.data, t->asked_for.len,
		new_tokens(t), led_room(&t->answer), all);
	t->figures.asked += t->asked;
	return t->asked;
}

/* The small model's turn; when it has failed the cloud says the rest, if it may. */
static void
go_on(struct segment_run *t)
{
	struct err err = {"the small model has failed, and the cloud is not asked for the rest"};

	if (t->request == NULL && !t->figures.alone && ask(t, true))
		return;
	if (t->request == NULL || lead(t, &err) != 0)
		fail(t, 502, err.msg);
}

/* What is held stands. Returns whether the answer goes on. */
static bool
stand(struct segment_run *t)
{
	uint32_t n = t->n_held;

	t->n_held = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!say(t, t->held[i], &t->figures.small))
			return false;
	return true;
}

/* The small model was unsure of what is held. Whether the cloud says something else instead; if not, it
 * stands. */
static bool
doubts(struct segment_run *t)
{
	size_t n;

	if (t->figures.alone || !ask(t, false)) {
		t->figures.alone = true;
		stand(t);
		return false;
	}
	session_ids(t->answer.said, &n);
	t->n_held = 0;
	if (t->same > n)
		t->same = n;
	return true;
}

/* --- what the small model says ------------------------------------------------------------------- */

static bool
is_last(const struct segment_run *t, uint32_t id)
{
	struct session_params p;

	session_describe(t->answer.said, &p);
	return (!p.ignore_end && tokenizer_is_end(t->tokenizer, id)) ||
	       t->n_held >= led_room(&t->answer);
}

/* Returns whether more of the same may be taken. */
static bool
take(struct segment_run *t, const struct guide_choice *c)
{
	bool doubtful = !t->figures.alone && c->margin <= t->margin;

	t->held[t->n_held++] = c->id;
	switch (segment_token(&t->doubt, doubtful, is_last(t, c->id))) {
	case SEGMENT_SURE:
		return stand(t);
	case SEGMENT_ASK:
		return !doubts(t) && session_state(t->answer.said) == SESSION_RUNNING;
	case SEGMENT_HELD:
		break;
	}
	return true;
}

static void
on_small(void *arg, const struct guide_choice *c, size_t n, bool rests)
{
	struct segment_run *t = arg;

	for (size_t i = 0; i < n && !t->asked && take(t, &c[i]); i++) {
	}
	if (flush(t) && rests && !t->asked)
		go_on(t);
}

static void
on_small_error(void *arg, int status, const char *what)
{
	struct segment_run *t = arg;

	t->request = NULL;
	log_warning("the small model says no more of an answer: %s", what);
	t->n_held = 0;
	if (t->asked)
		return;
	if (t->figures.alone || !ask(t, true))
		fail(t, status, what);
}

/* --- what the cloud says ------------------------------------------------------------------------- */

/* Ids of a text in the middle of another. Some tokenizers put a space ahead of every text: a line's end
 * before it, and both are left out again. */
static int
ids_of(const struct segment_run *t, const char *text, size_t len, struct token_list *ids,
	size_t *skip, struct err *err)
{
	struct buf lined, bytes;
	int rc;

	*skip = 0;
	if (!t->adds_space)
		return tokenize(t->tokenizer, text, len, 0, ids, err);
	buf_init(&lined, MAX_TEXT + 2);
	buf_init(&bytes, MAX_TEXT);
	buf_u8(&lined, '\n');
	buf_append(&lined, text, len);
	rc = lined.failed
		     ? err_set(err, "out of memory")
		     : tokenize(t->tokenizer, (const char *)lined.data, lined.len, 0, ids, err);
	while (rc == 0 && bytes.len < 2 && *skip < ids->n)
		rc = token_bytes(t->tokenizer, ids->ids[(*skip)++], true, false, &bytes);
	if (rc == 0 &&
		bytes.len !=
			2) { /* a token of the line's end and more: rather one space too many */
		ids->n = *skip = 0;
		rc = tokenize(t->tokenizer, text, len, 0, ids, err);
	}
	buf_free(&lined);
	buf_free(&bytes);
	return rc;
}

/* Says the first bytes of what was heard. Returns whether the answer goes on; else t may be gone. */
static bool
say_heard(struct segment_run *t, size_t len)
{
	struct token_list ids = {0};
	struct err err;
	size_t skip = 0;
	int rc = 0;

	if (len > 0)
		rc = ids_of(t, (const char *)t->heard.data, len, &ids, &skip, &err);
	if (rc != 0) {
		token_list_free(&ids);
		fail(t, 503, err.msg);
		return false;
	}
	for (size_t i = skip; i < ids.n && say(t, ids.ids[i], &t->figures.cloud); i++) {
	}
	token_list_free(&ids);
	buf_consume(&t->heard, len);
	return flush(t);
}

/* Leaves out a repetition of the text that was to be continued, if that is what comes first. */
static void
take_in(struct segment_run *t, const char *text, size_t len)
{
	size_t i = 0;

	while (t->echoes && i < len && t->echo < t->asked_for.len &&
		(uint8_t)text[i] == t->asked_for.data[t->echo]) {
		i++;
		t->echo++;
	}
	if (t->echoes && t->echo < t->asked_for.len) {
		if (i == len)
			return;
		buf_append(&t->heard, t->asked_for.data, t->echo);
	}
	t->echoes = false;
	buf_append(&t->heard, text + i, len - i);
}

/* Words are taken apart whole: what is behind the last blank waits. */
void
segment_run_heard(struct segment_run *t, const char *text, size_t len)
{
	size_t whole;

	take_in(t, text, len);
	whole = t->heard.len;
	while (whole > 0 && t->heard.data[whole - 1] != ' ' && t->heard.data[whole - 1] != '\n')
		whole--;
	say_heard(t, whole > 0 ? whole - 1 : 0);
}

/* All of it is there. Returns whether the answer goes on. */
static bool
end_segment(struct segment_run *t)
{
	t->asked = false;
	if (t->echoes && t->echo < t->asked_for.len)
		buf_append(&t->heard, t->asked_for.data, t->echo);
	t->echoes = false;
	return say_heard(t, t->heard.len);
}

void
segment_run_segment_end(struct segment_run *t, const char *finish)
{
	if (!end_segment(t))
		return;
	if (strcmp(finish, "length") != 0 || t->rest) {
		end(t, finish);
		return;
	}
	t->figures.alone = t->figures.cloud == t->before; /* it had nothing to say */
	go_on(t);
}

void
segment_run_lost(struct segment_run *t)
{
	t->figures.alone = true;
	if (end_segment(t))
		go_on(t);
}

/* --- beginning ---------------------------------------------------------------------------------- */

static bool
adds_space(const struct tokenizer *tokenizer)
{
	struct token_list ids = {0};
	struct err err;
	struct buf b;
	bool adds;

	buf_init(&b, 64);
	if (tokenize(tokenizer, "a", 1, 0, &ids, &err) == 0 && ids.n > 0)
		token_bytes(tokenizer, ids.ids[0], true, false, &b);
	adds = b.len > 0 && b.data[0] == ' ';
	token_list_free(&ids);
	buf_free(&b);
	return adds;
}

static int
open_small(struct segment_run *t, const struct served_model *small, uint64_t client, int *status,
	struct err *err)
{
	static const struct request_events events = {
		.on_choices = on_small, .on_error = on_small_error};
	const struct guide_params gp = led_params(t->answer.said, small->context, true);
	size_t n;
	const uint32_t *ids = session_ids(t->answer.said, &n);
	struct guide *g;

	*status = 400;
	t->desk = small->desk;
	t->same = n;
	g = guide_new(small->tokenizer, &gp, ids, n, err);
	if (g != NULL)
		t->request = desk_guide(small->desk, g, client, &events, t, status, err);
	return t->request != NULL ? 0 : -1;
}

struct segment_run *
segment_run_begin(const struct served_model *small, struct session *s, float margin,
	uint64_t client, const struct segment_events *ev, void *arg, int *status, struct err *err)
{
	struct segment_run *t = calloc(1, sizeof *t);

	if (t == NULL) {
		session_free(s);
		*status = 503;
		err_set(err, "out of memory");
		return NULL;
	}
	*t = (struct segment_run){.ev = *ev,
		.arg = arg,
		.tokenizer = small->tokenizer,
		.adds_space = adds_space(small->tokenizer),
		.margin = margin};
	led_begin(&t->answer, s);
	buf_init(&t->asked_for, MAX_TEXT);
	buf_init(&t->heard, MAX_TEXT);
	if (open_small(t, small, client, status, err) == 0) {
		*status = 500;
		if (lead(t, err) == 0)
			return t;
	}
	segment_run_cancel(t);
	return NULL;
}
