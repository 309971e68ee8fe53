#include "daemon/token_run.h"

#include "daemon/led_answer.h"
#include "daemon/log.h"

#include <stdlib.h>

struct side { /* one of the two models */
	struct token_run *run;
	struct desk *desk;
	struct request *request; /* NULL: not there, or not any more */
	uint32_t context, vocab;
	size_t same;    /* ids of the answer that it certainly has */
	uint32_t rows;  /* that it was led to compute; 0: its prompt, or too many to be measured */
	uint64_t since; /* uv_hrtime, when it was led */
};

struct token_run {
	struct token_params p;
	struct request_events ev;
	void *arg;
	struct led_answer answer;
	struct side small, large;
	float margin;
	bool small_works;
	bool doubt; /* what the small model says further is of no use */
	uint32_t draft[TOKEN_DRAFT_MOST], n_draft;
	uint32_t matched; /* of the draft, so far */
	bool decided;     /* what the large model says further is of another text */
	bool stopped;
	struct token_figures figures;
};

/* --- ends --------------------------------------------------------------------------------------- */

static void
drop(struct side *s)
{
	if (s->request != NULL)
		desk_cancel(s->desk, s->request);
	s->request = NULL;
}

void
token_run_cancel(struct token_run *t)
{
	drop(&t->small);
	drop(&t->large);
	led_free(&t->answer);
	free(t);
}

void
token_run_stop(struct token_run *t)
{
	t->stopped = true;
}

const struct token_figures *
token_run_figures(const struct token_run *t)
{
	return &t->figures;
}

static void
fail(struct token_run *t, int status, const char *what)
{
	drop(&t->small);
	drop(&t->large);
	t->ev.on_error(t->arg, status, what);
	token_run_cancel(t);
}

static void
end(struct token_run *t, enum session_end e)
{
	struct usage u = led_usage(&t->answer);

	u.both = &t->figures;
	u.drafted = t->figures.drafted;
	u.accepted = t->figures.accepted;
	drop(&t->small);
	drop(&t->large);
	t->ev.on_end(t->arg, e, &u);
	token_run_cancel(t);
}

/* --- the answer --------------------------------------------------------------------------------- */

/* Passes on what waits. Returns whether the answer goes on; else t is gone. */
static bool
flush(struct token_run *t)
{
	enum session_end e = session_state(t->answer.said);
	struct err err;

	if (led_pass_on(&t->answer, t->ev.on_text, t->arg, &err) != 0) {
		fail(t, 503, err.msg);
		return false;
	}
	if (e == SESSION_RUNNING && !t->stopped)
		return true;
	end(t, t->stopped ? SESSION_STOP : e);
	return false;
}

/* --- leading ------------------------------------------------------------------------------------ */

/* Has a model take what it does not have of the answer, then `more` ids, and say what it picks. */
static int
lead(struct side *s, const uint32_t *more, uint32_t n_more, struct guide_run *run, struct err *err)
{
	size_t n;
	const uint32_t *ids = session_ids(s->run->answer.said, &n);
	uint32_t *all;
	int rc;

	s->same = led_same(s->request, ids, n, s->same);
	run->keep = s->same;
	run->n = n - s->same + n_more;
	all = malloc((run->n + 1) * sizeof *all);
	if (all == NULL)
		return err_set(err, "out of memory for %zu tokens", run->n);
	memcpy(all, ids + s->same, (n - s->same) * sizeof *all);
	if (n_more > 0)
		memcpy(all + n - s->same, more, n_more * sizeof *all);
	run->ids = all;
	rc = desk_lead(s->desk, s->request, run, err);
	free(all);
	s->rows = s->since != 0 && run->n <= 1 + TOKEN_DRAFT_MOST ? (uint32_t)run->n : 0;
	s->since = uv_hrtime();
	return rc;
}

static int
ask_large(struct token_run *t, struct err *err)
{
	struct guide_run run = {.choices = t->n_draft + 1, .margin = -1};

	t->small_works = false;
	t->matched = 0;
	t->decided = false;
	t->figures.asked++;
	t->figures.drafted += t->n_draft;
	return lead(&t->large, t->draft, t->n_draft, &run, err);
}

static int
lose_small(struct token_run *t, const char *why, struct err *err)
{
	log_warning("the small model says no more of an answer: %s", why);
	drop(&t->small);
	t->figures.alone = true;
	if (!t->small_works) /* the large one is at work, and may be checking a draft */
		return 0;
	t->n_draft = 0;
	return ask_large(t, err);
}

static int
lead_small(struct token_run *t, uint32_t tokens, float margin, struct err *err)
{
	struct guide_run run = {.choices = 1, .more = tokens - 1, .margin = margin};
	struct err why;

	t->small_works = true;
	t->doubt = false;
	if (lead(&t->small, NULL, 0, &run, &why) != 0)
		return lose_small(t, why.msg, err);
	return 0;
}

/* The answer is as far as it has been decided: whose turn it is. */
static int
go_on(struct token_run *t, struct err *err)
{
	uint32_t tokens = t->p.all ? token_pace_draft(t->p.pace) : GUIDE_MOST;
	uint32_t most =
		led_room(&t->answer) - t->p.all; /* the last one of a step is the large model's */
	size_t n;

	session_ids(t->answer.said, &n);
	t->n_draft = 0;
	if (tokens > most)
		tokens = most;
	if (t->small.request == NULL || n >= t->small.context || tokens == 0)
		return ask_large(t, err);
	return lead_small(t, tokens, t->p.all ? TOKEN_DRAFT_MARGIN : t->margin, err);
}

/* --- what they say ------------------------------------------------------------------------------ */

/* Of the small model's tokens those that it is sure of stand. */
static void
take_sure(struct token_run *t, const struct guide_choice *c, size_t n)
{
	for (size_t i = 0; i < n && !t->doubt; i++) {
		t->doubt = c[i].margin <= t->margin || c[i].id >= t->large.vocab;
		if (t->doubt)
			break;
		t->figures.small++;
		if (!led_say(&t->answer, c[i].id))
			break;
	}
}

/* As far as the large model could say it. */
static void
take_draft(struct token_run *t, const struct guide_choice *c, size_t n)
{
	for (size_t i = 0; i < n && !t->doubt; i++) {
		t->doubt = c[i].id >= t->large.vocab || t->n_draft == TOKEN_DRAFT_MOST;
		if (!t->doubt)
			t->draft[t->n_draft++] = c[i].id;
	}
}

static int
small_rests(struct token_run *t, struct err *err)
{
	if (t->p.all && t->small.rows > 0)
		token_pace_drafted(t->p.pace, t->n_draft, led_seconds(t->small.since, uv_hrtime()));
	return t->p.all || t->doubt ? ask_large(t, err) : go_on(t, err);
}

static void
on_small(void *arg, const struct guide_choice *c, size_t n, bool rests)
{
	struct token_run *t = ((struct side *)arg)->run;
	struct err err = {""};

	if (t->p.all)
		take_draft(t, c, n);
	else
		take_sure(t, c, n);
	if (flush(t) && rests && small_rests(t, &err) != 0)
		fail(t, 500, err.msg);
}

/* A step of the large model is done, or needed no further. */
static void
note_step(struct token_run *t)
{
	t->figures.accepted += t->matched;
	if (!t->p.all)
		return;
	token_pace_checked(
		t->p.pace, t->matched < t->n_draft ? t->matched + 1 : t->matched, t->matched);
	if (t->large.rows > 0)
		token_pace_step(t->p.pace, t->large.rows, led_seconds(t->large.since, uv_hrtime()));
}

static void
on_large(void *arg, const struct guide_choice *c, size_t n, bool rests)
{
	struct token_run *t = ((struct side *)arg)->run;
	struct err err = {""};

	for (size_t i = 0; i < n && !t->decided; i++) {
		bool same = t->matched < t->n_draft && c[i].id == t->draft[t->matched];

		t->figures.large++;
		t->matched += same;
		t->decided = !led_say(&t->answer, c[i].id) || !same;
	}
	if (rests || session_state(t->answer.said) != SESSION_RUNNING)
		note_step(t);
	if (flush(t) && rests && go_on(t, &err) != 0)
		fail(t, 500, err.msg);
}

static void
on_small_error(void *arg, int status, const char *what)
{
	struct token_run *t = ((struct side *)arg)->run;
	struct err err = {""};

	(void)status;
	t->small.request = NULL;
	if (lose_small(t, what, &err) != 0)
		fail(t, 500, err.msg);
}

static void
on_large_error(void *arg, int status, const char *what)
{
	struct token_run *t = ((struct side *)arg)->run;

	t->large.request = NULL;
	fail(t, status, what);
}

/* --- beginning ---------------------------------------------------------------------------------- */

static int
open_side(struct token_run *t, struct side *s, const struct served_model *m, bool small,
	int *status, struct err *err)
{
	static const struct request_events events[2] = {
		{.on_choices = on_large, .on_error = on_large_error},
		{.on_choices = on_small, .on_error = on_small_error}};
	struct session_params p;
	struct guide_params gp;
	size_t n;
	const uint32_t *ids = session_ids(t->answer.said, &n);
	struct guide *g;

	session_describe(t->answer.said, &p);
	gp = (struct guide_params){p.sampler, m->context, small, p.ignore_end};
	*s = (struct side){.run = t,
		.desk = m->desk,
		.context = m->context,
		.vocab = tokenizer_size(m->tokenizer),
		.same = n};
	*status = 400;
	g = guide_new(m->tokenizer, &gp, ids, n, err);
	if (g != NULL)
		s->request = desk_guide(m->desk, g, t->p.client, &events[small], s, status, err);
	return s->request != NULL ? 0 : -1;
}

struct token_run *
token_run_begin(const struct token_params *p, struct session *s, const struct request_events *ev,
	void *arg, int *status, struct err *err)
{
	struct token_run *t = calloc(1, sizeof *t);

	if (t == NULL) {
		session_free(s);
		*status = 503;
		err_set(err, "out of memory");
		return NULL;
	}
	*t = (struct token_run){
		.p = *p, .ev = *ev, .arg = arg, .margin = token_mode_margin(p->threshold)};
	led_begin(&t->answer, s);
	/* Where the small model says nothing, none is needed. */
	if (open_side(t, &t->large, p->large, false, status, err) != 0 ||
		((p->all || p->threshold < 1) &&
			open_side(t, &t->small, p->small, true, status, err) != 0)) {
		token_run_cancel(t);
		return NULL;
	}
	*status = 500;
	if (go_on(t, err) != 0) {
		token_run_cancel(t);
		return NULL;
	}
	return t;
}
