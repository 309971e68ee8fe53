/* What is asked about one prompt: the other model's answer; votes, where the two differ; a judge's word,
 * where the votes do. One question at a time, each a request at a desk like any other's. */
#include "daemon/labels_int.h"

#include <stdlib.h>

#define CLIENT      UINT64_MAX /* nobody's */
#define WORD_TOKENS 4

/* --- questions ----------------------------------------------------------------------------------- */

/* The same again, as it was asked first. */
static struct api_request
as_asked(const struct label_prompt *p)
{
	struct api_request a = p->a;

	/* What the small model drafts would count as somebody's request, who goes first (labels_may()). */
	a.max_guesses = 0;
	a.logprobs = false; /* nobody reads them */
	if (a.max_tokens > LABELS_TOKENS)
		a.max_tokens = LABELS_TOKENS;
	return a;
}

/* The same again, drawn from the whole distribution. */
static struct api_request
as_vote(const struct label_prompt *p)
{
	struct api_request a = as_asked(p);

	a.sampler.temperature = a.sampler.top_p = 1;
	a.sampler.top_k = 0;
	a.sampler.min_p = 0;
	a.seeded = false;
	return a;
}

/* Both answers beside each other; the small model's first, or last. */
static void
write_case(const struct labels *l, bool small_first, struct buf *out)
{
	const struct label_prompt *p = l->trial.prompt;
	const struct buf *other = &l->trial.other;
	bool kept_first = small_first == (p->by == GAIN_SMALL);
	const char *kept = p->answer, *new = other->len > 0 ? (const char *)other->data : "";
	int len = (int)p->len, new_len = (int)other->len;

	buf_str(out,
		"Which of two answers to a conversation is better? Reply with one letter, A or "
		"B, or with = if they are equally good or equally wrong.\n\n");
	for (size_t i = 0; i < p->a.n_messages; i++)
		buf_printf(out, "%s: %s\n", p->a.messages[i].role, p->a.messages[i].content);
	buf_printf(out, "\nAnswer A:\n%.*s\n\nAnswer B:\n%.*s\n\nThe better answer is:",
		kept_first ? len : new_len, kept_first ? kept : new, kept_first ? new_len : len,
		kept_first ? new : kept);
}

/* --- asking -------------------------------------------------------------------------------------- */

static void
on_text(void *arg, const char *text, size_t len)
{
	struct labels *l = arg;

	buf_append(&l->trial.text, text, len);
}

static void on_end(void *arg, enum session_end end, const struct usage *u);

static void
on_error(void *arg, int status, const char *what)
{
	struct labels *l = arg;

	(void)status;
	l->trial.request = NULL;
	label_failed(l, what);
}

static const struct request_events events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error};

/* -1: it cannot be asked of that model, at any time. */
static int
submit(struct labels *l, const struct served_model *m, const struct api_request *a, bool signals,
	struct err *err)
{
	struct label_trial *t = &l->trial;
	struct token_list ids = {0};
	struct session *s = NULL;
	uint64_t n;
	int status;

	buf_clear(&t->text);
	t->text.failed = false;
	if (api_prompt(t->prompt->format, a, m, &ids, &n, err) == 0 && n > 0)
		s = api_make_session(a, m, &ids, signals, NULL, err);
	token_list_free(&ids);
	if (s == NULL)
		return -1;
	t->desk = m->desk;
	t->request = desk_submit(m->desk, s, CLIENT, &events, l, &status, err);
	return t->request != NULL ? 0 : -1;
}

static int
submit_word(struct labels *l, const struct served_model *m, struct err *err)
{
	struct chat_message message = {"user", NULL};
	struct api_request a = {.kind = API_CHAT,
		.messages = &message,
		.n_messages = 1,
		.max_tokens = WORD_TOKENS,
		.sampler = {.temperature = 0, .top_p = 1, .repeat_penalty = 1}};
	struct buf text;
	int rc = -1;

	buf_init(&text, 4 * LABELS_BYTES);
	write_case(l, l->trial.done == 0, &text);
	if (buf_u8(&text, 0) == 0 && !text.failed) {
		message.content = (const char *)text.data;
		rc = submit(l, m, &a, false, err);
	}
	buf_free(&text);
	return rc;
}

static void
ask_next(struct labels *l)
{
	struct label_trial *t = &l->trial;
	const struct label_prompt *p = t->prompt;
	bool small = t->step == LABEL_STEP_OTHER && p->by == GAIN_LARGE;
	const struct served_model *m =
		small ? serve_small(l->serve, NULL) : serve_model(l->serve, NULL);
	struct api_request a = t->step == LABEL_STEP_VOTE ? as_vote(p) : as_asked(p);
	struct err err = {"it does not fit"};

	if (m == NULL)
		label_failed(l, "the model is not there any more");
	else if (p->policy == PRIVACY_DEVICE && m->devices > 1)
		label_made(l, LABEL_NONE, NULL);
	else if ((t->step == LABEL_STEP_WORD ? submit_word(l, m, &err)
					     : submit(l, m, &a, small, &err)) != 0)
		label_made(l, LABEL_NONE, NULL);
}

/* --- answers ------------------------------------------------------------------------------------- */

static uint64_t
name_of(const struct labels *l, enum gain_model m)
{
	const struct label_prompt *p = l->trial.prompt;

	return m == p->by ? label_name(p->answer, p->len)
			  : label_name((const char *)l->trial.other.data, l->trial.other.len);
}

static void
take_other(struct labels *l, const struct usage *u)
{
	static const struct label_pair equal = {0.5f, 0.5f};
	struct label_trial *t = &l->trial;
	struct label_prompt *p = t->prompt;

	if (p->by == GAIN_LARGE && u->signals != NULL)
		p->row.answered = token_signals_figures(u->signals, p->row.figure);
	buf_clear(&t->other);
	buf_append(&t->other, t->text.data, t->text.len);
	if (name_of(l, GAIN_SMALL) == name_of(l, GAIN_LARGE)) {
		label_made(l, LABEL_SAME, &equal);
		return;
	}
	t->step = LABEL_STEP_VOTE;
	t->done = 0;
	ask_next(l);
}

/* One that was cut agrees with nobody's. */
static void
take_vote(struct labels *l, bool whole)
{
	struct label_trial *t = &l->trial;
	struct label_pair labels;

	t->vote[t->done] = whole ? label_name((const char *)t->text.data, t->text.len) : t->done;
	t->done++;
	if (t->done == LABEL_VOTES) {
		if (label_by_votes(
			    t->vote, name_of(l, GAIN_SMALL), name_of(l, GAIN_LARGE), &labels)) {
			label_made(l, LABEL_VOTED, &labels);
			return;
		}
		if (t->prompt->a.kind != API_CHAT) { /* nothing that a judge could be told */
			label_made(l, LABEL_NONE, NULL);
			return;
		}
		t->step = LABEL_STEP_WORD;
		t->done = 0;
	}
	ask_next(l);
}

static void
take_word(struct labels *l)
{
	struct label_trial *t = &l->trial;
	struct label_pair labels;
	bool verdict;

	t->word[t->done++] = label_word((const char *)t->text.data, t->text.len);
	if (t->done < 2) {
		ask_next(l);
		return;
	}
	verdict = label_by_words(t->word[0], t->word[1], &labels);
	label_made(l, verdict ? LABEL_JUDGED : LABEL_NONE, &labels);
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct labels *l = arg;
	bool whole = end == SESSION_STOP && !l->trial.text.failed;

	l->trial.request = NULL;
	if (!labels_may(l)) {
		label_stop(l);
		return;
	}
	if (l->trial.step == LABEL_STEP_WORD)
		take_word(l);
	else if (l->trial.step == LABEL_STEP_VOTE)
		take_vote(l, whole);
	else if (whole)
		take_other(l, u);
	else
		label_made(l, LABEL_NONE, NULL);
}

/* --- a trial ------------------------------------------------------------------------------------- */

void
label_trial_begin(struct labels *l)
{
	l->trial.step = LABEL_STEP_OTHER;
	l->trial.done = 0;
	ask_next(l);
}

void
label_trial_cancel(struct labels *l)
{
	struct label_trial *t = &l->trial;

	if (t->request != NULL)
		desk_cancel(t->desk, t->request);
	t->request = NULL;
	buf_clear(&t->text);
	buf_clear(&t->other);
}
