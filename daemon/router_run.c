/* The legs of a routed request: a model is asked, its text held or passed on, its end judged, and
 * another one asked where need be. */
#include "daemon/router_int.h"

#include "daemon/document.h"
#include "daemon/log.h"

#include <stdlib.h>

#define LOOK_EVERY 24 /* tokens between looks at a held draft */
#define MOST_DRAFT (1u << 20)

static bool ask(struct routed *q, struct route_choice choice);

void
routed_free(struct routed *q)
{
	api_answer_free(&q->answer);
	api_request_free(&q->a);
	wall_verdict_free(&q->verdict);
	buf_free(&q->draft);
	buf_free(&q->odds);
	json_decref(q->calls);
	free(q->text);
	free(q->prompt);
	free(q);
}

double
routed_seconds(const struct routed *q)
{
	return (double)(uv_now(q->router->loop) - q->since) / 1e3;
}

static void
note_attempt(struct routed *q, const char *end, uint32_t tokens)
{
	if (q->n_attempts < ROUTED_MAX_ATTEMPTS)
		q->attempts[q->n_attempts++] = (struct attempt){(unsigned)q->choice.candidate,
			q->choice.reason, end, tokens, routed_seconds(q)};
}

/* Chunks say which model speaks as soon as that is certain. */
static void
name_model(struct routed *q)
{
	api_answer_model(&q->answer, q->names[q->choice.candidate]);
}

/* --- text ---------------------------------------------------------------------------------------- */

static void
say(struct routed *q, const char *text, size_t len)
{
	q->begun = true;
	api_answer_text(&q->answer, text, len);
	if (!api_answer_enough(&q->answer))
		return;
	if (q->request != NULL)
		desk_stop(q->desk, q->request);
	else if (q->both != NULL)
		token_run_stop(q->both);
}

/* The draft stands: what is held goes out, and what follows goes with it. */
static void
release(struct routed *q)
{
	q->held = false;
	name_model(q);
	api_answer_odds(&q->answer, (const void *)q->odds.data,
		q->odds.len / sizeof(struct token_odds), q->odds_lost);
	buf_clear(&q->odds);
	if (q->draft.len > 0)
		say(q, (const char *)q->draft.data, q->draft.len);
}

/* Looks at the tokens of the small model; returns whether the answer should come from elsewhere. */
static bool
look_at_tokens(struct routed *q, const struct token_signals *s)
{
	q->signals = *s;
	token_signals_figures(s, q->figures);
	route_book_answer(q->router->book, q->text, q->figures, &q->wish, &q->after);
	q->judged = true;
	return q->after.up;
}

static struct route_choice
judge(const struct routed *q, bool up)
{
	double lead = (double)(q->after.estimate.gain - q->after.threshold);

	return route_judge(&q->query, up, lead, (unsigned)q->choice.candidate);
}

static void
escalate(struct routed *q, struct route_choice to)
{
	note_attempt(q, "thrown away", q->signals.n);
	q->wasted_tokens += q->signals.n;
	buf_clear(&q->draft);
	buf_clear(&q->odds);
	q->held = false;
	ask(q, to);
}

/* The one call that is wanted at most may be there: nothing is to be waited for. */
static bool
may_have_called(const struct routed *q)
{
	return q->a.tools != NULL && q->a.one_call && q->draft.len > 0 &&
	       memmem(q->draft.data, q->draft.len, CALL_CLOSE, strlen(CALL_CLOSE)) != NULL;
}

/* A held draft has grown: it goes when twice in a row its tokens spoke against it, and stands when it
 * has become long. */
static void
look_at_draft(struct routed *q)
{
	struct token_signals s;
	struct route_choice c;
	bool up, now = may_have_called(q);

	if (!desk_signals(q->desk, q->request, &s) || (!now && s.n < q->signals.n + LOOK_EVERY))
		return;
	up = look_at_tokens(q, &s);
	q->doubtful = up ? q->doubtful + 1 : 0;
	if (!now && s.n < ROUTER_HOLD && q->doubtful < 2)
		return;
	c = judge(q, up);
	if (c.candidate != q->choice.candidate) {
		desk_cancel(q->desk, q->request);
		q->request = NULL;
		escalate(q, c);
		return;
	}
	q->choice = c;
	release(q);
}

void
routed_text(struct routed *q, const char *text, size_t len)
{
	/* All of it is kept for the record of what was said, as far as that reaches. */
	if (q->draft.len + len <= MOST_DRAFT)
		buf_append(&q->draft, text, len);
	if (q->held) {
		look_at_draft(q);
		return;
	}
	say(q, text, len);
}

static void
on_text(void *arg, const char *text, size_t len)
{
	routed_text(arg, text, len);
}

static void
on_odds(void *arg, const struct token_odds *odds, size_t n, bool lost)
{
	struct routed *q = arg;

	if (!q->held)
		api_answer_odds(&q->answer, odds, n, lost);
	else if (lost || buf_append(&q->odds, odds, n * sizeof *odds) != 0)
		q->odds_lost = true;
}

/* --- ends ---------------------------------------------------------------------------------------- */

static void
record_text(void *arg, const char *text, size_t len)
{
	struct routed *q = arg;
	struct router *r = q->router;

	wall_made(r->wall, &q->verdict, text, len);
	if (!wall_hash(r->wall, text, len, &r->turns[r->n_turns % ROUTER_TURNS].answer))
		return;
	r->turns[r->n_turns++ % ROUTER_TURNS].turn =
		route_turn_after(&q->query, q->query.candidates[q->choice.candidate].kind);
}

/* What the client has seen is in the record before the last of it leaves. */
static void
record(struct routed *q)
{
	if (q->a.tools != NULL)
		api_answer_texts(&q->answer, record_text, q);
	else if (q->draft.len > 0)
		record_text(q, (const char *)q->draft.data, q->draft.len);
}

/* What the knobs are to learn from: the decision, and by what it was made. */
static void
learn(struct routed *q)
{
	struct route_book *b = q->router->book;
	bool up = q->query.candidates[q->choice.candidate].kind != ROUTE_SMALL;
	enum route_reason why = q->choice.reason;
	bool by_prompt = why == ROUTE_GAIN || why == ROUTE_NO_GAIN;
	bool by_tokens = why == ROUTE_TOKENS_SURE || why == ROUTE_TOKENS_DOUBT;

	route_book_done(b, KNOB_OF_PROMPTS, &q->wish, &q->before, by_prompt, up);
	if (q->judged)
		route_book_done(b, KNOB_OF_ANSWERS, &q->wish, &q->after, by_tokens, up);
	if (q->query.ask == ROUTE_AUTO)
		route_book_answered(b, &q->wish, up);
}

/* An answer that one model at home has given, whole, may get a label. */
static void
offer(struct routed *q, const char *reason, const struct usage *u)
{
	enum route_target by = q->query.candidates[q->choice.candidate].kind;
	const struct label_offer o = {.format = q->answer.head.format,
		.body_bytes = q->body_bytes,
		.id = q->answer.head.id,
		.answer = (const char *)q->draft.data,
		.len = q->draft.len,
		.tokens = u->new_tokens,
		.by = by == ROUTE_SMALL ? GAIN_SMALL : GAIN_LARGE,
		.policy = q->verdict.policy,
		.text = q->text,
		.figures = by == ROUTE_SMALL && q->signals.n > 0 ? q->figures : NULL,
		.expected = &routed_view(q)->estimate};

	/* Who calls a tool answers in words that nobody can compare; a form is not asked for again. */
	if (q->a.tools == NULL && !api_has_form(&q->a) && by != ROUTE_CLOUD &&
		q->choice.reason != ROUTE_BY_TOKEN && q->choice.reason != ROUTE_FELL_BACK &&
		strcmp(reason, "stop") == 0)
		labels_offer(q->router->labels, &q->a, &o);
}

void
routed_finish(struct routed *q, const char *reason, const struct usage *u)
{
	struct router *r = q->router;

	note_attempt(q, "answered", u->new_tokens);
	r->mean_answer =
		r->mean_answer == 0 ? u->new_tokens : 0.9 * r->mean_answer + 0.1 * u->new_tokens;
	api_answer_flush(&q->answer);
	record(q);
	if (q->choice.reason != ROUTE_BY_TOKEN)
		learn(q);
	q->answer.shoal = routed_said(q);
	routed_note(q);
	api_answer_end(&q->answer, reason, u);
	offer(q, reason, u);
	routed_free(q);
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct routed *q = arg;
	struct route_choice c;
	struct usage told;

	q->request = NULL;
	q->both = NULL;
	if (u->signals != NULL && u->signals->n > 0) {
		bool up = look_at_tokens(q, u->signals);

		if (q->held) {
			c = judge(q, up);
			if (c.candidate != q->choice.candidate) {
				escalate(q, c);
				return;
			}
			q->choice = c;
		}
	}
	if (q->held)
		release(q);
	told = routed_usage(q, u);
	routed_finish(q, session_end_name(end), &told);
}

/* Another one is asked. What the client has seen of the answer stays: a model at home goes on from
 * there, where a cloud's was cut. */
void
routed_failed(struct routed *q, const char *end)
{
	struct route_choice next;

	note_attempt(q, end, q->signals.n);
	next = route_next(&q->query, (unsigned)q->choice.candidate, q->begun);
	if (next.candidate >= 0) {
		if (!q->begun)
			buf_clear(&q->draft);
		buf_clear(&q->odds);
		q->held = false;
		ask(q, next);
		return;
	}
	record(q);
	q->choice = (struct route_choice){.candidate = -1, .reason = ROUTE_NOBODY};
	q->answer.shoal = routed_said(q);
	routed_note(q);
	api_answer_fail(&q->answer, q->status, q->why, end);
	routed_free(q);
}

static void
on_error(void *arg, int status, const char *what)
{
	struct routed *q = arg;

	q->request = NULL;
	q->both = NULL;
	log_warning("%s: %s: %s", q->id, q->names[q->choice.candidate], what);
	q->status = status;
	snprintf(q->why, sizeof q->why, "%s", what);
	routed_failed(q, "failed");
}

const struct request_events routed_events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error, .on_odds = on_odds};

/* The client has gone away, or the daemon stops. */
static void
on_gone(void *job)
{
	struct routed *q = job;

	if (q->request != NULL)
		desk_cancel(q->desk, q->request);
	if (q->both != NULL)
		token_run_cancel(q->both);
	if (q->segments != NULL)
		segment_run_cancel(q->segments);
	if (q->call != NULL)
		door_cancel(q->call);
	if (q->begun)
		record(q);
	log_info("%s: cancelled", q->id);
	routed_free(q);
}

/* --- beginning a leg ---------------------------------------------------------------------------- */

static void
nobody(struct routed *q)
{
	if (q->answer.kept == NULL)
		http_release(q->answer.http);
	q->choice = (struct route_choice){.candidate = -1, .reason = ROUTE_NOBODY};
	q->answer.shoal = routed_said(q);
	routed_note(q);
	if (q->answer.kept != NULL || q->answer.http->streaming || q->status == 429)
		api_answer_error(&q->answer, q->status, q->why);
	else
		routed_refuse(q);
	routed_free(q);
}

struct session *
routed_session(struct routed *q, const struct served_model *m, bool signals, struct err *err)
{
	struct token_list ids = {0};
	struct session *s = NULL;
	const struct api_format *f = q->answer.head.format;

	uint64_t n;
	int rc = api_prompt(f, &q->a, m, &ids, &n, err);

	if (rc == 0 && q->begun)
		rc = tokenize(
			m->tokenizer, (const char *)q->draft.data, q->draft.len, 0, &ids, err);
	if (rc == 0 && ids.n > 0 && ids.n < m->context)
		s = api_make_session(&q->a, m, &ids, signals, q->keyed ? &q->key : NULL, err);
	else if (rc > 0 || ids.n >= m->context)
		q->query.candidates[q->choice.candidate].refusal = ROUTE_CONTEXT;
	token_list_free(&ids);
	if (s != NULL && q->begun &&
		session_begun(s, (const char *)q->draft.data, q->draft.len, err) != 0) {
		session_free(s);
		s = NULL;
	}
	return s;
}

bool
routed_begin_at_home(struct routed *q)
{
	struct route_candidate *c = &q->query.candidates[q->choice.candidate];
	const struct served_model *m = routed_model(q, c->kind);
	struct err err = {"it is not there any more"};
	struct session *s;

	q->status = 503;
	c->refusal = ROUTE_NOT_READY;
	s = m != NULL ? routed_session(q, m, c->kind == ROUTE_SMALL, &err) : NULL;
	if (s != NULL) {
		api_logprobs_speaker(&q->answer.logprobs, m->tokenizer);
		q->odds_lost = false;
		q->desk = m->desk;
		q->request =
			desk_submit(m->desk, s, q->client, &routed_events, q, &q->status, &err);
	}
	if (q->request == NULL) {
		log_info("%s: %s: %s", q->id, q->names[q->choice.candidate], err.msg);
		snprintf(q->why, sizeof q->why, "%s", err.msg);
		return false;
	}
	c->refusal = ROUTE_USABLE;
	return true;
}

static bool
begin_leg(struct routed *q)
{
	bool cloud = q->query.candidates[q->choice.candidate].kind == ROUTE_CLOUD;

	if (!(q->choice.reason == ROUTE_BY_TOKEN ? routed_begin_token(q)
		    : cloud                      ? routed_begin_cloud(q)
						 : routed_begin_at_home(q)))
		return false;
	api_answer_apart(&q->answer, cloud);
	q->since = uv_now(q->router->loop);
	q->held = q->choice.cascade;
	if (!q->held)
		name_model(q);
	q->signals = (struct token_signals){0};
	q->doubtful = 0;
	return true;
}

/* Asks the one that was chosen, or those behind it until one can begin. false: none can, q is gone. */
static bool
ask(struct routed *q, struct route_choice choice)
{
	q->choice = choice;
	while (q->choice.candidate >= 0 && !begin_leg(q)) {
		unsigned failed = (unsigned)q->choice.candidate;
		enum route_refusal why = q->query.candidates[failed].refusal;

		if (q->choice.reason == ROUTE_BY_TOKEN) { /* then in the other mode */
			q->choice = route_first(&q->query);
			continue;
		}
		q->choice = route_next(&q->query, failed, q->begun);
		q->query.candidates[failed].refusal = why;
	}
	if (q->choice.candidate >= 0)
		return true;
	nobody(q);
	return false;
}

/* --- a request ----------------------------------------------------------------------------------- */

/* From now on it is its key's: clients may come and go. false: it is gone. */
static bool
keep(struct routed *q)
{
	struct http_request *h = q->answer.http;

	http_release(h);
	q->answer.kept =
		answer_job_begin(h->http->answers, h, &q->key, &q->a, &q->answer.head, on_gone, q);
	if (q->answer.kept != NULL)
		return true;
	on_gone(q);
	http_fail(h, 503, NULL, NULL, "out of memory");
	return false;
}

static void
run(struct routed *q)
{
	struct http_request *h = q->answer.http;
	struct route_choice c = routed_first(q);

	q->choice = c;
	if (q->said.explain) {
		routed_explain(q);
		routed_free(q);
		return;
	}
	if (c.candidate < 0) {
		q->answer.shoal = routed_said(q);
		routed_note(q);
		routed_refuse(q);
		routed_free(q);
		return;
	}
	/* From here on its text may come back as history. */
	wall_made(q->router->wall, &q->verdict, NULL, 0);
	http_wait(h, on_gone, q);
	if (!ask(q, c) || (q->keyed && !keep(q)))
		return;
	api_echo(&q->answer.text, &q->a, NULL); /* a prompt of ids is not routed */
	api_answer_begin(&q->answer);
}

void
router_answer(struct router *r, struct http_request *h, const struct api_format *f,
	struct api_request *a, const struct answer_key *key)
{
	struct routed *q;

	http_count_body(h);
	if (document_wanted(a) && key != NULL) {
		http_fail(h, 400, "unsupported_parameter", "Idempotency-Key",
			"answers about documents are not kept: leave out Idempotency-Key");
		return;
	}
	if (document_wanted(a)) {
		document_answer(r, h, f, a);
		return;
	}
	q = calloc(1, sizeof *q);
	if (q == NULL) {
		http_fail(h, 503, NULL, NULL, "out of memory");
		return;
	}
	q->router = r;
	q->client = h->client;
	q->end_by = h->end_by;
	snprintf(q->id, sizeof q->id, "%s", h->id);
	q->keyed = key != NULL;
	if (q->keyed)
		q->key = *key;
	q->a = *a;
	q->body_bytes = h->body.len;
	*a = (struct api_request){0};
	buf_init(&q->draft, MOST_DRAFT + 1);
	api_answer_init(&q->answer, h, f, &q->a, q->a.model);
	if (routed_look(q, h) == 0)
		run(q);
	else
		routed_free(q);
}
