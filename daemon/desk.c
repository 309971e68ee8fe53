#include "daemon/desk.h"

#include "daemon/desk_int.h"

#include <stdio.h>
#include <stdlib.h>

/* --- lists -------------------------------------------------------------------------------------- */

void
request_list_init(struct request_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

void
request_list_add(struct request_list *l, struct request *r)
{
	r->next = NULL;
	*l->tail = r;
	l->tail = &r->next;
}

struct request *
request_list_take(struct request_list *l)
{
	struct request *r = l->head;

	if (r != NULL)
		l->head = r->next;
	if (l->head == NULL)
		l->tail = &l->head;
	return r;
}

/* --- to be heard (the lock is held) ------------------------------------------------------------- */

void
desk_post(struct desk *d, struct request *r)
{
	uv_async_send(&d->heard);
	if (r->posted)
		return;
	r->posted = true;
	r->next_posted = NULL;
	*d->posted.tail = r;
	d->posted.tail = &r->next_posted;
}

static void
post_outcome(struct desk *d, struct request *r, enum outcome outcome)
{
	r->outcome = outcome;
	desk_post(d, r);
}

static void
post_error(struct desk *d, struct request *r, int status, const char *what)
{
	r->status = status;
	snprintf(r->what, sizeof r->what, "%s", what);
	post_outcome(d, r, OUTCOME_ERROR);
}

/* Of what has been said. */
static void
post_odds(struct request *r, bool last)
{
	if (r->ev.on_odds != NULL && session_take_odds(r->session, last, &r->odds) != 0)
		r->odds_lost = true;
}

static void
post_end(struct desk *d, struct request *r, enum session_end end)
{
	post_odds(r, true);
	r->usage = request_usage(r);
	r->end = end;
	post_outcome(d, r, OUTCOME_END);
}

/* Ends those of a list that are cancelled or shall not go on; the others stay in order. */
static void
sort_out_list(struct desk *d, struct request_list *l)
{
	struct request_list all = *l;
	struct request *r;

	if (all.head == NULL)
		return;
	request_list_init(l);
	while ((r = request_list_take(&all)) != NULL) {
		bool cancelled = atomic_load(&r->cancelled), stopped = atomic_load(&r->stopped);

		if (!cancelled && !stopped && r->number >= d->ended) {
			request_list_add(l, r);
			continue;
		}
		r->parked = false;
		if (cancelled)
			post_outcome(d, r, OUTCOME_GONE);
		else if (stopped)
			post_end(d, r, SESSION_STOP);
		else
			post_error(d, r, d->end_status, d->end_why);
	}
}

static void
sort_out(struct desk *d)
{
	sort_out_list(d, &d->waiting);
	sort_out_list(d, &d->parked);
}

/* --- engine thread ------------------------------------------------------------------------------ */

void
desk_attach(struct desk *d, uv_async_t *wake)
{
	uv_mutex_lock(&d->lock);
	d->wake = wake;
	if (d->waiting.head != NULL)
		uv_async_send(wake);
	uv_mutex_unlock(&d->lock);
}

void
desk_detach(struct desk *d)
{
	uv_mutex_lock(&d->lock);
	d->wake = NULL;
	sort_out(d);
	uv_mutex_unlock(&d->lock);
}

/* Whose turn it is. What was given back goes first: it stands at the head, and has had its turn. */
static struct request **
next_in_turn(struct desk *d)
{
	struct request **best = &d->waiting.head;
	uint32_t furthest = 0;

	if (*best == NULL || (*best)->started != 0)
		return best;
	for (struct request **at = best; *at != NULL; at = &(*at)->next) {
		uint32_t place = fair_place(&d->fair, (*at)->client);

		if (place > furthest) {
			furthest = place;
			best = at;
		}
	}
	return best;
}

struct request *
desk_take(struct desk *d)
{
	struct request **at, *r;

	uv_mutex_lock(&d->lock);
	at = next_in_turn(d);
	r = *at;
	if (r != NULL) {
		*at = r->next;
		if (r->next == NULL)
			d->waiting.tail = at;
		r->next = NULL;
		fair_served(&d->fair, r->client);
	}
	uv_mutex_unlock(&d->lock);
	return r;
}

/* Whether it may be tried again. */
static bool
shall_go_on(struct request *r)
{
	size_t n = r->n_chosen;

	if (r->guide == NULL)
		session_ids(r->session, &n);
	if (r->started == 0 || n > r->n_ids_before)
		r->tries = 0;
	r->n_ids_before = n;
	r->n_had = r->n_done > r->n_had ? r->n_done : r->n_had;
	r->n_done = 0;
	return r->started == 0 || ++r->tries < DESK_MAX_TRIES;
}

/* The lock is held. */
static void
park(struct desk *d, struct request *r)
{
	r->n_done = 0;
	r->parked = true;
	request_list_add(&d->parked, r);
}

bool
desk_park(struct desk *d, struct request *r)
{
	bool rests;

	uv_mutex_lock(&d->lock);
	rests = !atomic_load(&r->led);
	if (rests) {
		park(d, r);
		sort_out(d);
	}
	uv_mutex_unlock(&d->lock);
	return rests;
}

void
desk_give_back(struct desk *d, struct request *head, int status, const char *why)
{
	struct request_list back;
	struct request *next;

	request_list_init(&back);
	uv_mutex_lock(&d->lock);
	for (struct request *r = head; r != NULL; r = next) {
		next = r->next;
		if (r->guide != NULL && !atomic_load(&r->led))
			park(d, r);
		else if (shall_go_on(r))
			request_list_add(&back, r);
		else
			post_error(d, r, status, why);
	}
	if (back.head != NULL) {
		*back.tail = d->waiting.head;
		if (d->waiting.head == NULL)
			d->waiting.tail = back.tail;
		d->waiting.head = back.head;
	}
	sort_out(d);
	uv_mutex_unlock(&d->lock);
}

void
desk_post_text(struct desk *d, struct request *r, const struct buf *text)
{
	const struct token_signals *signals = session_signals(r->session);
	uint32_t id = session_last(r->session);

	/* Odds of tokens that say nothing do not wait for text, which may never come. */
	if (text->len == 0 && r->ev.on_ids == NULL && !session_holds_odds(r->session))
		return;
	uv_mutex_lock(&d->lock);
	buf_append(&r->text, text->data, text->len);
	post_odds(r, false);
	r->has_signals = signals != NULL;
	if (signals != NULL)
		r->signals = *signals;
	/* Of ids that found no memory none may follow: who has the first ones can go on from there. */
	if (r->ev.on_ids != NULL && !r->ids_lost) {
		r->ids_lost = buf_append(&r->ids, &id, sizeof id) != 0;
		r->usage = request_usage(r);
	}
	desk_post(d, r);
	uv_mutex_unlock(&d->lock);
}

static double
seconds(uint64_t from, uint64_t to)
{
	return from == 0 || to < from ? 0 : (double)(to - from) / 1e9;
}

const uint32_t *
request_ids(const struct request *r, size_t *n)
{
	return r->guide != NULL ? guide_ids(r->guide, n) : session_ids(r->session, n);
}

struct usage
request_usage(const struct request *r)
{
	uint64_t now = uv_hrtime();
	size_t n, n_prompt = session_n_prompt(r->session);
	const uint32_t *ids = session_ids(r->session, &n);

	return (struct usage){
		.prompt_tokens = (uint32_t)n_prompt,
		.new_tokens = (uint32_t)(n - n_prompt),
		.cached = r->n_cached < n_prompt ? r->n_cached : (uint32_t)n_prompt,
		.prompt_seconds = seconds(r->started, r->first_token),
		.new_seconds = seconds(r->first_token, now),
		.queue_seconds = seconds(r->submitted, r->started),
		.drafted = r->n_guessed,
		.accepted = r->n_right,
		.tokens = ids + n_prompt,
		.signals = session_signals(r->session),
	};
}

void
desk_post_end(struct desk *d, struct request *r, enum session_end end)
{
	uv_mutex_lock(&d->lock);
	post_end(d, r, end);
	uv_mutex_unlock(&d->lock);
}

void
desk_post_gone(struct desk *d, struct request *r)
{
	uv_mutex_lock(&d->lock);
	post_outcome(d, r, OUTCOME_GONE);
	uv_mutex_unlock(&d->lock);
}

void
desk_post_failed(struct desk *d, struct request *r, int status, const char *what)
{
	uv_mutex_lock(&d->lock);
	post_error(d, r, status, what);
	uv_mutex_unlock(&d->lock);
}

/* --- main thread: hearing ----------------------------------------------------------------------- */

static void
request_free(struct desk *d, struct request *r)
{
	request_draft_end(d, r);
	session_free(r->session);
	guide_free(r->guide);
	buf_free(&r->text);
	buf_free(&r->ids);
	buf_free(&r->odds);
	free(r);
}

void
desk_move(struct buf *to, struct buf *from)
{
	struct buf swap = *from;

	*from = *to;
	*to = swap;
	buf_clear(from);
}

/* The next request that has something to say, which is moved to d->text, d->ids, d->choices. */
static struct request *
take_posted(struct desk *d, enum outcome *outcome)
{
	struct request *r;

	uv_mutex_lock(&d->lock);
	r = d->posted.head;
	if (r != NULL) {
		d->posted.head = r->next_posted;
		if (d->posted.head == NULL)
			d->posted.tail = &d->posted.head;
		r->posted = false;
		desk_move(&d->text, &r->text);
		desk_move(&d->ids, &r->ids);
		desk_move(&d->odds, &r->odds);
		d->odds_lost = r->odds_lost;
		d->so_far = r->usage;
		request_draft_take(d, r);
		d->n_choices = r->n_choices;
		memcpy(d->choices, r->choices, r->n_choices * sizeof *r->choices);
		d->rests = r->rests;
		r->n_choices = 0;
		r->rests = false;
		*outcome = r->outcome;
		if (*outcome != OUTCOME_NONE)
			d->n_requests--;
	}
	uv_mutex_unlock(&d->lock);
	return r;
}

static void
hear(struct desk *d, struct request *r, enum outcome outcome)
{
	size_t n = d->ids.len / sizeof(uint32_t);

	request_draft_hear(d, r);
	d->so_far.tokens = NULL; /* they are an engine's */
	d->so_far.signals = NULL;
	if (n > 0 && !atomic_load(&r->cancelled))
		r->ev.on_ids(r->arg, (const void *)d->ids.data, n, &d->so_far);
	if ((d->odds.len > 0 || d->odds_lost) && !atomic_load(&r->cancelled))
		r->ev.on_odds(r->arg, (const void *)d->odds.data,
			d->odds.len / sizeof(struct token_odds), d->odds_lost);
	if (d->text.len > 0 && !atomic_load(&r->cancelled))
		r->ev.on_text(r->arg, (const char *)d->text.data, d->text.len);
	if (d->n_choices > 0 && !atomic_load(&r->cancelled))
		r->ev.on_choices(r->arg, d->choices, d->n_choices, d->rests);
	if (outcome == OUTCOME_NONE)
		return;
	if (!atomic_load(&r->cancelled)) { /* on_text may have cancelled it */
		if (outcome == OUTCOME_END)
			r->ev.on_end(r->arg, r->end, &r->usage);
		else if (outcome == OUTCOME_ERROR)
			r->ev.on_error(r->arg, r->status, r->what);
	}
	request_free(d, r);
}

void
desk_hear(struct desk *d)
{
	enum outcome outcome;
	struct request *r;

	while ((r = take_posted(d, &outcome)) != NULL)
		hear(d, r, outcome);
}

static void
on_heard(uv_async_t *a)
{
	desk_hear(a->data);
}

/* --- main thread: life -------------------------------------------------------------------------- */

struct desk *
desk_new(uv_loop_t *loop, struct err *err)
{
	struct desk *d = calloc(1, sizeof *d);
	int rc = d != NULL ? uv_mutex_init(&d->lock) : UV_ENOMEM;

	if (rc == 0) {
		request_list_init(&d->waiting);
		request_list_init(&d->parked);
		d->posted.tail = &d->posted.head;
		d->heard.data = d;
		rc = uv_async_init(loop, &d->heard, on_heard);
		if (rc != 0)
			uv_mutex_destroy(&d->lock);
	}
	if (rc == 0)
		return d;
	free(d);
	err_set(err, "no desk for requests: %s", uv_strerror(rc));
	return NULL;
}

void
desk_close(struct desk *d)
{
	desk_hear(d); /* what was posted last */
	uv_close((uv_handle_t *)&d->heard, NULL);
}

void
desk_free(struct desk *d)
{
	struct request *r;

	if (d == NULL)
		return;
	while ((r = request_list_take(&d->waiting)) != NULL ||
		(r = request_list_take(&d->parked)) != NULL)
		request_free(d, r);
	buf_free(&d->text);
	buf_free(&d->ids);
	buf_free(&d->odds);
	buf_free(&d->news);
	uv_mutex_destroy(&d->lock);
	free(d);
}

void
desk_limit(struct desk *d, uint32_t context, uint32_t most)
{
	d->context = context;
	d->most = most;
}

/* --- main thread: requests ---------------------------------------------------------------------- */

static struct request *
request_new(uint64_t client, const struct request_events *ev, void *arg)
{
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->client = client;
	r->ev = *ev;
	r->arg = arg;
	r->submitted = uv_hrtime();
	atomic_init(&r->cancelled, false);
	atomic_init(&r->stopped, false);
	atomic_init(&r->led, false);
	return r;
}

/* Whether another request can come in: 0, or the HTTP status that says why not. */
static int
refusal(struct desk *d, size_t n_ids, struct err *err)
{
	uint32_t there = desk_requests(d);

	if (n_ids > d->context) {
		err_set(err, "a prompt of %zu tokens does not fit the context of %u", n_ids,
			d->context);
		return 400;
	}
	if (there >= d->most) {
		err_set(err,
			"%u requests are running or waiting already, try again later (shoald's "
			"'queue' says how many may wait)",
			there);
		return 429;
	}
	return 0;
}

struct request *
desk_admit(struct desk *d, size_t n_ids, uint64_t client, const struct request_events *ev,
	void *arg, int *status, struct err *err)
{
	struct request *r;

	*status = refusal(d, n_ids, err);
	if (*status != 0)
		return NULL;
	r = request_new(client, ev, arg);
	if (r == NULL) {
		*status = 503;
		err_set(err, "not enough memory for another request");
		return NULL;
	}
	uv_mutex_lock(&d->lock);
	d->n_requests++;
	r->number = d->next_number++;
	uv_mutex_unlock(&d->lock);
	return r;
}

struct request *
desk_submit(struct desk *d, struct session *s, uint64_t client, const struct request_events *ev,
	void *arg, int *status, struct err *err)
{
	struct request *r;
	size_t n;

	session_ids(s, &n);
	r = desk_admit(d, n, client, ev, arg, status, err);
	if (r == NULL) {
		session_free(s);
		return NULL;
	}
	r->session = s;
	r->n_begun = n;
	request_draft_begin(d, r);
	uv_mutex_lock(&d->lock);
	request_list_add(&d->waiting, r);
	if (d->wake != NULL)
		uv_async_send(d->wake);
	uv_mutex_unlock(&d->lock);
	return r;
}

/* Whoever has it looks at what was set. */
static void
look_again(struct desk *d)
{
	uv_mutex_lock(&d->lock);
	if (d->wake != NULL)
		uv_async_send(d->wake);
	sort_out(d);
	uv_mutex_unlock(&d->lock);
}

void
desk_cancel(struct desk *d, struct request *r)
{
	atomic_store(&r->cancelled, true);
	look_again(d);
}

void
desk_stop(struct desk *d, struct request *r)
{
	if (!atomic_exchange(&r->stopped, true))
		look_again(d);
}

void
desk_end_all(struct desk *d, int status, const char *why)
{
	uv_mutex_lock(&d->lock);
	d->ended = d->next_number;
	d->end_status = status;
	snprintf(d->end_why, sizeof d->end_why, "%s", why);
	sort_out(d);
	uv_mutex_unlock(&d->lock);
}

bool
desk_signals(struct desk *d, struct request *r, struct token_signals *out)
{
	bool there;

	uv_mutex_lock(&d->lock);
	there = r->has_signals;
	if (there)
		*out = r->signals;
	uv_mutex_unlock(&d->lock);
	return there;
}

uint32_t
desk_requests(struct desk *d)
{
	uint32_t n;

	uv_mutex_lock(&d->lock);
	n = d->n_requests;
	uv_mutex_unlock(&d->lock);
	return n;
}

bool
desk_waits_for(struct desk *d, uint64_t number)
{
	const struct request *r;

	uv_mutex_lock(&d->lock);
	for (r = d->waiting.head; r != NULL && r->number != number;)
		r = r->next;
	uv_mutex_unlock(&d->lock);
	return r != NULL;
}
