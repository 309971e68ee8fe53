#include "daemon/token_run.h"

#include "daemon/led_answer.h"
#include "daemon/log.h"

#include <stdlib.h>

struct side { /* one of the two models */
	struct token_run *run;
	struct desk *desk;
	struct request *request; /* NULL: not there, or not any more */
	uint32_t context, vocab;
	size_t same; /* ids of the answer that it certainly has */
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

/* Has a model take what it does not have of the answer, and say what it picks. */
static int
lead(struct side *s, struct guide_run *run, struct err *err)
{
	size_t n;
	const uint32_t *ids = session_ids(s->run->answer.said, &n);

	s->same = led_same(s->request, ids, n, s->same);
	run->keep = s->same;
	run->ids = ids + s->same;
	run->n = n - s->same;
	return desk_lead(s->desk, s->request, run, err);
}

static int
ask_large(struct token_run *t, struct err *err)
{
	struct guide_run run = {.margin = -1};

	t->small_works = false;
	t->figures.asked++;
	return lead(&t->large, &run, err);
}

static int
lose_small(struct token_run *t, const char *why, struct err *err)
{
	log_warning("the small model says no more of an answer: %s", why);
	drop(&t->small);
	t->figures.alone = true;
	return t->small_works ? ask_large(t, err) : 0;
}

static int
lead_small(struct token_run *t, uint32_t tokens, struct err *err)
{
	struct guide_run run = {.more = tokens - 1, .margin = t->margin};
	struct err why;

	t->small_works = true;
	t->doubt = false;
	if (lead(&t->small, &run, &why) != 0)
		return lose_small(t, why.msg, err);
	return 0;
}

/* The answer is as far as it has been decided: whose turn it is. */
static int
go_on(struct token_run *t, struct err *err)
{
	uint32_t most = led_room(&t->answer);
	size_t n;

	session_ids(t->answer.said, &n);
	if (t->small.request == NULL || n >= t->small.context)
		return ask_large(t, err);
	return lead_small(t, most < GUIDE_MOST ? most : GUIDE_MOST, err);
}

/* --- what they say ------------------------------------------------------------------------------ */

/* Of the small model's tokens those that it is sure of stand. */
static void
on_small(void *arg, const struct guide_choice *c, size_t n, bool rests)
{
	struct token_run *t = ((struct side *)arg)->run;
	struct err err = {""};

	for (size_t i = 0; i < n && !t->doubt; i++) {
		t->doubt = c[i].margin <= t->margin || c[i].id >= t->large.vocab;
		if (t->doubt)
			break;
		t->figures.small++;
		if (!led_say(&t->answer, c[i].id))
			break;
	}
	if (flush(t) && rests && (t->doubt ? ask_large(t, &err) : go_on(t, &err)) != 0)
		fail(t, 500, err.msg);
}

static void
on_large(void *arg, const struct guide_choice *c, size_t n, bool rests)
{
	struct token_run *t = ((struct side *)arg)->run;
	struct err err = {""};

	(void)n, (void)rests; /* one is asked for */
	t->figures.large++;
	led_say(&t->answer, c->id);
	if (flush(t) && go_on(t, &err) != 0)
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
	const struct guide_params gp = led_params(t->answer.said, m->context, small);
	size_t n;
	const uint32_t *ids = session_ids(t->answer.said, &n);
	struct guide *g;

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
		(p->threshold < 1 && open_side(t, &t->small, p->small, true, status, err) != 0)) {
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
